//! Traps: their codes, their backtraces, and that the machine goes on afterwards.

mod common;

use common::{Mode, World, modes};
use vm_interp::{CallError, InstanceId, MAX_FRAMES, Trap, TrapCode, Val};

const WAT: &str = r#"(module $victim
    (type $nullary (func (result i32)))
    (type $other (func (param i64)))
    (memory (export "memory") 1)
    (table 4 funcref)
    (elem (i32.const 0) $other $nullary)
    (func $other (type $other))
    (func $nullary (type $nullary) (i32.const 5))
    (func (export "unreachable") (unreachable))
    (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (export "rem") (param i64 i64) (result i64) (i64.rem_u (local.get 0) (local.get 1)))
    (func (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
    (func (export "load") (param i32) (result i64) (i64.load offset=8 (local.get 0)))
    (func (export "far") (param i32) (result i32) (i32.load8_u offset=4294967295 (local.get 0)))
    (func (export "dropped") (param i32) (drop (i32.load (local.get 0))))
    (func (export "constant") (result i32) (i32.load (i32.const 65533)))
    (func (export "store") (param i32) (i64.store (local.get 0) (i64.const -1)))
    (func (export "indirect") (param i32) (result i32)
        (call_indirect (type $nullary) (local.get 0)))
    (func (export "get") (param i32) (result funcref) (table.get (local.get 0)))
    (func $recurse (export "recurse") (param i32) (result i32)
        (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1))))"#;

fn victim(mode: Mode) -> (World, InstanceId) {
    let mut world = World::new(mode);
    let id = world.instantiate(WAT);
    (world, id)
}

/// The names and the opcodes of the frames: what was running, at which kind of instruction.
fn frames(trap: &Trap) -> Vec<(String, u8)> {
    let describe = |frame: &vm_interp::Frame| {
        let module = frame.code.module();
        let name = module.func_name(frame.func_index).unwrap_or("?").to_owned();
        (name, module.bytes()[frame.offset as usize])
    };
    trap.frames.iter().map(describe).collect()
}

#[test]
fn every_trap_has_its_code() {
    use TrapCode::*;
    for mode in modes() {
        let (mut world, id) = victim(mode);
        let f64_of = |value: f64| Val::F64(value.to_bits());
        let i32_of = Val::I32;
        let cases: &[(&str, &[Val], TrapCode)] = &[
            ("unreachable", &[], Unreachable),
            ("div", &[i32_of(1), i32_of(0)], IntegerDivideByZero),
            ("div", &[i32_of(i32::MIN), i32_of(-1)], IntegerOverflow),
            ("rem", &[Val::I64(1), Val::I64(0)], IntegerDivideByZero),
            ("trunc", &[f64_of(f64::NAN)], InvalidConversionToInteger),
            ("trunc", &[f64_of(1e10)], IntegerOverflow),
            ("load", &[i32_of(65521)], MemoryOutOfBounds),
            ("load", &[i32_of(-1)], MemoryOutOfBounds),
            ("far", &[i32_of(0)], MemoryOutOfBounds),
            ("far", &[i32_of(-1)], MemoryOutOfBounds),
            ("dropped", &[i32_of(65536)], MemoryOutOfBounds),
            ("constant", &[], MemoryOutOfBounds),
            ("store", &[i32_of(65529)], MemoryOutOfBounds),
            ("indirect", &[i32_of(0)], IndirectCallTypeMismatch),
            ("indirect", &[i32_of(2)], UninitializedElement),
            ("indirect", &[i32_of(4)], UndefinedElement),
            ("indirect", &[i32_of(-1)], UndefinedElement),
            ("get", &[i32_of(4)], TableOutOfBounds),
            ("recurse", &[i32_of(0)], StackOverflow),
        ];
        for (name, args, code) in cases {
            let trap = world.trap(id, name, args);
            assert_eq!(trap.code, *code, "{mode:?}: {name} {args:?}");
            let innermost = &trap.frames[0];
            let export = innermost.code.module().exports();
            let export = export.iter().find(|export| export.name == *name).unwrap();
            assert_eq!(innermost.func_index, export.index, "{mode:?}: {name}");
            assert_eq!(innermost.instance, id);
        }
        // The last valid places, and the machine works as before.
        assert_eq!(
            world.call(id, "load", &[Val::I32(65520)]).unwrap(),
            [Val::I64(0)]
        );
        world.call(id, "store", &[Val::I32(65528)]).unwrap();
        assert_eq!(
            world.call(id, "load", &[Val::I32(65520)]).unwrap(),
            [Val::I64(-1)]
        );
        assert_eq!(world.call_i32(id, "indirect", &[1]).unwrap(), 5);
    }
}

