//! Hosts and guests that call each other without end: a trap before the thread's own stack ends, whatever
//! its size and however many stores there are.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::modes_with;
use vm_engine::{Caller, Engine, Error, Func, Instance, Module, Result, Store, Trap};

const GUEST: &str = r#"(module
    (import "host" "down" (func $down (param i32) (result i32)))
    (func (export "run") (param i32) (result i32)
        (i32.add (call $down (local.get 0)) (i32.const 1))))"#;

/// A thread's end of recursion: how deep it went, and why not deeper.
type Ended = (u32, Result<i32, Error>);

/// The host function calls the guest that has called it.
fn in_one_store(engine: &Engine, module: &Module) -> Ended {
    let mut store = Store::new(engine, 0u32);
    let down = Func::wrap(&mut store, |mut caller: Caller<'_, u32>, n: i32| {
        *caller.data_mut() += 1;
        let run = caller.get_export("run").unwrap().into_func().unwrap();
        run.typed::<i32, i32>(&caller)?.call(&mut caller, n)
    });
    let instance = Instance::new(&mut store, module, &[down.into()]).unwrap();
    let run = instance
        .get_typed_func::<i32, i32>(&mut store, "run")
        .unwrap();
    let ended = run.call(&mut store, 1);
    (*store.data(), ended)
}

/// The host function makes a store and a guest of its own.
fn in_many_stores(engine: &Engine, module: &Module) -> Ended {
    fn down(engine: &Engine, module: &Module, depth: &Arc<AtomicU32>) -> Result<i32> {
        depth.fetch_add(1, Ordering::Relaxed);
        let mut store = Store::try_new(engine, ())?;
        let next = {
            let (engine, module, depth) = (engine.clone(), module.clone(), Arc::clone(depth));
            Func::wrap(&mut store, move |_: i32| down(&engine, &module, &depth))
        };
        let instance = Instance::new(&mut store, module, &[next.into()])?;
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
        run.call(&mut store, 1)
    }
    let depth = Arc::new(AtomicU32::new(0));
    let ended = down(engine, module, &depth);
    (depth.load(Ordering::Relaxed), ended)
}

fn on_a_thread(
    stack_bytes: usize,
    engine: &Engine,
    module: &Module,
    recursion: fn(&Engine, &Module) -> Ended,
) -> Ended {
    let (engine, module) = (engine.clone(), module.clone());
    let thread = std::thread::Builder::new().stack_size(stack_bytes);
    let thread = thread.spawn(move || recursion(&engine, &module)).unwrap();
    thread.join().unwrap()
}

/// An engine for each mode whose guests' stack does not end before the thread's.
fn engines(wasm_stack: usize) -> impl Iterator<Item = (Engine, Module)> {
    let engines = modes_with(|config| {
        config.max_wasm_stack(wasm_stack);
    });
    engines.into_iter().map(|engine| {
        let module = Module::new(&engine, GUEST).unwrap();
        (engine, module)
    })
}

#[test]
fn one_store_traps_before_the_threads_stack_ends() {
    for (engine, module) in engines(64 << 20) {
        let mut last = 0;
        for stack_bytes in [256 << 10, 1 << 20, 64 << 20] {
            let (depth, ended) = on_a_thread(stack_bytes, &engine, &module, in_one_store);
            assert_eq!(ended.unwrap_err().trap(), Some(Trap::StackOverflow));
            // The larger the thread's stack, the deeper.
            assert!(
                depth > 2 * last,
                "{}: {depth} after {last}",
                engine.strategy()
            );
            last = depth;
        }
    }
}

#[test]
fn a_store_for_each_level_traps_before_the_threads_stack_ends() {
    for (engine, module) in engines(64 << 10) {
        let mut last = 0;
        for stack_bytes in [256 << 10, 1 << 20, 8 << 20] {
            let (depth, ended) = on_a_thread(stack_bytes, &engine, &module, in_many_stores);
            assert_eq!(ended.unwrap_err().trap(), Some(Trap::StackOverflow));
            assert!(depth > last, "{}: {depth} after {last}", engine.strategy());
            last = depth;
        }
    }
}

/// So many stores at a time that the host may refuse one of them first: then that is the error.
#[test]
fn a_store_for_each_level_ends_on_a_large_thread_too() {
    for (engine, module) in engines(16 << 10) {
        let (_, ended) = on_a_thread(64 << 20, &engine, &module, in_many_stores);
        let error = ended.unwrap_err();
        let refused = error.to_string().contains("no value stack");
        assert!(
            error.trap() == Some(Trap::StackOverflow) || refused,
            "{error}"
        );
    }
}

/// Where there is hardly any stack, what there is is used: half of it is left.
#[test]
fn small_threads_run_guests() {
    for (engine, module) in engines(64 << 10) {
        let (depth, ended) = on_a_thread(96 << 10, &engine, &module, |engine, module| {
            let mut store = Store::new(engine, ());
            let down = Func::wrap(&mut store, |n: i32| n * 2);
            let instance = Instance::new(&mut store, module, &[down.into()]).unwrap();
            let run = instance
                .get_typed_func::<i32, i32>(&mut store, "run")
                .unwrap();
            (0, run.call(&mut store, 21))
        });
        assert_eq!((depth, ended.unwrap()), (0, 43));
    }
}
