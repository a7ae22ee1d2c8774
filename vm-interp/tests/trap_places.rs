//! Of all that may trap in a tree of operators, or in several that share a cell, the one that does is reported.

mod common;

use std::collections::BTreeSet;

use common::{Mode, World, modes};
use vm_interp::{CallError, Threading, TrapCode, Val};

/// Bodies of functions of three i32s: addresses, of which some are outside. What they load are such addresses,
/// too, and zeros.
const BODIES: &[&str] = &[
    // Two and more loads side by side, of each width.
    "(drop (i32.add (i32.load (local.get 0)) (i32.load offset=4 (local.get 1))))",
    "(drop (i32.sub (i32.load8_u (local.get 0)) (i32.load8_s (local.get 1))))",
    "(drop (i32.xor (i32.load16_u (local.get 0)) (i32.load16_s (local.get 1))))",
    "(drop (i64.add (i64.load (local.get 0)) (i64.load (local.get 1))))",
    "(drop (i64.sub (i64.load32_u (local.get 0)) (i64.load8_s (local.get 1))))",
    "(drop (i64.and (i64.load32_s (local.get 0)) (i64.load16_u (local.get 1))))",
    "(drop (f32.add (f32.load (local.get 0)) (f32.load (local.get 1))))",
    "(drop (f64.mul (f64.load (local.get 0)) (f64.load (local.get 1))))",
    "(drop (i32.add (i32.mul (i32.load (local.get 0)) (i32.load (local.get 1))) (i32.load (local.get 2))))",
    "(drop (f64.add (f64.load (local.get 0)) (f64.mul (f64.load (local.get 1)) (f64.load (local.get 2)))))",
    "(drop (i32.add (i32.load (local.get 0)) (i32.load (i32.const 0x7fffffff))))",
    // Loads of what has been loaded.
    "(drop (i32.load (i32.load (local.get 0))))",
    "(drop (i32.load8_u (i32.add (i32.load (local.get 0)) (i32.load (local.get 1)))))",
    "(drop (i32.load (i32.load (i32.load (local.get 0)))))",
    "(drop (i64.load (i32.add (local.get 1) (i32.load (local.get 0)))))",
    "(drop (f64.load (i32.load offset=16 (i32.and (local.get 0) (i32.const -4)))))",
    // Stores whose operands load.
    "(i32.store (local.get 0) (i32.load (local.get 1)))",
    "(i32.store (i32.load (local.get 0)) (local.get 1))",
    "(i32.store (i32.load (local.get 0)) (i32.load (local.get 1)))",
    "(i64.store offset=8 (i32.load (local.get 0)) (i64.add (i64.load (local.get 1)) (i64.load (local.get 2))))",
    "(i32.store8 (local.get 2) (i32.add (i32.load8_u (local.get 0)) (i32.load8_u (local.get 1))))",
    "(i32.store16 (local.get 2) (i32.load16_u (local.get 0)))",
    "(f32.store (local.get 0) (f32.add (f32.load (local.get 1)) (f32.load (local.get 2))))",
    "(f64.store (local.get 0) (f64.load (local.get 1)))",
    "(i64.store32 (local.get 0) (i64.load32_u (local.get 1)))",
    // Other roots.
    "(global.set 0 (i32.add (i32.load (local.get 0)) (i32.load (local.get 1))))",
    "(global.set 1 (f64.add (f64.load (local.get 0)) (f64.load (local.get 1))))",
    "(block (br_if 0 (i32.lt_u (i32.load (local.get 0)) (i32.load (local.get 1)))))",
    "(if (i32.and (i32.load (local.get 0)) (i32.load (local.get 1))) (then))",
    "(drop (select (i32.load (local.get 0)) (i32.load (local.get 1)) (i32.load (local.get 2))))",
    "(drop (select (f64.load (local.get 0)) (f64.load (local.get 1)) (i32.eqz (i32.load (local.get 2)))))",
    "(block (br_table 0 0 (i32.add (i32.load (local.get 0)) (i32.load (local.get 1)))))",
    "(call_indirect (i32.add (i32.load (local.get 0)) (i32.load (local.get 1))))",
    "(call $take (i32.load (local.get 0)) (i32.add (i32.load (local.get 1)) (i32.load (local.get 2))))",
    "(local.set 2 (i32.add (i32.load (local.get 0)) (i32.load (local.get 1))))",
    "(loop
        (local.set 2 (i32.sub (local.get 2) (i32.const 64)))
        (br_if 0 (i32.gt_u (i32.load (local.get 2)) (i32.load (local.get 1)))))",
    // Several that share a cell.
    "(local.set 2 (i32.load (local.get 0))) (local.set 0 (i32.load (local.get 1))) (drop (i32.load (local.get 2)))",
    "(i32.store (local.get 0) (i32.load (local.get 1))) (i32.store offset=4 (local.get 2) (i32.const 7))",
    "(local.set 2 (i32.load8_u (local.get 0))) (i32.store8 (local.get 1) (local.get 2))",
    "(i64.store (local.get 0) (i64.load (local.get 1))) (i64.store (local.get 2) (i64.const 7))",
    "(local.set 0 (i32.load (local.get 0))) (br_if 0 (i32.eqz (local.get 0))) (drop (i32.load (local.get 1)))",
    // What traps in other ways.
    "(drop (i32.div_u (i32.load (local.get 0)) (i32.load (local.get 1))))",
    "(drop (i32.rem_s (i32.load (local.get 0)) (i32.div_s (i32.load (local.get 1)) (local.get 2))))",
    "(drop (i64.div_s (i64.load (local.get 0)) (i64.load (local.get 1))))",
    "(i32.store (i32.div_u (local.get 1) (local.get 2)) (i32.load (local.get 0)))",
    "(drop (i32.load (i32.div_u (local.get 0) (local.get 1))))",
    "(drop (i32.add (i32.div_u (local.get 0) (local.get 1)) (i32.div_u (local.get 1) (local.get 2))))",
    "(drop (i32.add (i32.trunc_f64_u (f64.load (local.get 0))) (i32.trunc_f32_u (f32.load (local.get 1)))))",
    "(drop (i32.load (i32.trunc_f64_u (f64.div (f64.convert_i32_u (local.get 0)) (f64.convert_i32_u (local.get 1))))))",
    // Vectors, and what is made of numbers.
    "(drop (v128.xor (v128.load (local.get 0)) (v128.load (local.get 1))))",
    "(v128.store (local.get 0) (i32x4.add (v128.load (local.get 1)) (v128.load (local.get 2))))",
    "(v128.store (i32.load (local.get 0)) (v128.load (local.get 1)))",
    "(drop (i32x4.add (v128.load32_splat (local.get 0)) (v128.load8_splat (local.get 1))))",
    "(drop (v128.load32_lane 1 (local.get 0) (v128.load (local.get 1))))",
    "(drop (v128.load8_lane 3 (i32.load (local.get 0)) (v128.load64_zero (local.get 1))))",
    "(drop (v128.load64_lane 1 (local.get 0) (v128.load64_lane 0 (local.get 1) (local.get 3))))",
    "(v128.store16_lane 2 (local.get 0) (v128.load (local.get 1)))",
    "(v128.store64_lane 1 (i32.load (local.get 0)) (v128.load (local.get 1)))",
    "(drop (i16x8.add (v128.load8x8_s (local.get 0)) (v128.load8x8_u (local.get 1))))",
    "(drop (f64x2.replace_lane 1 (v128.load (local.get 0)) (f64.load (local.get 1))))",
    "(drop (i64x2.replace_lane 0 (v128.load (local.get 0)) (i64.load (local.get 1))))",
    "(drop (v128.bitselect (v128.load (local.get 0)) (v128.load (local.get 1)) (v128.load (local.get 2))))",
    "(drop (i32.add (i32x4.extract_lane 0 (v128.load (local.get 0))) (i8x16.bitmask (v128.load (local.get 1)))))",
    "(drop (select (v128.load (local.get 0)) (v128.load (local.get 1)) (i32.load (local.get 2))))",
    "(drop (i8x16.shl (v128.load (local.get 0)) (i32.load (local.get 1))))",
];

