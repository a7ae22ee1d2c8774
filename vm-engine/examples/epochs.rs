//! Many guests with one clock: `cargo run --release -p vm-engine --example epochs`.
//!
//! A thread counts epochs. Guests that go on for too long are stopped, whichever store they are in; the host of one is asked
//! by a callback, and gives it more time twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use vm_engine::{Config, Engine, Instance, Module, Result, Store, Trap, UpdateDeadline};

const GUEST: &str = r#"
(module
  (func (export "answer") (result i32) (i32.const 42))
  (func (export "spin") (loop (br 0))))"#;

fn main() -> Result<()> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, GUEST)?;

    let ended = Arc::new(AtomicBool::new(false));
    let clock = thread::spawn({
        let (engine, ended) = (engine.clone(), Arc::clone(&ended));
        move || {
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
                engine.increment_epoch();
            }
        }
    });

    let guests: Vec<_> = (0..4)
        .map(|guest| {
            let (engine, module) = (engine.clone(), module.clone());
            thread::spawn(move || run(&engine, &module, guest))
        })
        .collect();
    for guest in guests {
        guest.join().expect("no guest panics its host")?;
    }
    ended.store(true, Ordering::Relaxed);
    clock.join().expect("the clock only counts");
    Ok(())
}

fn run(engine: &Engine, module: &Module, guest: u32) -> Result<()> {
    // How often this guest has been given more time.
    let mut store = Store::new(engine, 0);
    store.set_epoch_deadline(2);
    if guest == 0 {
        store.epoch_deadline_callback(|extended| {
            *extended += 1;
            Ok(match *extended {
                ..3 => UpdateDeadline::Continue(2),
                _ => UpdateDeadline::Interrupt,
            })
        });
    }
    let instance = Instance::new(&mut store, module, &[])?;
    let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    match spin.call(&mut store, ()) {
        Err(error) if error.downcast_ref() == Some(&Trap::Interrupt) => {
            let asked = store.data();
            println!("guest {guest}: stopped; its host was asked {asked} times");
        }
        other => return other,
    }
    // The store can be used as before, with a new deadline.
    store.set_epoch_deadline(1_000);
    let answer = instance.get_typed_func::<(), i32>(&mut store, "answer")?;
    println!("guest {guest}: {}", answer.call(&mut store, ())?);
    Ok(())
}
