//! Several memories in a module, and pages of one byte.

mod common;

use common::accesses::{LOADS, Load, STORES, functions};
use common::{call, in_each_mode};
use vm_engine::{Bounds, Extern, Instance, Memory, MemoryType, Module, Store, Trap};

/// Every load and store, on memory 1, with the offset 3.
fn accesses() -> String {
    let mut text = String::from(
        r#"(module
          (memory (export "zero") 1)
          (memory (export "one") 1 2)
          (func (export "grow") (result i32) (memory.grow 1 (i32.const 1)))"#,
    );
    text += &functions("i32", "1 offset=3");
    text + ")"
}

const PAGE: usize = 65536;

#[test]
fn every_access_of_another_memory_is_that_memory_s_and_is_checked() {
    in_each_mode(&accesses(), |store, instance| {
        let zero = instance.get_memory(&mut *store, "zero").unwrap();
        let one = instance.get_memory(&mut *store, "one").unwrap();
        for size in [PAGE, 2 * PAGE] {
            for Load {
                name, width, value, ..
            } in LOADS
            {
                let at = size - width - 3;
                for bytes in [[0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8], [0x7f; 8]] {
                    one.write(&mut *store, at + 3, &bytes[..width]).unwrap();
                    let loaded: (u64, u64) = call(store, instance, name, at as u32).unwrap();
                    let expected = value(&bytes[..width]);
                    assert_eq!(u128::from(loaded.0), expected, "{name}");
                }
                for address in [at as u32 + 1, u32::MAX - 2, u32::MAX] {
                    let error =
                        call::<_, u32, (u64, u64)>(store, instance, name, address).unwrap_err();
                    let trap = error.downcast_ref::<Trap>();
                    assert_eq!(trap, Some(&Trap::MemoryOutOfBounds), "{name} {address}");
                }
            }
            for access in STORES {
                let (name, width) = (access.name, access.width);
                let at = size - width - 3;
                one.data_mut(&mut *store).fill(0x55);
                let value = 0x8182_8384_8586_8788u64;
                let bytes = value.to_le_bytes();
                call::<_, _, ()>(store, instance, name, (at as u32, value)).unwrap();
                let data = one.data(&*store);
                assert_eq!(data[at + 3..], bytes[..width], "{name}");
                assert!(data[..at + 3].iter().all(|byte| *byte == 0x55), "{name}");
                for address in [at as u32 + 1, u32::MAX] {
                    let args = (address, 0u64);
                    let error = call::<_, _, ()>(store, instance, name, args).unwrap_err();
                    let trap = error.downcast_ref::<Trap>();
                    assert_eq!(trap, Some(&Trap::MemoryOutOfBounds), "{name} {address}");
                }
                assert_eq!(one.data(&*store)[at + 3..], bytes[..width], "{name}");
            }
            // The accesses above are of what has grown, wherever it is now.
            let before: i32 = call(store, instance, "grow", ()).unwrap();
            assert_eq!(before, if size == PAGE { 1 } else { -1 });
        }
        assert!(zero.data(&*store).iter().all(|byte| *byte == 0));
    });
}

