//! Deadlines in epochs, in every mode.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{call, modes, modes_with};
use vm_engine::{Engine, Instance, Linker, Module, Store, Trap, UpdateDeadline};

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.epoch_interruption(true);
    })
}

/// Loops and calls without end; each calls the host at every turn.
const ENDLESS: &str = r#"(module
  (import "h" "tick" (func $tick))
  (global (export "turns") (mut i32) (i32.const 0))
  (func $turn (global.set 0 (i32.add (global.get 0) (i32.const 1))) (call $tick))
  (func (export "loop") (loop (call $turn) (br 0)))
  (func $deep (call $turn) (call $deep))
  (func (export "deep") (call $deep))
  (func (export "while") (local i32)
    (local.set 0 (i32.const 1))
    (loop (call $turn) (br_if 0 (local.get 0))))
  (func (export "once") (param i64 f64) (result i64 f64)
    (local.get 0) (local.get 1)))"#;

/// A store whose guests let an epoch end at every turn, and an instance.
fn world<T: 'static>(engine: &Engine, data: T) -> (Store<T>, Instance) {
    let mut linker = Linker::<T>::new(engine);
    let ticks = engine.clone();
    linker
        .func_wrap("h", "tick", move || ticks.increment_epoch())
        .unwrap();
    let module = Module::new(engine, ENDLESS).unwrap();
    let mut store = Store::new(engine, data);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn turns<T: 'static>(store: &mut Store<T>, instance: Instance) -> i32 {
    let global = instance.get_global(&mut *store, "turns").unwrap();
    global.get(&mut *store).unwrap_i32()
}

#[test]
fn guests_stop_at_the_deadline() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, ());
        let mut expected = 0;
        for name in ["loop", "deep", "while"] {
            for epochs in [1, 2, 100] {
                store.set_epoch_deadline(epochs);
                let error = call::<_, (), ()>(&mut store, instance, name, ()).unwrap_err();
                assert_eq!(error.trap(), Some(Trap::Interrupt), "{error}");
                expected += epochs as i32;
                assert_eq!(
                    turns(&mut store, instance),
                    expected,
                    "{name} {}",
                    engine.strategy()
                );
            }
        }
        // It is over until there is another one.
        assert!(call::<_, (i64, f64), (i64, f64)>(&mut store, instance, "once", (1, 2.0)).is_err());
        store.set_epoch_deadline(1);
        let result = call::<_, (i64, f64), (i64, f64)>(&mut store, instance, "once", (1, 2.0));
        assert_eq!(result.unwrap(), (1, 2.0));
    }
}

#[test]
fn without_a_deadline_guests_do_not_run() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, ());
        let error = call::<_, (), ()>(&mut store, instance, "loop", ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Interrupt));
        assert_eq!(turns(&mut store, instance), 0);
    }
}

#[test]
fn the_host_decides_what_happens_at_the_deadline() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, Vec::new());
        store.epoch_deadline_callback(|asked: &mut Vec<usize>| {
            asked.push(asked.len());
            match asked.len() {
                1..10 => Ok(UpdateDeadline::Continue(2)),
                10 => Ok(UpdateDeadline::Interrupt),
                _ => Err(std::io::Error::other("no more").into()),
            }
        });
        store.set_epoch_deadline(1);
        let error = call::<_, (), ()>(&mut store, instance, "while", ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Interrupt));
        assert_eq!(store.data().len(), 10);
        assert_eq!(turns(&mut store, instance), 1 + 9 * 2);
        let error = call::<_, (), ()>(&mut store, instance, "deep", ()).unwrap_err();
        assert!(error.to_string().contains("no more"), "{error}");
        store.epoch_deadline_trap();
        let error = call::<_, (), ()>(&mut store, instance, "deep", ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Interrupt));
    }
}

/// What is in registers survives the question.
#[test]
fn guests_go_on_where_they_were() {
    let text = r#"(module
      (import "h" "tick" (func $tick))
      (func (export "sum") (param i32) (result i64 f64)
        (local i64 f64 i64)
        (loop
          (local.set 1 (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
          (local.set 2 (f64.add (local.get 2) (f64.convert_i32_u (local.get 0))))
          (local.set 3 (i64.const 3))
          (loop
            (local.set 3 (i64.sub (local.get 3) (i64.const 1)))
            (br_if 0 (i64.ne (local.get 3) (i64.const 0))))
          (call $tick)
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1) (local.get 2)))"#;
    for engine in engines() {
        let mut linker = Linker::<u32>::new(&engine);
        let ticks = engine.clone();
        linker
            .func_wrap("h", "tick", move || ticks.increment_epoch())
            .unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, 0);
        store.epoch_deadline_callback(|asked: &mut u32| {
            *asked += 1;
            Ok(UpdateDeadline::Continue(1))
        });
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let (sum, floats): (i64, f64) = call(&mut store, instance, "sum", 1000).unwrap();
        assert_eq!((sum, floats), (500_500, 500_500.0), "{}", engine.strategy());
        assert_eq!(*store.data(), 1000);
    }
}

#[test]
fn another_thread_ends_what_does_not_end() {
    let text = "(module (func (export \"spin\") (loop (br 0))))";
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let ticker = {
            let (engine, done) = (engine.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    engine.increment_epoch();
                    std::thread::yield_now();
                }
            })
        };
        let guests = (0..3).map(|_| {
            let (engine, module) = (engine.clone(), module.clone());
            std::thread::spawn(move || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                for _ in 0..20 {
                    store.set_epoch_deadline(3);
                    let error = call::<_, (), ()>(&mut store, instance, "spin", ()).unwrap_err();
                    assert_eq!(error.trap(), Some(Trap::Interrupt));
                }
            })
        });
        for guest in guests.collect::<Vec<_>>() {
            guest.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        ticker.join().unwrap();
    }
}

#[test]
fn engines_without_epochs_have_guests_that_do_not_look() {
    for engine in modes() {
        let module = Module::new(&engine, "(module (func (export \"f\")))").unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(0);
        engine.increment_epoch();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        call::<_, (), ()>(&mut store, instance, "f", ()).unwrap();
    }
}
