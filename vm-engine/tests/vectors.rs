//! Vectors across everything that moves values: calls, blocks, globals, tables, the host.

mod common;

use common::{in_each_mode, modes};
use vm_engine::{Caller, Func, FuncType, Global, GlobalType, Instance, Module, Mutability};
use vm_engine::{Store, V128, Val, ValType};

const A: u128 = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
const B: u128 = 0xffff_0000_ffff_0000_1234_5678_9abc_def0;

fn v128(bits: u128) -> Val {
    Val::V128(V128::from(bits))
}

/// Calls an export and answers its results.
fn call(store: &mut Store<()>, instance: Instance, name: &str, params: &[Val]) -> Vec<Val> {
    let func = instance.get_func(&mut *store, name).unwrap();
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(store, params, &mut results).unwrap();
    results
}

/// Values as numbers, to be compared.
fn bits(values: &[Val]) -> Vec<u128> {
    let bits = |value: &Val| match *value {
        Val::I32(value) => value.cast_unsigned().into(),
        Val::I64(value) => value.cast_unsigned().into(),
        Val::F32(bits) => bits.into(),
        Val::F64(bits) => bits.into(),
        Val::V128(vector) => vector.as_u128(),
        ref other => panic!("{other:?} is not a number"),
    };
    values.iter().map(bits).collect()
}

