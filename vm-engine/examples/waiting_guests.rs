//! Ten thousand guests that wait at the same time: `cargo run --release -p vm-engine --example waiting_guests
//! [GUESTS]`.
//!
//! Each has a store of its own and waits for the host in the middle of a call. First as asynchronous calls, on two threads of an
//! executor; then, as one would have to without them, as many threads that block. Printed are the resident memory of a guest
//! that waits, and how many times a second guests go on and wait again.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use tokio::sync::{Semaphore, watch};
use vm_engine::{Caller, Config, Engine, Linker, Module, Result, Store};

/// How often each guest waits after the first time.
const TURNS: i32 = 20;

/// Of threads hosts have fewer than of guests.
const MOST_THREADS: usize = 2_000;

const GUEST: &str = r#"
(module
  (import "host" "wait" (func $wait (param i32) (result i32)))
  (func (export "run") (param i32) (result i32) (local i32)
    (loop
      (local.set 1 (i32.add (local.get 1) (call $wait (local.get 0))))
      (br_if 0 (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0))))
    (local.get 1)))"#;

/// What the guests of a run answer together.
const SUM: i32 = TURNS * (TURNS + 1) / 2;

fn main() -> Result<()> {
    let guests = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(10_000);
    let engine = Engine::new(Config::new().max_wasm_stack(64 << 10))?;
    let module = Module::new(&engine, GUEST)?;
    println!("{guests} guests              KiB a guest   switches a second");
    asynchronous(&engine, &module, guests)?;
    threads(&engine, &module, guests.min(MOST_THREADS))
}

fn asynchronous(engine: &Engine, module: &Module, guests: usize) -> Result<()> {
    let waiting = Arc::new(Semaphore::new(0));
    let (go, gone) = watch::channel(false);
    let mut linker = Linker::new(engine);
    let arrived = Arc::clone(&waiting);
    linker.func_wrap_async("host", "wait", move |_: Caller<'_, ()>, left: i32| {
        let (arrived, mut gone) = (Arc::clone(&arrived), gone.clone());
        Box::new(async move {
            if left == TURNS {
                arrived.add_permits(1);
                // The sender is there until all guests are done.
                let _ = gone.wait_for(|gone| *gone).await;
            } else {
                tokio::task::yield_now().await;
            }
            left
        })
    })?;
    let linker = Arc::new(linker);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    let runtime = runtime.map_err(vm_engine::Error::new)?;
    runtime.block_on(async {
        let before = resident();
        let tasks: Vec<_> = (0..guests)
            .map(|_| {
                let (engine, module, linker) =
                    (engine.clone(), module.clone(), Arc::clone(&linker));
                tokio::spawn(async move {
                    let mut store = Store::try_new(&engine, ())?;
                    let instance = linker.instantiate(&mut store, &module)?;
                    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
                    run.call_async(&mut store, TURNS).await
                })
            })
            .collect();
        let _ = waiting.acquire_many(guests as u32).await;
        let memory = resident().saturating_sub(before);
        let start = Instant::now();
        let _ = go.send(true);
        for task in tasks {
            assert_eq!(task.await.map_err(vm_engine::Error::new)??, SUM);
        }
        report("asynchronous calls, 2 threads", guests, memory, start);
        Ok(())
    })
}

fn threads(engine: &Engine, module: &Module, guests: usize) -> Result<()> {
    let state = Arc::new((Mutex::new((0, false)), Condvar::new()));
    let mut linker = Linker::new(engine);
    let shared = Arc::clone(&state);
    linker.func_wrap("host", "wait", move |left: i32| {
        if left == TURNS {
            let (state, changed) = &*shared;
            let mut state = state.lock().unwrap();
            state.0 += 1;
            changed.notify_all();
            drop(changed.wait_while(state, |state| !state.1).unwrap());
        } else {
            std::thread::yield_now();
        }
        left
    })?;
    let linker = Arc::new(linker);
    let before = resident();
    let mut threads = Vec::new();
    for _ in 0..guests {
        let (engine, module, linker) = (engine.clone(), module.clone(), Arc::clone(&linker));
        let thread = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || {
                let mut store = Store::try_new(&engine, ())?;
                let instance = linker.instantiate(&mut store, &module)?;
                let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
                run.call(&mut store, TURNS)
            });
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                println!(
                    "a thread a guest: no more than {} threads: {error}",
                    threads.len()
                );
                break;
            }
        }
    }
    let (lock, changed) = &*state;
    let all = threads.len();
    let mut guard = changed
        .wait_while(lock.lock().unwrap(), |state| state.0 < all)
        .unwrap();
    let memory = resident().saturating_sub(before);
    let start = Instant::now();
    guard.1 = true;
    changed.notify_all();
    drop(guard);
    for thread in threads {
        assert_eq!(thread.join().unwrap()?, SUM);
    }
    report(&format!("{all} threads, one a guest"), all, memory, start);
    Ok(())
}

fn report(name: &str, guests: usize, memory: usize, start: Instant) {
    let switches = guests as f64 * f64::from(TURNS + 1);
    println!(
        "{name:<30} {:>8.1} {:>19.0}",
        memory as f64 / guests as f64 / 1024.0,
        switches / start.elapsed().as_secs_f64(),
    );
}

/// Bytes of resident memory of this process, as `proc_pid_statm(5)` has it; 0 where there is none.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<usize> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}
