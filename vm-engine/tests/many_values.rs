//! Branches, blocks, loops and calls with so many values that they are copied by one instruction.

mod common;

use common::{call, in_each_mode};

/// Values at a time.
const VALUES: usize = 12;

fn values(ty: &str) -> String {
    [ty; VALUES].join(" ")
}

fn gets() -> String {
    (0..VALUES).map(|n| format!("local.get {n} ")).collect()
}

/// What [`text`]'s `make` gives.
fn make(seed: i64) -> Vec<i64> {
    (0..VALUES as i64)
        .map(|n| seed.wrapping_mul(n + 3) ^ n)
        .collect()
}

/// What [`text`]'s `fold` gives.
fn fold(values: &[i64]) -> i64 {
    values
        .iter()
        .fold(0, |sum, value| sum.wrapping_mul(31).wrapping_add(*value))
}

/// Functions over values of a type, into which an i64 goes by `wrap` and out of which it comes by `unwrap`.
fn text(ty: &str, wrap: &str, unwrap: &str) -> String {
    let many = values(ty);
    let made: String = (0..VALUES)
        .map(|n| {
            let factor = n + 3;
            format!("local.get 0 i64.const {factor} i64.mul i64.const {n} i64.xor {wrap} ")
        })
        .collect();
    let folded: String = (0..VALUES)
        .map(|n| format!("i64.const 31 i64.mul local.get {n} {unwrap} i64.add "))
        .collect();
    let rotated: String = (1..=VALUES)
        .map(|n| format!("local.get {} ", n % VALUES))
        .collect();
    let many_gets = gets();
    let one = format!("i64.const 77 {wrap}");
    format!(
        r#"(module
        (type $results (func (result {many})))
        (type $both (func (param {many}) (result {many})))
        (table funcref (elem $rotate))
        (func $make (param i64) (result {many}) {made})
        (func $fold (param {many}) (result i64) i64.const 0 {folded})
        (func $rotate (type $both) {rotated})
        ;; To another height, two blocks out or one, on one condition or the other.
        (func (export "branch") (param i64 i32) (result i64)
            block $out (type $results)
                block $in (type $results)
                    {one}
                    local.get 0 call $make
                    local.get 1 br_if $in
                    local.get 1 i32.const 0 i32.lt_s i32.eqz br_if $out
                    br $out
                end
                call $rotate
            end
            call $fold)
        ;; The values stand where calls have left them, one at a time.
        (func (export "apart") (param i64 i32) (result i64)
            block $out (type $results)
                {one}
                {}
                local.get 1 br_if $out
                call $rotate
                local.get 1 i32.eqz br_if $out
                unreachable
            end
            call $fold)
        (func $one (param i64) (result {ty}) local.get 0 {wrap})
        (func (export "table") (param i64 i32) (result i64)
            block $c (type $results)
                block $b (type $results)
                    block $a (type $results)
                        {one}
                        local.get 0 call $make
                        local.get 1 br_table $a $b $c $a
                    end
                    call $rotate
                end
                call $rotate
            end
            call $fold)
        ;; A loop with parameters.
        (func (export "loop") (param i64 i32) (result i64)
            local.get 0 call $make
            loop $again (type $both)
                call $rotate
                local.get 1 i32.const 1 i32.sub local.tee 1
                if (type $both)
                    i32.const 0 call_indirect (type $both)
                    local.get 1 i32.const 1 i32.and br_if $again
                    call $rotate
                    br $again
                end
            end
            call $fold)
        ;; Arguments that move up, and down, also with one more below and above them.
        (func (export "calls") (param i64 i32) (result i64)
            local.get 0 call $make
            block (type $both) end
            call $rotate
            {one}
            call $rotate
            call $fold
            drop
            {unwrap}
            local.get 0 call $make
            i32.const 0 call_indirect (type $both)
            call $fold
            i64.add)
        ;; Results of a function that are its parameters in another order.
        (func $swap (param {many} i32) (result {many})
            {rotated}
            local.get {VALUES} br_if 0
            return)
        (func (export "results") (param i64 i32) (result i64)
            local.get 0 call $make
            local.get 1 call $swap
            local.get 1 i32.eqz call $swap
            call $fold)
        (func (export "identity") (param i64 i32) (result i64)
            local.get 0 call $make call $same call $fold)
        (func $same (type $both) {many_gets}))"#,
        (0..VALUES)
            .map(|n| {
                let factor = n + 3;
                format!("local.get 0 i64.const {factor} i64.mul i64.const {n} i64.xor call $one ")
            })
            .collect::<String>(),
    )
}

/// The exports, with what they answer.
type Model = fn(Vec<i64>, i32) -> i64;

fn rotated(mut values: Vec<i64>, by: usize) -> i64 {
    values.rotate_left(by % VALUES);
    fold(&values)
}

const MODELS: [(&str, Model); 7] = [
    ("branch", |values, which| {
        rotated(values, usize::from(which != 0))
    }),
    ("apart", |values, which| {
        rotated(values, usize::from(which == 0))
    }),
    ("table", |values, which| {
        rotated(values, [2, 1, 0].get(which as usize).copied().unwrap_or(2))
    }),
    ("loop", |values, turns| {
        let by = (0..turns).map(|left| match left {
            0 => 1,
            left if left % 2 == 1 => 2,
            _ => 3,
        });
        rotated(values, by.sum())
    }),
    ("calls", |values, _| {
        // What the first calls leave is the first value that came of them.
        let second = rotated(values.clone(), 1);
        let first = values[1];
        first.wrapping_add(second)
    }),
    ("results", |values, _| rotated(values, 2)),
    ("identity", |values, _| rotated(values, 0)),
];

fn check(text: &str) {
    in_each_mode(text, |store, instance| {
        for seed in [1, -7, 0x1234_5678_9abc] {
            for which in 1..12 {
                for (name, model) in MODELS {
                    for which in [which, 0] {
                        if name == "loop" && which == 0 {
                            continue;
                        }
                        let found: i64 = call(store, instance, name, (seed, which)).unwrap();
                        assert_eq!(found, model(make(seed), which), "{name} {seed} {which}");
                    }
                }
            }
        }
    });
}

#[test]
fn many_numbers_arrive_in_their_order() {
    check(&text("i64", "", ""));
}

#[test]
fn many_floats_arrive_in_their_order() {
    check(&text("f64", "f64.reinterpret_i64", "i64.reinterpret_f64"));
}

#[test]
fn many_vectors_arrive_in_their_order() {
    check(&text("v128", "i64x2.splat", "i64x2.extract_lane 1"));
}
