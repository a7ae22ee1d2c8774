//! Guests that are stopped from outside, wherever they are.

mod common;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::modes;
use vm_engine::{Caller, Engine, Func, Instance, InterruptHandle, Module, Result, Store, Trap};

/// Interrupts the first call that there is, some time later.
fn soon(handle: InterruptHandle) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        while !handle.interrupt() {
            thread::yield_now();
        }
    })
}

const LOOPS: &str = r#"(module
    (import "host" "again" (func $again))
    (import "host" "wait" (func $wait))
    (memory (export "memory") 1 65536)
    (table 10 funcref) (elem (i32.const 0) $in_a_callee)
    (global $turns (mut i64) (i64.const 0))
    (func (export "in_a_loop") (loop (br 0)))
    (func (export "in_a_loop_that_stores") (local i32)
        (loop
            (i32.store (i32.const 0) (local.tee 0 (i32.add (local.get 0) (i32.const 1))))
            (i32.store (i32.const 4) (local.get 0))
            (br 0)))
    (func $in_a_callee (export "in_a_callee") (local i64)
        (loop
            (call $work)
            (br_if 0 (i64.ne (global.get $turns) (i64.const 0)))
            (br 0)))
    (func $work (global.set $turns (i64.add (global.get $turns) (i64.const 1))))
    (func (export "in_calls_by_table") (loop (call_indirect (i32.const 0)) (br 0)))
    (func (export "in_tail_calls") (return_call $forth))
    (func $forth (return_call $back))
    (func $back (return_call $forth))
    (func (export "in_a_switch") (local i32)
        (loop $again
            (block $a (block $b (block $c
                (br_table $a $b $c $again (i32.and
                    (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 3)))))))
        (loop (br 0)))
    (func (export "in_bulk_operations")
        (drop (memory.grow (i32.const 1023)))
        (loop
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
            (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3ffffff))
            (memory.copy (i32.const 0) (i32.const 1) (i32.const 0x3ffffff))
            (br 0)))
    (func (export "through_the_host") (call $again) (loop (br 0)))
    (func (export "in_the_host") (call $wait))
    (func (export "fine") (result i32) (i32.load (i32.const 0))))"#;

/// The functions of [`LOOPS`] that never return.
const ENDLESS: [&str; 10] = [
    "in_a_loop",
    "in_a_loop_that_stores",
    "in_a_callee",
    "in_calls_by_table",
    "in_tail_calls",
    "in_a_switch",
    "in_bulk_operations",
    "through_the_host",
    "in_the_host",
    "in_a_loop",
];

/// A store whose data is how deep its host and its guest call each other.
fn instantiate(engine: &Engine) -> (Store<u32>, Instance) {
    let mut store = Store::new(engine, 0);
    let again = Func::wrap(&mut store, |mut caller: Caller<'_, u32>| {
        if *caller.data() == 3 {
            return;
        }
        *caller.data_mut() += 1;
        let run = caller
            .get_export("through_the_host")
            .unwrap()
            .into_func()
            .unwrap();
        // That this one ends is not the end of the others by itself.
        let ended = run.call(&mut caller, &[], &mut []);
        assert_eq!(ended.unwrap_err().trap(), Some(Trap::Interrupt));
        *caller.data_mut() -= 1;
    });
    let wait = Func::wrap(&mut store, |caller: Caller<'_, u32>| {
        while !caller.is_interrupted() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let module = Module::new(engine, LOOPS).unwrap();
    let instance = Instance::new(&mut store, &module, &[again.into(), wait.into()]).unwrap();
    (store, instance)
}

