//! A sum by several threads over one memory: `cargo run --release -p vm-engine --example parallel_sum [PASSES]`.
//!
//! Each thread has a store and an instance of its own, and what they share is a `SharedMemory`. All numbers are added up PASSES times, by default 100. The parts of a round are
//! the same whether one thread does all of them or two do half each; rounds take turns, and the medians of the times by the wall clock
//! say what the second thread gains.

use std::time::{Duration, Instant as Time};

use vm_engine::{Engine, Extern, Instance, MemoryType, Module, Result, SharedMemory, Store};

const GUEST: &str = r#"
(module
  (import "env" "memory" (memory 256 256 shared))
  ;; Fills the memory behind the sum, which is at 0, with numbers.
  (func (export "fill") (local $at i32)
    (loop $next
      (i64.store offset=64 (local.get $at)
        (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9e3779b97f4a7c15)))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 16000000)))))
  ;; Adds the numbers of a stretch, and what they are together to the sum, at once.
  (func (export "add") (param $at i32) (param $end i32) (local $sum i64)
    (loop $next
      (local.set $sum
        (i64.add (local.get $sum)
          (i64.shr_u (i64.load offset=64 (local.get $at)) (i64.const 20))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
    (drop (i64.atomic.rmw.add (i32.const 0) (local.get $sum))))
  (func (export "take") (result i64) (i64.atomic.rmw.xchg (i32.const 0) (i64.const 0))))"#;

const END: u32 = 16_000_000;
const PARTS: u32 = 16;
const ROUNDS: usize = 5;

/// The sum of all numbers, so many times, by so many threads, and how long it took them.
fn sum(
    module: &Module,
    memory: &SharedMemory,
    passes: u32,
    threads: u32,
) -> Result<(i64, Duration)> {
    let instance = || -> Result<_> {
        let mut store = Store::new(module.engine(), ());
        let imports = [Extern::SharedMemory(memory.clone())];
        let instance = Instance::new(&mut store, module, &imports)?;
        Ok((store, instance))
    };
    let started = Time::now();
    std::thread::scope(|scope| {
        let adds = |first: u32| -> Result<()> {
            let (mut store, instance) = instance()?;
            let add = instance.get_typed_func::<(u32, u32), ()>(&mut store, "add")?;
            let parts = (first..PARTS * passes).step_by(threads as usize);
            for part in parts.map(|part| part % PARTS) {
                add.call(&mut store, (END / PARTS * part, END / PARTS * (part + 1)))?;
            }
            Ok(())
        };
        let others: Vec<_> = (1..threads)
            .map(|first| scope.spawn(move || adds(first)))
            .collect();
        adds(0)?;
        for other in others {
            other.join().expect("no thread panics")?;
        }
        Ok::<_, vm_engine::Error>(())
    })?;
    let time = started.elapsed();
    let (mut store, instance) = instance()?;
    let take = instance.get_typed_func::<(), i64>(&mut store, "take")?;
    Ok((take.call(&mut store, ())?, time))
}

fn main() -> Result<()> {
    let passes = match std::env::args().nth(1) {
        Some(passes) => passes.parse().map_err(vm_engine::Error::new)?,
        None => 100,
    };
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST)?;
    let memory = SharedMemory::new(&engine, MemoryType::shared(256, 256))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[Extern::SharedMemory(memory.clone())])?;
    instance
        .get_typed_func::<(), ()>(&mut store, "fill")?
        .call(&mut store, ())?;

    let mut times: [Vec<Duration>; 2] = Default::default();
    let (expected, _) = sum(&module, &memory, passes, 1)?;
    for _ in 0..ROUNDS {
        for (threads, times) in (1..).zip(&mut times) {
            let (sum, time) = sum(&module, &memory, passes, threads)?;
            assert_eq!(sum, expected);
            times.push(time);
        }
    }
    let [one, two] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!(
        "sum {expected:#x}; one thread {one:.1?}, two threads {two:.1?}: {:.2} times as fast",
        one.as_secs_f64() / two.as_secs_f64()
    );
    Ok(())
}
