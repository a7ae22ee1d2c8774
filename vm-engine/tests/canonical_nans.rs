//! `Config::canonical_nans`: in every mode, every operator of floats gives the canonical NaN, and everything else stays.

mod common;

use common::{call, modes_with};
use vm_engine::{Engine, Instance, Module, Store};

fn engines(canonical: bool) -> Vec<Engine> {
    modes_with(|config| {
        config.canonical_nans(canonical);
    })
}

const CANONICAL_32: u32 = 0x7fc0_0000;
const CANONICAL_64: u64 = 0x7ff8_0000_0000_0000;

/// Numbers, infinities, and NaNs of either sign, quiet and signalling, with all kinds of payloads.
const VALUES_32: [u32; 12] = [
    0,
    0x8000_0000,
    0x3f80_0000,
    0xc020_0000,
    0x7f80_0000,
    0xff80_0000,
    CANONICAL_32,
    0xffc0_0000,
    0x7f80_0001,
    0xff80_1234,
    0x7fff_ffff,
    0x7fe0_0007,
];
const VALUES_64: [u64; 12] = [
    0,
    1 << 63,
    0x3ff0_0000_0000_0000,
    0xc004_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    CANONICAL_64,
    CANONICAL_64 | 1 << 63,
    0x7ff0_0000_0000_0001,
    0xfff0_0000_1234_0000,
    u64::MAX,
    0x7ffc_0000_0000_0007,
];

const UNARY: [&str; 5] = ["ceil", "floor", "trunc", "nearest", "sqrt"];
const BINARY: [&str; 6] = ["add", "sub", "mul", "div", "min", "max"];
const TERNARY: [&str; 2] = ["relaxed_madd", "relaxed_nmadd"];

/// A module with every operator on bits: functions of two parameters, of which unary operators take the first, and ternary ones that again. With
/// their names, and whether they are of 64 bits.
fn module() -> (String, Vec<(String, bool)>) {
    let mut text = String::from("(module ");
    let mut names = Vec::new();
    for (wide, int, float, lanes) in [(false, "i32", "f32", "x4"), (true, "i64", "f64", "x2")] {
        let mut add = |name: String, body: String| {
            text +=
                &format!("(func (export \"{name}\") (param {int} {int}) (result {int}) {body})");
            names.push((name, wide));
        };
        let scalar = |local: u32| format!("({float}.reinterpret_{int} (local.get {local}))");
        let vector = |local: u32| format!("({int}{lanes}.splat (local.get {local}))");
        let unary = UNARY.map(|op| (op, &[0][..]));
        let binary = BINARY.map(|op| (op, &[0, 1][..]));
        let ternary = TERNARY.map(|op| (op, &[0, 1, 0][..]));
        for (op, operands) in unary.into_iter().chain(binary).chain(ternary) {
            if operands.len() < 3 {
                let operands: String = operands.iter().map(|n| scalar(*n)).collect();
                let body = format!("({int}.reinterpret_{float} ({float}.{op} {operands}))");
                add(format!("{float}.{op}"), body);
            }
            let operands: String = operands.iter().map(|n| vector(*n)).collect();
            let body = format!("({int}{lanes}.extract_lane 1 ({float}{lanes}.{op} {operands}))");
            add(format!("{float}{lanes}.{op}"), body);
        }
    }
    text += r#"
      (func (export "demote") (param i64) (result i32)
        (i32.reinterpret_f32 (f32.demote_f64 (f64.reinterpret_i64 (local.get 0)))))
      (func (export "promote") (param i32) (result i64)
        (i64.reinterpret_f64 (f64.promote_f32 (f32.reinterpret_i32 (local.get 0)))))
      (func (export "demote.vector") (param i64) (result i32)
        (i32x4.extract_lane 1 (f32x4.demote_f64x2_zero (i64x2.splat (local.get 0)))))
      (func (export "promote.vector") (param i32) (result i64)
        (i64x2.extract_lane 1 (f64x2.promote_low_f32x4 (i32x4.splat (local.get 0)))))
      (func (export "loop") (param i32) (result i64) (local f64)
        (loop
          (local.set 1 (f64.div
            (f64.sub (local.get 1) (local.get 1)) (f64.sub (local.get 1) (local.get 1))))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (i64.reinterpret_f64 (local.get 1)))
      (func (export "kept") (param i64) (result i64)
        (i64.reinterpret_f64 (f64.neg (f64.abs (f64.copysign
          (f64.reinterpret_i64 (local.get 0)) (f64.const 1)))))))"#;
    (text, names)
}

/// What something gives: its name, its operands, the result, and whether that has 64 bits.
type Given = (String, u64, u64, u64, bool);

/// What every operator gives on all pairs of values.
fn results(engine: &Engine) -> Vec<Given> {
    let (text, names) = module();
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let store = &mut store;
    let mut results = Vec::new();
    for (name, wide) in names {
        for (a, b) in (0..144).map(|n| (n / 12, n % 12)) {
            let (a, b, result) = if wide {
                let (a, b) = (VALUES_64[a], VALUES_64[b]);
                let result: u64 = call(store, instance, &name, (a, b)).unwrap();
                (a, b, result)
            } else {
                let (a, b) = (VALUES_32[a], VALUES_32[b]);
                let result: u32 = call(store, instance, &name, (a, b)).unwrap();
                (a.into(), b.into(), result.into())
            };
            results.push((name.clone(), a, b, result, wide));
        }
    }
    for value in VALUES_64 {
        for name in ["demote", "demote.vector"] {
            let result: u32 = call(store, instance, name, value).unwrap();
            results.push((name.to_owned(), value, 0, result.into(), false));
        }
    }
    for value in VALUES_32 {
        for name in ["promote", "promote.vector"] {
            let result: u64 = call(store, instance, name, value).unwrap();
            results.push((name.to_owned(), value.into(), 0, result, true));
        }
    }
    results
}

fn is_nan(bits: u64, wide: bool) -> bool {
    match wide {
        true => f64::from_bits(bits).is_nan(),
        false => f32::from_bits(bits as u32).is_nan(),
    }
}

#[test]
fn every_operator_gives_the_canonical_nan_and_everything_else_stays() {
    for (engine, plain) in engines(true).iter().zip(engines(false)) {
        let mut nans = 0;
        for (canonical, plain) in results(engine).into_iter().zip(results(&plain)) {
            let (name, a, b, result, wide) = canonical;
            let what = format!("{name} of {a:#x} and {b:#x}, {}", engine.strategy());
            if is_nan(plain.3, wide) {
                nans += 1;
                let expected = if wide {
                    CANONICAL_64
                } else {
                    CANONICAL_32.into()
                };
                assert_eq!(result, expected, "{what}");
            } else {
                assert_eq!(result, plain.3, "{what}");
            }
        }
        assert!(nans > 1000, "{nans}");
    }
}

#[test]
fn it_holds_in_loops_and_leaves_what_is_not_computed() {
    for engine in engines(true) {
        let (text, _) = module();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let looped: u64 = call(&mut store, instance, "loop", 1000).unwrap();
        assert_eq!(looped, CANONICAL_64, "{}", engine.strategy());
        // These keep the payload, as the specification says.
        let kept: u64 = call(&mut store, instance, "kept", 0x7ff0_0000_0000_1234_u64).unwrap();
        assert_eq!(kept, 0xfff0_0000_0000_1234);
    }
}
