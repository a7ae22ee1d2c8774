//! Guest code that runs as it should: arithmetic, control, calls, memory, tables, globals.

mod common;

use common::{Extern, World, modes, ty};
use vm_interp::{Raw, Val};
use vm_translate::{GlobalType, MemoryType, RefType, TableType, ValType};

#[test]
fn arithmetic() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (func (export "poly") (param i32) (result i32)
                    (i32.add
                        (i32.mul (local.get 0) (i32.sub (local.get 0) (i32.const 3)))
                        (i32.sub (i32.const 7) (local.get 0))))
                (func (export "wide") (param i64 i64) (result i64)
                    (i64.xor
                        (i64.mul (local.get 0) (i64.const 0x9e3779b97f4a7c15))
                        (i64.rotl (local.get 1) (i64.const 13))))
                (func (export "float") (param f64 f64) (result f64)
                    (f64.sqrt (f64.add
                        (f64.mul (local.get 0) (local.get 0))
                        (f64.mul (local.get 1) (local.get 1)))))
                (func (export "constants") (param f64 f32) (result f64)
                    (f64.sub
                        (f64.div (f64.const 1) (local.get 0))
                        (f64.promote_f32 (f32.mul (local.get 1) (f32.const 0.1)))))
                (func (export "less") (param i64) (result i32)
                    (i64.lt_s (i64.const 5000000000) (local.get 0))))"#,
        );
        assert_eq!(world.call_i32(id, "poly", &[10]).unwrap(), 67);
        assert_eq!(world.call_i32(id, "poly", &[-5]).unwrap(), 52);
        let wide = world
            .call(id, "wide", &[Val::I64(3), Val::I64(-2)])
            .unwrap();
        let expected = 3u64.wrapping_mul(0x9e3779b97f4a7c15) ^ (-2i64 as u64).rotate_left(13);
        assert_eq!(wide, [Val::I64(expected as i64)]);
        let float = |value: f64| Val::F64(value.to_bits());
        let five = world.call(id, "float", &[float(3.0), float(4.0)]).unwrap();
        assert_eq!(five, [float(5.0)]);
        let args = [float(8.0), Val::F32(2.5f32.to_bits())];
        let expected = 0.125 - f64::from(2.5f32 * 0.1f32);
        assert_eq!(
            world.call(id, "constants", &args).unwrap(),
            [float(expected)]
        );
        for (value, less) in [(5000000001, 1), (5000000000, 0), (-1, 0)] {
            let result = world.call(id, "less", &[Val::I64(value)]).unwrap();
            assert_eq!(result, [Val::I32(less)]);
        }
    }
}

/// Unsigned and saturating conversions are computed by a function of the executor's, which may change
/// registers.
#[test]
fn temporaries_outlive_operators_without_a_template() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (memory 1)
                (func (export "store") (param i32 i32 f64) (result i64)
                    (i32.store (i32.add (local.get 0) (local.get 1))
                        (i32.trunc_sat_f64_u (local.get 2)))
                    (i64.load (i32.const 8)))
                (func (export "floats") (param f64 f64 i64) (result f64)
                    (f64.div (f64.mul (f64.add (local.get 0) (local.get 1)) (local.get 1))
                        (f64.convert_i64_u (local.get 2)))))"#,
        );
        let float = |value: f64| Val::F64(value.to_bits());
        let args = [Val::I32(-4), Val::I32(16), float(1e10)];
        let stored = world.call(id, "store", &args).unwrap();
        assert_eq!(stored, [Val::I64(0xffff_ffff_0000_0000u64 as i64)]);
        let args = [float(1.5), float(2.0), Val::I64(4)];
        let divided = world.call(id, "floats", &args).unwrap();
        assert_eq!(divided, [float(1.75)]);
    }
}

