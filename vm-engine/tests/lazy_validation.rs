//! `Translation::LazyAll`: functions are validated when they are first called, in every mode and by every kind of call.

mod common;

use std::thread;

use common::{call, modes_with};
use vm_engine::{
    Caller, CodeError, Config, Engine, Error, Instance, Linker, Module, Store, Translation, Trap,
    TypedResumableCall,
};

/// Engines that validate lazily, in each mode and with whatever can be added to code.
fn engines() -> Vec<Engine> {
    let mut engines = modes_with(|config| {
        lazily(config);
    });
    engines.extend(modes_with(|config| {
        lazily(config).consume_fuel(true).epoch_interruption(true);
        config.suspended_snapshots(true).canonical_nans(true);
        config.max_call_depth(Some(1000));
    }));
    engines
}

fn lazily(config: &mut Config) -> &mut Config {
    config.translation(Translation::LazyAll)
}

fn store(engine: &Engine) -> Store<Vec<i32>> {
    let mut store = Store::new(engine, Vec::new());
    // Where nothing consumes any, there is none.
    let _ = store.set_fuel(1 << 40);
    store.set_epoch_deadline(1);
    store
}

/// A function that is invalid, and every way to call it.
const WAYS: &str = r#"(module
  (import "host" "call" (func $host (param i32) (result i32)))
  (type $t (func (param i32) (result i32)))
  (table $table (export "table") funcref (elem $bad $good $host))
  (func $bad (export "bad") (param i32) (result i32) (i64.add (local.get 0) (i64.const 1)))
  (func $good (export "good") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func (export "direct") (param i32) (result i32) (call $bad (local.get 0)))
  (func (export "indirect") (param i32) (result i32)
    (call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func (export "reference") (param i32) (result i32)
    (call_ref $t (local.get 0) (ref.func $bad)))
  (func $tail (export "tail") (param i32) (result i32) (return_call $bad (local.get 0)))
  (func (export "indirect tail") (param i32) (result i32)
    (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
  (func (export "reference tail") (param i32) (result i32)
    (return_call_ref $t (local.get 0) (ref.func $bad)))
  (func (export "below") (param i32) (result i32)
    (i32.add (call $good (local.get 0)) (call $tail (local.get 0))))
  (func (export "host") (param i32) (result i32) (call $host (local.get 0)))
  (func (export "loop") (param i32) (result i32) (local i32)
    (loop
      (local.set 1 (call $good (local.get 1)))
      (br_if 0 (i32.lt_u (local.get 1) (i32.const 100))))
    (call $bad (local.get 1))))"#;

const NAMES: [&str; 10] = [
    "bad",
    "direct",
    "indirect",
    "reference",
    "tail",
    "indirect tail",
    "reference tail",
    "below",
    "host",
    "loop",
];

fn linker(engine: &Engine) -> Linker<Vec<i32>> {
    let mut linker = Linker::new(engine);
    // Calls the invalid function.
    let host = |mut caller: Caller<'_, Vec<i32>>, x: i32| {
        caller.data_mut().push(x);
        let bad = caller.get_export("bad").unwrap().into_func().unwrap();
        let bad = bad.typed::<i32, i32>(&caller)?;
        bad.call(&mut caller, x)
    };
    linker.func_wrap("host", "call", host).unwrap();
    linker
}

fn world(engine: &Engine, text: &str) -> (Store<Vec<i32>>, Module, Instance) {
    let module = Module::new(engine, text).unwrap();
    let mut store = store(engine);
    let instance = linker(engine).instantiate(&mut store, &module).unwrap();
    (store, module, instance)
}

/// What eager validation says of a module.
fn refusal(engine: &Engine, text: &str) -> String {
    let binary = wat::parse_str(text).unwrap();
    Module::validate(engine, &binary).unwrap_err().to_string()
}

/// The error is that of validation, in this function.
fn check(error: &Error, refusal: &str, func: &str) {
    let text = error.to_string();
    assert!(text.ends_with(refusal), "{text}\n{refusal}");
    assert_eq!(error.trap(), None);
    let Some(CodeError::Invalid { name, .. }) = error.downcast_ref() else {
        panic!("{text}");
    };
    assert_eq!(name.as_deref(), Some(func), "{text}");
    assert!(
        text.contains(&format!(" {func:?} is not valid: ")),
        "{text}"
    );
}

#[test]
fn a_call_of_an_invalid_function_fails_and_all_else_goes_on() {
    for engine in engines() {
        let refusal = refusal(&engine, WAYS);
        assert!(refusal.contains("type mismatch"), "{refusal}");
        // Each way is the first one once, and then all follow, again and again.
        for first in 0..NAMES.len() {
            let (mut store, _, instance) = world(&engine, WAYS);
            for turn in 0..30 {
                let name = NAMES[(first + turn) % NAMES.len()];
                let called = call::<_, _, i32>(&mut store, instance, name, 5);
                check(&called.unwrap_err(), &refusal, "bad");
                let good: i32 = call(&mut store, instance, "good", 5).unwrap();
                assert_eq!(good, 6);
            }
        }
    }
}

#[test]
fn what_nobody_calls_is_not_validated() {
    for engine in engines() {
        let (mut store, module, instance) = world(&engine, WAYS);
        let good: i32 = call(&mut store, instance, "good", 5).unwrap();
        assert_eq!(good, 6);
        assert_eq!(module.code_size().functions, 1);
        // References to it are functions as any other.
        let table = instance.get_table(&mut store, "table").unwrap();
        let bad = table.get(&mut store, 0).unwrap();
        let bad = bad.as_func().unwrap().unwrap();
        assert!(bad.typed::<i32, i32>(&store).is_ok());
        assert_eq!(module.code_size().functions, 1);
    }
}

#[test]
fn everything_but_bodies_is_validated_at_once() {
    for engine in engines() {
        let error = Module::new(&engine, "(module (func) (export \"f\" (func 1)))").unwrap_err();
        assert!(error.to_string().contains("unknown function"), "{error}");
        let error = Module::new(
            &engine,
            "(module (func (local v128)) (memory 1) (data (i64.const 0)))",
        );
        assert!(error.is_err());
    }
}

#[test]
fn an_invalid_start_function_makes_no_instance() {
    let text = "(module (func $start (drop)) (start $start))";
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        for _ in 0..3 {
            let mut store = store(&engine);
            let error = Instance::new(&mut store, &module, &[]).unwrap_err();
            check(&error, &refusal(&engine, text), "start");
        }
    }
}

