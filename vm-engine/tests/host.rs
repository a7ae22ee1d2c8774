//! Host functions: what they take and return, what they see, and how they fail.

mod common;

use common::{call, modes};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vm_engine::{
    AsContext, AsContextMut, Caller, Engine, Error, ExternRef, Func, FuncType, Linker, Module,
    Result, Store, Trap, TypeError, Val, ValType,
};

fn link<T: 'static>(
    engine: &Engine,
    data: T,
    text: &str,
    define: impl Fn(&mut Linker<T>) -> Result<()>,
) -> (Store<T>, vm_engine::Instance) {
    let mut linker = Linker::new(engine);
    define(&mut linker).unwrap();
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, data);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

#[test]
fn closures_of_many_types_can_be_called() {
    let text = r#"
    (module
      (import "h" "none" (func $none))
      (import "h" "sum" (func $sum (param i32 i64 f32 f64) (result f64)))
      (import "h" "swap" (func $swap (param i32 i64) (result i64 i32)))
      (import "h" "unsigned" (func $unsigned (param i32 i64) (result i32)))
      (import "h" "twelve" (func $twelve
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (func (export "run") (result f64 i64 i32 i32 i32)
        (call $none)
        (call $sum (i32.const -1) (i64.const 2) (f32.const 0.5) (f64.const 0.25))
        (call $swap (i32.const -7) (i64.const 1))
        (call $unsigned (i32.const -1) (i64.const -1))
        (call $twelve (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)
          (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10)
          (i32.const 11))))"#;
    for engine in modes() {
        let (mut store, instance) = link(&engine, 0u32, text, |linker| {
            linker.func_wrap("h", "none", |mut caller: Caller<'_, u32>| {
                *caller.data_mut() += 1;
            })?;
            linker.func_wrap("h", "sum", |a: i32, b: i64, c: f32, d: f64| {
                f64::from(a) + b as f64 + f64::from(c) + d
            })?;
            linker.func_wrap("h", "swap", |a: i32, b: i64| (b, a))?;
            linker.func_wrap("h", "unsigned", |a: u32, b: u64| -> Result<u32> {
                Ok(u32::from(a == u32::MAX && b == u64::MAX))
            })?;
            #[rustfmt::skip]
            linker.func_wrap(
                "h",
                "twelve",
                |_: Caller<'_, u32>, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32,
                 h: i32, i: i32, j: i32, k: i32, l: i32| {
                    [a, b, c, d, e, f, g, h, i, j, k, l]
                        .iter()
                        .enumerate()
                        .all(|(n, x)| n as i32 == *x) as i32
                },
            )?;
            Ok(())
        });
        let results: (f64, i64, i32, i32, i32) = call(&mut store, instance, "run", ()).unwrap();
        assert_eq!(results, (1.75, 1, -7, 1, 1));
        assert_eq!(*store.data(), 1);
    }
}

#[test]
fn a_function_of_dynamic_type_gets_and_returns_values() {
    let text = r#"
    (module
      (import "h" "f" (func $f (param i32 f64) (result f64 i32)))
      (func (export "run") (result f64 i32) (call $f (i32.const 3) (f64.const 4))))"#;
    let ty = FuncType::new([ValType::I32, ValType::F64], [ValType::F64, ValType::I32]);
    for engine in modes() {
        let (mut store, instance) = link(&engine, (), text, |linker| {
            linker.func_new("h", "f", ty.clone(), |_, params, results| {
                assert!(matches!(results, [Val::F64(0), Val::I32(0)]));
                results.copy_from_slice(&[params[1], params[0]]);
                Ok(())
            })?;
            Ok(())
        });
        let results: (f64, i32) = call(&mut store, instance, "run", ()).unwrap();
        assert_eq!(results, (4.0, 3));

        let (mut store, instance) = link(&engine, (), text, |linker| {
            linker.func_new("h", "f", ty.clone(), |_, _, results| {
                results[0] = Val::I32(0);
                Ok(())
            })?;
            Ok(())
        });
        let error = call::<_, (), (f64, i32)>(&mut store, instance, "run", ()).unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&TypeError::HostResult {
                index: 0,
                expected: ValType::F64,
                found: ValType::I32
            })
        );
    }
}