#[test]
fn parameters_and_results_of_all_widths_stand_next_to_each_other() {
    let text = r#"(module
        (func $mix (export "mix") (param i32 v128 i64 v128 f32)
                                  (result v128 f32 v128 i64 i32)
          (local $unused v128)
          (local.get 3) (local.get 4) (local.get 1) (local.get 2) (local.get 0))
        (func (export "through") (param i32 v128 i64 v128 f32)
                                 (result v128 f32 v128 i64 i32)
          (call $mix (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
        (func (export "swap") (param v128 v128) (result v128 v128)
          (local.get 1) (local.get 0))
        (func (export "twice") (param v128 i32) (result v128 i32 v128)
          (local.get 0) (local.get 1) (local.get 0))
        (func (export "tail") (param i32 v128 i64 v128 f32)
                              (result v128 f32 v128 i64 i32)
          (return_call $mix
            (i32.add (local.get 0) (i32.const 1)) (local.get 3) (local.get 2) (local.get 1)
            (local.get 4)))
        (func (export "zero") (result v128) (local v128) (local.get 0)))"#;
    in_each_mode(text, |store, instance| {
        let params = [
            Val::I32(7),
            v128(A),
            Val::I64(-1),
            v128(B),
            Val::F32(1.5f32.to_bits()),
        ];
        let expected = [B, 1.5f32.to_bits().into(), A, u64::MAX.into(), 7];
        for name in ["mix", "through"] {
            assert_eq!(bits(&call(store, instance, name, &params)), expected);
        }
        let expected = [A, 1.5f32.to_bits().into(), B, u64::MAX.into(), 8];
        assert_eq!(bits(&call(store, instance, "tail", &params)), expected);
        let swapped = call(store, instance, "swap", &[v128(A), v128(B)]);
        assert_eq!(bits(&swapped), [B, A]);
        let twice = call(store, instance, "twice", &[v128(A), Val::I32(3)]);
        assert_eq!(bits(&twice), [A, 3, A]);
        assert_eq!(bits(&call(store, instance, "zero", &[])), [0]);
    });
}

#[test]
fn blocks_choices_and_loops_carry_vectors() {
    let text = r#"(module
        (func (export "block") (param v128 v128 i32) (result i32 v128)
          (block $out (result i32 v128)
            (i32.const 1) (local.get 0)
            (br_if $out (local.get 2))
            (drop) (drop)
            (i32.const 2) (local.get 1)))
        (func (export "if") (param v128 v128 i32) (result v128)
          (local.get 0)
          (if (param v128) (result v128) (local.get 2)
            (then (i8x16.add (local.get 1)))
            (else (v128.xor (local.get 1)))))
        (func (export "table") (param v128 v128 i32) (result v128 v128)
          (block $b (result v128 v128)
            (block $a (result v128 v128)
              (local.get 0) (local.get 1)
              (br_table $a $b (local.get 2)))
            (drop) (i32x4.splat (i32.const 5))))
        (func (export "select") (param v128 v128 i32) (result v128)
          (select (local.get 0) (local.get 1) (local.get 2)))
        (func (export "sum") (param v128 i32) (result v128)
          (local $sum v128)
          (loop $again
            (local.set $sum (i32x4.add (local.get $sum) (local.get 0)))
            (br_if $again (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
          (local.get $sum))
        (func (export "set") (param v128) (result v128 v128)
          ;; What is pending keeps the value that the local had.
          (i32x4.add (local.get 0) (local.get 0))
          (local.get 0)
          (local.set 0 (v128.const i64x2 0 0))))"#;
    in_each_mode(text, |store, instance| {
        let mut three = |name: &str, condition: i32| {
            let params = [v128(A), v128(B), Val::I32(condition)];
            bits(&call(store, instance, name, &params))
        };
        assert_eq!(three("block", 1), [1, A]);
        assert_eq!(three("block", 0), [2, B]);
        assert_eq!(three("if", 0), [A ^ B]);
        let fives = 0x0000_0005_0000_0005_0000_0005_0000_0005;
        assert_eq!(three("table", 0), [A, fives]);
        assert_eq!(three("table", 9), [A, B]);
        assert_eq!(three("select", 1), [A]);
        assert_eq!(three("select", 0), [B]);
        let sum = call(store, instance, "sum", &[v128(fives), Val::I32(20)]);
        assert_eq!(bits(&sum), [20 * fives]);
        let set = call(store, instance, "set", &[v128(fives)]);
        assert_eq!(bits(&set), [2 * fives, fives]);
    });
}

#[test]
fn globals_and_memory_hold_vectors() {
    let text = r#"(module
        (memory (export "memory") 1)
        (global $g (export "g") (mut v128) (v128.const i64x2 1 2))
        (global $copy v128 (v128.const i32x4 9 8 7 6))
        (func (export "exchange") (param v128) (result v128 v128)
          (global.get $g)
          (global.set $g (local.get 0))
          (global.get $copy))
        (func (export "copy") (param i32 i32)
          (v128.store offset=1 (local.get 1) (v128.load offset=3 (local.get 0))))
        (func (export "lane") (param i32 v128) (result v128)
          (v128.load16_lane offset=2 5 (local.get 0) (v128.load (i32.const 0))))
        (func (export "at") (param i32) (result v128) (v128.load (local.get 0))))"#;
    in_each_mode(text, |store, instance| {
        let results = call(store, instance, "exchange", &[v128(B)]);
        let [first, second] = bits(&results)[..] else {
            panic!("two results");
        };
        assert_eq!(first, 2 << 64 | 1);
        assert_eq!(second, 6 << 96 | 7 << 64 | 8 << 32 | 9);
        let global = instance.get_global(&mut *store, "g").unwrap();
        assert_eq!(bits(&[global.get(&mut *store)]), [B]);
        global.set(&mut *store, v128(A)).unwrap();
        assert_eq!(bits(&call(store, instance, "exchange", &[v128(0)]))[0], A);

        let memory = instance.get_memory(&mut *store, "memory").unwrap();
        memory.write(&mut *store, 13, &A.to_le_bytes()).unwrap();
        call(store, instance, "copy", &[Val::I32(10), Val::I32(100)]);
        let mut copy = [0; 16];
        memory.read(&*store, 101, &mut copy).unwrap();
        assert_eq!(copy, A.to_le_bytes());
        let at = instance.get_func(&mut *store, "at").unwrap();
        let mut results = [Val::I32(0)];
        at.call(&mut *store, &[Val::I32(65520)], &mut results)
            .unwrap();
        let error = at.call(&mut *store, &[Val::I32(65521)], &mut results);
        assert!(error.unwrap_err().to_string().contains("out of bounds"));
    });
}

#[test]
fn host_functions_take_and_return_vectors() {
    for engine in modes() {
        let text = r#"(module
            (import "" "f" (func $f (param v128 i32 v128) (result i32 v128)))
            (import "" "g" (global $g v128))
            (func (export "run") (param v128 i32) (result i32 v128)
              (call $f (local.get 0) (local.get 1) (global.get $g))))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let ty = FuncType::new(
            [ValType::V128, ValType::I32, ValType::V128],
            [ValType::I32, ValType::V128],
        );
        let host = Func::new(
            &mut store,
            ty,
            |_: Caller<'_, ()>, params: &[Val], results: &mut [Val]| {
                let [a, n, b] = params else {
                    panic!("three parameters");
                };
                results[0] = Val::I32(n.unwrap_i32() + 1);
                let sum = a
                    .unwrap_v128()
                    .as_u128()
                    .wrapping_add(b.unwrap_v128().as_u128());
                results[1] = Val::V128(sum.into());
                Ok(())
            },
        );
        let ty = GlobalType::new(ValType::V128, Mutability::Const);
        let global = Global::new(&mut store, ty, v128(B)).unwrap();
        let imports = [host.into(), global.into()];
        let instance = Instance::new(&mut store, &module, &imports).unwrap();
        let results = call(&mut store, instance, "run", &[v128(A), Val::I32(41)]);
        assert_eq!(bits(&results), [42, A.wrapping_add(B)]);
        let mut results = [Val::I32(0), Val::I32(0)];
        host.call(&mut store, &[v128(1), Val::I32(1), v128(2)], &mut results)
            .unwrap();
        assert_eq!(bits(&results), [2, 3]);
    }
}