#[test]
fn what_an_invalid_function_needs_is_named() {
    let text = "(module (memory 1) (func $f (export \"f\") (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))";
    let engines = modes_with(|config| {
        lazily(config)
            .wasm_bulk_memory(false)
            .wasm_reference_types(false)
            .wasm_function_references(false);
    });
    for engine in engines {
        let refusal = refusal(&engine, text);
        assert!(refusal.contains("`bulk-memory`"), "{refusal}");
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let error = call::<_, _, ()>(&mut store, instance, "f", ()).unwrap_err();
        check(&error, &refusal, "f");
    }
}

#[test]
fn resumable_calls_end_where_a_function_is_invalid() {
    let text = r#"(module
        (import "host" "ask" (func $ask (param i32) (result i32)))
        (func $bad (param i32) (result i32) (drop))
        (func (export "f") (param i32) (result i32) (call $bad (call $ask (local.get 0))))
        (func (export "at once") (param i32) (result i32) (call $bad (local.get 0))))"#;
    for engine in engines() {
        let mut linker = Linker::new(&engine);
        let ask = |_: i32| -> vm_engine::Result<i32> { Err(Error::msg("not yet")) };
        linker.func_wrap("host", "ask", ask).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = store(&engine);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        for _ in 0..3 {
            let f = instance
                .get_typed_func::<i32, i32>(&mut store, "f")
                .unwrap();
            let TypedResumableCall::HostTrap(stopped) = f.call_resumable(&mut store, 1).unwrap()
            else {
                panic!("nothing else stops it");
            };
            let result = stopped.resume(&mut store, &[vm_engine::Val::I32(3)]);
            // An error of the machine's is not a host function's that can be answered.
            match result {
                Err(error) => check(&error, &refusal(&engine, text), "bad"),
                Ok(_) => panic!("it is invalid"),
            }
            let f = instance
                .get_typed_func::<i32, i32>(&mut store, "at once")
                .unwrap();
            match f.call_resumable(&mut store, 1) {
                Err(error) => check(&error, &refusal(&engine, text), "bad"),
                Ok(_) => panic!("it is invalid"),
            }
        }
    }
}

