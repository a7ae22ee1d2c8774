//! The host refuses memory at any point: the engine gives an error or falls back as configured, loses
//! nothing, and goes on working.
#![cfg(target_os = "linux")]

mod common;

use std::sync::LazyLock;

use vm_engine::{
    Bounds, Config, Engine, Instance, Module, PoolingAllocationConfig, Result, Store, Trap,
};
use vm_memory::faults::FailingHost;

/// In the binary format: parsing text takes longer than all the rest.
static GUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // Enough data for an image.
    let bytes = "x".repeat(70_000);
    let text = format!(
        r#"(module
            (memory (export "memory") 2 8)
            (memory $small 1)
            (table 3 funcref)
            (data (i32.const 100) "{bytes}")
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func $deep (export "deep") (param i32)
              (if (local.get 0)
                (then (call $deep (i32.sub (local.get 0) (i32.const 1)))))))"#
    );
    wat::parse_str(text).unwrap()
});

/// What an engine is for. Any step may fail for want of memory; whatever comes out is right.
fn everything(engine: &Engine, explicit: bool) -> Result<()> {
    let module = Module::new(engine, &*GUEST)?;
    for _ in 0..2 {
        let mut store = Store::try_new(engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        if explicit {
            assert_eq!(instance.bounds(&store), Bounds::Guarded);
        }
        if instance.bounds(&store) != store.strategy().bounds {
            assert!(instance.bounds_note(&store).is_some());
        }
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let load = instance.get_typed_func::<u32, i32>(&mut store, "load")?;
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow")?;
        let deep = instance.get_typed_func::<i32, ()>(&mut store, "deep")?;
        for (at, byte) in [
            (99, 0),
            (100, b'x'),
            (70_099, b'x'),
            (70_100, 0),
            (131_071, 0),
        ] {
            assert_eq!(load.call(&mut store, at)?, i32::from(byte));
        }
        for pages in 2..4u32 {
            let error = load.call(&mut store, pages * 65536).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            // Growth that the host refuses is an answer to the guest, not an error.
            match grow.call(&mut store, 1)? {
                -1 => break,
                before => assert_eq!(before.cast_unsigned(), pages),
            }
            assert_eq!(load.call(&mut store, pages * 65536)?, 0);
        }
        memory.data_mut(&mut store).fill(0xA5);
        deep.call(&mut store, 1000)?;
        let error = deep.call(&mut store, -1).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::StackOverflow));
    }
    Ok(())
}

/// Mappings of guarded memories, stacks and images, and open files. A sanitizer reserves address space
/// of its own while the test runs, so beside one only the images are counted.
fn held() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let reserved = |line: &str| vm_interp::sanitizer().is_none() && line.contains("---p");
    let ours = maps
        .lines()
        .filter(|line| reserved(line) || line.contains("wasm-memory-image"));
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    (ours.count(), files.count())
}

/// Settings, and which of them are explicit: guards, a pool.
fn engines() -> Vec<(Config, bool, bool)> {
    let mut configs = Vec::new();
    for bounds in [Bounds::Auto, Bounds::Guarded, Bounds::Software] {
        for pool in [false, true] {
            let mut config = Config::new();
            config
                .bounds(bounds)
                .max_wasm_stack(256 << 10)
                .wasm_multi_memory(true);
            if pool {
                let mut pool = PoolingAllocationConfig::new();
                config.allocation_strategy(pool.total_memories(4).total_stacks(1).clone());
            }
            // What cannot be had at all is not asked for.
            if Engine::new(&config).is_ok() {
                configs.push((config, bounds == Bounds::Guarded, pool));
            }
        }
    }
    assert!(!configs.is_empty());
    configs
}

/// Lets every request to the host fail, one after the other, and then every one from each on.
/// `attempt` answers whether it succeeded: it must if none of its requests failed.
fn each_request(mut attempt: impl FnMut() -> bool, mut afterwards: impl FnMut(u64)) {
    for plan in [FailingHost::nth, FailingHost::from_nth] {
        let mut n = 1;
        loop {
            let host = plan(n);
            let succeeded = attempt();
            let failed = host.failed();
            drop(host);
            afterwards(n);
            if failed.is_none() {
                assert!(succeeded);
                break;
            }
            n += 1;
        }
        // Fewer would mean that requests are not made where the test thinks they are.
        assert!(n > 5, "{n}");
    }
}

/// In a process of its own: the test looks at all of the process's mappings.
#[test]
fn whichever_request_fails_nothing_is_lost_and_the_engine_goes_on() {
    common::process::alone(
        "whichever_request_fails_nothing_is_lost_and_the_engine_goes_on",
        whichever_request_fails,
    );
}

fn whichever_request_fails() {
    for (config, explicit, pool) in engines() {
        // Engines that are made while the host fails. What a thread needs once (its signal stack) is
        // there afterwards.
        everything(&Engine::new(&config).unwrap(), explicit).unwrap();
        let before = held();
        let make = || match Engine::new(&config) {
            Ok(engine) => everything(&engine, explicit).is_ok(),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty());
                // By itself an engine asks for nothing that it needs.
                assert!(explicit || pool, "{text}");
                false
            }
        };
        each_request(make, |n| {
            assert_eq!(held(), before, "request {n}, {config:?}")
        });

        // One that lives on, and its pool with it.
        let engine = Engine::new(&config).unwrap();
        everything(&engine, explicit).unwrap();
        let use_it = || match everything(&engine, explicit) {
            Ok(()) => true,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        };
        each_request(use_it, |n| {
            if let Err(error) = everything(&engine, explicit) {
                panic!("after request {n} had failed: {error}, {config:?}");
            }
        });
    }
}