#[test]
fn every_endless_guest_ends_and_its_store_goes_on() {
    for engine in modes() {
        let (mut store, instance) = instantiate(&engine);
        let handle = store.interrupt_handle().unwrap();
        for name in ENDLESS {
            let run = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
            let timer = soon(handle.clone());
            let ended = run.call(&mut store, ());
            timer.join().unwrap();
            match ended {
                Err(error) => assert_eq!(error.trap(), Some(Trap::Interrupt), "{name}: {error}"),
                // There was no guest code left to end when the host function returned.
                Ok(()) => assert_eq!(name, "in_the_host"),
            }
            let fine = instance
                .get_typed_func::<(), i32>(&mut store, "fine")
                .unwrap();
            fine.call(&mut store, ()).unwrap();
            assert!(!handle.interrupt(), "nothing runs");
            fine.call(&mut store, ()).unwrap();
        }
    }
}

#[test]
fn what_the_guest_has_stored_stays_in_its_order() {
    for engine in modes() {
        let (mut store, instance) = instantiate(&engine);
        let handle = store.interrupt_handle().unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let run = instance
            .get_typed_func::<(), ()>(&mut store, "in_a_loop_that_stores")
            .unwrap();
        for _ in 0..20 {
            let timer = soon(handle.clone());
            let error = run.call(&mut store, ()).unwrap_err();
            timer.join().unwrap();
            assert_eq!(error.trap(), Some(Trap::Interrupt));
            let word =
                |at: usize| u32::from_le_bytes(memory.data(&store)[at..at + 4].try_into().unwrap());
            // The first store is done before the second.
            let (first, second) = (word(0), word(4));
            assert!(
                first > 0 && first.wrapping_sub(second) <= 1,
                "{first} {second}"
            );
            // A backtrace says where.
            let frames = error.to_string();
            assert!(
                frames.contains("in_a_loop_that_stores") || frames.contains("0x"),
                "{frames}"
            );
        }
    }
}

#[test]
fn a_start_function_ends() {
    for engine in modes() {
        let module = Module::new(&engine, "(module (start 0) (func (loop (br 0))))").unwrap();
        let mut store = Store::new(&engine, ());
        let timer = soon(store.interrupt_handle().unwrap());
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        timer.join().unwrap();
        assert_eq!(error.trap(), Some(Trap::Interrupt));
    }
}

/// A host function that asks for the handle in the middle of its run.
#[test]
fn a_handle_can_be_made_while_the_guest_runs() {
    for engine in modes() {
        let mut store = Store::new(&engine, None::<thread::JoinHandle<()>>);
        let arm = Func::wrap(
            &mut store,
            |mut caller: Caller<'_, Option<_>>| -> Result<()> {
                let handle = caller.interrupt_handle()?;
                *caller.data_mut() = Some(soon(handle));
                Ok(())
            },
        );
        let module = Module::new(
            &engine,
            r#"(module (import "" "arm" (func $arm))
                (func (export "run") (call $arm) (loop (br 0)))
                (func (export "fine")))"#,
        );
        let instance = Instance::new(&mut store, &module.unwrap(), &[arm.into()]).unwrap();
        for _ in 0..3 {
            let run = instance
                .get_typed_func::<(), ()>(&mut store, "run")
                .unwrap();
            let error = run.call(&mut store, ()).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::Interrupt));
            store.data_mut().take().unwrap().join().unwrap();
            let fine = instance
                .get_typed_func::<(), ()>(&mut store, "fine")
                .unwrap();
            fine.call(&mut store, ()).unwrap();
        }
    }
}

