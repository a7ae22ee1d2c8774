//! Memories with 64-bit addresses: those with a maximum of 4 GiB at most, whose accesses optimized code of the direct executor does as
//! those with 32-bit addresses, and others.

mod common;

use common::accesses::{LOADS, STORES, functions};
use common::{call, modes};
use vm_engine::{Bounds, Engine, Instance, Memory, MemoryType, Module, Store, Trap};

/// A constant offset that is added to each access's address.
const OFFSETS: [u64; 6] = [0, 3, 65535, (1 << 32) - 1, 1 << 32, u64::MAX];

/// Every load and store with an offset, and a function that grows the memory.
fn accesses(memory: &str, address: &str, offset: u64) -> String {
    let mut text = format!(
        r#"(module
          (memory (export "memory") {memory})
          (func (export "grow") (param {address}) (result {address}) (memory.grow (local.get 0)))"#
    );
    text += &functions(address, &format!("offset={offset}"));
    text + ")"
}

/// An instance, with a memory of bytes that differ.
fn instance(engine: &Engine, text: &str) -> (Store<()>, Instance, Memory) {
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    for (at, byte) in memory.data_mut(&mut store).iter_mut().enumerate() {
        *byte = (at * 31 + at / 251) as u8;
    }
    (store, instance, memory)
}

/// Addresses where something ends, of a memory of a page or two.
fn addresses() -> impl Iterator<Item = u64> {
    let ends = [0, 1 << 16, 2 << 16, 1 << 31, 1 << 32, 1 << 33, 1 << 63];
    let near = ends.map(|end: u64| {
        [-17_i64, -9, -8, -4, -3, -2, -1, 0, 1, 5].map(|by| end.wrapping_add_signed(by))
    });
    near.into_iter().flatten()
}

/// What an access does, by a memory with 32-bit addresses: it traps if the address and the offset are more than they can be.
fn narrow<R>(
    address: u64,
    offset: u64,
    access: impl FnOnce(u32) -> Result<R, Trap>,
) -> Result<R, Trap> {
    match u32::try_from(address) {
        Ok(address) if offset <= u32::MAX.into() => access(address),
        _ => Err(Trap::MemoryOutOfBounds),
    }
}

fn trap<R>(result: vm_engine::Result<R>) -> Result<R, Trap> {
    result.map_err(|error| error.trap().unwrap_or_else(|| panic!("{error}")))
}

#[test]
fn accesses_are_those_of_32_bit_addresses_and_no_others() {
    for engine in modes() {
        for (memory, offset) in ["i64 1 2", "i64 1 65536", "i64 1"]
            .into_iter()
            .flat_map(|memory| OFFSETS.map(|offset| (memory, offset)))
        {
            let title = format!("{}, {memory}, offset {offset:#x}", engine.strategy());
            let (mut store, wide, own) = instance(&engine, &accesses(memory, "i64", offset));
            let text = accesses("1 2", "i32", offset.min(u32::MAX.into()));
            let (mut other, expected, others) = instance(&engine, &text);
            for pages in 1..=2 {
                for address in addresses() {
                    for access in LOADS {
                        let found = trap(call::<_, _, (i64, i64)>(
                            &mut store,
                            wide,
                            access.name,
                            address,
                        ));
                        let expected = narrow(address, offset, |address| {
                            trap(call::<_, _, (i64, i64)>(
                                &mut other,
                                expected,
                                access.name,
                                address,
                            ))
                        });
                        assert_eq!(found, expected, "{title}: {} {address:#x}", access.name);
                    }
                    for access in STORES {
                        let value = 0x1122_3344_5566_7788_i64.rotate_left(address as u32 & 63);
                        let found = trap(call::<_, _, ()>(
                            &mut store,
                            wide,
                            access.name,
                            (address, value),
                        ));
                        let expected = narrow(address, offset, |address| {
                            trap(call::<_, _, ()>(
                                &mut other,
                                expected,
                                access.name,
                                (address, value),
                            ))
                        });
                        assert_eq!(found, expected, "{title}: {} {address:#x}", access.name);
                    }
                }
                assert!(own.data(&store) == others.data(&other), "{title}");
                if pages == 1 {
                    assert_eq!(call::<_, u64, u64>(&mut store, wide, "grow", 1).unwrap(), 1);
                    assert_eq!(
                        call::<_, u32, u32>(&mut other, expected, "grow", 1).unwrap(),
                        1
                    );
                }
            }
        }
    }
}

