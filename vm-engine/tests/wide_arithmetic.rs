//! 128-bit arithmetic, against Rust's.

mod common;

use common::in_each_mode;

const MODULE: &str = r#"
(module
  (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
    (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "mul_s") (param i64 i64) (result i64 i64)
    (i64.mul_wide_s (local.get 0) (local.get 1)))
  ;; What is below on the stack stays as it is.
  (func (export "mul_u") (param i64 i64) (result i64 i64)
    (local i64 i64)
    (i64.xor (local.get 0) (local.get 1))
    (i64.mul_wide_u (local.get 0) (local.get 1))
    (local.set 3) (local.set 2)
    (i64.xor (i64.xor (local.get 0) (local.get 1)))
    (i64.add (local.get 2)) (local.get 3)))"#;

const EDGES: [u64; 9] = [
    0,
    1,
    2,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    u64::MAX,
];

fn halves(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

#[test]
fn products_are_those_of_rust() {
    in_each_mode(MODULE, |store, instance| {
        type Mul = (u64, u64);
        let signed = instance
            .get_typed_func::<Mul, Mul>(&mut *store, "mul_s")
            .unwrap();
        let unsigned = instance
            .get_typed_func::<Mul, Mul>(&mut *store, "mul_u")
            .unwrap();
        for a in EDGES {
            for b in EDGES {
                let product = i128::from(a as i64) * i128::from(b as i64);
                assert_eq!(
                    signed.call(&mut *store, (a, b)).unwrap(),
                    halves(product as u128)
                );
                let product = u128::from(a) * u128::from(b);
                assert_eq!(unsigned.call(&mut *store, (a, b)).unwrap(), halves(product));
            }
        }
    });
}

#[test]
fn sums_and_differences_are_those_of_rust() {
    in_each_mode(MODULE, |store, instance| {
        type Words = (u64, u64, u64, u64);
        let add = instance
            .get_typed_func::<Words, (u64, u64)>(&mut *store, "add")
            .unwrap();
        let sub = instance
            .get_typed_func::<Words, (u64, u64)>(&mut *store, "sub")
            .unwrap();
        let join = |low, high| u128::from(low) | u128::from(high) << 64;
        for a in EDGES {
            for b in EDGES {
                for (c, d) in [(a, b), (b, a), (1, 0), (u64::MAX, a), (b, u64::MAX)] {
                    let (x, y) = (join(a, b), join(c, d));
                    let sum = add.call(&mut *store, (a, b, c, d)).unwrap();
                    assert_eq!(sum, halves(x.wrapping_add(y)), "{x:#x} + {y:#x}");
                    let difference = sub.call(&mut *store, (a, b, c, d)).unwrap();
                    assert_eq!(difference, halves(x.wrapping_sub(y)), "{x:#x} - {y:#x}");
                }
            }
        }
    });
}