/// A host function that waits in a system call is woken where there is a signal.
#[cfg(unix)]
#[test]
fn a_system_call_in_which_the_host_waits_ends() {
    for engine in modes() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut store = Store::new(&engine, ());
        let read = Func::wrap(&mut store, move |caller: Caller<'_, ()>| -> Result<i32> {
            loop {
                match (&reader).read(&mut [0]) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                        if caller.is_interrupted() {
                            return Ok(-1);
                        }
                    }
                    other => return Ok(other.map_or(-2, |read| read as i32)),
                }
            }
        });
        let module = Module::new(
            &engine,
            r#"(module (import "" "read" (func $read (result i32)))
                (func (export "run") (result i32) (call $read)))"#,
        );
        let instance = Instance::new(&mut store, &module.unwrap(), &[read.into()]).unwrap();
        let handle = store.interrupt_handle().unwrap();
        let run = instance
            .get_typed_func::<(), i32>(&mut store, "run")
            .unwrap();
        let timer = soon(handle);
        match run.call(&mut store, ()) {
            // In between, the token executor looks at loops and calls only.
            Ok(result) => assert_eq!(result, -1),
            Err(error) => assert_eq!(error.trap(), Some(Trap::Interrupt)),
        }
        timer.join().unwrap();
    }
}

/// Other threads' interrupts come at any time: to runs that they were meant for, and to nothing else.
#[test]
fn many_threads_interrupt_many_runs_at_random_times() {
    let (threads, runs) = if cfg!(debug_assertions) {
        (16, 100)
    } else {
        (64, 1000)
    };
    for engine in modes() {
        let module = Module::new(
            &engine,
            r#"(module
                (func $spin (param i64) (result i64) (local i64)
                    (loop
                        (local.set 1 (i64.add (local.get 1) (i64.mul (local.get 0) (local.get 0))))
                        (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
                        (br_if 0 (i64.ne (local.get 0) (i64.const 0))))
                    (local.get 1))
                (func (export "run") (param i64) (result i64) (call $spin (local.get 0))))"#,
        );
        let module = module.unwrap();
        let sum = |n: i64| (1..=n).fold(0i64, |sum, n| sum.wrapping_add(n.wrapping_mul(n)));
        let ends: Vec<(u64, u64)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|worker: u64| {
                    let (engine, module) = (&engine, &module);
                    scope.spawn(move || {
                        let mut store = Store::new(engine, ());
                        let instance = Instance::new(&mut store, module, &[]).unwrap();
                        let run = instance
                            .get_typed_func::<i64, i64>(&mut store, "run")
                            .unwrap();
                        let handle = store.interrupt_handle().unwrap();
                        let (sender, receiver) = mpsc::channel::<u64>();
                        let asked = Arc::new(AtomicBool::new(false));
                        let mark = Arc::clone(&asked);
                        let interrupter = thread::spawn(move || {
                            for delay in receiver {
                                let start = Instant::now();
                                while start.elapsed() < Duration::from_nanos(delay) {
                                    std::hint::spin_loop();
                                }
                                if handle.interrupt() {
                                    mark.store(true, Ordering::SeqCst);
                                }
                            }
                        });
                        let mut random = (worker + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        let (mut finished, mut stopped) = (0, 0);
                        for _ in 0..runs {
                            random ^= random << 13;
                            random ^= random >> 7;
                            random ^= random << 17;
                            let turns = 1 + (random % 40_000) as i64;
                            sender.send(random >> 32 & 0x1_ffff).unwrap();
                            match run.call(&mut store, turns) {
                                Ok(result) => {
                                    assert_eq!(result, sum(turns));
                                    finished += 1;
                                }
                                Err(error) => {
                                    assert_eq!(error.trap(), Some(Trap::Interrupt));
                                    stopped += 1;
                                }
                            }
                        }
                        drop(sender);
                        interrupter.join().unwrap();
                        // None is hit that nobody asked for, and none later than that.
                        assert!(stopped == 0 || asked.load(Ordering::SeqCst));
                        for turns in [1, 1000, 3000] {
                            assert_eq!(run.call(&mut store, turns).unwrap(), sum(turns));
                        }
                        (finished, stopped)
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .collect()
        });
        let finished: u64 = ends.iter().map(|(finished, _)| finished).sum();
        let stopped: u64 = ends.iter().map(|(_, stopped)| stopped).sum();
        assert_eq!(finished + stopped, threads * runs);
        assert!(stopped > 0, "{}", engine.strategy());
    }
}