#[test]
fn bulk_operations_between_memories_and_their_limits() {
    let text = r#"
    (module
      (memory $a (export "a") 1)
      (memory $b (export "b") 3 (pagesize 1))
      (data $d "0123456789")
      (func (export "copy") (param i32 i32 i32)
        (memory.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
      (func (export "back") (param i32 i32 i32)
        (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
      (func (export "fill") (param i32 i32 i32)
        (memory.fill $b (local.get 0) (local.get 1) (local.get 2)))
      (func (export "init") (param i32 i32 i32)
        (memory.init $b $d (local.get 0) (local.get 1) (local.get 2)))
      (func (export "grow") (param i32) (result i32) (memory.grow $b (local.get 0)))
      (func (export "size") (result i32) (memory.size $b)))"#;
    in_each_mode(text, |store, instance| {
        let a = instance.get_memory(&mut *store, "a").unwrap();
        let b = instance.get_memory(&mut *store, "b").unwrap();
        a.write(&mut *store, 0, b"abcdef").unwrap();
        call::<_, _, ()>(store, instance, "copy", (1i32, 2i32, 2i32)).unwrap();
        assert_eq!(b.data(&*store), b"\0cd");
        call::<_, _, ()>(store, instance, "fill", (0i32, 0x7ai32, 1i32)).unwrap();
        call::<_, _, ()>(store, instance, "init", (2i32, 9i32, 1i32)).unwrap();
        assert_eq!(b.data(&*store), b"zc9");
        call::<_, _, ()>(store, instance, "back", (0x7fffi32, 0i32, 3i32)).unwrap();
        assert_eq!(a.data(&*store)[0x7fff..0x8002], *b"zc9");
        for (name, args) in [
            ("copy", (1i32, 0i32, 3i32)),
            ("back", (0, 1, 3)),
            ("back", (0xffff, 0, 2)),
            ("fill", (3, 0, 1)),
            ("init", (0, 8, 3)),
        ] {
            let error = call::<_, _, ()>(store, instance, name, args).unwrap_err();
            assert_eq!(
                error.downcast_ref::<Trap>(),
                Some(&Trap::MemoryOutOfBounds),
                "{name}"
            );
        }
        assert_eq!(b.data(&*store), b"zc9");
        assert_eq!(
            call::<_, i32, i32>(store, instance, "grow", 70_000).unwrap(),
            3
        );
        assert_eq!(
            call::<_, (), i32>(store, instance, "size", ()).unwrap(),
            70_003
        );
        assert_eq!(b.data_size(&*store), 70_003);
    });
}

#[test]
fn memory_0_with_pages_of_one_byte_is_checked_to_the_byte_in_every_mode() {
    let text = r#"
    (module
      (memory (export "m") 5 7 (pagesize 1))
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    in_each_mode(text, |store, instance| {
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        assert_eq!(memory.bounds(&*store), Bounds::Software);
        for last in 1..4 {
            call::<_, i32, i32>(store, instance, "load", last).unwrap();
            let error = call::<_, i32, i32>(store, instance, "load", last + 1).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
            let grown = call::<_, i32, i32>(store, instance, "grow", 1).unwrap();
            assert_eq!(grown, if last < 3 { 4 + last } else { -1 });
        }
    });
}

#[test]
fn a_memory_that_is_the_first_of_one_instance_and_the_second_of_another() {
    let text = r#"
    (module
      (import "" "a" (memory $a 1))
      (import "" "b" (memory $b 1))
      (func (export "f") (param i32) (result i32 i32 i32)
        (i32.store $a (local.get 0) (i32.const 11))
        (i32.store $b (local.get 0) (i32.const 22))
        (i32.load $a (local.get 0)) (i32.load $b (local.get 0))
        (memory.grow $a (i32.const 1))))"#;
    for engine in common::modes() {
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, text).unwrap();
        let mut memory = || Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let (a, b) = (memory(), memory());
        let mut instance = |a: Memory, b: Memory| {
            Instance::new(&mut store, &module, &[Extern::from(a), Extern::from(b)]).unwrap()
        };
        let (first, second) = (instance(a, b), instance(b, a));
        let same = instance(a, a);
        let mut f = |instance| call::<_, i32, (i32, i32, i32)>(&mut store, instance, "f", 8);
        assert_eq!(f(first).unwrap(), (11, 22, 1));
        assert_eq!(f(second).unwrap(), (11, 22, 1));
        assert_eq!(f(same).unwrap(), (22, 22, 2));
        assert_eq!(f(second).unwrap(), (11, 22, 2));
    }
}

#[test]
fn addresses_of_64_bits_never_wrap_and_limits_beyond_the_host_are_errors() {
    let text = r#"
    (module
      (memory (export "m") i64 1)
      (func (export "load") (param i64) (result i64)
        (i64.load offset=0xfffffffffffffff0 (local.get 0)))
      (func (export "near") (param i64) (result i64) (i64.load (local.get 0)))
      (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0))))"#;
    in_each_mode(text, |store, instance| {
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        memory.write(&mut *store, PAGE - 8, &[7; 8]).unwrap();
        let near: u64 = call(store, instance, "near", PAGE as u64 - 8).unwrap();
        assert_eq!(near, 0x0707_0707_0707_0707);
        for address in [PAGE as u64 - 7, 1 << 32, u64::MAX - 7, u64::MAX] {
            let error = call::<_, u64, u64>(store, instance, "near", address).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
        }
        // The sum would be 0, 8 and 0x10 if it wrapped around; 0 is beyond the end without that.
        for address in [0u64, 0x10, 0x18, 0x20] {
            let error = call::<_, u64, u64>(store, instance, "load", address).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
        }
        for delta in [1u64 << 47, u64::MAX] {
            assert_eq!(
                call::<_, u64, i64>(store, instance, "grow", delta).unwrap(),
                -1
            );
        }
        assert_eq!(call::<_, u64, i64>(store, instance, "grow", 1).unwrap(), 1);
        // 2^63 bytes, more than any host has.
        let ty = MemoryType::new64(1 << 47, None);
        assert!(Memory::new(&mut *store, ty).is_err());
    });
}