/// Inside, at words that are zero, that are addresses outside, and that are addresses of such; and outside.
const ADDRESSES: [u32; 4] = [0, 256, 1024, 0xffff_fff0];

/// A module with that memory and a function for each body. Before the body its parameters are used or not: those
/// that are used much live in registers.
fn module(uses: usize) -> String {
    let words = |word: &str| word.repeat(32);
    let mut text = format!(
        r#"(module
            (memory 1 1)
            (global (mut i32) (i32.const 0))
            (global (mut f64) (f64.const 0))
            (table 4 4 funcref)
            (type $none (func))
            (func $take (param i32 i32))
            (data (i32.const 256) "{}")
            (data (i32.const 1024) "{}")
        "#,
        words(r"\f0\ff\ff\ff"),
        words(r"\00\01\00\00"),
    );
    let used =
        "(local.set 0 (local.get 0)) (local.set 1 (local.get 1)) (local.set 2 (local.get 2)) ";
    for (n, body) in BODIES.iter().enumerate() {
        let used = used.repeat(uses);
        text +=
            &format!("(func (export \"f{n}\") (param i32 i32 i32) (local v128) {used} {body})\n");
    }
    text + ")"
}

/// How many instructions of a body may trap.
fn may_trap(body: &str) -> usize {
    let parts = [
        "load",
        "store",
        ".div_",
        ".rem_",
        ".trunc_f",
        "call_indirect",
    ];
    let traps = |word: &&str| parts.iter().any(|part| word.contains(part));
    body.split(['(', ' ', '\n']).filter(traps).count()
}

