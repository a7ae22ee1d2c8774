//! Random programs mean the same before and after translation, whatever the shapes.

mod common;

use common::compare::{Program, Tiers};
use common::generate;

/// Runs a program by every translation.
fn run_seed(seed: u64, text: &str) -> Tiers {
    // The function without parameters comes after what is imported.
    let (_, tiers) = Program::new(format!("seed {seed}"), text, seed).run(2);
    tiers
}

/// Those to try: more with PALISADE_SEEDS=first..last.
fn seeds() -> std::ops::Range<u64> {
    match std::env::var("PALISADE_SEEDS") {
        Ok(range) => {
            let (first, last) = range.split_once("..").expect("first..last");
            first.parse().unwrap()..last.parse().unwrap()
        }
        Err(_) => 0..200,
    }
}

#[test]
fn random_programs_do_the_same_after_translation() {
    for seed in seeds() {
        run_seed(seed, &generate::module(seed));
    }
}

#[test]
fn random_programs_do_the_same_in_both_tiers() {
    for seed in seeds() {
        let tiers = run_seed(seed, &generate::baseline_module(seed));
        assert_eq!(
            tiers.in_baseline, tiers.functions,
            "seed {seed}: some have to do without a baseline"
        );
    }
}

#[test]
fn programs_have_instructions_of_every_proposal() {
    let all: String = (0..200).map(generate::module).collect();
    for text in [
        "v128.load ",
        "v128.store ",
        "v128.load16_lane",
        "i8x16.shuffle",
        "i32x4.mul",
        "v128.any_true",
        "return_call ",
        "return_call_indirect",
        "i64.add128",
        "i64.mul_wide_s",
        "(memory i64 1)",
        "memory.copy 0 1",
        "memory.copy 2 0",
        "memory.grow 2",
        "i32.store 1",
        "i64.load 2",
        "(i32.mul (i32.const 3)",
    ] {
        assert!(all.contains(text), "no program has {text}");
    }
}
