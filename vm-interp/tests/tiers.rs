//! Baseline code, and the way from it to optimized code.

mod common;

use common::{Mode, World, modes};
use vm_interp::{CodeSize, Hotness, InstanceId, Threading, TrapCode, Val};

const NEVER: u32 = u32::MAX;

/// Direct threading where it is available, with each way of checking bounds.
fn direct(baseline: Option<Hotness>) -> Vec<Mode> {
    let mut found: Vec<Mode> = modes();
    found.retain(|mode| mode.threading == Threading::Direct && mode.baseline.is_none());
    found
        .into_iter()
        .map(|mode| Mode { baseline, ..mode })
        .collect()
}

/// Nothing but turns of loops makes anything hot.
fn hot_by_turns(turns: u32) -> Hotness {
    Hotness {
        calls: NEVER,
        turns,
    }
}

/// The same mode with baseline code only.
fn never_hot(mode: Mode) -> Mode {
    Mode {
        baseline: Some(hot_by_turns(NEVER)),
        ..mode
    }
}

fn size(world: &World, id: InstanceId) -> CodeSize {
    world.machine.instance_code(id).size()
}

/// The size of the code after some calls.
fn size_after(mode: Mode, module: &str, calls: &[(&str, i32)]) -> CodeSize {
    let mut world = World::new(mode);
    let id = world.instantiate(module);
    for (name, argument) in calls {
        world.call_i32(id, name, &[*argument]).unwrap();
    }
    size(&world, id)
}

const SUM: &str = r#"(module
    (func (export "sum") (param $n i32) (result i32) (local $sum i32)
        loop
            (local.set $sum (i32.add (local.get $sum) (local.get $n)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
        end
        local.get $sum))"#;

#[test]
fn a_function_that_is_called_often_is_translated_again() {
    let hot = Hotness {
        calls: 3,
        turns: NEVER,
    };
    for mode in direct(Some(hot)) {
        let calls = [("sum", 5); 5];
        let cold = size_after(never_hot(mode), SUM, &calls);
        assert_eq!(size_after(mode, SUM, &calls[..1]), cold);
        assert_eq!(size_after(mode, SUM, &calls[..3]), cold);
        let hot = size_after(mode, SUM, &calls[..4]);
        assert!(hot.code_bytes > cold.code_bytes, "{hot:?} {cold:?}");
        assert_eq!(
            (hot.functions, hot.wasm_bytes),
            (cold.functions, cold.wasm_bytes)
        );
        assert_eq!(size_after(mode, SUM, &calls), hot);
    }
}

#[test]
fn a_loop_goes_on_in_optimized_code() {
    for mode in direct(Some(hot_by_turns(100))) {
        let cold = size_after(never_hot(mode), SUM, &[("sum", 1000)]);
        assert_eq!(size_after(mode, SUM, &[("sum", 99)]), cold);
        let hot = size_after(mode, SUM, &[("sum", 100)]);
        assert!(hot.code_bytes > cold.code_bytes, "{hot:?} {cold:?}");
        let mut world = World::new(mode);
        let id = world.instantiate(SUM);
        for n in [1, 99, 100, 101, 5000] {
            assert_eq!(world.call_i32(id, "sum", &[n]).unwrap(), n * (n + 1) / 2);
        }
    }
}

#[test]
fn a_loop_with_operands_below_it_has_optimized_code_at_once() {
    const MODULE: &str = r#"(module
        (func (export "sum") (param $n i32) (result i32)
            i32.const 0
            loop (param i32) (result i32)
                local.get $n
                i32.add
                (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
            end))"#;
    for mode in direct(Some(hot_by_turns(NEVER))) {
        let optimized = Mode {
            baseline: None,
            ..mode
        };
        assert_eq!(
            size_after(mode, MODULE, &[("sum", 10)]),
            size_after(optimized, MODULE, &[("sum", 10)]),
        );
    }
}

#[test]
fn loops_that_begin_together_and_those_behind_them_count() {
    const MODULE: &str = r#"(module
        (func (export "both") (param $n i32) (result i32) (local $i i32) (local $sum i32)
            loop $outer
                loop $inner
                    (local.set $sum (i32.add (local.get $sum) (i32.const 1)))
                    (br_if $inner (i32.and (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1)))
                    (br_if $outer (i32.lt_u (local.get $i) (i32.const 6)))
                end
            end
            loop $later
                (local.set $sum (i32.add (local.get $sum) (i32.const 1)))
                (br_if $later (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
            end
            local.get $sum))"#;
    for mode in direct(Some(hot_by_turns(100))) {
        let cold = size_after(never_hot(mode), MODULE, &[("both", 1)]);
        assert_eq!(size_after(mode, MODULE, &[("both", 99)]), cold);
        let later = size_after(mode, MODULE, &[("both", 100)]);
        assert!(later.code_bytes > cold.code_bytes, "{later:?} {cold:?}");
        let first = Mode {
            baseline: Some(hot_by_turns(6)),
            ..mode
        };
        // Which loop is hot first decides which locals get registers, and so how large the code is.
        let sooner = size_after(first, MODULE, &[("both", 1)]);
        assert!(sooner.code_bytes > cold.code_bytes, "{sooner:?} {cold:?}");
        for mode in [mode, first] {
            let mut world = World::new(mode);
            let id = world.instantiate(MODULE);
            assert_eq!(world.call_i32(id, "both", &[1000]).unwrap(), 1006);
        }
    }
}

/// Of a function with so many locals of each type, every one of which is changed in each turn.
fn many_locals(each: usize) -> String {
    let types = ["i32", "i64", "f32", "f64"];
    let locals: Vec<(usize, &str)> = (types.iter().cycle())
        .take(each * types.len())
        .enumerate()
        .map(|(n, ty)| (n + 1, *ty))
        .collect();
    let mut text = String::from(r#"(module (func (export "mix") (param i32) (result i32) (local"#);
    for (_, ty) in &locals {
        text += &format!(" {ty}");
    }
    text += ")";
    for (n, ty) in &locals {
        text += &format!("({ty}.const {n}) (local.set {n})");
    }
    text += "loop\n";
    for (n, ty) in &locals {
        text += &format!("({ty}.add (local.get {n}) ({ty}.const {n})) (local.set {n})");
    }
    text += "(br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))) end\n i32.const 0";
    for (n, ty) in &locals {
        let to_i32 = match *ty {
            "i64" => "i32.wrap_i64",
            "f32" => "i32.trunc_f32_s",
            "f64" => "i32.trunc_f64_s",
            _ => "nop",
        };
        text += &format!("(i32.mul (i32.const 31)) local.get {n} {to_i32} i32.add\n");
    }
    text + "))"
}

#[test]
fn every_local_is_taken_over() {
    let turns = 4;
    for each in [1, 2, 5, 40] {
        let module = many_locals(each);
        let expected: i32 = (1..=4 * each as i32).fold(0_i32, |sum, n| {
            sum.wrapping_mul(31).wrapping_add(n + n * 10)
        });
        for mode in direct(Some(hot_by_turns(turns))) {
            let mut world = World::new(mode);
            let id = world.instantiate(&module);
            for _ in 0..3 {
                assert_eq!(
                    world.call_i32(id, "mix", &[10]).unwrap(),
                    expected,
                    "{each}"
                );
            }
        }
    }
}

/// A function that calls itself in a loop: frames of both tiers lie one above the other.
const TREE: &str = r#"(module
    (func $tree (export "tree") (param $n i32) (result i32) (local $i i32) (local $sum i32)
        (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
        (local.set $i (i32.const 3))
        loop
            (local.set $sum (i32.add (local.get $sum) (call $tree (i32.sub (local.get $n) (i32.const 1)))))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1))))
        end
        local.get $sum))"#;

