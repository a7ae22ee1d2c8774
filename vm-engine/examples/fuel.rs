//! A guest with so much fuel: `cargo run --release -p vm-engine --example fuel`.
//!
//! Fibonacci numbers, until what is left does not suffice for the next; then with more, for the one that has not come.

use vm_engine::{Config, Engine, Error, Instance, Module, Result, Store, Trap, TypedResumableCall};

const GUEST: &str = r#"
(module
  (func $fibonacci (export "fibonacci") (param i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else
        (i32.add
          (call $fibonacci (i32.sub (local.get 0) (i32.const 1)))
          (call $fibonacci (i32.sub (local.get 0) (i32.const 2))))))))"#;

fn main() -> Result<()> {
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, GUEST)?;
    let mut store = Store::new(&engine, ());
    store.set_fuel(100_000)?;
    let instance = Instance::new(&mut store, &module, &[])?;
    let fibonacci = instance.get_typed_func::<i32, i32>(&mut store, "fibonacci")?;

    let mut next = 1;
    loop {
        let before = store.get_fuel()?;
        match fibonacci.call(&mut store, next) {
            Ok(number) => {
                let consumed = before - store.get_fuel()?;
                println!("fibonacci({next:2}) = {number:5}, for {consumed:6} units of fuel");
            }
            Err(error) if error.downcast_ref() == Some(&Trap::OutOfFuel) => {
                println!("fibonacci({next:2}): {}", Trap::OutOfFuel);
                break;
            }
            Err(error) => return Err(error),
        }
        next += 1;
    }

    // A call that can be resumed waits where it runs out.
    let mut call = fibonacci.call_resumable(&mut store, next)?;
    let mut refills = 0;
    let number = loop {
        match call {
            TypedResumableCall::Finished(number) => break number,
            TypedResumableCall::OutOfFuel(waits) => {
                refills += 1;
                store.set_fuel(waits.required_fuel().max(10_000))?;
                call = waits.resume(&mut store)?;
            }
            TypedResumableCall::HostTrap(failed) => return Err(failed.into_host_error()),
            TypedResumableCall::EpochDeadline(_) => return Err(Error::msg("nobody counts epochs")),
        }
    };
    println!("fibonacci({next:2}) = {number:5}, after {refills} refills");
    Ok(())
}
