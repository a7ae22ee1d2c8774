//! Calls that stop in the middle and go on later, in every mode: whichever way the host function was called, and whatever was in
//! registers.

mod common;

use common::modes_with;
use vm_engine::{
    Caller, Engine, Error, Func, FuncType, Instance, Linker, Module, ResumableCall, Store, Trap,
    TypedResumableCall, Val, ValType,
};

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.wasm_simd(true).wasm_tail_call(true);
    })
}

fn engines_with_fuel() -> Vec<Engine> {
    modes_with(|config| {
        config.wasm_simd(true).consume_fuel(true);
    })
}

/// The host function of these tests: notes what it is asked, and fails.
fn ask(mut caller: Caller<'_, Vec<i32>>, x: i32) -> vm_engine::Result<i32> {
    caller.data_mut().push(x);
    Err(Error::msg("not yet"))
}

fn world(engine: &Engine, text: &str) -> (Store<Vec<i32>>, Instance) {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "ask", ask).unwrap();
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, Vec::new());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

/// Answers every question with twice the number, until the call has returned.
fn answer(store: &mut Store<Vec<i32>>, func: Func, params: &[Val], results: &mut [Val]) -> usize {
    let mut call = func.call_resumable(&mut *store, params, results).unwrap();
    let mut questions = 0;
    loop {
        match call {
            ResumableCall::Finished => return questions,
            ResumableCall::HostTrap(stopped) => {
                questions += 1;
                assert_eq!(stopped.host_error().to_string(), "not yet");
                let ty = FuncType::new([ValType::I32], [ValType::I32]);
                assert_eq!(stopped.host_func_type(), ty);
                let asked = *store.data().last().unwrap();
                call = stopped
                    .resume(&mut *store, &[Val::I32(2 * asked)], results)
                    .unwrap();
            }
            _ => panic!("nobody consumes any"),
        }
    }
}

const WAYS: &str = r#"(module
  (import "host" "ask" (func $ask (param i32) (result i32)))
  (type $t (func (param i32) (result i32)))
  (table funcref (elem $ask $direct))
  (func $direct (export "direct") (param i32) (result i32)
    (i32.add (call $ask (local.get 0)) (i32.const 1)))
  (func (export "indirect") (param i32) (result i32)
    (i32.add (call_indirect (type $t) (local.get 0) (i32.const 0)) (i32.const 1)))
  (func $tail (export "tail") (param i32) (result i32)
    (return_call $ask (local.get 0)))
  (func (export "indirect tail") (param i32) (result i32)
    (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func (export "below") (param i32) (result i32)
    (i32.add (call $tail (call $direct (local.get 0))) (i32.const 100)))
  (func (export "exported") (param i32) (result i32)
    (i32.add
      (call_indirect (type $t) (local.get 0) (i32.const 1))
      (call_indirect (type $t) (i32.const 5) (i32.const 0)))))"#;

#[test]
fn the_host_function_may_be_called_in_any_way() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, WAYS);
        let cases: [(&str, i32, usize); 6] = [
            ("direct", 15, 1),
            ("indirect", 15, 1),
            ("tail", 14, 1),
            ("indirect tail", 14, 1),
            ("below", 130, 2),
            ("exported", 25, 2),
        ];
        // Again and again, so that tiers change.
        for round in 0..5 {
            for (name, expected, questions) in cases {
                let func = instance.get_func(&mut store, name).unwrap();
                let mut results = [Val::I32(0)];
                let found = answer(&mut store, func, &[Val::I32(7)], &mut results);
                let what = format!("{name}, round {round}, {}", engine.strategy());
                assert_eq!(
                    (results[0].unwrap_i32(), found),
                    (expected, questions),
                    "{what}"
                );
            }
        }
    }
}

