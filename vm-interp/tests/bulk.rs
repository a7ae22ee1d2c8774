//! Bulk operations on memories and tables, at their edges: they check first, then cannot fail.

mod common;

use common::{Mode, World, modes};
use vm_interp::{InstanceId, TrapCode, Val};

const PAGE: i32 = 65536;

const MEMORY: &str = r#"(module
    (memory (export "memory") 1)
    (data $d "abcdef")
    (func (export "fill") (param i32 i32 i32)
        (memory.fill (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy") (param i32 i32 i32)
        (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32)
        (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
    (func (export "drop") (data.drop $d)))"#;

const TABLE: &str = r#"(module
    (type $f (func (result i32)))
    (table $t 8 funcref)
    (table $u 4 16 funcref)
    (elem $e funcref (ref.func $a) (ref.null func) (ref.func $b))
    (func $a (result i32) (i32.const 1))
    (func $b (result i32) (i32.const 2))
    (func (export "call") (param i32) (result i32) (call_indirect $t (type $f) (local.get 0)))
    (func (export "init") (param i32 i32 i32)
        (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy") (param i32 i32 i32)
        (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
    (func (export "to_u") (param i32 i32 i32)
        (table.copy $u $t (local.get 0) (local.get 1) (local.get 2)))
    (func (export "u") (param i32) (result funcref) (table.get $u (local.get 0)))
    (func (export "fill") (param i32 i32 i32)
        (table.fill $t (local.get 0) (table.get $t (local.get 1)) (local.get 2)))
    (func (export "grow") (param i32) (result i32)
        (table.grow $u (ref.func $b) (local.get 0)))
    (func (export "size") (result i32) (table.size $u))
    (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $b)))
    (func (export "drop") (elem.drop $e)))"#;

fn instance(mode: Mode, wat: &str) -> (World, InstanceId) {
    let mut world = World::new(mode);
    let id = world.instantiate(wat);
    (world, id)
}

fn args(args: [i32; 3]) -> [Val; 3] {
    args.map(Val::I32)
}

fn bytes(world: &World, id: InstanceId, range: std::ops::Range<usize>) -> &[u8] {
    let memory = world.machine.instance_memory(id, 0);
    &world.machine.memory(memory).data()[range]
}

#[test]
fn memory_fill_copy_and_init_move_bytes() {
    for mode in modes() {
        let (mut world, id) = instance(mode, MEMORY);
        world.call(id, "init", &args([10, 1, 4])).unwrap();
        assert_eq!(bytes(&world, id, 9..15), b"\0bcde\0");
        world.call(id, "copy", &args([11, 10, 4])).unwrap();
        assert_eq!(bytes(&world, id, 10..15), b"bbcde");
        world.call(id, "copy", &args([9, 11, 4])).unwrap();
        assert_eq!(bytes(&world, id, 9..15), b"bcdede");
        // The value is taken modulo 256.
        world.call(id, "fill", &args([PAGE - 2, 0x1ff, 2])).unwrap();
        assert_eq!(bytes(&world, id, 65533..65536), [0, 255, 255]);
    }
}

#[test]
fn memory_operations_past_the_end_change_nothing() {
    for mode in modes() {
        let (mut world, id) = instance(mode, MEMORY);
        for (name, operands) in [
            ("fill", [PAGE - 1, 1, 2]),
            ("fill", [-1, 1, 2]),
            ("fill", [PAGE + 1, 1, 0]),
            ("fill", [0, 1, -1]),
            ("copy", [PAGE - 1, 0, 2]),
            ("copy", [0, PAGE - 1, 2]),
            ("copy", [0, PAGE + 1, 0]),
            ("copy", [-1, -1, -1]),
            ("init", [PAGE - 1, 0, 2]),
            ("init", [0, 5, 2]),
            ("init", [0, 7, 0]),
            ("init", [PAGE + 1, 0, 0]),
        ] {
            let trap = world.trap(id, name, &args(operands));
            assert_eq!(
                trap.code,
                TrapCode::MemoryOutOfBounds,
                "{name} {operands:?}"
            );
            assert_eq!(trap.frames.len(), 1);
        }
        assert!(bytes(&world, id, 0..65536).iter().all(|byte| *byte == 0));
        // Empty ranges at the end are inside.
        for (name, operands) in [
            ("fill", [PAGE, 1, 0]),
            ("copy", [PAGE, PAGE, 0]),
            ("init", [PAGE, 6, 0]),
        ] {
            world.call(id, name, &args(operands)).unwrap();
        }
    }
}

#[test]
fn dropped_segments_are_empty() {
    for mode in modes() {
        let (mut world, id) = instance(mode, MEMORY);
        world.call(id, "drop", &[]).unwrap();
        world.call(id, "drop", &[]).unwrap();
        world.call(id, "init", &args([0, 0, 0])).unwrap();
        let trap = world.trap(id, "init", &args([0, 0, 1]));
        assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);

        let (mut world, id) = instance(mode, TABLE);
        world.call(id, "drop", &[]).unwrap();
        world.call(id, "init", &args([8, 0, 0])).unwrap();
        let trap = world.trap(id, "init", &args([0, 0, 1]));
        assert_eq!(trap.code, TrapCode::TableOutOfBounds);
    }
}

#[test]
fn segments_are_dropped_in_one_instance_only() {
    for mode in modes() {
        let mut world = World::new(mode);
        let (a, b) = (world.instantiate(MEMORY), world.instantiate(MEMORY));
        world.call(a, "drop", &[]).unwrap();
        world.trap(a, "init", &args([0, 0, 1]));
        world.call(b, "init", &args([0, 0, 1])).unwrap();
    }
}

#[test]
fn table_operations_move_elements() {
    for mode in modes() {
        let (mut world, id) = instance(mode, TABLE);
        world.call(id, "init", &args([2, 0, 3])).unwrap();
        assert_eq!(world.call_i32(id, "call", &[2]).unwrap(), 1);
        assert_eq!(world.call_i32(id, "call", &[4]).unwrap(), 2);
        let trap = world.trap(id, "call", &[Val::I32(3)]);
        assert_eq!(trap.code, TrapCode::UninitializedElement);
        world.call(id, "copy", &args([3, 2, 3])).unwrap();
        assert_eq!(world.call_i32(id, "call", &[3]).unwrap(), 1);
        assert_eq!(world.call_i32(id, "call", &[5]).unwrap(), 2);
        world.call(id, "fill", &args([0, 5, 2])).unwrap();
        assert_eq!(world.call_i32(id, "call", &[1]).unwrap(), 2);
        world.call(id, "set", &[Val::I32(7)]).unwrap();
        assert_eq!(world.call_i32(id, "call", &[7]).unwrap(), 2);
        world.call(id, "to_u", &args([0, 2, 4])).unwrap();
        let of = |world: &mut World, index| world.call(id, "u", &[Val::I32(index)]).unwrap()[0];
        assert_eq!(of(&mut world, 0), of(&mut world, 1));
        assert_eq!(of(&mut world, 2), Val::FuncRef(None));
        assert_ne!(of(&mut world, 3), of(&mut world, 1));
    }
}

#[test]
fn table_operations_past_the_end_change_nothing() {
    for mode in modes() {
        let (mut world, id) = instance(mode, TABLE);
        for (name, operands) in [
            ("init", [6, 0, 3]),
            ("init", [0, 1, 3]),
            ("init", [0, 4, 0]),
            ("init", [9, 0, 0]),
            ("init", [-1, 0, 3]),
            ("copy", [0, 7, 2]),
            ("copy", [7, 0, 2]),
            ("copy", [9, 0, 0]),
            ("to_u", [3, 0, 2]),
            ("to_u", [0, -1, 2]),
            ("fill", [7, 0, 2]),
            ("fill", [9, 0, 0]),
        ] {
            let trap = world.trap(id, name, &args(operands));
            assert_eq!(trap.code, TrapCode::TableOutOfBounds, "{name} {operands:?}");
        }
        for index in 0..8 {
            let trap = world.trap(id, "call", &[Val::I32(index)]);
            assert_eq!(trap.code, TrapCode::UninitializedElement);
        }
    }
}

#[test]
fn tables_grow_up_to_their_maximum() {
    for mode in modes() {
        let (mut world, id) = instance(mode, TABLE);
        assert_eq!(world.call_i32(id, "grow", &[10]).unwrap(), 4);
        assert_eq!(world.call_i32(id, "size", &[]).unwrap(), 14);
        assert_eq!(world.call_i32(id, "grow", &[3]).unwrap(), -1);
        assert_eq!(world.call_i32(id, "grow", &[-1]).unwrap(), -1);
        world.machine.host_mut().may_grow = false;
        assert_eq!(world.call_i32(id, "grow", &[1]).unwrap(), -1);
        world.machine.host_mut().may_grow = true;
        assert_eq!(world.call_i32(id, "grow", &[2]).unwrap(), 14);
        let last = world.call(id, "u", &[Val::I32(15)]).unwrap();
        assert_eq!(last, world.call(id, "u", &[Val::I32(4)]).unwrap());
        assert_ne!(last, [Val::FuncRef(None)]);
    }
}
