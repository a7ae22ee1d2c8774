//! What a throw costs: `cargo run --release -p vm-engine --example throws`.
//!
//! A guest calls itself so many frames down and comes back by an exception, by returning to where clauses wait for one, and by
//! returning to where there are none. The times are those of a round by the wall clock, medians of several runs.

use std::time::Instant as Time;

use vm_engine::{Config, Engine, Instance, Module, Result, Store};

const ROUNDS: i32 = 10_000;
const RUNS: usize = 7;

fn main() -> Result<()> {
    let engine = Engine::new(&Config::new())?;
    let module = Module::new(&engine, include_str!("throws.wat"))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    for frames in [1, 10, 100] {
        let mut line = format!("{frames:3} frames:");
        for name in ["throws", "guarded", "returns"] {
            let run = instance.get_typed_func::<(i32, i32), i32>(&mut store, name)?;
            let mut times = Vec::new();
            for _ in 0..RUNS {
                let started = Time::now();
                let sum = run.call(&mut store, (frames, ROUNDS))?;
                times.push(started.elapsed() / ROUNDS.cast_unsigned());
                // Each frame that returns adds one to the round's number; an exception has the number as it was thrown.
                let added = if name == "throws" { 0 } else { frames * ROUNDS };
                assert_eq!(sum, ROUNDS * (ROUNDS + 1) / 2 + added);
            }
            times.sort();
            line += &format!(" {name} {:.1?},", times[RUNS / 2]);
        }
        println!("{}", line.trim_end_matches(','));
    }
    Ok(())
}
