//! Counts are exact, and training leaves fewer dispatches within its budget.

use std::sync::Arc;

use vm_engine::{Config, Engine, FunctionProfile, Instance, Module, Store, Threading};
use vm_interp::shapes::{BASE, REGISTERS};
use vm_profile::{Budget, Program, ShapeTable, dispatches, folded, report, train};
use vm_translate::Features;
use vm_translate::shape::table;

/// Sums products of two arrays that overlap, as often as it is told.
const SUMS: &str = r#"(module
    (memory 1)
    (func $sum (param $times i32) (result i32) (local $at i32) (local $sum i32)
        (loop $again
            (local.set $at (i32.const 256))
            (loop $next
                (local.set $sum (i32.add (local.get $sum) (i32.mul
                    (i32.xor (i32.load offset=4 (local.get $at)) (local.get $at))
                    (i32.shr_u (i32.load offset=8 (local.get $at)) (i32.const 3)))))
                (br_if $next (local.tee $at (i32.sub (local.get $at) (i32.const 4)))))
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
        (local.get $sum))
    (func (export "run") (param i32) (result i32) (call $sum (local.get 0)))
    (func $never (export "never") (unreachable)))"#;

/// Counts how many of the numbers below what it is told are neither 3 nor more than 5.
const SIEVE: &str = r#"(module
    (func (export "run") (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (block $skip
                (br_if $skip (i32.gt_s (local.get $n) (i32.const 5)))
                (br_if $skip (i32.eq (local.get $n) (i32.const 3)))
                (local.set $sum (i32.add (local.get $sum) (i32.const 1))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))"#;

/// How often the inner loop of [`SUMS`] runs for each of the outer one.
const INNER: u64 = 64;

/// Runs a module, and counts; nothing if this host has no direct threading.
fn profile(text: &str, argument: i32) -> Option<(Module, Vec<FunctionProfile>)> {
    vm_interp::direct_availability().ok()?;
    let mut config = Config::new();
    config.threading(Threading::Direct).profile(true);
    let engine = Engine::new(&config).expect("direct threading is there");
    let module = Module::new(&engine, wat::parse_str(text).expect("well-formed")).expect("valid");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("nothing is imported");
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run");
    run.expect("it is exported")
        .call(&mut store, argument)
        .expect("no trap");
    let profile = module.profile().expect("it has been translated before");
    Some((module, profile))
}

/// [`SUMS`] with their counts, for training.
fn program() -> Option<Program> {
    counted(SUMS, 100)
}

/// A module with its counts.
fn counted(text: &str, argument: i32) -> Option<Program> {
    let (module, profile) = profile(text, argument)?;
    let parsed = vm_translate::Module::new(module.binary(), &Features::default());
    Some(Program::new(
        Arc::new(parsed.expect("valid")),
        true,
        &profile,
    ))
}

/// For so many shapes, of so many roots each.
fn budget(shapes: u64, roots: usize) -> Budget {
    Budget {
        shapes,
        least_share: 0.001,
        operators: 4,
        roots,
    }
}

fn name(index: u32) -> String {
    format!("f{index}")
}

#[test]
fn counts_are_exact() {
    let Some((_, profile)) = profile(SUMS, 10) else {
        return;
    };
    let functions: Vec<u32> = profile.iter().map(|p| p.function.index()).collect();
    assert_eq!(functions, [0, 1], "what never ran has no counts");
    let sum = &profile[0];
    let mut seen = 0;
    for cell in &sum.cells {
        assert_eq!(cell.insts.start, seen, "cells follow each other");
        seen = cell.insts.end;
        assert!([1, 10, 10 * INNER].contains(&cell.count), "{cell:?}");
    }
    assert_eq!(seen, sum.function.insts().len());
    let inner = sum.cells.iter().filter(|cell| cell.count == 10 * INNER);
    assert!(inner.count() > 0);
}

#[test]
fn the_report_names_functions_and_shapes() {
    let Some((_, profile)) = profile(SUMS, 10) else {
        return;
    };
    let text = report(&profile, REGISTERS, 3, name);
    assert!(text.contains("dispatches in 2 functions"), "{text}");
    assert!(text.contains("  f0\n"), "{text}");
    assert!(text.contains("i32.load"), "{text}");
    let folded = folded(&profile, |index| format!("a b;{index}"));
    let lines: Vec<&str> = folded.lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, index) in lines.iter().zip(0..) {
        let (frame, count) = line.rsplit_once(' ').expect("a frame and a count");
        assert_eq!(frame, format!("a_b_{index}"));
        assert!(count.parse::<u64>().expect("a number") > 0);
    }
}

#[test]
fn training_leaves_fewer_dispatches_within_its_budget() {
    let Some(program) = program() else {
        return;
    };
    let before = ShapeTable::read(BASE, REGISTERS).expect("it is in the notation");
    let start = dispatches(&program, &before);
    let budget = budget(500, 3);
    let mut table = before.clone();
    let programs = [(program, 1.0)];
    let mut rounds = Vec::new();
    let lines = train(&programs, &mut table, budget, |progress| {
        rounds.push(progress)
    });
    let end = dispatches(&programs[0].0, &table);
    assert!(end < start, "{end} of {start}");
    assert!(table.len() - before.len() <= budget.shapes as usize);
    let last = rounds.last().expect("there is a round").dispatches;
    assert!((last - end as f64 / start as f64).abs() < 1e-9);

    // What it wrote is all there is to it.
    let text: String = lines.iter().map(|line| line.text.clone() + "\n").collect();
    table::read(&text, REGISTERS).expect("it is in the notation");
    let again = ShapeTable::read(&(text + BASE), REGISTERS).expect("so it is");
    assert_eq!(dispatches(&programs[0].0, &again), end);
}

#[test]
fn a_shape_that_goes_on_behind_a_branch_saves_a_dispatch_where_it_is_not_taken() {
    const TIMES: u64 = 100;
    let Some(program) = counted(SIEVE, TIMES as i32) else {
        return;
    };
    let read = |lines: &str| ShapeTable::read(&format!("{lines}\n{BASE}"), REGISTERS);
    let count = |lines: &str| dispatches(&program, &read(lines).expect("in the notation"));
    let plain = count("");
    let two = count("br_if (i32.gt_s i1 c) ; br_if (i32.eq i1 c)");
    assert_eq!(plain - two, 5, "numbers up to 5 come to the second branch");
    let three = count(
        "br_if (i32.gt_s i1 c) ; br_if (i32.eq i1 c)
        br_if (i32.gt_s i1 c) ; br_if (i32.eq i1 c) ; set i2 (i32.add i2 c)",
    );
    assert_eq!(two - three, 4, "and all but one of them behind it");
}

#[test]
fn training_tries_what_follows_a_branch() {
    let Some(program) = counted(SIEVE, 5) else {
        return;
    };
    let budget = budget(2000, 3);
    let mut table = ShapeTable::read(BASE, REGISTERS).expect("it is in the notation");
    let lines = train(&[(program, 1.0)], &mut table, budget, |_| {});
    let behind = |text: &str| text.contains("br_if (i32.gt_s i1 c) ; ");
    assert!(lines.iter().any(|line| behind(&line.text)), "{lines:?}");
}

#[test]
fn a_value_made_and_used_in_one_cell_becomes_a_tree() {
    let text = r#"(module (func (export "run") (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (local.set $sum (i32.clz (i32.popcnt (local.get $n))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))"#;
    let Some(program) = counted(text, 100) else {
        return;
    };
    let budget = budget(500, 1);
    // One dispatch does both: the tree saves none, but nothing is put anywhere in between.
    let cell = "set t (i32.popcnt i1) ; set i2 (i32.clz t)";
    let table = ShapeTable::read(&format!("{cell}\n{BASE}"), REGISTERS);
    let mut table = table.expect("in the notation");
    let lines = train(&[(program, 1.0)], &mut table, budget, |_| {});
    let whole = |text: &str| text.contains("(i32.clz (i32.popcnt i2))");
    assert!(lines.iter().any(|line| whole(&line.text)), "{lines:?}");
}

#[test]
fn training_tries_a_branch_as_one_that_repeats_a_loop() {
    let text = r#"(module (func (export "run") (param $n i32) (result i32)
        (loop $next
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $next (i32.popcnt (i32.popcnt (local.get $n)))))
        (local.get $n)))"#;
    let Some(program) = counted(text, 100) else {
        return;
    };
    let table = ShapeTable::read(
        &format!("br_if (i32.popcnt (i32.popcnt i1))\n{BASE}"),
        REGISTERS,
    );
    let mut table = table.expect("in the notation");
    let lines = train(&[(program, 1.0)], &mut table, budget(500, 2), |_| {});
    let repeats = |text: &str| text.contains("loop_if (i32.popcnt (i32.popcnt i1))");
    assert!(lines.iter().any(|line| repeats(&line.text)), "{lines:?}");
}

#[test]
fn the_same_programs_give_the_same_table() {
    let Some(program) = program() else {
        return;
    };
    // Weights whose sum depends on their order.
    let weights = [0.1, 0.2, 0.3, 0.7, 1.1, 1.3, 1.7];
    let programs = weights.map(|weight| (program.with_guards(true), weight));
    let budget = Budget {
        least_share: 0.0,
        ..budget(500, 3)
    };
    let trained = || {
        let mut table = ShapeTable::read(BASE, REGISTERS).expect("it is in the notation");
        let lines = train(&programs, &mut table, budget, |_| {});
        // To the last bit: what is nearly as good must not take turns.
        let line = |line: vm_profile::Line| (line.text, line.share.to_bits());
        lines.into_iter().map(line).collect::<Vec<_>>()
    };
    let first = trained();
    for _ in 0..4 {
        assert_eq!(trained(), first);
    }
}

#[test]
fn a_table_says_which_line_is_wrong() {
    let error = ShapeTable::read("set r c\nset r (i32.plus r r)", REGISTERS).unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.to_string().contains("i32.plus"), "{error}");
}