#[test]
fn loops_branches_and_tables_of_branches() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (func (export "sum") (param $n i32) (result i32) (local $sum i32)
                    (block $out
                        (loop $more
                            (br_if $out (i32.eqz (local.get $n)))
                            (local.set $sum (i32.add (local.get $sum) (local.get $n)))
                            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                            (br $more)))
                    (local.get $sum))
                (func (export "collatz") (param $n i64) (result i32) (local $steps i32)
                    (loop $more
                        (if (i64.gt_u (local.get $n) (i64.const 1)) (then
                            (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
                            (if (i32.and (i32.wrap_i64 (local.get $n)) (i32.const 1))
                                (then (local.set $n
                                    (i64.add (i64.mul (local.get $n) (i64.const 3)) (i64.const 1))))
                                (else (local.set $n (i64.shr_u (local.get $n) (i64.const 1)))))
                            (br $more))))
                    (local.get $steps))
                (func (export "switch") (param i32) (result i32)
                    (block $d (block $c (block $b (block $a
                        (br_table $a $b $c $d (local.get 0)))
                        (return (i32.const 10)))
                        (return (i32.const 20)))
                        (return (i32.const 30)))
                    (i32.const 40))
                (func (export "nan") (param f64) (result i32)
                    (if (result i32) (f64.lt (local.get 0) (f64.const 1))
                        (then (i32.const 1))
                        (else (if (result i32) (i32.eqz (f64.lt (local.get 0) (f64.const 2)))
                            (then (i32.const 2)) (else (i32.const 3))))))
                (func (export "pick") (param i32 i64 i64) (result i64)
                    (select (local.get 1) (local.get 2) (local.get 0))))"#,
        );
        assert_eq!(world.call_i32(id, "sum", &[1000]).unwrap(), 500_500);
        assert_eq!(world.call_i32(id, "sum", &[0]).unwrap(), 0);
        let steps = world.call(id, "collatz", &[Val::I64(27)]).unwrap();
        assert_eq!(steps, [Val::I32(111)]);
        for (index, expected) in [(0, 10), (1, 20), (2, 30), (3, 40), (4, 40), (-1, 40)] {
            assert_eq!(world.call_i32(id, "switch", &[index]).unwrap(), expected);
        }
        for (value, expected) in [(0.5, 1), (1.5, 3), (2.5, 2), (f64::NAN, 2)] {
            let result = world.call(id, "nan", &[Val::F64(value.to_bits())]).unwrap();
            assert_eq!(result, [Val::I32(expected)], "{value}");
        }
        let pick = |world: &mut World, which| {
            let args = [Val::I32(which), Val::I64(7), Val::I64(-9)];
            world.call(id, "pick", &args).unwrap()
        };
        assert_eq!(pick(&mut world, 5), [Val::I64(7)]);
        assert_eq!(pick(&mut world, 0), [Val::I64(-9)]);
    }
}