/// Like a WASI implementation's `proc_exit`.
#[derive(Debug, PartialEq)]
struct Exit(i32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit with {}", self.0)
    }
}

impl std::error::Error for Exit {}

const CALLS_F: &str = r#"
(module $guest
  (import "h" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (func $inner (param i32) (result i32) (call $f (local.get 0)))
  (func (export "run") (param i32) (result i32) (call $inner (local.get 0))))"#;

#[test]
fn an_error_of_the_host_comes_out_with_its_type_and_a_backtrace() {
    for engine in modes() {
        let (mut store, instance) = link(&engine, (), CALLS_F, |linker| {
            linker.func_wrap("h", "f", |code: i32| -> Result<i32, Exit> {
                if code == 0 { Ok(1) } else { Err(Exit(code)) }
            })?;
            Ok(())
        });
        let error = call::<_, i32, i32>(&mut store, instance, "run", 3).unwrap_err();
        assert_eq!(error.downcast_ref::<Exit>(), Some(&Exit(3)));
        assert_eq!(error.trap(), None);
        let frames = error.backtrace().unwrap().frames();
        assert_eq!(frames.len(), 2, "{error}");
        assert_eq!(frames[0].func_name(), Some("inner"));
        assert_eq!(frames[0].module_name(), Some("guest"));
        assert_eq!(frames[1].func_index(), 2);
        let text = error.to_string();
        assert!(text.contains("guest!inner"), "{text}");
        assert!(text.contains("guest!<wasm function 2>"), "{text}");
        assert!(text.ends_with("caused by: exit with 3"), "{text}");
        assert_eq!(error.downcast::<Exit>().unwrap(), Exit(3));
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 0).unwrap(),
            1
        );
    }
}

#[test]
fn a_trap_can_come_from_the_host() {
    for engine in modes() {
        let (mut store, instance) = link(&engine, (), CALLS_F, |linker| {
            linker.func_wrap("h", "f", |_: i32| -> Result<i32> {
                Err(Trap::Unreachable.into())
            })?;
            Ok(())
        });
        let error = call::<_, i32, i32>(&mut store, instance, "run", 3).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Unreachable));
        assert_eq!(error.backtrace().unwrap().frames().len(), 2);
    }
}

#[test]
fn a_panic_of_the_host_goes_through_the_guest() {
    for engine in modes() {
        let (mut store, instance) = link(&engine, (), CALLS_F, |linker| {
            linker.func_wrap("h", "f", |code: i32| -> i32 {
                assert_eq!(code, 0, "the host is unhappy");
                code
            })?;
            Ok(())
        });
        let payload = catch_unwind(AssertUnwindSafe(|| {
            call::<_, i32, i32>(&mut store, instance, "run", 3)
        }))
        .unwrap_err();
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.contains("the host is unhappy"), "{text}");
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 0).unwrap(),
            0
        );
    }
}

#[test]
fn the_host_reaches_the_callers_exports_and_its_own_data() {
    for engine in modes() {
        let (mut store, instance) = link(&engine, vec![0u8; 0], CALLS_F, |linker| {
            linker.func_wrap(
                "h",
                "f",
                |mut caller: Caller<'_, Vec<u8>>, at: i32| -> Result<i32> {
                    assert!(caller.get_export("none").is_none());
                    assert!(caller.get_export("run").unwrap().into_func().is_some());
                    let memory = caller.get_export("memory").unwrap().into_memory().unwrap();
                    let (bytes, log) = memory.data_and_store_mut(&mut caller);
                    log.push(bytes[at as usize]);
                    bytes[at as usize] = 9;
                    memory.write(&mut caller, at as usize + 1, b"ab")?;
                    let mut read = [0; 3];
                    memory.read(&caller, at as usize, &mut read)?;
                    assert_eq!(&read, b"\x09ab");
                    Ok(memory.size(&caller) as i32)
                },
            )?;
            Ok(())
        });
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 16).unwrap(),
            1
        );
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 16).unwrap(),
            1
        );
        let error = call::<_, i32, i32>(&mut store, instance, "run", 65535).unwrap_err();
        assert!(error.is::<vm_engine::MemoryAccessError>(), "{error}");
        assert_eq!(store.into_data(), [0, 9, 0]);
    }
}