/// Integers, floats and vectors in locals, on the operand stack and below calls.
const VALUES: &str = r#"(module
  (import "host" "ask" (func $ask (param i32) (result i32)))
  (func $deep (param i32 f64 i64 f32) (result f64)
    (local i32 i64 f64 v128)
    (local.set 7 (i32x4.splat (local.get 0)))
    (local.set 5 (i64.const 1000))
    (local.set 6 (f64.const 0.5))
    (loop
      (local.set 4 (i32.add (local.get 4) (call $ask (local.get 0))))
      (local.set 5 (i64.add (local.get 5) (local.get 2)))
      (local.set 6 (f64.add (local.get 6) (local.get 1)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (f64.add
      (f64.add (f64.convert_i32_s (local.get 4)) (f64.convert_i64_s (local.get 5)))
      (f64.add (local.get 6) (f64.convert_i32_s (i32x4.extract_lane 3 (local.get 7))))))
  (func (export "f") (param i32) (result f64)
    (f64.add
      (f64.mul
        (f64.convert_i32_s (call $ask (i32.const 3)))
        (call $deep (local.get 0) (f64.const 0.25) (i64.const 10) (f32.const 1)))
      (f64.convert_i32_s (call $ask (local.get 0))))))"#;

#[test]
fn what_is_in_locals_registers_and_on_the_stack_stays() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, VALUES);
        let func = instance.get_func(&mut store, "f").unwrap();
        for n in [1, 2, 30] {
            let mut results = [Val::F64(0)];
            answer(&mut store, func, &[Val::I32(n)], &mut results);
            let sum = n * (n + 1);
            let deep = f64::from(sum) + 1000.0 + 10.0 * f64::from(n) + 0.5 + 0.25 * f64::from(n);
            let expected = 6.0 * (deep + f64::from(n)) + f64::from(2 * n);
            assert_eq!(
                results[0].unwrap_f64(),
                expected,
                "{n} {}",
                engine.strategy()
            );
        }
    }
}

/// Of several that wait, each goes on by itself, in any order, and others run meanwhile.
#[test]
fn calls_that_wait_do_not_disturb_each_other() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, VALUES);
        let func = instance
            .get_typed_func::<i32, f64>(&mut store, "f")
            .unwrap();
        let expected = |n: i32| {
            let deep = f64::from(n * (n + 1)) + 1000.5 + 10.25 * f64::from(n);
            6.0 * (deep + f64::from(n)) + f64::from(2 * n)
        };
        let mut waiting: Vec<_> = (1..20)
            .map(|n| {
                let TypedResumableCall::HostTrap(call) =
                    func.call_resumable(&mut store, n).unwrap()
                else {
                    panic!("it has not asked");
                };
                (n, 3, call)
            })
            .collect();
        let mut finished = Vec::new();
        let mut next = 7;
        while !waiting.is_empty() {
            next = next * 5 + 3;
            let at = next % waiting.len();
            next %= 1000;
            let (n, asked, call) = waiting.swap_remove(at);
            match call.resume(&mut store, &[Val::I32(2 * asked)]).unwrap() {
                TypedResumableCall::Finished(result) => {
                    assert_eq!(result, expected(n), "{n}");
                    finished.push(n);
                }
                TypedResumableCall::HostTrap(call) => {
                    waiting.push((n, *store.data().last().unwrap(), call));
                }
                _ => panic!("nobody consumes any"),
            }
        }
        finished.sort_unstable();
        assert_eq!(finished, Vec::from_iter(1..20));
    }
}

#[test]
fn a_call_that_waits_can_be_dropped() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, WAYS);
        let below = instance
            .get_typed_func::<i32, i32>(&mut store, "below")
            .unwrap();
        for _ in 0..1000 {
            let call = below.call_resumable(&mut store, 1).unwrap();
            assert!(matches!(call, TypedResumableCall::HostTrap(_)));
        }
        let TypedResumableCall::HostTrap(call) = below.call_resumable(&mut store, 1).unwrap()
        else {
            panic!("it has not asked");
        };
        assert_eq!(call.into_host_error().to_string(), "not yet");
        // An ordinary call fails, with a backtrace.
        let error = below.call(&mut store, 1).unwrap_err();
        assert_eq!(error.backtrace().map(|trace| trace.frames().len()), Some(2));
    }
}

