//! Values that stay on the operand stack while what they were computed from changes, and those that are
//! computed while others wait: every combination of how they come to be and what then happens.

mod common;

use common::compare::Program;

const TYPES: [&str; 5] = ["i32", "i64", "f32", "f64", "v128"];

/// What a combination is made of. `T` stands for the type, `A` and `B` for two values of it, `C` for a
/// condition that a host would know.
type Part = (&'static str, &'static str);

/// Ways to leave a value on the stack at which a label stands, or that has stood there for long. The value is
/// that of the local `x`, or `A`.
const SETTLED: &[Part] = &[
    ("nothing", "local.get $x"),
    ("a block", "local.get $x block end"),
    (
        "a block that is branched to",
        "local.get $x block C br_if 0 end",
    ),
    ("an if's result", "C if (result T) A else B end"),
    (
        "one of several results",
        "C if (result i32 T) i32.const 3 A else i32.const 4 B end",
    ),
    ("a branch", "block (result T) A C br_if 0 drop B end"),
    (
        "a table of branches",
        "block (result T) A C br_table 0 0 end",
    ),
    (
        "a branch not taken",
        "block (result T) B A C i32.eqz br_if 0 local.set $z drop local.get $z end",
    ),
    (
        "an if's parameter",
        "A C if (param T) (result T) else drop B end",
    ),
    ("a loop's parameter", "A loop (param T) (result T) end"),
    ("a loop's result", "loop (result T) A end"),
    ("a call's result", "local.get $x call $same"),
    ("many above it", "local.get $x MANY"),
];

/// What happens to such a value. It stays on the stack.
const HAPPENS: &[Part] = &[
    ("tee, set", "local.tee $y B local.set $y"),
    ("tee, tee", "local.tee $y B local.tee $y drop"),
    (
        "two tees, set",
        "local.tee $z local.tee $y B local.set $z B local.set $y",
    ),
    (
        "tee, set from another",
        "local.tee $y B local.set $z local.get $z local.set $y",
    ),
    (
        "tee, set in a block",
        "local.tee $y block B local.set $y C br_if 0 end",
    ),
    (
        "tee, set in a loop",
        "local.tee $y loop B local.set $y C i32.const 0 local.set $c br_if 0 end",
    ),
    (
        "tee, set on one way",
        "local.tee $y C if B local.set $y end",
    ),
    (
        "tee, set by a block's result",
        "local.tee $y block (result T) B C br_if 0 drop A end local.set $y",
    ),
    (
        "tee, set by an if's result",
        "local.tee $y C if (result T) B else A end local.tee $y drop",
    ),
    (
        "tee, then a label, then set",
        "local.tee $y block C br_if 0 end B local.set $y",
    ),
    (
        "tee in a block, set outside",
        "block (param T) (result T) local.tee $y C br_if 0 end B local.set $y",
    ),
    (
        "tee and many more, then set",
        "local.tee $y MANY B local.set $y",
    ),
    (
        "tee, set by a callee's result",
        "local.tee $y B call $same local.set $y",
    ),
    (
        "tee, tail of a loop",
        "loop (param T) (result T) local.tee $y B local.set $y C i32.const 0 local.set $c br_if 0 end",
    ),
];

fn value(ty: &str, number: u32) -> String {
    match ty {
        "v128" => format!("v128.const i32x4 {number} 1 2 {number}"),
        _ => format!("{ty}.const {number}"),
    }
}

/// Puts the parts' letters in.
fn written(part: &str, ty: &str) -> String {
    let many = "local.get $c ".repeat(70) + &"drop ".repeat(70);
    part.split_inclusive([' ', '(', ')'])
        .map(|word| {
            let end = word.trim_end_matches([' ', '(', ')']).len();
            let (word, rest) = word.split_at(end);
            let word = match word {
                "T" => ty.to_owned(),
                "A" => value(ty, 100),
                "B" => value(ty, 5),
                "C" => "local.get $c".to_owned(),
                "MANY" => many.clone(),
                word => word.to_owned(),
            };
            word + rest
        })
        .collect()
}