/// Guest → host → guest → host …, down to zero, where it traps or returns.
const NESTED: &str = r#"
(module $nested
  (import "h" "again" (func $again (param i32) (result i32)))
  (func $run (export "run") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 100))
      (else
        (if (i32.eq (local.get 0) (i32.const -1)) (then unreachable))
        (i32.add (i32.const 1) (call $again (local.get 0)))))))"#;

fn again(mut caller: Caller<'_, u32>, left: i32) -> Result<i32> {
    *caller.data_mut() += 1;
    let run = caller.get_export("run").unwrap().into_func().unwrap();
    let run = run.typed::<i32, i32>(&caller)?;
    // Traps at the innermost level if it started with a number over a thousand.
    let next = if left == 1001 { -1 } else { left - 1 };
    run.call(&mut caller, next)
}

#[test]
fn guests_and_hosts_call_each_other() {
    for engine in modes() {
        let (mut store, instance) = link(&engine, 0, NESTED, |linker| {
            linker.func_wrap("h", "again", again)?;
            Ok(())
        });
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 6).unwrap(),
            106
        );
        assert_eq!(*store.data(), 6);
        // A trap far inside comes out through all of them, with the frames of all.
        let error = call::<_, i32, i32>(&mut store, instance, "run", 1005).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::Unreachable));
        assert_eq!(error.backtrace().unwrap().frames().len(), 6, "{error}");
        assert_eq!(
            call::<_, i32, i32>(&mut store, instance, "run", 2).unwrap(),
            102
        );
    }
}

#[test]
fn endless_nesting_is_a_trap_and_not_the_end_of_the_process() {
    let text = r#"
    (module
      (import "h" "again" (func $again (param i32) (result i32)))
      (func (export "run") (param i32) (result i32) (call $again (local.get 0))))"#;
    for engine in modes() {
        let (mut store, instance) = link(&engine, 0, text, |linker| {
            linker.func_wrap(
                "h",
                "again",
                |mut caller: Caller<'_, u32>, _: i32| -> Result<i32> {
                    *caller.data_mut() += 1;
                    let run = caller.get_export("run").unwrap().into_func().unwrap();
                    run.typed::<i32, i32>(&caller)?.call(&mut caller, 0)
                },
            )?;
            Ok(())
        });
        for _ in 0..2 {
            *store.data_mut() = 0;
            let error = call::<_, i32, i32>(&mut store, instance, "run", 0).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::StackOverflow));
            assert!(*store.data() > 3, "{}", store.data());
            let frames = error.backtrace().unwrap().frames().len();
            assert_eq!(frames as u32, *store.data());
        }
    }
}