#[test]
fn frames_of_both_tiers_call_each_other() {
    for calls in [0, 1, 10, NEVER] {
        for turns in [1, 2, 7, 1000, NEVER] {
            for mode in direct(Some(Hotness { calls, turns })) {
                let mut world = World::new(mode);
                let id = world.instantiate(TREE);
                assert_eq!(world.call_i32(id, "tree", &[8]).unwrap(), 6561);
            }
        }
    }
}

#[test]
fn a_loop_stays_where_it_is_if_the_stack_has_no_room() {
    // Optimized code has all these locals in registers, which take slots while the frame changes.
    let locals = "(local $i i32) (local i64 i64 i64 i64 f64 f64 f64 f64)";
    let turn: String = (2..10)
        .map(|local| format!("(local.set {local} (local.get {local}))"))
        .collect();
    // Where the last frame ends depends on the first, and which frame is in the loop when it is hot on the
    // turns of those before.
    const STACK_SLOTS: usize = 1 << 11;
    const LEAST_FRAME: usize = 15;
    let cases = (0..LEAST_FRAME).flat_map(|pad| (1..20).map(move |above| (pad, above)));
    for (pad, above) in cases {
        let first = "i64 ".repeat(pad);
        let module = format!(
            r#"(module
                (func $deep (param $n i32) (result i32) {locals}
                    (local.set $i (i32.const 6))
                    loop
                        {turn}
                        (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1))))
                    end
                    (if (result i32) (i32.eqz (local.get $n))
                        (then (i32.const 0))
                        (else (i32.add
                            (i32.const 1)
                            (call $deep (i32.sub (local.get $n) (i32.const 1)))))))
                (func (export "deep") (param i32) (result i32) (local {first})
                    (call $deep (local.get 0))))"#
        );
        let depth = STACK_SLOTS / LEAST_FRAME - above;
        let hot = hot_by_turns(6 * depth as u32);
        for mode in direct(Some(hot)) {
            let mut world = World::with_stack(mode, 8 * STACK_SLOTS);
            let id = world.instantiate(&module);
            let trap = world.trap(id, "deep", &[Val::I32(10_000)]);
            assert_eq!(trap.code, TrapCode::StackOverflow);
            assert_eq!(world.call_i32(id, "deep", &[10]).unwrap(), 10);
        }
    }
}

