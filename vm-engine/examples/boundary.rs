//! What crossing the boundary costs, in every mode: `cargo run --release -p vm-engine --example
//! boundary`. Nanoseconds, best of five rounds.

use std::time::Instant;

use vm_engine::{Bounds, Caller, Config, Engine, Linker, Module, Result, Store, Threading, Val};

const ROUNDS: u32 = 5;
const CALLS: i32 = 1_000_000;

fn main() -> Result<()> {
    println!(
        "threading  bounds    empty loop  host call  dynamic host call  typed call  dynamic call    trap"
    );
    for (threading, bounds) in [
        (Threading::Direct, Bounds::Guarded),
        (Threading::Direct, Bounds::Software),
        (Threading::Token, Bounds::Software),
    ] {
        let mut config = Config::new();
        config.threading(threading).bounds(bounds);
        match Engine::new(&config) {
            Ok(engine) => measure(&engine)?,
            Err(error) => println!("{threading:<10} {bounds:<9} {error}"),
        }
    }
    Ok(())
}

fn measure(engine: &Engine) -> Result<()> {
    let mut linker = Linker::<i64>::new(engine);
    linker.func_wrap("h", "typed", |mut caller: Caller<'_, i64>, x: i32| {
        *caller.data_mut() += i64::from(x);
        x
    })?;
    let unary = vm_engine::FuncType::new([vm_engine::ValType::I32], [vm_engine::ValType::I32]);
    linker.func_new("h", "dynamic", unary, |mut caller, params, results| {
        *caller.data_mut() += i64::from(params[0].unwrap_i32());
        results[0] = params[0];
        Ok(())
    })?;
    let in_loop = |name: &str, call: &str| {
        format!(
            r#"(func (export "{name}") (param i32) (result i32) (local i32)
                (loop
                  (local.set 1 (i32.add (local.get 1) {call}))
                  (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
                (local.get 1))"#
        )
    };
    let text = format!(
        r#"(module
            (import "h" "typed" (func $typed (param i32) (result i32)))
            (import "h" "dynamic" (func $dynamic (param i32) (result i32)))
            (memory 1)
            {} {} {}
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"#,
        in_loop("none", "(local.get 0)"),
        in_loop("host", "(call $typed (local.get 0))"),
        in_loop("dynamic", "(call $dynamic (local.get 0))"),
    );
    let module = Module::new(engine, text)?;
    let mut store = Store::new(engine, 0);
    let instance = linker.instantiate(&mut store, &module)?;
    let mut loops = Vec::new();
    for name in ["none", "host", "dynamic"] {
        let func = instance.get_typed_func::<i32, i32>(&mut store, name)?;
        loops.push(best(CALLS, || func.call(&mut store, CALLS).map(|_| ()))?);
    }
    let load = instance.get_typed_func::<i32, i32>(&mut store, "load")?;
    let typed = best(CALLS, || {
        (0..CALLS).try_for_each(|_| load.call(&mut store, 16).map(|_| ()))
    })?;
    let dynamic = best(CALLS, || {
        let mut results = [Val::I32(0)];
        let func = *load.func();
        (0..CALLS).try_for_each(|_| func.call(&mut store, &[Val::I32(16)], &mut results))
    })?;
    let trap = best(CALLS / 10, || {
        for _ in 0..CALLS / 10 {
            if load.call(&mut store, -1).is_ok() {
                return Err(vm_engine::Error::msg(
                    "a load outside of memory did not trap",
                ));
            }
        }
        Ok(())
    })?;
    let vm_engine::Strategy {
        threading, bounds, ..
    } = engine.strategy();
    println!(
        "{threading:<10} {bounds:<9} {:>10.1}  {:>9.1}  {:>17.1}  {typed:>10.1}  {dynamic:>12.1}  {trap:>6.0}",
        loops[0],
        loops[1] - loops[0],
        loops[2] - loops[0],
    );
    Ok(())
}

/// Nanoseconds for each of `count` things that `run` does.
fn best(count: i32, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(count));
    }
    Ok(best)
}
