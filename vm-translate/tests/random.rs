//! Random programs mean the same before and after translation, whatever the shapes.

mod common;

use common::shapes::{RICH, RandomShapes};
use common::{Outcome, eval, generate, oracle};
use vm_translate::ir::Root;
use vm_translate::{
    Features, Function, Module, PlainShapes, Registers, Shapes, TranslateOptions, check,
};

fn translate(module: &Module, shapes: &dyn Shapes, unchecked: bool) -> Vec<Function> {
    let some = |offset: u64, _: u32| offset < 8;
    let options = TranslateOptions {
        shapes,
        unchecked: unchecked.then_some(&some),
    };
    (module.imported_funcs()..module.func_count())
        .map(|func| {
            let function = module.translate(func, &options).unwrap();
            if let Err(broken) = check(module, &function, shapes) {
                panic!("{broken}\n{}", function.listing(module));
            }
            function
        })
        .collect()
}

/// Puts those functions into the baseline tier that it has, and answers what they were.
fn to_baseline(
    module: &Module,
    shapes: &dyn Shapes,
    unchecked: bool,
    functions: &mut [Function],
) -> Vec<Option<Function>> {
    let some = |offset: u64, _: u32| offset < 8;
    let unchecked = unchecked.then_some(&some as &dyn Fn(u64, u32) -> bool);
    let options = TranslateOptions { shapes, unchecked };
    let optimized = functions.iter_mut().map(|function| {
        let translated = module.translate_baseline(function.index(), &options);
        let baseline = translated.unwrap()?;
        if let Err(broken) = check(module, &baseline, shapes) {
            panic!("{broken}\n{}", baseline.listing(module));
        }
        Some(std::mem::replace(function, baseline))
    });
    optimized.collect()
}

/// What has to be the same: a trap has no results, but everything before it has happened.
fn same(expected: &Outcome, found: &Outcome) -> bool {
    expected == found
}

fn random_shapes(seed: u64) -> RandomShapes {
    let mut random = generate::Random::new(seed ^ 0xabcd);
    RandomShapes {
        seed,
        share: random.below(101) as u64,
        operators: random.below(5),
        registers: Registers {
            pinned_ints: random.below(5) as u8,
            temp_ints: random.below(4) as u8,
            pinned_floats: random.below(4) as u8,
            temp_floats: random.below(3) as u8,
        },
    }
}

/// Runs a program in both tiers with several sets of shapes. Answers how many functions it has, and how
/// many of them the baseline tier has.
fn run_seed(seed: u64, text: &str) -> (usize, usize) {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    let module = Module::new(bytes, &Features::default())
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    let (expected, trapped_at) = oracle::run(&module, 2, &[]);
    let chosen = [
        random_shapes(seed),
        random_shapes(seed.wrapping_add(1 << 40)),
    ];
    let sets: [&dyn Shapes; 4] = [&PlainShapes, &RICH, &chosen[0], &chosen[1]];
    let unchecked = seed.is_multiple_of(2);
    let mut tiers = (0, 0);
    for (shapes, is_baseline) in sets.into_iter().flat_map(|set| [(set, false), (set, true)]) {
        let registers = shapes.registers();
        let mut functions = translate(&module, shapes, unchecked);
        let (found, at) = if is_baseline {
            let optimized = to_baseline(&module, shapes, unchecked, &mut functions);
            tiers = (functions.len(), optimized.iter().flatten().count());
            eval::run_tiers(&module, &functions, &optimized, registers, 2)
        } else {
            eval::run(&module, &functions, registers, 2)
        };
        let place = match (at, trapped_at) {
            (Some(at), Some(expected)) => at == expected,
            _ => true,
        };
        if !same(&expected, &found) || !place {
            for function in &functions {
                println!("{}", function.listing(&module));
            }
            println!("{text}\nregisters {registers:?}, shapes {chosen:?}, baseline {is_baseline}");
            panic!(
                "seed {seed}: expected {:?} at {trapped_at:x?}, found {:?} at {at:x?}; globals {:x?} {:x?}; calls {:x?} {:x?}; memory {}",
                expected.result,
                found.result,
                expected.globals,
                found.globals,
                expected.host_calls,
                found.host_calls,
                expected.memories == found.memories,
            );
        }
    }
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
    let (mut functions, mut in_baseline) = (0, 0);
    for seed in seeds() {
        let (all, baseline) = run_seed(seed, &generate::baseline_module(seed));
        functions += all;
        in_baseline += baseline;
    }
    assert_eq!(in_baseline, functions, "some have to do without a baseline");
}

#[test]
fn programs_copy_many_values_at_once_in_both_tiers_and_directions() {
    let copies = |functions: &[Function], counts: &mut [usize; 2]| {
        for inst in functions.iter().flat_map(Function::insts) {
            if let Root::Copy { from, to, count } = inst.root {
                assert!(from != to && count > 1);
                counts[usize::from(from < to)] += 1;
            }
        }
    };
    let (mut baseline, mut optimized) = ([0; 2], [0; 2]);
    for seed in 0..200 {
        let module = wat::parse_str(generate::baseline_module(seed)).unwrap();
        let module = Module::new(module, &Features::default()).unwrap();
        for shapes in [&PlainShapes as &dyn Shapes, &RICH, &random_shapes(seed)] {
            let mut functions = translate(&module, shapes, false);
            copies(&functions, &mut optimized);
            to_baseline(&module, shapes, false, &mut functions);
            copies(&functions, &mut baseline);
        }
    }
    for counts in [optimized, baseline] {
        assert!(counts.iter().all(|count| *count > 4), "{counts:?}");
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