#[test]
fn a_store_that_traps_has_written_nothing() {
    for mode in modes() {
        let (mut world, id) = victim(mode);
        for start in 65529..=65535 {
            world.trap(id, "store", &[Val::I32(start)]);
        }
        let memory = world.machine.instance_memory(id, 0);
        assert!(
            world
                .machine
                .memory(memory)
                .data()
                .iter()
                .all(|byte| *byte == 0)
        );
    }
}

#[test]
fn backtraces_name_every_call_up_to_the_host() {
    for mode in modes() {
        let mut world = World::new(mode);
        let inner = world.register(
            "inner",
            r#"(module $inner
                (memory 1)
                (func $fail (param i32) (result i32) (i32.load (local.get 0)))
                (func $imported (export "imported") (param i32) (result i32)
                    (i32.add (i32.const 1) (call $fail (local.get 0)))))"#,
        );
        let outer = world.instantiate(
            r#"(module $outer
                (type $f (func (param i32) (result i32)))
                (import "inner" "imported" (func $i (type $f)))
                (table 2 funcref)
                (elem (i32.const 0) $i $local)
                (func $local (type $f) (call $i (local.get 0)))
                (func $indirect (param i32 i32) (result i32)
                    (call_indirect (type $f) (local.get 0) (local.get 1)))
                (func $run (export "run") (param i32 i32) (result i32)
                    (nop) (i32.mul (i32.const 2) (call $indirect (local.get 0) (local.get 1)))))"#,
        );
        const LOAD: u8 = 0x28;
        const CALL: u8 = 0x10;
        const CALL_INDIRECT: u8 = 0x11;
        let name = |name: &str, opcode| (name.to_owned(), opcode);
        let trap = world.trap(outer, "run", &[Val::I32(-4), Val::I32(1)]);
        assert_eq!(
            frames(&trap),
            [
                name("fail", LOAD),
                name("imported", CALL),
                name("local", CALL),
                name("indirect", CALL_INDIRECT),
                name("run", CALL),
            ],
            "{mode:?}"
        );
        let instances: Vec<_> = trap.frames.iter().map(|frame| frame.instance).collect();
        assert_eq!(instances, [inner, inner, outer, outer, outer]);
        // The table's element is the other instance's function.
        let trap = world.trap(outer, "run", &[Val::I32(-4), Val::I32(0)]);
        assert_eq!(
            frames(&trap),
            [
                name("fail", LOAD),
                name("imported", CALL),
                name("indirect", CALL_INDIRECT),
                name("run", CALL),
            ],
            "{mode:?}"
        );
    }
}