#[test]
fn traps_are_located_in_both_tiers() {
    const TRAPS: &str = r#"(module
        (memory 1)
        (func $divide (export "divide") (param $n i32) (result i32) (local $sum i32)
            loop
                (local.set $sum
                    (i32.add (local.get $sum) (i32.div_u (i32.const 100) (i32.sub (local.get $n) (i32.const 3)))))
                (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
            end
            local.get $sum)
        (func $load (export "load") (param $n i32) (result i32) (local $sum i32)
            loop
                (local.set $sum (i32.add (local.get $sum) (i32.load (i32.shl (local.get $n) (i32.const 13)))))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20)))
            end
            local.get $sum)
        (func (export "calls") (param $n i32) (result i32)
            loop
                (br_if 0 (call $divide (local.get $n)))
            end
            i32.const 0))"#;
    let frames = |mode: Mode, name: &str| -> Vec<(u32, u32)> {
        let mut world = World::new(mode);
        let id = world.instantiate(TRAPS);
        let frames = world.trap(id, name, &[Val::I32(9)]).frames;
        frames
            .iter()
            .map(|frame| (frame.func_index, frame.offset))
            .collect()
    };
    let [token, ..] = modes()[..] else { panic!() };
    for name in ["divide", "load", "calls"] {
        let expected = frames(token, name);
        for turns in [1, 2, 4, NEVER] {
            for mode in direct(Some(hot_by_turns(turns))) {
                assert_eq!(frames(mode, name), expected, "{name} {mode:?}");
            }
        }
    }
}

/// Arguments of every kind, and what they are worth, by a number.
fn arguments(count: i32, mut pattern: u32) -> (String, Vec<i32>) {
    let (mut text, mut values) = (String::new(), Vec::new());
    for n in 1..=count {
        text += &match pattern % 4 {
            0 => format!("(i32.const {n})"),
            1 => format!("(call $same (i32.const {n}))"),
            2 => format!("(i32.add (local.get 0) (i32.const {n}))"),
            _ => "(local.get 0)".to_owned(),
        };
        values.push(match pattern % 4 {
            0 | 1 => n,
            2 => 7 + n,
            _ => 7,
        });
        pattern /= 4;
    }
    (text, values)
}

#[test]
fn arguments_do_not_overwrite_each_other() {
    const COUNT: i32 = 7;
    let never = hot_by_turns(NEVER);
    let params = "i32 ".repeat(COUNT as usize);
    let mix: String = (0..COUNT)
        .map(|n| format!("(i32.mul (i32.const 31)) (i32.add (local.get {n}))"))
        .collect();
    // Every 97th pattern of seven arguments and the index.
    for pattern in (0..4_u32.pow(8)).step_by(97) {
        let (text, values) = arguments(COUNT, pattern);
        let index = [
            "(i32.const 0)",
            "(call $same (i32.const 0))",
            "(local.get 1)",
            "(i32.and (local.get 0) (i32.const 8))",
        ];
        let index = index[(pattern >> 14) as usize];
        let module = format!(
            r#"(module
                (type $mix (func (param {params}) (result i32)))
                (table funcref (elem $mix))
                (func $mix (type $mix) i32.const 0 {mix})
                (func $same (param i32) (result i32) local.get 0)
                (func (export "direct") (param i32 i32) (result i32) (call $mix {text}))
                (func (export "indirect") (param i32 i32) (result i32)
                    (call_indirect (type $mix) {text} {index})))"#
        );
        let expected = (values.iter()).fold(0_i32, |sum, n| sum.wrapping_mul(31).wrapping_add(*n));
        for mode in direct(Some(never)) {
            let mut world = World::new(mode);
            let id = world.instantiate(&module);
            for name in ["direct", "indirect"] {
                let found = world.call_i32(id, name, &[7, 0]).unwrap();
                assert_eq!(found, expected, "{name} {text} {index}");
            }
        }
    }
}

#[test]
fn floats_keep_their_bits() {
    const NAN: &str = r#"(module
        (func (export "nan") (param $n i32) (param $a f32) (param $b f64) (result f32 f64)
            loop
                (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
            end
            local.get $a
            local.get $b))"#;
    let args = [
        Val::I32(9),
        Val::F32(0x7fa1_2345),
        Val::F64(0xfff4_5678_9abc_def0),
    ];
    for mode in direct(Some(hot_by_turns(3))) {
        let mut world = World::new(mode);
        let id = world.instantiate(NAN);
        assert_eq!(world.call(id, "nan", &args).unwrap(), args[1..]);
    }
}
