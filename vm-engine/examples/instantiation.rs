//! What making an instance costs, with a pool and without: `cargo run --release -p vm-engine
//! --example instantiation`. Microseconds, medians.
//!
//! The module has a memory of one page, a data segment, and two globals. `instance` is making an
//! instance in a store that exists; `store and instance` makes a store, an instance in it, calls an
//! export, and drops both. `reset` makes an instance that has run what it was when it was new. `linker` and `InstancePre` make an instance
//! of a module that imports eight functions besides, in a store that has them already.

use std::time::{Duration, Instant};

use vm_engine::{
    Bounds, Config, Engine, Instance, Linker, Module, PoolingAllocationConfig, Result, Store,
};

const ROUNDS: usize = 10_000;
/// Instances in a store, before it is dropped with all of them.
const IN_A_STORE: usize = 100;
/// Functions that the module of a linker imports.
const IMPORTS: usize = 8;

const GUEST: &str = r#"
(module
  (memory (export "memory") 1)
  (global (mut i32) (i32.const 65536))
  (global (mut i32) (i32.const 1024))
  (data (i32.const 1024) "some initial data")
  (func (export "run") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;

fn main() -> Result<()> {
    println!("memories           instance  store and instance  reset  linker  InstancePre");
    for (name, bounds, pool) in [
        ("guarded, pool", Bounds::Guarded, true),
        ("guarded, on demand", Bounds::Guarded, false),
        ("software", Bounds::Software, false),
    ] {
        let mut config = Config::new();
        config.bounds(bounds);
        if pool {
            config.allocation_strategy(PoolingAllocationConfig::new());
        }
        match Engine::new(&config) {
            Ok(engine) => {
                let (instance, both) = measure(&engine)?;
                let reset = measure_reset(&engine)?;
                let (linker, pre) = measure_linked(&engine)?;
                println!(
                    "{name:<18} {instance:>8.2}  {both:>18.2}  {reset:>5.2}  {linker:>6.2}  {pre:>11.2}"
                );
            }
            Err(error) => println!("{name:<18} {error}"),
        }
    }
    Ok(())
}

fn measure(engine: &Engine) -> Result<(f64, f64)> {
    let module = Module::new(engine, GUEST)?;
    let mut instances = Vec::new();
    for _ in 0..ROUNDS / IN_A_STORE {
        let mut store = Store::new(engine, ());
        for _ in 0..IN_A_STORE {
            let start = Instant::now();
            Instance::new(&mut store, &module, &[])?;
            instances.push(start.elapsed());
        }
    }
    let mut both = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
        let byte = run.call(&mut store, 1024)?;
        drop(store);
        both.push(start.elapsed());
        assert_eq!(byte, i32::from(b's'));
    }
    Ok((median(instances), median(both)))
}

fn measure_reset(engine: &Engine) -> Result<f64> {
    let module = Module::new(engine, GUEST)?;
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    let mut resets = Vec::new();
    for _ in 0..ROUNDS {
        assert_eq!(run.call(&mut store, 1024)?, i32::from(b's'));
        let start = Instant::now();
        instance.reset(&mut store)?;
        resets.push(start.elapsed());
    }
    Ok(median(resets))
}

fn measure_linked(engine: &Engine) -> Result<(f64, f64)> {
    let mut linker = Linker::new(engine);
    let mut text = String::from("(module");
    for n in 0..IMPORTS {
        let name = format!("f{n}");
        linker.func_wrap("host", &name, |x: i32| x)?;
        text += &format!(r#"(import "host" "{name}" (func (param i32) (result i32)))"#);
    }
    let guest = GUEST.trim_start().strip_prefix("(module").unwrap_or(GUEST);
    let module = Module::new(engine, text + guest)?;
    let pre = linker.instantiate_pre(&module)?;
    let (mut linked, mut prepared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS / IN_A_STORE {
        let mut store = Store::new(engine, ());
        pre.instantiate(&mut store)?;
        for _ in 0..IN_A_STORE {
            let start = Instant::now();
            linker.instantiate(&mut store, &module)?;
            linked.push(start.elapsed());
            let start = Instant::now();
            pre.instantiate(&mut store)?;
            prepared.push(start.elapsed());
        }
    }
    Ok((median(linked), median(prepared)))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