/// A function of a parameter `x` and a condition `c`, with locals `y` and `z`, that leaves a value of the type,
/// and one of no parameters that calls it with a condition. It comes first.
fn module(ty: &str, condition: bool, body: &str) -> String {
    let (x, condition) = (value(ty, 7), u32::from(condition));
    let globals: String = (TYPES.iter())
        .map(|ty| format!("(global (mut {ty}) ({})) ", value(ty, 9)))
        .collect();
    format!(
        "(module
         (func (result {ty} {ty} {ty}) {x} i32.const {condition} call $f)
         (func $same (param {ty}) (result {ty}) local.get 0)
         (memory 1)
         (memory 1)
         (data (i32.const 64) \"{DATA}\")
         (data (memory 1) (i32.const 64) \"{DATA}\")
         {globals}
         (func $f (param $x {ty}) (param $c i32) (result {ty} {ty} {ty}) (local $y {ty}) (local $z {ty})
          {body} local.get $y local.get $z))"
    )
}

/// No two bytes are the same, and none is zero.
const DATA: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Runs such a function under both conditions. `number` chooses the shapes. None of them may trap.
fn run(name: &str, ty: &str, body: &str, number: usize) {
    for condition in [false, true] {
        let text = module(ty, condition, &written(body, ty));
        let name = format!("{name} ({ty}, {condition})");
        let (outcome, _) = Program::new(name, &text, number as u64).run(0);
        outcome
            .result
            .unwrap_or_else(|trap| panic!("{trap:?}: {text}"));
    }
}

fn tees(ty: &str) {
    let mut number = 0;
    for (how, settled) in SETTLED {
        for (what, happens) in HAPPENS {
            // Of what is there the value is the last.
            let body = match *how {
                "one of several results" => {
                    format!("{settled} {happens} local.set $x drop local.get $x")
                }
                _ => format!("{settled} {happens}"),
            };
            run(&format!("{how}: {what}"), ty, &body, number);
            number += 1;
        }
    }
}

#[test]
fn an_i32_outlives_the_local_that_it_was_teed_to() {
    tees("i32");
}

#[test]
fn an_i64_outlives_the_local_that_it_was_teed_to() {
    tees("i64");
}

#[test]
fn an_f32_outlives_the_local_that_it_was_teed_to() {
    tees("f32");
}

#[test]
fn an_f64_outlives_the_local_that_it_was_teed_to() {
    tees("f64");
}

#[test]
fn a_vector_outlives_the_local_that_it_was_teed_to() {
    tees("v128");
}

/// Addresses in the data.
const ADDRESSES: &[&str] = &[
    "i32.const 65",
    "local.get $c",
    "local.get $c local.get $c i32.add",
    "local.get $c i32.load8_u offset=64",
    "local.get $c i32.load8_u offset=64 local.get $c i32.add",
    "local.get $c f64.convert_i32_s f64.const 66 f64.add i32.trunc_f64_s",
    "i32.const 70 i32.const 67 local.get $c select",
    "i32.const 70 local.get $c i32.const 2 i32.add i32.div_u",
    "i64.const 68 global.set 1 global.get 1 i32.wrap_i64",
    "local.get $x i32x4.extract_lane 2",
    "i32.const 68 local.set $c local.get $c",
    "block (result i32) i32.const 66 local.get $c br_if 0 drop i32.const 69 end",
];

/// Vectors, of which many hold on to a register until they are computed.
const VECTORS: &[&str] = &[
    "v128.const i64x2 1 2",
    "local.get $x",
    "global.get 4",
    "local.get $x v128.not",
    "local.get $c i32x4.splat",
    "local.get $c i32.const 77 i32.add i8x16.splat",
    "i64.const 1000 local.get $c i64.extend_i32_u i64.sub i64x2.splat",
    "v128.const i64x2 3 4 local.get $c f64.convert_i32_s f64.const 1 f64.add i64.reinterpret_f64 i64x2.replace_lane 1",
    "local.get $c f32.convert_i32_s f32.const 1 f32.add i32.reinterpret_f32 i32x4.splat",
    "local.get $x local.get $c i32.const 3 i32.shl i32x4.replace_lane 1",
    "local.get $c v128.load offset=72",
    "local.get $c i32.load offset=72 i32x4.splat",
    "local.get $c i64.load 1 offset=72 i64x2.splat",
    "local.get $c local.get $x v128.load16_lane offset=72 3",
    "local.get $x call $same",
    "local.get $x v128.const i64x2 5 6 local.get $c select",
    "local.get $x local.get $x local.get $c i32x4.splat v128.bitselect",
    "local.get $x v128.const i64x2 7 8 local.set $x",
];

const LANES: &[&str] = &[
    "v128.load8_lane offset=3 15",
    "v128.load16_lane offset=3 7",
    "v128.load32_lane offset=3 2",
    "v128.load64_lane offset=3 1",
    "v128.load64_lane offset=9 0",
    "v128.load8_lane 1 offset=3 14",
    "v128.load32_lane 1 offset=3 2",
];

#[test]
fn a_vector_outlives_the_address_that_one_of_its_lanes_is_loaded_from() {
    let mut number = 0;
    for address in ADDRESSES {
        for vector in VECTORS {
            let lane = LANES[number % LANES.len()];
            // Something below that may be in a register as well, and something that is not.
            let body = format!(
                "local.get $c i32.const 5 i32.mul local.get $c f64.convert_i32_s {address} {vector} {lane}
                 local.set $z f64.const 3 f64.add i64.reinterpret_f64 i64x2.splat local.get $z v128.xor
                 local.set $z i32x4.splat local.get $z i32x4.add"
            );
            run(&format!("{address}, {vector}"), "v128", &body, number);
            number += 1;
        }
    }
}
