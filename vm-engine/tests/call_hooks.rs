//! What call hooks are told, in every mode, and what becomes of their errors.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::modes_with;
use vm_engine::{
    CallHook, Caller, Engine, Error, Func, FuncType, Linker, Module, ResumableCall, Store, Trap,
    Val, ValType,
};

/// What has been told, as letters; and where the hook is to fail.
#[derive(Default)]
struct Told {
    letters: String,
    fails_at: Option<usize>,
}

impl Told {
    /// Into a guest and out of it, into a host function and out of it.
    fn letter(at: CallHook) -> char {
        match at {
            CallHook::CallingWasm => 'W',
            CallHook::ReturningFromWasm => 'w',
            CallHook::CallingHost => 'H',
            CallHook::ReturningFromHost => 'h',
        }
    }
}

/// Every operation of the host's and of the guest's that matters, by name.
const GUEST: &str = r#"(module
  (import "host" "nop" (func $nop))
  (import "host" "fail" (func $fail))
  (import "host" "new" (func $new (param i32) (result i32)))
  (import "host" "again" (func $again (param i32)))
  (func (export "nothing"))
  (func (export "calls") (call $nop) (drop (call $new (i32.const 1))))
  (func (export "tail") (return_call $nop))
  (func (export "indirect") (call_indirect (i32.const 0)))
  (func (export "traps") (call $nop) unreachable)
  (func (export "fails") (call $fail))
  (func $down (export "down") (param i32) (if (local.get 0) (then (call $again (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "spins") (loop (br 0)))
  (table funcref (elem $nop)))"#;

fn engines() -> Vec<Engine> {
    modes_with(|config| {
        config.wasm_tail_call(true).consume_fuel(true);
    })
}

fn linker(engine: &Engine) -> Linker<Told> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "nop", || {}).unwrap();
    linker
        .func_wrap("host", "fail", || -> vm_engine::Result<()> {
            Err(Error::msg("as it is"))
        })
        .unwrap();
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    linker
        .func_new("host", "new", ty, |_, params, results| {
            results[0] = params[0];
            Ok(())
        })
        .unwrap();
    linker
        .func_wrap(
            "host",
            "again",
            |mut caller: Caller<'_, Told>, left: i32| -> vm_engine::Result<()> {
                let down = caller.get_export("down").unwrap().into_func().unwrap();
                down.call(&mut caller, &[Val::I32(left)], &mut [])
            },
        )
        .unwrap();
    linker
}

fn store(engine: &Engine) -> Store<Told> {
    let mut store = Store::new(engine, Told::default());
    store.set_fuel(1000).unwrap();
    store.call_hook(|told: &mut Told, at| {
        let fails = told.fails_at == Some(told.letters.len());
        told.letters.push(Told::letter(at));
        if fails {
            Err(Error::msg("no further"))
        } else {
            Ok(())
        }
    });
    store
}

/// What has been told since it was last asked.
fn told(store: &mut Store<Told>) -> String {
    std::mem::take(&mut store.data_mut().letters)
}

/// Exports, their parameters, what is told, and how they end.
const CASES: [(&str, &[i32], &str, Option<&str>); 8] = [
    ("nothing", &[], "Ww", None),
    ("calls", &[], "WHhHhw", None),
    ("tail", &[], "WHhw", None),
    ("indirect", &[], "WHhw", None),
    ("traps", &[], "WHhw", Some("unreachable")),
    ("fails", &[], "WHhw", Some("as it is")),
    ("down", &[3], "WHWHWHWwhwhwhw", None),
    ("spins", &[], "Ww", Some("fuel")),
];

fn values(params: &[i32]) -> Vec<Val> {
    params.iter().map(|value| Val::I32(*value)).collect()
}

#[test]
fn every_entry_is_told_and_its_exit() {
    for engine in engines() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = store(&engine);
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
        assert_eq!(told(&mut store), "", "nothing runs");
        // More than once, so that functions become hot.
        for _ in 0..5 {
            for (name, params, expected, end) in CASES {
                store.set_fuel(1000).unwrap();
                let func = instance.get_func(&mut store, name).unwrap();
                let result = func.call(&mut store, &values(params), &mut []);
                assert_eq!(told(&mut store), expected, "{name}, {}", engine.strategy());
                match (result, end) {
                    (Ok(()), None) => {}
                    (Err(error), Some(part)) => {
                        let text = format!("{error:?}");
                        assert!(text.contains(part), "{name}: {text}");
                    }
                    (result, _) => panic!("{name}: {result:?}"),
                }
            }
        }
    }
}

#[test]
fn an_error_ends_the_call_at_any_point() {
    for engine in engines() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = store(&engine);
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
        for (name, params, all, _) in CASES {
            for at in 0..all.len() {
                store.set_fuel(1000).unwrap();
                store.data_mut().fails_at = Some(at);
                let func = instance.get_func(&mut store, name).unwrap();
                let result = func.call(&mut store, &values(params), &mut []);
                let error = format!("{:?}", result.unwrap_err());
                assert!(error.contains("no further"), "{name} at {at}: {error}");
                let told = told(&mut store);
                assert_eq!(told[..=at], all[..=at]);
                // From there on only exits are told: of what has been entered, in order.
                let mut open = String::new();
                for (index, letter) in told.char_indices() {
                    if letter.is_uppercase() {
                        assert!(index <= at, "{name}, {at}: {told}");
                        if index < at {
                            open.push(letter.to_ascii_lowercase());
                        }
                    } else {
                        assert_eq!(open.pop(), Some(letter), "{name}, {at}: {told}");
                    }
                }
                assert_eq!(open, "", "{name}, {at}: {told}");
            }
        }
    }
}