/// A guest inside of another, by way of the host: what waits is the inner one, for the host function that has called it.
#[test]
fn runs_inside_of_others_wait_for_themselves() {
    let text = r#"(module
      (import "host" "ask" (func $ask (param i32) (result i32)))
      (import "host" "inner" (func $inner (param i32) (result i32)))
      (func (export "inner") (param i32) (result i32) (i32.mul (call $ask (local.get 0)) (i32.const 3)))
      (func (export "outer") (param i32) (result i32) (i32.add (call $inner (local.get 0)) (call $ask (i32.const 4)))))"#;
    for engine in engines() {
        let mut linker = Linker::new(&engine);
        linker.func_wrap("host", "ask", ask).unwrap();
        let inner = |mut caller: Caller<'_, Vec<i32>>, x: i32| -> vm_engine::Result<i32> {
            let inner = caller.get_export("inner").unwrap().into_func().unwrap();
            let inner = inner.typed::<i32, i32>(&caller)?;
            let TypedResumableCall::HostTrap(call) = inner.call_resumable(&mut caller, x)? else {
                panic!("it has not asked");
            };
            match call.resume(&mut caller, &[Val::I32(10)])? {
                TypedResumableCall::Finished(result) => Ok(result),
                other => panic!("{other:?}"),
            }
        };
        linker.func_wrap("host", "inner", inner).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, Vec::new());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let outer = instance.get_func(&mut store, "outer").unwrap();
        let mut results = [Val::I32(0)];
        assert_eq!(answer(&mut store, outer, &[Val::I32(7)], &mut results), 1);
        assert_eq!(results[0].unwrap_i32(), 38, "{}", engine.strategy());
    }
}

