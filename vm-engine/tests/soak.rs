//! Very many traps in one process leave memory and stack as they were. In a file of its own because
//! other tests would change the process's size.

mod common;

use vm_engine::{Instance, Module, Store, Trap};

/// In every mode.
const TRAPS: u32 = if cfg!(debug_assertions) {
    200_000
} else {
    1_000_000
};

const GUEST: &str = r#"
(module $soak
  (memory 1)
  (func $load (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "run") (param i32) (result i32) (call $load (local.get 0))))"#;

/// The process's resident memory, and its stack, in KiB.
#[cfg(target_os = "linux")]
fn size() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    (field("VmRSS:"), field("VmStk:"))
}

#[cfg(target_os = "linux")]
#[test]
fn many_traps_leave_memory_and_stack_flat() {
    for engine in common::modes() {
        let module = Module::new(&engine, GUEST).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance
            .get_typed_func::<u32, i32>(&mut store, "run")
            .unwrap();
        let mut trap = |count: u32| {
            for i in 0..count {
                // Past the committed page, all over the 4 GiB that an index reaches.
                let at = 65533 + i.wrapping_mul(20_011) % (u32::MAX - 65533);
                let error = run.call(&mut store, at).unwrap_err();
                assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
                assert_eq!(error.backtrace().unwrap().frames().len(), 2);
                if i % 1000 == 0 {
                    assert_eq!(run.call(&mut store, 65532).unwrap(), 0);
                }
            }
        };
        // Whatever is allocated once is there after the first ones.
        trap(1000);
        let (memory, stack) = size();
        trap(TRAPS);
        let (memory_after, stack_after) = size();
        assert!(
            memory_after <= memory + 512,
            "{}: {memory} KiB before, {memory_after} KiB after",
            engine.strategy()
        );
        assert_eq!(stack, stack_after, "{}", engine.strategy());
    }
}