#[test]
fn host_functions_that_the_host_calls_are_no_guests() {
    for engine in engines() {
        let mut store = store(&engine);
        let func = Func::wrap(&mut store, |x: i32| 2 * x);
        let mut results = [Val::I32(0)];
        func.call(&mut store, &[Val::I32(21)], &mut results)
            .unwrap();
        assert_eq!(results[0].unwrap_i32(), 42);
        let typed = func.typed::<i32, i32>(&store).unwrap();
        assert_eq!(typed.call(&mut store, 3).unwrap(), 6);
        assert_eq!(told(&mut store), "HhHh");
    }
}

#[test]
fn start_functions_are_calls() {
    for engine in engines() {
        let text = r#"(module (import "host" "nop" (func $nop)) (func $start (call $nop)) (start $start))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = store(&engine);
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
        assert_eq!(told(&mut store), "WHhw");
        instance.reset(&mut store).unwrap();
        assert_eq!(told(&mut store), "WHhw");
        store.data_mut().fails_at = Some(0);
        let error = linker(&engine).instantiate(&mut store, &module);
        assert!(format!("{:?}", error.unwrap_err()).contains("no further"));
    }
}

#[test]
fn calls_that_wait_are_left_and_entered_again() {
    for engine in engines() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = store(&engine);
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();

        let fails = instance.get_func(&mut store, "fails").unwrap();
        let call = fails.call_resumable(&mut store, &[], &mut []).unwrap();
        assert_eq!(told(&mut store), "WHhw");
        let ResumableCall::HostTrap(call) = call else {
            panic!("its host function fails")
        };
        call.resume(&mut store, &[], &mut []).unwrap();
        assert_eq!(told(&mut store), "Ww");

        let spins = instance.get_func(&mut store, "spins").unwrap();
        let mut call = spins.call_resumable(&mut store, &[], &mut []).unwrap();
        for _ in 0..5 {
            assert_eq!(told(&mut store), "Ww");
            let ResumableCall::OutOfFuel(stopped) = call else {
                panic!("it never ends")
            };
            store.set_fuel(100).unwrap();
            call = stopped.resume(&mut store, &mut []).unwrap();
        }
        let ResumableCall::OutOfFuel(stopped) = call else {
            panic!("it never ends")
        };
        assert_eq!(told(&mut store), "Ww");
        // At its exit, where it would wait again.
        store.data_mut().fails_at = Some(1);
        let error = stopped.resume(&mut store, &mut []).unwrap_err();
        assert_eq!(error.to_string(), "no further");
        store.data_mut().fails_at = None;
        store.set_fuel(1000).unwrap();
        let nothing = instance.get_typed_func::<(), ()>(&mut store, "nothing");
        nothing.unwrap().call(&mut store, ()).unwrap();
    }
}

#[test]
fn what_asynchronous_functions_wait_for_is_outside() {
    for engine in engines() {
        let mut linker = Linker::<Told>::new(&engine);
        linker
            .func_wrap_async("host", "wait", |mut caller: Caller<'_, Told>, (): ()| {
                Box::new(async move {
                    caller.data_mut().letters.push('.');
                    let mut polled = false;
                    std::future::poll_fn(|_| match std::mem::replace(&mut polled, true) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    })
                    .await;
                    caller.data_mut().letters.push('!');
                })
            })
            .unwrap();
        let text = r#"(module (import "host" "wait" (func $wait))
          (func (export "twice") (call $wait) (call $wait)))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = store(&engine);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let twice = (instance.get_typed_func::<(), ()>(&mut store, "twice")).unwrap();
        {
            let mut call = pin!(twice.call_async(&mut store, ()));
            let mut context = Context::from_waker(Waker::noop());
            let mut polls = 1;
            while call.as_mut().poll(&mut context).is_pending() {
                polls += 1;
            }
            assert_eq!(polls, 3);
        }
        assert_eq!(told(&mut store), "WHhw.!WHhw.!Ww");
    }
}

#[test]
fn the_last_hook_counts_and_traps_can_be_returned() {
    for engine in engines() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = store(&engine);
        let instance = linker(&engine).instantiate(&mut store, &module).unwrap();
        store.call_hook(|_, at| match at {
            CallHook::CallingHost => Err(Trap::Interrupt.into()),
            _ => Ok(()),
        });
        let calls = instance.get_typed_func::<(), ()>(&mut store, "calls");
        let error = calls.unwrap().call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
        assert_eq!(told(&mut store), "");
        assert!(
            CallHook::CallingWasm.entering_wasm() && CallHook::ReturningFromHost.entering_wasm()
        );
        assert!(!CallHook::CallingHost.entering_wasm());
    }
}