/// One that was begun in the middle of another call cannot be sure of its place; one that was begun before it can.
#[test]
fn a_call_goes_on_where_there_is_as_much_stack() {
    let text = r#"(module
      (import "host" "ask" (func $ask (param i32) (result i32)))
      (import "host" "swap" (func $swap))
      (func (export "asks") (param i32) (result i32) (i32.add (call $ask (local.get 0)) (i32.const 1)))
      (func (export "swaps") (call $swap)))"#;
    #[derive(Default)]
    struct Data(
        Option<vm_engine::TypedResumableCallHostTrap<i32>>,
        Option<String>,
    );
    for engine in engines() {
        let mut linker = Linker::<Data>::new(&engine);
        linker
            .func_wrap("host", "ask", |_: i32| -> vm_engine::Result<i32> {
                Err(Error::msg("not yet"))
            })
            .unwrap();
        let swap = |mut caller: Caller<'_, Data>| {
            let asks = caller.get_export("asks").unwrap().into_func().unwrap();
            let asks = asks.typed::<i32, i32>(&caller).unwrap();
            let TypedResumableCall::HostTrap(inner) = asks.call_resumable(&mut caller, 1).unwrap()
            else {
                panic!("it has not asked");
            };
            let outer = caller.data_mut().0.replace(inner).unwrap();
            // There is less room than where it was begun.
            let error = outer.resume(&mut caller, &[Val::I32(1)]).unwrap_err();
            caller.data_mut().1 = Some(error.to_string());
        };
        linker.func_wrap("host", "swap", swap).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, Data::default());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let asks = instance
            .get_typed_func::<i32, i32>(&mut store, "asks")
            .unwrap();
        let TypedResumableCall::HostTrap(call) = asks.call_resumable(&mut store, 1).unwrap() else {
            panic!("it has not asked");
        };
        store.data_mut().0 = Some(call);
        let swaps = instance
            .get_typed_func::<(), ()>(&mut store, "swaps")
            .unwrap();
        swaps.call(&mut store, ()).unwrap();
        let error = store.data_mut().1.take().unwrap();
        assert!(error.contains("resume it where it was begun"), "{error}");
        // The other one was begun further up, and goes on below.
        let inner = store.data_mut().0.take().unwrap();
        match inner.resume(&mut store, &[Val::I32(41)]).unwrap() {
            TypedResumableCall::Finished(result) => assert_eq!(result, 42),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn results_have_to_fit_and_the_store_has_to_be_the_right_one() {
    for engine in engines() {
        let (mut store, instance) = world(&engine, WAYS);
        let (mut other, _) = world(&engine, WAYS);
        let direct = instance.get_func(&mut store, "direct").unwrap();
        let stop = |store: &mut Store<Vec<i32>>| {
            let mut results = [Val::I32(0)];
            match direct
                .call_resumable(store, &[Val::I32(1)], &mut results)
                .unwrap()
            {
                ResumableCall::HostTrap(call) => call,
                other => panic!("{other:?}"),
            }
        };
        let mut results = [Val::I32(0)];
        for inputs in [&[][..], &[Val::I64(1)], &[Val::I32(1), Val::I32(1)]] {
            let error = stop(&mut store)
                .resume(&mut store, inputs, &mut results)
                .unwrap_err();
            assert!(error.is::<vm_engine::TypeError>(), "{error}");
        }
        let error = stop(&mut store)
            .resume(&mut store, &[Val::I32(1)], &mut [])
            .unwrap_err();
        assert!(error.is::<vm_engine::TypeError>(), "{error}");
        let error = stop(&mut store)
            .resume(&mut other, &[Val::I32(1)], &mut results)
            .unwrap_err();
        assert!(error.is::<vm_engine::WrongStore>(), "{error}");
        // A host function that the host calls has no guest to wait.
        let host = Func::wrap(&mut store, ask);
        let error = host
            .call_resumable(&mut store, &[Val::I32(1)], &mut results)
            .unwrap_err();
        assert_eq!(error.to_string(), "not yet");
    }
}

/// Stopped after every piece, a program computes what it does otherwise.
#[test]
fn a_guest_without_fuel_goes_on_with_more() {
    let text = r#"(module
      (memory (export "memory") 2)
      (func $fib (export "fib") (param i64) (result i64)
        (local f64 i64 v128)
        (local.set 1 (f64.convert_i64_s (local.get 0)))
        (local.set 3 (i64x2.splat (local.get 0)))
        (if (i64.lt_s (local.get 0) (i64.const 2))
          (then (return (i64.trunc_f64_s (local.get 1)))))
        (local.set 2 (call $fib (i64.sub (local.get 0) (i64.const 1))))
        (i64.add
          (i64.add (local.get 2) (call $fib (i64.sub (i64x2.extract_lane 1 (local.get 3)) (i64.const 2))))
          (i64.sub (i64.trunc_f64_s (local.get 1)) (local.get 0))))
      (func (export "fill") (param i64) (result i64)
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 100000))
        (i64.load (i32.const 99992))))"#;
    for engine in engines_with_fuel() {
        let module = Module::new(&engine, text).unwrap();
        for (name, param, expected) in [("fib", 12, 144), ("fill", 0, 0x0707_0707_0707_0707)] {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let func = instance
                .get_typed_func::<i64, i64>(&mut store, name)
                .unwrap();
            store.set_fuel(1 << 30).unwrap();
            assert_eq!(func.call(&mut store, param).unwrap(), expected);
            let needed = (1 << 30) - store.get_fuel().unwrap();

            store.set_fuel(0).unwrap();
            let mut given = 0;
            let mut call = func.call_resumable(&mut store, param).unwrap();
            let result = loop {
                match call {
                    TypedResumableCall::Finished(result) => break result,
                    TypedResumableCall::OutOfFuel(stopped) => {
                        let required = stopped.required_fuel();
                        assert!(required > 0);
                        // With less than that it stays where it is.
                        store.set_fuel(required - 1).unwrap();
                        let TypedResumableCall::OutOfFuel(stopped) =
                            stopped.resume(&mut store).unwrap()
                        else {
                            panic!("it goes on without fuel");
                        };
                        assert_eq!(stopped.required_fuel(), required);
                        store.set_fuel(required).unwrap();
                        given += required;
                        call = stopped.resume(&mut store).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(
                (result, given),
                (expected, needed),
                "{name} {}",
                engine.strategy()
            );
        }
    }
}

/// Other traps end a call for good.
#[test]
fn traps_are_no_reason_to_wait() {
    let text = r#"(module (memory 1)
      (func (export "f") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (i32.div_u (i32.const 1) (i32.load (i32.mul (local.get 0) (i32.const 65536))))))"#;
    for engine in engines() {
        let (mut store, instance) = world(&engine, text);
        let func = instance
            .get_typed_func::<i32, i32>(&mut store, "f")
            .unwrap();
        for (param, expected) in [(0, Trap::Unreachable), (1, Trap::MemoryOutOfBounds)] {
            let error = func.call_resumable(&mut store, param).unwrap_err();
            assert_eq!(error.trap(), Some(expected));
        }
    }
}
