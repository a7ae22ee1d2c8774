//! Which locals get registers where it is known which loop turns most often.

mod common;

use std::collections::BTreeSet;

use common::shapes::RICH;
use vm_translate::{Features, Function, Module, Shapes, TranslateOptions, check};

/// What interpreters are: a loop that all instructions go through, with locals that each of them names, and in some
/// instructions loops with locals of their own. The first ones have the numbers 0 to 15, the others 16 to 31.
fn interpreter() -> String {
    let names = |from: usize| {
        (from..from + 16)
            .map(|n| format!("(local.set {n} (i32.add (local.get {n}) (i32.const 1)))\n"))
            .collect::<String>()
    };
    format!(
        "(module (func (param i32) (local {})
            loop $dispatch
                {}
                loop $copy
                    {}
                    (br_if $copy (local.get 16))
                end
                (br_if $dispatch (local.get 0))
            end))",
        "i32 ".repeat(31),
        names(0).repeat(3),
        names(16)
    )
}

fn translate(module: &Module, hottest_loop: Option<u32>) -> Function {
    let options = TranslateOptions {
        hottest_loop,
        ..TranslateOptions::new(&RICH)
    };
    let function = module.translate(0, &options).unwrap();
    check(module, &function, &RICH).unwrap();
    function
}

/// The locals that have registers.
fn pinned(function: &Function) -> BTreeSet<u32> {
    function.pins().iter().map(|pin| pin.local).collect()
}

#[test]
fn locals_of_the_hottest_loop_get_registers_before_those_of_loops_in_it() {
    let bytes = wat::parse_str(interpreter()).unwrap();
    let module = Module::new(bytes, &Features::default()).unwrap();
    let usual = translate(&module, None);
    let [dispatch, copy] = usual.loops() else {
        panic!("there are two loops: {:?}", usual.loops());
    };
    let inner: BTreeSet<u32> = (16..32).collect();
    let outer: BTreeSet<u32> = (0..16).collect();
    let registers = usize::from(RICH.registers().pinned_ints);
    for function in [&usual, &translate(&module, Some(copy.offset))] {
        assert!(pinned(function).is_subset(&inner), "{:?}", function.pins());
    }
    let hot = translate(&module, Some(dispatch.offset));
    assert!(pinned(&hot).is_subset(&outer), "{:?}", hot.pins());
    assert_eq!(pinned(&hot).len(), registers);
    // An offset where no loop is says nothing.
    let none = translate(&module, Some(copy.offset + 1));
    assert_eq!(none.to_string(), usual.to_string());
}