#[test]
fn calls_direct_and_indirect_with_many_values() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (type $binary (func (param i32 i32) (result i32)))
                (table 4 funcref)
                (elem (i32.const 0) $add $sub)
                (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
                (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
                (func (export "apply") (param i32 i32 i32) (result i32)
                    (call_indirect (type $binary)
                        (local.get 1) (local.get 2) (local.get 0)))
                (func $fib (export "fib") (param i32) (result i32)
                    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                        (then (local.get 0))
                        (else (i32.add
                            (call $fib (i32.sub (local.get 0) (i32.const 1)))
                            (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
                (func $divmod (param i32 i32) (result i32 i32)
                    (i32.div_u (local.get 0) (local.get 1))
                    (i32.rem_u (local.get 0) (local.get 1)))
                (func (export "swapped") (param i32 i32) (result i32 i32 i64)
                    (local $q i32)
                    (call $divmod (local.get 0) (local.get 1))
                    (local.set 1) (local.set $q)
                    (local.get 1) (local.get $q) (i64.const -1))
                (func (export "block") (param i32) (result i32)
                    (local.get 0) (i32.const 1)
                    (block (param i32 i32) (result i32 i32)
                        (br_if 0 (i32.const 5) (i32.const 6) (local.get 0))
                        (drop) (drop))
                    (i32.sub)))"#,
        );
        assert_eq!(world.call_i32(id, "apply", &[0, 5, 3]).unwrap(), 8);
        assert_eq!(world.call_i32(id, "apply", &[1, 5, 3]).unwrap(), 2);
        assert_eq!(world.call_i32(id, "fib", &[20]).unwrap(), 6765);
        let results = world
            .call(id, "swapped", &[Val::I32(47), Val::I32(10)])
            .unwrap();
        assert_eq!(results, [Val::I32(7), Val::I32(4), Val::I64(-1)]);
        assert_eq!(world.call_i32(id, "block", &[0]).unwrap(), -1);
        assert_eq!(world.call_i32(id, "block", &[1]).unwrap(), -1);
    }
}

#[test]
fn memory_of_every_width() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (memory (export "memory") 1)
                (data (i32.const 16) "\ff\80\7f\01\02\03\04\85")
                (func (export "signed8") (param i32) (result i32) (i32.load8_s (local.get 0)))
                (func (export "unsigned8") (param i32) (result i32) (i32.load8_u offset=1 (local.get 0)))
                (func (export "signed16") (param i32) (result i64) (i64.load16_s (local.get 0)))
                (func (export "signed32") (param i32) (result i64) (i64.load32_s (local.get 0)))
                (func (export "wide") (param i32) (result i64) (i64.load align=1 (local.get 0)))
                (func (export "constant") (result i32) (i32.load (i32.const 19)))
                (func (export "put") (param i32 i64)
                    (i64.store8 (local.get 0) (local.get 1))
                    (i64.store16 offset=1 (local.get 0) (local.get 1))
                    (i64.store32 offset=3 (local.get 0) (local.get 1))
                    (i64.store offset=7 (local.get 0) (local.get 1)))
                (func (export "constants")
                    (i32.store (i32.const 100) (i32.const -2))
                    (f32.store (i32.const 104) (f32.const 1.5))
                    (f64.store (i32.const 108) (f64.const 0.1))
                    (i64.store (i32.const 116) (i64.const -3))))"#,
        );
        assert_eq!(world.call_i32(id, "signed8", &[16]).unwrap(), -1);
        assert_eq!(world.call_i32(id, "unsigned8", &[16]).unwrap(), 0x80);
        let i64_of = |world: &mut World, name, at| world.call(id, name, &[Val::I32(at)]).unwrap();
        assert_eq!(
            i64_of(&mut world, "signed16", 16),
            [Val::I64(0x80ffu16 as i16 as i64)]
        );
        assert_eq!(
            i64_of(&mut world, "signed32", 20),
            [Val::I64(0x8504_0302u32 as i32 as i64)]
        );
        let wide = 0x8504_0302_017f_80ffu64;
        assert_eq!(i64_of(&mut world, "wide", 16), [Val::I64(wide as i64)]);
        assert_eq!(
            world.call(id, "constant", &[]).unwrap(),
            [Val::I32(0x0403_0201)]
        );
        let value = 0x1122_3344_5566_7788u64;
        world
            .call(id, "put", &[Val::I32(200), Val::I64(value as i64)])
            .unwrap();
        world.call(id, "constants", &[]).unwrap();
        let Extern::Memory(memory) = world.export(id, "memory") else {
            panic!()
        };
        let data = world.machine.memory(memory).data();
        assert_eq!(data[200], 0x88);
        assert_eq!(data[201..203], value.to_le_bytes()[..2]);
        assert_eq!(data[203..207], value.to_le_bytes()[..4]);
        assert_eq!(data[207..215], value.to_le_bytes());
        assert_eq!(data[100..104], (-2i32).to_le_bytes());
        assert_eq!(data[104..108], 1.5f32.to_le_bytes());
        assert_eq!(data[108..116], 0.1f64.to_le_bytes());
        assert_eq!(data[116..124], (-3i64).to_le_bytes());
    }
}

#[test]
fn growth_is_seen_by_every_instance_that_shares_the_memory() {
    for mode in modes() {
        let mut world = World::new(mode);
        let memory = world.add_memory(&MemoryType {
            minimum: 1,
            maximum: Some(4),
            page_size_log2: 16,
            memory64: false,
            shared: false,
        });
        world.define("env", "memory", Extern::Memory(memory));
        let wat = r#"(module
            (memory (import "env" "memory") 1 4)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "size") (result i32) (memory.size))
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
            (func (export "grow_and_store") (param i32 i32) (result i32)
                (local $before i32)
                (local.set $before (memory.grow (i32.const 1)))
                (i32.store8 (local.get 0) (local.get 1))
                (local.get $before)))"#;
        let (a, b) = (world.instantiate(wat), world.instantiate(wat));
        world.trap(b, "load", &[Val::I32(70_000)]);
        assert_eq!(
            world.call_i32(a, "grow_and_store", &[70_000, 42]).unwrap(),
            1
        );
        assert_eq!(world.call_i32(b, "load", &[70_000]).unwrap(), 42);
        assert_eq!(world.call_i32(b, "size", &[]).unwrap(), 2);
        world.machine.host_mut().may_grow = false;
        assert_eq!(world.call_i32(b, "grow", &[1]).unwrap(), -1);
        world.machine.host_mut().may_grow = true;
        assert_eq!(world.call_i32(b, "grow", &[3]).unwrap(), -1);
        assert_eq!(world.call_i32(b, "grow", &[-1]).unwrap(), -1);
        assert_eq!(world.call_i32(b, "grow", &[0]).unwrap(), 2);
        assert_eq!(world.machine.grow_memory(memory, 2), Ok(2));
        world
            .call(a, "store", &[Val::I32(4 * 65536 - 1), Val::I32(9)])
            .unwrap();
        assert_eq!(world.call_i32(b, "load", &[4 * 65536 - 1]).unwrap(), 9);
        world.trap(a, "load", &[Val::I32(4 * 65536)]);
    }
}