/// What compilers make without optimisation: arguments by way of memory, a call, and a stack pointer that goes back before the function
/// returns. Executors may do several of these in one step, the call included.
#[test]
fn calls_behind_other_steps_of_a_cell_are_named_too() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (memory 1)
                (global $sp (mut i32) (i32.const 1024))
                (func $fail (param i32 i32) (result i32)
                    (i32.load (i32.add (local.get 0) (local.get 1))))
                (func $framed (param i32) (result i32) (local i32)
                    (local.set 1 (i32.sub (global.get $sp) (i32.const 16)))
                    (global.set $sp (local.get 1))
                    (i32.store offset=8 (local.get 1) (i32.const 7))
                    (i32.store offset=4 (local.get 1) (local.get 0))
                    (call $fail (i32.load offset=4 (local.get 1)) (i32.const 8))
                    (global.set $sp (i32.add (local.get 1) (i32.const 16))))
                (func $run (export "run") (param i32) (result i32)
                    (block (br_if 0 (local.get 0)) (local.set 0 (global.get $sp)))
                    (call $framed (local.get 0))))"#,
        );
        // The frame is below the stack pointer; often enough for the best code that there will be.
        for _ in 0..200 {
            assert_eq!(
                world.call_i32(id, "run", &[1024 - 16]).unwrap(),
                7,
                "{mode:?}"
            );
        }
        const LOAD: u8 = 0x28;
        const CALL: u8 = 0x10;
        let trap = world.trap(id, "run", &[Val::I32(-100)]);
        let expected = [("fail", LOAD), ("framed", CALL), ("run", CALL)];
        let expected = expected.map(|(name, opcode)| (name.to_owned(), opcode));
        assert_eq!(frames(&trap), expected, "{mode:?}");
    }
}

#[test]
fn backtraces_tell_instances_of_one_module_apart() {
    for mode in modes() {
        let mut world = World::new(mode);
        let wat = |import: &str| {
            format!(
                r#"(module
                    (import "{import}" "down" (func $next (param i32)))
                    (func $down (export "down") (param i32) (call $step (local.get 0)))
                    (func $step (param i32) (call $next (local.get 0))))"#
            )
        };
        world.register(
            "a",
            r#"(module (func (export "down") (param i32) (unreachable)))"#,
        );
        let b = world.register("b", &wat("a"));
        // The same code in another instance, which imports from the first.
        let code = world.machine.instance_code(b).clone();
        let down = world.func(b, "down");
        let entities = vm_interp::Entities {
            functions: vec![down],
            ..Default::default()
        };
        let c = world.machine.instantiate(&code, entities).unwrap();
        let trap = world.trap(c, "down", &[Val::I32(0)]);
        let instances: Vec<_> = trap.frames.iter().map(|frame| frame.instance).collect();
        assert_eq!(instances[1..], [b, b, c, c], "{mode:?}");
    }
}

