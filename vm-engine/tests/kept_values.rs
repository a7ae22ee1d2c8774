//! Values that are kept on the operand stack while what they came from changes, and while registers are taken for
//! something else.

mod common;

use common::{call, in_each_mode};

/// Functions of a condition. Each keeps a value that was teed to a local where a label stands, and then sets the
/// local.
const TEED: &str = r#"(module
    (func (export "block") (param $c i32) (result i64) (local $y i32)
        (i32.add (local.get $c) (i32.const 100))
        (block $b (br_if $b (local.get $c)))
        (local.tee $y)
        (local.set $y (i32.const 1))
        (i64.extend_i32_u (i32.sub (local.get $y))))
    (func (export "if") (param $c i32) (result i64) (local $y i64)
        (if (result i64) (local.get $c) (then (i64.const 101)) (else (i64.const 100)))
        (local.tee $y)
        (block (result i64) (local.set $y (i64.const 1)) (local.get $y))
        (i64.sub))
    (func (export "vector") (param $c i32) (result i64) (local $y v128)
        (if (result v128) (local.get $c)
            (then (v128.const i64x2 0 101)) (else (v128.const i64x2 0 100)))
        (local.tee $y)
        (local.set $y (v128.const i64x2 7 1))
        (i64x2.extract_lane 1 (i64x2.sub (local.get $y))))
    (func (export "several") (param $c i32) (result i64) (local $y f64)
        (if (result f64 f64) (local.get $c)
            (then (f64.const 3) (f64.const 98)) (else (f64.const 4) (f64.const 96)))
        (local.tee $y)
        (local.set $y (f64.const 1))
        (f64.sub (local.get $y))
        (i64.trunc_f64_u (f64.add)))
    (func (export "branch") (param $c i32) (result i64) (local $y f32)
        (block $b (result f32)
            (br_if $b (f32.const 101) (local.get $c)) (drop) (f32.const 100))
        (local.tee $y)
        (local.set $y (f32.const 1))
        (i64.trunc_f32_u (f32.sub (local.get $y))))
    (func (export "loop") (param $c i32) (result i64) (local $y i32)
        (i32.add (local.get $c) (i32.const 100))
        (loop $l (param i32) (result i32)
            (local.tee $y)
            (local.set $y (i32.const 1))
            (i32.sub (local.get $y)))
        (i64.extend_i32_u)))"#;

/// Functions of an address and a float. Each loads a lane into a vector that was computed before the address.
const LANES: &str = r#"(module
    (memory 1)
    (data (i32.const 64) "\20\00\00\00\21\00\00\00\22\00\00\00\23\00\00\00")
    (func (export "loaded") (param $a i32) (param $d f64) (result i64)
        (i64x2.extract_lane 1
            (v128.load32_lane offset=100 1
                (i32.load offset=8 (i32.add (local.get $a) (local.get $a)))
                (i64x2.replace_lane 1 (v128.const i64x2 0 0) (i64.reinterpret_f64 (local.get $d))))))
    (func (export "added") (param $a i32) (param $d f64) (result i64)
        (i64x2.extract_lane 1
            (v128.load16_lane offset=100 1
                (i32.add (local.get $a) (local.get $a))
                (i64x2.replace_lane 1 (v128.const i64x2 0 0) (i64.reinterpret_f64 (local.get $d))))))
    (func (export "converted") (param $a i32) (param $d f64) (result i64)
        (i64x2.extract_lane 1
            (v128.load8_lane offset=100 3
                (i32.trunc_sat_f64_u (f64.add (local.get $d) (local.get $d)))
                (i64x2.splat (i64.reinterpret_f64 (f64.add (local.get $d) (f64.const 0))))))))"#;

#[test]
fn a_value_that_was_teed_outlives_the_next_value_of_the_local() {
    in_each_mode(TEED, |store, instance| {
        for name in ["block", "if", "vector", "several", "branch", "loop"] {
            // The last turns are in the optimized tier.
            for turn in 0..200u32 {
                let condition = turn % 2;
                let difference: u64 = call(store, instance, name, condition).unwrap();
                assert_eq!(difference, 99 + u64::from(condition), "{name}, call {turn}");
            }
        }
    });
}

#[test]
fn a_vector_outlives_the_address_of_its_lane() {
    in_each_mode(LANES, |store, instance| {
        for name in ["loaded", "added", "converted"] {
            let float = 1.5f64;
            let lane: u64 = call(store, instance, name, (28u32, float)).unwrap();
            assert_eq!(lane, float.to_bits(), "{name}");
        }
    });
}