#[test]
fn growth_inside_a_call_is_seen_by_the_caller() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.define_host("grow", ty("", ""), |machine, caller, _| {
            let memory = machine.instance_memory(caller.unwrap(), 0);
            machine.grow_memory(memory, 1)?;
            Ok(())
        });
        let id = world.instantiate(
            r#"(module
                (import "host" "grow" (func $host))
                (memory 0 3)
                (func $guest (drop (memory.grow (i32.const 1))))
                (func (export "run") (result i32)
                    (call $host)
                    (i32.store (i32.const 65532) (i32.const 5))
                    (call $guest)
                    (i32.store (i32.const 131068) (i32.const 6))
                    (i32.add (i32.load (i32.const 65532)) (i32.load (i32.const 131068)))))"#,
        );
        assert_eq!(world.call_i32(id, "run", &[]).unwrap(), 11);
    }
}

#[test]
fn globals_are_shared() {
    for mode in modes() {
        let mut world = World::new(mode);
        let ty = GlobalType {
            content: ValType::I64,
            mutable: true,
        };
        let counter = world.machine.add_global(ty, Val::I64(40)).unwrap();
        world.define("env", "counter", Extern::Global(counter));
        let wat = r#"(module
            (import "env" "counter" (global $c (mut i64)))
            (global $own (mut f32) (f32.const 0.5))
            (global $copy funcref (ref.func $bump))
            (func $bump (export "bump") (result i64)
                (global.set $c (i64.add (global.get $c) (i64.const 1)))
                (global.get $c))
            (func (export "double") (result f32)
                (global.set $own (f32.add (global.get $own) (global.get $own)))
                (global.get $own))
            (func (export "self") (result funcref) (global.get $copy)))"#;
        let (a, b) = (world.instantiate(wat), world.instantiate(wat));
        assert_eq!(world.call(a, "bump", &[]).unwrap(), [Val::I64(41)]);
        assert_eq!(world.call(b, "bump", &[]).unwrap(), [Val::I64(42)]);
        assert_eq!(world.machine.global_get(counter), Val::I64(42));
        world.machine.global_set(counter, Val::I64(-1)).unwrap();
        assert_eq!(world.call(a, "bump", &[]).unwrap(), [Val::I64(0)]);
        assert_eq!(
            world.call(a, "double", &[]).unwrap(),
            [Val::F32(1.0f32.to_bits())]
        );
        assert_eq!(
            world.call(a, "double", &[]).unwrap(),
            [Val::F32(2.0f32.to_bits())]
        );
        assert_eq!(
            world.call(b, "double", &[]).unwrap(),
            [Val::F32(1.0f32.to_bits())]
        );
        let bump = Val::FuncRef(Some(world.func(a, "bump")));
        assert_eq!(world.call(a, "self", &[]).unwrap(), [bump]);
        assert_ne!(world.call(b, "self", &[]).unwrap(), [bump]);
    }
}

#[test]
fn tables_are_shared_and_functions_run_in_their_own_instance() {
    for mode in modes() {
        let mut world = World::new(mode);
        let table_type = TableType {
            element: RefType::FUNCREF,
            minimum: 3,
            maximum: None,
            table64: false,
        };
        let table = world
            .machine
            .add_table(table_type, Val::FuncRef(None))
            .unwrap();
        world.define("env", "table", Extern::Table(table));
        let callee = world.instantiate(
            r#"(module
                (import "env" "table" (table 3 funcref))
                (memory 1)
                (global $g (mut i32) (i32.const 100))
                (elem (i32.const 1) $next)
                (func $next (export "next") (result i32)
                    (global.set $g (i32.add (global.get $g) (i32.const 1)))
                    (i32.store (i32.const 0) (global.get $g))
                    (i32.load (i32.const 0))))"#,
        );
        let caller = world.instantiate(
            r#"(module
                (import "env" "table" (table 3 funcref))
                (memory 1)
                (global $g (mut i32) (i32.const 7))
                (func (export "run") (param i32) (result i32)
                    (i32.store (i32.const 0) (i32.const 5000))
                    (call_indirect (result i32) (local.get 0))
                    (i32.mul (i32.const 1000))
                    (i32.add (global.get $g))
                    (i32.add (i32.load (i32.const 0)))))"#,
        );
        assert_eq!(
            world.call_i32(caller, "run", &[1]).unwrap(),
            101_000 + 7 + 5000
        );
        let next = world.func(callee, "next");
        world
            .machine
            .table_set(table, 2, Val::FuncRef(Some(next)))
            .unwrap();
        assert_eq!(
            world.machine.table_get(table, 1),
            Some(Val::FuncRef(Some(next)))
        );
        assert_eq!(world.machine.table_get(table, 3), None);
        assert_eq!(
            world.call_i32(caller, "run", &[2]).unwrap(),
            102_000 + 7 + 5000
        );
        assert_eq!(
            world.machine.table_grow(table, 2, Val::FuncRef(Some(next))),
            Ok(3)
        );
        assert_eq!(
            world.call_i32(caller, "run", &[4]).unwrap(),
            103_000 + 7 + 5000
        );
    }
}

