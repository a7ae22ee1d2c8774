//! What engines leave behind when they are dropped: nothing. In a file of its own because other tests would
//! change the process's size.
#![cfg(target_os = "linux")]

mod common;

use std::fmt::Write as _;
use std::fs;

use vm_engine::{Module, Store};

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_ascii_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

/// A module of many types that no other round has: its number, in binary, is spelled by parameters.
fn module(round: u32) -> String {
    let mut text = String::from("(module");
    for ty in 0..500 {
        let number = round * 500 + ty;
        let params = (0..24).map(|bit| ["i32 ", "i64 "][(number >> bit & 1) as usize]);
        let _ = write!(text, "(type (func (param {})))", params.collect::<String>());
    }
    text.push_str("(func (export \"f\") (param i32)))");
    text
}

#[test]
fn engines_with_ever_new_types_leave_memory_flat() {
    let mut round = 0;
    let mut run = |rounds: u32| {
        for _ in 0..rounds {
            for engine in common::modes() {
                let module = Module::new(&engine, module(round)).unwrap();
                let mut store = Store::new(&engine, ());
                let instance = vm_engine::Instance::new(&mut store, &module, &[]).unwrap();
                let f = instance.get_typed_func::<i32, ()>(&mut store, "f").unwrap();
                f.call(&mut store, 1).unwrap();
                round += 1;
            }
        }
    };
    run(20);
    let before = resident_kib();
    run(40);
    let grown = resident_kib().saturating_sub(before);
    // 80,000 types that stayed would be over 10 MB. Sanitizers keep freed memory for a while.
    let most = if vm_interp::sanitizer().is_some() {
        32 << 10
    } else {
        2 << 10
    };
    assert!(grown < most, "{grown} KiB more");
}
