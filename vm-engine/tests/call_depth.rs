//! `Config::max_call_depth`: how many calls are inside of each other, the same in every mode.

mod common;

use common::{call, modes_with};
use vm_engine::{
    Caller, DETERMINISTIC_CALL_DEPTH, Engine, Error, Linker, Module, Store, Trap,
    TypedResumableCall, Val,
};

fn engines(calls: u32) -> Vec<Engine> {
    modes_with(|config| {
        config.max_call_depth(Some(calls));
    })
}

/// Functions that call themselves and others, and note how deep they have come.
const DEEP: &str = r#"(module
  (import "h" "ask" (func $ask (param i32) (result i32)))
  (global $deepest (export "deepest") (mut i32) (i32.const 0))
  (table funcref (elem $indirect))
  (type $t (func (param i32) (result i32)))
  (func $note (param i32)
    (if (i32.gt_s (local.get 0) (global.get $deepest)) (then (global.set $deepest (local.get 0)))))
  (func $direct (export "direct") (param i32) (result i32)
    (global.set $deepest (local.get 0))
    (i32.add (call $direct (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $indirect (export "indirect") (type $t)
    (global.set $deepest (local.get 0))
    (i32.add (call_indirect (type $t) (i32.add (local.get 0) (i32.const 1)) (i32.const 0)) (i32.const 1)))
  ;; As deep as it is asked to be, with early returns and calls that have returned.
  (func $down (export "down") (param i32) (result i32)
    (if (i32.le_s (local.get 0) (i32.const 1)) (then (return (i32.const 1))))
    (call $note (i32.const 0))
    (block (br_if 0 (i32.and (local.get 0) (i32.const 1))) (call $note (i32.const 0)))
    (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $tail (export "tail") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
    (return_call $tail (i32.sub (local.get 0) (i32.const 1))))
  (func (export "asks") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (call $ask (i32.const 3)))
      (else (call $down (local.get 0)))))
  (func $deep_ask (export "deep ask") (param i32) (result i32)
    (if (result i32) (i32.le_s (local.get 0) (i32.const 1))
      (then (call $down (call $ask (i32.const 3))))
      (else (i32.add (call $deep_ask (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))))"#;

fn world(engine: &Engine) -> (Store<()>, vm_engine::Instance) {
    let mut linker = Linker::<()>::new(engine);
    let ask = |mut caller: Caller<'_, ()>, n: i32| {
        let down = caller.get_export("down").unwrap().into_func().unwrap();
        down.typed::<i32, i32>(&caller)?.call(&mut caller, n)
    };
    linker.func_wrap("h", "ask", ask).unwrap();
    let module = Module::new(engine, DEEP).unwrap();
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

#[test]
fn calls_go_as_deep_as_they_may() {
    for calls in [1, 2, 10, 1000] {
        for engine in engines(calls) {
            let (mut store, instance) = world(&engine);
            // Again and again, so that tiers change, and nothing is left of what has ended.
            for _ in 0..5 {
                for name in ["direct", "indirect"] {
                    let error = call::<_, i32, i32>(&mut store, instance, name, 1).unwrap_err();
                    assert_eq!(error.trap(), Some(Trap::StackOverflow));
                    let deepest = instance.get_global(&mut store, "deepest").unwrap();
                    let deepest = deepest.get(&mut store).unwrap_i32();
                    assert_eq!(deepest, calls as i32, "{name} {}", engine.strategy());
                }
                // `down` calls another at its end that is as deep as its next.
                let depth = calls as i32;
                let result = call::<_, i32, i32>(&mut store, instance, "down", depth);
                assert_eq!(result.unwrap(), depth, "{}", engine.strategy());
                let error =
                    call::<_, i32, i32>(&mut store, instance, "down", depth + 1).unwrap_err();
                assert_eq!(error.trap(), Some(Trap::StackOverflow));
                // Nothing but its own call.
                let result = call::<_, i32, i32>(&mut store, instance, "tail", 5000);
                assert_eq!(result.unwrap(), 7, "{}", engine.strategy());
            }
        }
    }
}

#[test]
fn calls_by_way_of_the_host_count_on() {
    for (calls, goes) in [(4, true), (3, false)] {
        for engine in engines(calls) {
            let (mut store, instance) = world(&engine);
            for _ in 0..5 {
                // One of its own, and three by way of the host.
                let result = call::<_, i32, i32>(&mut store, instance, "asks", 0);
                match result {
                    Ok(result) => assert!(goes && result == 3),
                    Err(error) => assert!(
                        !goes && error.trap() == Some(Trap::StackOverflow),
                        "{error}"
                    ),
                }
            }
        }
    }
}

/// Calls that wait do not count while they do, and count again when they go on.
#[test]
fn calls_that_wait_count_where_they_go_on() {
    for engine in engines(20) {
        let mut linker = Linker::<()>::new(&engine);
        let ask = |_: i32| -> vm_engine::Result<i32> { Err(Error::msg("later")) };
        linker.func_wrap("h", "ask", ask).unwrap();
        let module = Module::new(&engine, DEEP).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let func = instance
            .get_typed_func::<i32, i32>(&mut store, "deep ask")
            .unwrap();
        for (answer, expected) in [(5, Some(14 + 5)), (6, None)] {
            let TypedResumableCall::HostTrap(stopped) =
                func.call_resumable(&mut store, 15).unwrap()
            else {
                panic!("it has not asked");
            };
            // All of the depth is there meanwhile.
            assert_eq!(
                call::<_, i32, i32>(&mut store, instance, "down", 20).unwrap(),
                20
            );
            match stopped.resume(&mut store, &[Val::I32(answer)]) {
                Ok(TypedResumableCall::Finished(result)) => assert_eq!(Some(result), expected),
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(
                        (error.trap(), expected),
                        (Some(Trap::StackOverflow), None),
                        "{error}"
                    );
                }
            }
            assert_eq!(
                call::<_, i32, i32>(&mut store, instance, "down", 20).unwrap(),
                20
            );
        }
    }
}

#[test]
fn one_switch_makes_programs_deterministic() {
    let text = r#"(module
      (func $down (export "down") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
      (func (export "nan") (result i64)
        (i64.reinterpret_f64 (f64.div (f64.const -0) (f64.const 0)))))"#;
    for engine in modes_with(|config| {
        config.deterministic(true);
    }) {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = vm_engine::Instance::new(&mut store, &module, &[]).unwrap();
        let nan: u64 = call(&mut store, instance, "nan", ()).unwrap();
        assert_eq!(nan, 0x7ff8_0000_0000_0000);
        let most = DETERMINISTIC_CALL_DEPTH as i32 - 1;
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "down", most).unwrap(),
            most
        );
        let error = call::<_, i32, i32>(&mut store, instance, "down", most + 1).unwrap_err();
        assert_eq!(
            error.trap(),
            Some(Trap::StackOverflow),
            "{}",
            engine.strategy()
        );
    }
}