#[test]
fn instances_can_be_reset() {
    let text = r#"(module
        (memory (export "memory") 1)
        (global $g (mut i32) (i32.const 7))
        (func $bad (drop))
        (func (export "bad") (global.set $g (i32.const 8)) (call $bad))
        (func (export "g") (result i32) (global.get $g)))"#;
    for engine in engines() {
        let (mut store, _, instance) = world(&engine, text);
        for _ in 0..3 {
            let error = call::<_, _, ()>(&mut store, instance, "bad", ()).unwrap_err();
            check(&error, &refusal(&engine, text), "bad");
            let g: i32 = call(&mut store, instance, "g", ()).unwrap();
            assert_eq!(g, 8);
            instance.reset(&mut store).unwrap();
            let g: i32 = call(&mut store, instance, "g", ()).unwrap();
            assert_eq!(g, 7);
        }
    }
}

#[test]
fn invalid_functions_have_no_listing() {
    for engine in engines() {
        let (_, module, _) = world(&engine, WAYS);
        let error = module.explore(1).unwrap_err().to_string();
        assert!(error.ends_with(&refusal(&engine, WAYS)), "{error}");
        assert!(module.explore(2).is_ok());
    }
}

#[test]
fn a_profile_is_of_what_has_run() {
    let engines = modes_with(|config| {
        lazily(config);
    });
    for engine in engines {
        let mut config = Config::new();
        let strategy = engine.strategy();
        lazily(&mut config)
            .threading(strategy.threading)
            .bounds(strategy.bounds)
            .profile(true);
        // Only direct threading counts.
        let Ok(engine) = Engine::new(&config) else {
            continue;
        };
        let (mut store, module, instance) = world(&engine, WAYS);
        let error = call::<_, _, i32>(&mut store, instance, "below", 5).unwrap_err();
        check(&error, &refusal(&engine, WAYS), "bad");
        let profile = module.profile().unwrap();
        assert!(!profile.is_empty());
    }
}

#[test]
fn snapshots_of_calls_that_wait_are_as_ever() {
    let text = r#"(module
        (import "host" "ask" (func $ask (param i32) (result i32)))
        (func $bad (param i32) (result i32) (drop))
        (func (export "f") (param i32) (result i32) (i32.add (i32.const 1) (call $ask (local.get 0))))
        (func (export "bad") (param i32) (result i32) (call $bad (local.get 0))))"#;
    let engines = modes_with(|config| {
        lazily(config).suspended_snapshots(true);
    });
    for engine in engines {
        let mut linker = Linker::new(&engine);
        let ask = |_: i32| -> vm_engine::Result<i32> { Err(Error::msg("not yet")) };
        linker.func_wrap("host", "ask", ask).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store: Store<()> = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let f = instance
            .get_typed_func::<i32, i32>(&mut store, "f")
            .unwrap();
        let TypedResumableCall::HostTrap(stopped) = f.call_resumable(&mut store, 1).unwrap() else {
            panic!("nothing else stops it");
        };
        drop(stopped);
        assert!(instance.snapshot(&mut store).is_ok());
    }
}

#[test]
fn threads_that_call_the_same_new_functions_find_the_same() {
    let functions: String = (0..60)
        .map(|n| {
            let body = match n % 3 {
                0 => "(drop)",
                _ => "(local.get 0)",
            };
            format!("(func $f{n} (export \"f{n}\") (param i32) (result i32) {body})")
        })
        .collect();
    let text = format!("(module {functions})");
    for engine in engines() {
        let module = &Module::new(&engine, &text).unwrap();
        let work = |_: i32| -> Vec<Result<i32, String>> {
            let mut store = store(module.engine());
            let instance = Instance::new(&mut store, module, &[]).unwrap();
            let mut found = Vec::new();
            for n in 0..60 {
                let called = call::<_, _, i32>(&mut store, instance, &format!("f{n}"), n);
                found.push(called.map_err(|error| error.to_string()));
            }
            found
        };
        let found: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || work(n))).collect();
            (threads.into_iter())
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (n, result) in (0..).zip(&found[0]) {
            match result {
                Ok(value) => assert!(n % 3 != 0 && *value == n),
                Err(error) => assert!(n % 3 == 0 && error.contains("nothing on stack"), "{error}"),
            }
        }
        assert!(found.iter().all(|other| *other == found[0]));
    }
}

#[test]
fn valid_functions_trap_as_ever() {
    for engine in engines() {
        let (mut store, _, instance) = world(
            &engine,
            "(module (memory 1) (func (export \"f\") (param i32) (result i32) (i32.load (local.get 0))))",
        );
        for _ in 0..3 {
            let error = call::<_, _, i32>(&mut store, instance, "f", 65_536).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            let value: i32 = call(&mut store, instance, "f", 0).unwrap();
            assert_eq!(value, 0);
        }
    }
}
