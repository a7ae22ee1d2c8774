//! The code of a function is in proportion to its body, however many values its instructions take.

mod common;

use common::shapes::RICH;
use vm_translate::{Features, Module, PlainShapes, Shapes, TranslateOptions, check};

/// Parameters or results: the most that a type may have.
const VALUES: usize = 1000;

/// A function that begins with these instructions, goes on with others so many times, and ends with some more.
fn function(begin: &str, again: &str, times: usize, end: &str) -> String {
    of_type(
        "(param i32) (result i32)",
        begin,
        again,
        times,
        &format!("{end} local.get 0"),
    )
}

/// The same of another type.
fn of_type(ty: &str, begin: &str, again: &str, times: usize, end: &str) -> String {
    let many = "i32 ".repeat(VALUES);
    format!(
        "(module
            (type $results (func (result {many})))
            (type $both (func (param {many}) (result {many})))
            (table 1 funcref)
            (func {ty} {begin} {} {end})
            (func $callee (type $both) unreachable))",
        again.repeat(times),
    )
}

/// What is done many times, and the function that does it.
fn functions(times: usize) -> Vec<(&'static str, String)> {
    let values = "i32.const 3 ".repeat(VALUES);
    let apart = "local.get 0 call_indirect (param i32) (result i32) ".repeat(2);
    let drops = "drop ".repeat(VALUES);
    let in_block = |extra: &str, again: &str| {
        let begin = format!("block (type $results) {extra} {values}");
        function(&begin, again, times, &format!("br 0 end {drops}"))
    };
    let branch = "local.get 0 br_if 0 ";
    let depths: String = (1..=times).map(|depth| format!("{depth} ")).collect();
    let table =
        format!("local.get 0 if (type $both) local.get 0 local.get 0 br_table {depths} end ");
    let nested = "block (type $both) local.get 0 if (type $both) ";
    vec![
        ("branches in place", in_block("", branch)),
        ("branches from above", in_block("i32.const 1", branch)),
        (
            "branches from many heights",
            in_block("", &format!("local.get 0 {branch}")),
        ),
        (
            "branches with values that calls leave apart",
            in_block("", &format!("{apart} {branch}")),
        ),
        (
            "returns",
            of_type(
                "(type $both)",
                &values,
                "local.get 0 local.get 0 br_if 0 ",
                times,
                "return",
            ),
        ),
        (
            "branch tables",
            function(
                &format!("{} {values}", "block (type $results) ".repeat(times)),
                &table,
                10,
                &format!("{} {drops}", "end ".repeat(times)),
            ),
        ),
        (
            "nested blocks",
            function(
                &format!("{values} {}", nested.repeat(times)),
                "",
                0,
                &format!("{} {drops}", "end end ".repeat(times)),
            ),
        ),
        (
            "loops in each other",
            function(
                &values,
                "loop (type $both) local.get 0 br_if 0 ",
                times,
                &format!("{} {drops}", "end ".repeat(times)),
            ),
        ),
        (
            "calls",
            function(&values, "call $callee local.get 0 ", times, "unreachable"),
        ),
        (
            "indirect calls",
            function(
                &values,
                "local.get 0 call_indirect (type $both) ",
                times,
                &drops,
            ),
        ),
    ]
}

#[test]
fn many_values_take_few_instructions() {
    let mut in_baseline = 0;
    for (what, text) in functions(60) {
        let module = Module::new(wat::parse_str(text).unwrap(), &Features::default()).unwrap();
        let most = 3 * module.func_size(0) as usize;
        for shapes in [&PlainShapes as &dyn Shapes, &RICH] {
            let options = TranslateOptions {
                shapes,
                unchecked: None,
            };
            let optimized = module.translate(0, &options).unwrap();
            let baseline = module.translate_baseline(0, &options).unwrap();
            in_baseline += usize::from(baseline.is_some());
            for function in [Some(optimized), baseline].into_iter().flatten() {
                let insts = function.insts().len();
                assert!(
                    insts <= most,
                    "{what}: {insts} instructions, {most} at most"
                );
                check(&module, &function, shapes).unwrap();
            }
        }
    }
    // All but the loops, before which there are operands.
    assert_eq!(in_baseline, 2 * 9);
}