#[test]
fn references_pass_in_both_directions() {
    let text = r#"
    (module
      (import "h" "see" (func $see (param externref funcref) (result funcref externref)))
      (type $get (func (result i32)))
      (table $t 1 funcref)
      (func $seven (export "seven") (result i32) (i32.const 7))
      (elem declare func $seven)
      (func (export "run") (param externref) (result externref i32)
        (call $see (local.get 0) (ref.func $seven))
        (local.set 0)
        (table.set $t (i32.const 0) (block (param funcref) (result i32 funcref) (br 0)) )
        (local.get 0)
        (call_indirect $t (type $get) (i32.const 0)))
      (func (export "null") (param externref funcref) (result i32 i32)
        (ref.is_null (local.get 0)) (ref.is_null (local.get 1)))
      (func (export "echo") (param funcref) (result funcref) (local.get 0)))"#;
    let text = text.replace(
        "(table.set $t (i32.const 0) (block (param funcref) (result i32 funcref) (br 0)) )",
        "(local.set $f) (table.set $t (i32.const 0) (local.get $f))",
    );
    let text = text.replace(
        "(func (export \"run\") (param externref) (result externref i32)",
        "(func (export \"run\") (param externref) (result externref i32) (local $f funcref)",
    );
    for engine in modes() {
        let (mut store, instance) = link(&engine, (), &text, |linker| {
            linker.func_wrap(
                "h",
                "see",
                |mut caller: Caller<'_, ()>,
                 host: Option<ExternRef>,
                 func: Option<Func>|
                 -> Result<_> {
                    let func = func.unwrap().typed::<(), i32>(&caller)?;
                    assert_eq!(func.call(&mut caller, ())?, 7);
                    let host = host.unwrap();
                    let text = host
                        .data(&caller)?
                        .downcast_ref::<String>()
                        .unwrap()
                        .clone();
                    assert_eq!(text, "hello");
                    let other = ExternRef::new(&mut caller, text.len())?;
                    let eight = Func::wrap(&mut caller, || 8i32);
                    Ok((Some(eight), Some(other)))
                },
            )?;
            Ok(())
        });
        let hello = ExternRef::new(&mut store, String::from("hello")).unwrap();
        let (other, eight): (Option<ExternRef>, i32) =
            call(&mut store, instance, "run", Some(hello)).unwrap();
        assert_eq!(eight, 8);
        let other = other.unwrap().data(&store).unwrap();
        assert_eq!(other.downcast_ref::<usize>(), Some(&5));
        let nulls: (i32, i32) = call(
            &mut store,
            instance,
            "null",
            (None::<ExternRef>, None::<Func>),
        )
        .unwrap();
        assert_eq!(nulls, (1, 1));
        let seven = instance.get_func(&mut store, "seven").unwrap();
        let nulls: (i32, i32) =
            call(&mut store, instance, "null", (Some(hello), Some(seven))).unwrap();
        assert_eq!(nulls, (0, 0));
        let echo: Option<Func> = call(&mut store, instance, "echo", Some(seven)).unwrap();
        assert_eq!(echo, Some(seven));

        // References of another store are refused at the border.
        let mut other_store = Store::new(&engine, ());
        let foreign = ExternRef::new(&mut other_store, 0u8).unwrap();
        let error =
            call::<_, _, (i32, i32)>(&mut store, instance, "null", (Some(foreign), None::<Func>))
                .unwrap_err();
        assert!(error.is::<vm_engine::WrongStore>());
        assert!(foreign.data(&store).is_err());
    }
}

#[test]
fn a_reference_of_another_store_does_not_get_in_as_a_result() {
    let text = r#"
    (module
      (import "h" "get" (func $get (result externref)))
      (func (export "run") (result externref) (call $get)))"#;
    for engine in modes() {
        let mut other = Store::new(&engine, ());
        let foreign = ExternRef::new(&mut other, 1u8).unwrap();
        let (mut store, instance) = link(&engine, (), text, |linker| {
            linker.func_wrap("h", "get", move || Some(foreign))?;
            Ok(())
        });
        let error = call::<_, (), Option<ExternRef>>(&mut store, instance, "run", ()).unwrap_err();
        assert!(error.is::<vm_engine::WrongStore>(), "{error}");
    }
}

#[test]
fn host_functions_may_use_any_context() {
    fn double(mut store: impl AsContextMut<Data = i32>) {
        *store.as_context_mut().data_mut() *= 2;
    }
    fn get(store: impl AsContext<Data = i32>) -> i32 {
        *store.as_context().data()
    }
    let mut store = Store::new(&Engine::default(), 21);
    double(&mut store);
    assert_eq!(get(&store), 42);
    let func = Func::wrap(&mut store, |mut caller: Caller<'_, i32>| {
        double(&mut caller);
        get(&caller)
    });
    let func = func.typed::<(), i32>(&store).unwrap();
    assert_eq!(func.call(store.as_context_mut(), ()).unwrap(), 84);
}

#[test]
fn errors_say_what_lies_behind() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Exit);
    let error = Error::new(Outer(Exit(4)));
    assert_eq!(error.to_string(), "outer");
    assert_eq!(format!("{error:?}"), "outer\ncaused by: exit with 4");
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    let error = Error::from(boxed);
    assert!(error.is::<Outer>());
    assert!(error.downcast::<Exit>().unwrap_err().is::<Outer>());
    assert_eq!(Error::msg("text").to_string(), "text");
}