/// Where each call of a body traps, if it does, and why.
fn places(world: &mut World, text: &str, n: usize) -> Vec<Option<(TrapCode, u32)>> {
    let id = world.instantiate(text);
    let func = world.func(id, &format!("f{n}"));
    let mut places = Vec::new();
    for a in ADDRESSES {
        for b in ADDRESSES {
            for c in ADDRESSES {
                let args = [a, b, c].map(|address| Val::I32(address.cast_signed()));
                places.push(match world.call_func(func, &args) {
                    Ok(_) => None,
                    Err(CallError::Trap(trap)) => Some((trap.code, trap.frames[0].offset)),
                    Err(other) => panic!("{}: {other:?}", BODIES[n]),
                });
            }
        }
    }
    places
}

fn compare(uses: usize) {
    let text = module(uses);
    let all: Vec<Mode> = modes();
    // One instruction after the other: there is nothing to confuse.
    let token = all.iter().find(|mode| mode.threading == Threading::Token);
    let token = *token.expect("there is a token executor");
    let mut wrong = Vec::new();
    for (n, body) in BODIES.iter().enumerate() {
        let expected = places(&mut World::new(token), &text, n);
        let trapped: BTreeSet<u32> = expected.iter().flatten().map(|(_, at)| *at).collect();
        if trapped.len() != may_trap(body) {
            wrong.push(format!("some of it never traps: {body}"));
        }
        for mode in &all {
            let found = places(&mut World::new(*mode), &text, n);
            let mut both = expected.iter().zip(&found);
            if let Some((expected, found)) = both.find(|(expected, found)| expected != found) {
                wrong.push(format!("{mode:?}: {body}: {expected:x?}, not {found:x?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_operators_on_slots_the_one_that_traps_is_reported() {
    compare(0);
}

#[test]
fn of_operators_on_registers_the_one_that_traps_is_reported() {
    compare(3);
}