/// What comes first in the program traps first, whatever comes first in code.
const ORDER: &str = r#"(module (memory (export "memory") i64 1 2)
  (func (export "value") (param i64 i32) (i32.store (local.get 0) (i32.div_u (i32.const 1) (local.get 1))))
  (func (export "wide") (param i64 i64) (i64.store (i64.load (local.get 0)) (i64.div_u (i64.const 1) (local.get 1))))
  (func (export "loaded") (param i64 i64) (result i32)
    (i32.store (local.get 0) (i32.load (local.get 1)))
    (i32.div_u (i32.const 1) (i32.const 0)))
  (func (export "address") (param i64 i32) (result i32)
    (i32.load (i64.extend_i32_u (i32.div_u (i32.const 7) (local.get 1)))))
  (func (export "both") (param i64 i32) (result i32)
    (i32.add (i32.load (local.get 0)) (i32.div_u (i32.const 7) (local.get 1))))
  (func (export "unused") (param i64) (drop (f64.load (local.get 0))))
  (func (export "vector") (param i64 i64) (result i32)
    (i32x4.extract_lane 0 (v128.load32_lane 0 (local.get 0) (v128.load (local.get 1))))))"#;

#[test]
fn traps_come_in_the_order_of_the_program() {
    let (zero, out) = (Trap::IntegerDivideByZero, Trap::MemoryOutOfBounds);
    let far = [1_u64 << 16, 1 << 32, 1 << 40, u64::MAX];
    for engine in modes() {
        let (mut store, instance, memory) = instance(&engine, ORDER);
        memory.data_mut(&mut store).fill(0);
        memory
            .write(&mut store, 8, &u64::MAX.to_le_bytes())
            .unwrap();
        let title = engine.strategy().to_string();
        for far in far {
            let mut run = |name: &str, params: (u64, u32)| {
                trap(call::<_, _, ()>(&mut store, instance, name, params))
            };
            assert_eq!(run("value", (far, 0)), Err(zero), "{title}");
            assert_eq!(run("value", (far, 1)), Err(out), "{title}");
            assert_eq!(run("value", (4, 1)), Ok(()), "{title}");
            let mut run = |name: &str, params: (u64, u64)| {
                trap(call::<_, _, ()>(&mut store, instance, name, params))
            };
            assert_eq!(run("wide", (far, 0)), Err(out), "{title}");
            assert_eq!(run("wide", (8, 0)), Err(zero), "{title}");
            assert_eq!(run("wide", (8, 1)), Err(out), "{title}");
            assert_eq!(run("wide", (16, 1)), Ok(()), "{title}");
            let mut run = |name: &str, params: (u64, u64)| {
                trap(call::<_, _, i32>(&mut store, instance, name, params))
            };
            assert_eq!(run("loaded", (far, far)), Err(out), "{title}");
            assert_eq!(run("loaded", (0, far)), Err(out), "{title}");
            assert_eq!(run("loaded", (far, 0)), Err(out), "{title}");
            assert_eq!(run("loaded", (0, 0)), Err(zero), "{title}");
            assert_eq!(run("vector", (far, 0)), Err(out), "{title}");
            assert_eq!(run("vector", (0, far)), Err(out), "{title}");
            assert_eq!(run("vector", (8, 0)), Ok(-1), "{title}");
            let mut run = |name: &str, params: (u64, u32)| {
                trap(call::<_, _, i32>(&mut store, instance, name, params))
            };
            assert_eq!(run("address", (0, 0)), Err(zero), "{title}");
            assert_eq!(run("address", (0, 1)), Ok(-256), "{title}");
            assert_eq!(run("both", (far, 0)), Err(out), "{title}");
            assert_eq!(run("both", (0, 0)), Err(zero), "{title}");
            assert_eq!(
                trap(call::<_, u64, ()>(&mut store, instance, "unused", far)),
                Err(out),
                "{title}"
            );
        }
    }
}

#[test]
fn what_has_4_gib_at_most_is_guarded_where_others_are() {
    for engine in modes() {
        let mut store = Store::new(&engine, ());
        let mut guarded = |ty: MemoryType| {
            let memory = Memory::new(&mut store, ty).unwrap();
            memory.bounds(&store) == Bounds::Guarded
        };
        let usual = guarded(MemoryType::new(1, None));
        assert_eq!(
            guarded(MemoryType::new64(1, Some(65536))),
            usual,
            "{}",
            engine.strategy()
        );
        assert!(
            !guarded(MemoryType::new64(1, Some(65537))),
            "{}",
            engine.strategy()
        );
        assert!(
            !guarded(MemoryType::new64(1, None)),
            "{}",
            engine.strategy()
        );
    }
}