#[test]
fn imported_functions_run_in_their_own_instance() {
    for mode in modes() {
        let mut world = World::new(mode);
        world.register(
            "counter",
            r#"(module
                (memory 1)
                (func (export "next") (param i32) (result i32)
                    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (local.get 0)))
                    (i32.load (i32.const 8))))"#,
        );
        let id = world.instantiate(
            r#"(module
                (import "counter" "next" (func $next (param i32) (result i32)))
                (memory 1)
                (func (export "run") (param i32) (result i32)
                    (i32.store (i32.const 8) (i32.const 1000))
                    (drop (call $next (local.get 0)))
                    (i32.add (call $next (local.get 0)) (i32.load (i32.const 8))))
                (export "again" (func $next)))"#,
        );
        assert_eq!(world.call_i32(id, "run", &[3]).unwrap(), 1006);
        assert_eq!(world.call_i32(id, "again", &[1]).unwrap(), 7);
    }
}

#[test]
fn the_start_function_runs_after_the_segments() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (memory 1)
                (data (i32.const 4) "\2a")
                (func $start (i32.store (i32.const 8) (i32.load8_u (i32.const 4))))
                (start $start)
                (func (export "get") (result i32) (i32.load (i32.const 8))))"#,
        );
        assert_eq!(world.call_i32(id, "get", &[]).unwrap(), 42);
    }
}

#[test]
fn external_references_come_back_as_they_went() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module
                (table 2 externref)
                (func (export "put") (param i32 externref) (table.set (local.get 0) (local.get 1)))
                (func (export "get") (param i32) (result externref) (table.get (local.get 0)))
                (func (export "is_null") (param externref) (result i32) (ref.is_null (local.get 0))))"#,
        );
        for value in [Some(0), Some(u32::MAX), None] {
            let value = Val::ExternRef(value);
            world.call(id, "put", &[Val::I32(1), value]).unwrap();
            assert_eq!(world.call(id, "get", &[Val::I32(1)]).unwrap(), [value]);
            let null = i32::from(value == Val::ExternRef(None));
            assert_eq!(
                world.call(id, "is_null", &[value]).unwrap(),
                [Val::I32(null)]
            );
        }
        assert_eq!(
            world.call(id, "get", &[Val::I32(0)]).unwrap(),
            [Val::ExternRef(None)]
        );
    }
}

#[test]
fn slots_beyond_those_of_the_call_are_left_alone() {
    for mode in modes() {
        let mut world = World::new(mode);
        let id = world.instantiate(
            r#"(module (func (export "add") (param i32 i32) (result i32)
                (i32.add (local.get 0) (local.get 1))))"#,
        );
        let add = world.func(id, "add");
        // The upper halves of 32-bit parameters mean nothing.
        let junk = 0xdead_beef_0000_0000u64;
        let mut slots = [Raw::from(junk | 2), Raw::from(junk | 3), Raw::from(99u64)];
        world.machine.call(add, &mut slots).unwrap();
        assert_eq!(slots[0].bits(), 5);
        assert_eq!(slots[2].bits(), 99);
    }
}

#[test]
fn code_is_shared_by_instances_of_several_machines() {
    for mode in modes() {
        let mut first = World::new(mode);
        let mut second = World::new(mode);
        let code = first.code(
            r#"(module (func (export "inc") (param i32) (result i32)
                (i32.add (local.get 0) (i32.const 1))))"#,
        );
        code.translate_all().unwrap();
        let listing = code.listing(0).unwrap();
        assert!(listing.contains("i32.add"), "{listing}");
        for world in [&mut first, &mut second] {
            let id = world
                .machine
                .instantiate(&code, vm_interp::Entities::default())
                .unwrap();
            assert_eq!(world.call_i32(id, "inc", &[41]).unwrap(), 42);
        }
    }
}