#[test]
fn stack_exhaustion_leaves_the_stack_as_it_was() {
    for mode in modes() {
        let mut world = World::with_stack(mode, 64 << 10);
        let id = world.instantiate(
            r#"(module
                (func $r (export "recurse") (param i64) (result i64)
                    (i64.add (call $r (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
                (func $f (export "fib") (param i32) (result i32)
                    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                        (then (local.get 0))
                        (else (i32.add
                            (call $f (i32.sub (local.get 0) (i32.const 1)))
                            (call $f (i32.sub (local.get 0) (i32.const 2))))))))"#,
        );
        for _ in 0..100 {
            let trap = world.trap(id, "recurse", &[Val::I64(0)]);
            assert_eq!(trap.code, TrapCode::StackOverflow);
            assert_eq!(trap.frames.len(), MAX_FRAMES);
            assert_eq!(world.call_i32(id, "fib", &[10]).unwrap(), 55);
        }
    }
}

#[test]
fn frames_larger_than_the_stack_are_refused() {
    for mode in modes() {
        let mut world = World::with_stack(mode, 64 << 10);
        let locals = "i64 ".repeat(40_000);
        let id = world.instantiate(&format!(
            r#"(module
                (func $large (export "large") (param i32) (result i64) (local {locals})
                    (local.set 39999 (i64.const 1))
                    (local.get 39999))
                (func (export "caller") (result i64) (call $large (i32.const 0))))"#
        ));
        let trap = world.trap(id, "large", &[Val::I32(0)]);
        assert_eq!(trap.code, TrapCode::StackOverflow, "{mode:?}");
        let trap = world.trap(id, "caller", &[]);
        assert_eq!(trap.code, TrapCode::StackOverflow, "{mode:?}");
    }
}

#[test]
fn active_segments_that_do_not_fit_trap() {
    for mode in modes() {
        let mut world = World::new(mode);
        for (wat, expected) in [
            (
                r#"(module (memory 1) (data (i32.const 65535) "ab"))"#,
                TrapCode::MemoryOutOfBounds,
            ),
            (
                r#"(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))"#,
                TrapCode::TableOutOfBounds,
            ),
            (
                r#"(module (func $start (unreachable)) (start $start))"#,
                TrapCode::Unreachable,
            ),
        ] {
            match world.try_instantiate(wat) {
                Err(CallError::Trap(trap)) => assert_eq!(trap.code, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Resident pages of this process. On other systems than Linux there is nothing to compare.
fn resident_pages() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn very_many_traps_leave_memory_flat() {
    for mode in modes() {
        let (mut world, id) = victim(mode);
        let load = world.func(id, "load");
        let mut trap = |n: u32| {
            for _ in 0..n {
                let mut slots = [vm_interp::Raw::from(-1i32)];
                match world.machine.call(load, &mut slots) {
                    Err(CallError::Trap(trap)) => {
                        assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        trap(1000);
        let before = resident_pages();
        trap(100_000);
        if let (Some(before), Some(after)) = (before, resident_pages()) {
            // Other tests of this process may run at the same time: 16 MiB are theirs. A leak of a
            // backtrace for each trap would be more.
            assert!(
                after < before + 4096,
                "{mode:?}: {before} pages, then {after}"
            );
        }
    }
}

/// Accesses that may share a cell, each of which has an address of its own.
const ACCESSES: &str = r#"(module (memory 1)
    (func (export "loads") (param $a i32) (param $b i32) (param $c i32) (param $d i32) (result i32)
        (loop $again
            (local.set $a (i32.load (local.get $a)))
            (local.set $b (i32.load (local.get $b)))
            (local.set $c (i32.mul (i32.load (local.get $c)) (i32.load (local.get $d))))
            (br_if $again (local.get $a)))
        (local.get $c))
    (func (export "stores") (param $a i32) (param $b i32) (param $c i32) (param $d i32) (result i32)
        (loop $again
            (i32.store (local.get $a) (local.get $b))
            (i32.store (local.get $b) (i32.load (local.get $c)))
            (local.set $d (i32.load (local.get $d)))
            (br_if $again (local.get $d)))
        (local.get $c)))"#;

#[test]
fn of_several_accesses_the_one_that_trapped_is_named() {
    let mut found: Vec<Vec<u32>> = Vec::new();
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(ACCESSES);
        let mut offsets = Vec::new();
        for name in ["loads", "stores"] {
            for outside in 0..4 {
                let mut args = [Val::I32(16), Val::I32(32), Val::I32(48), Val::I32(64)];
                args[outside] = Val::I32(1 << 20);
                let trap = world.trap(id, name, &args);
                assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
                let frame = &trap.frames[0];
                let opcode = frame.code.module().bytes()[frame.offset as usize];
                assert!(
                    matches!(opcode, 0x28 | 0x36),
                    "{mode:?} {name} {outside}: {opcode:#x}"
                );
                offsets.push(frame.offset);
            }
        }
        let mut distinct = offsets.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() >= 6, "{mode:?}: {offsets:?}");
        found.push(offsets);
    }
    for offsets in &found {
        for (n, (here, first)) in offsets.iter().zip(&found[0]).enumerate() {
            // Where several accesses make one instruction of the IR, it has one place: the product
            // of two loads, and the store of a loaded value.
            assert!(
                here == first || [3, 6].contains(&n),
                "access {n}: {found:?}"
            );
        }
    }
}
