//! Ten million traps in one process leave memory, mappings and stack as they were. In a file of its own
//! because other tests would change the process's size.
#![cfg(target_os = "linux")]

mod common;

use std::fs;

use vm_engine::{Bounds, Engine, Instance, Module, Store, Trap};

/// How many traps: ten million where each is a fault and a signal. Fewer where it is a status that a
/// run returns, and in unoptimised builds, where most of the time goes into making the error.
fn traps(engine: &Engine) -> u32 {
    if cfg!(debug_assertions) {
        200_000
    } else if engine.strategy().bounds == Bounds::Guarded {
        10_000_000
    } else {
        1_000_000
    }
}

const GUEST: &str = r#"
(module $soak
  (memory 1)
  (func $load (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "run") (param i32) (result i32) (call $load (local.get 0))))"#;

#[derive(Debug)]
struct Size {
    resident_kib: u64,
    stack_kib: u64,
    mappings: usize,
}

fn size_of_this_process() -> Size {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let number = line.split_ascii_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    };
    Size {
        resident_kib: field("VmRSS:"),
        stack_kib: field("VmStk:"),
        mappings: fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .count(),
    }
}

/// An address of the native stack, which a run that was not unwound completely would move.
#[inline(never)]
fn native_stack() -> usize {
    let here = 0u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[test]
fn ten_million_traps_leave_memory_mappings_and_stack_flat() {
    // A leak of one byte for every second trap would show.
    let (kib, mappings) = match vm_interp::sanitizer() {
        None => (512, 0),
        // Sanitizers keep freed memory for a while, and notes of their own.
        Some(_) => (8192, 32),
    };
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
            native_stack()
        };
        // Whatever is allocated once is there after the first ones.
        let stack = trap(1000);
        let before = size_of_this_process();
        let stack_after = trap(traps(&engine));
        // (Sanitizers may keep what is on the stack elsewhere.)
        if vm_interp::sanitizer().is_none() {
            assert_eq!(stack_after, stack, "{}", engine.strategy());
        }
        let after = size_of_this_process();
        let case = format!("{}: {before:?}, {after:?}", engine.strategy());
        assert!(after.resident_kib <= before.resident_kib + kib, "{case}");
        assert!(after.mappings <= before.mappings + mappings, "{case}");
        assert_eq!(after.stack_kib, before.stack_kib, "{case}");
        println!("{} traps, {case}", traps(&engine));
    }
}
