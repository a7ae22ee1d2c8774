//! Which instructions share a cell, if the executor has a handler for any of them together.

use vm_translate::ir::Root;
use vm_translate::shape::{Cells, Found};
use vm_translate::{Features, Function, Module, PlainShapes, TranslateOptions};

/// Counts down, and leaves in the middle of the loop.
const LOOP: &str = r#"(module
    (func (param i32 i32) (result i32)
        (block $out
            (loop $again
                (br_if $out (i32.eq (local.get 0) (local.get 1)))
                (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                (br_if $again (local.get 0))
                (local.set 1 (i32.const 7))))
        (local.get 1)))"#;

fn function() -> Function {
    let module = Module::new(wat::parse_str(LOOP).unwrap(), &Features::default()).unwrap();
    let options = TranslateOptions::new(&PlainShapes);
    module.translate(0, &options).unwrap()
}

/// The instructions of each cell, as long as there is anything to put into it.
fn runs(function: &Function, cells: &Cells<'_>) -> Vec<Vec<Root>> {
    let mut runs = Vec::new();
    let mut next = 0;
    while next < function.insts().len() {
        let (run, _) = cells
            .at(next, |_| Some(Found::UNKNOWN))
            .expect("there is always a handler");
        next = run.end;
        runs.push(function.insts()[run].iter().map(|inst| inst.root).collect());
    }
    runs
}

fn is_branch(root: &Root) -> bool {
    matches!(root, Root::BrIf(_) | Root::BrUnless(_))
}

#[test]
fn a_cell_goes_on_behind_a_branch_but_not_across_a_label() {
    let function = function();
    let runs = runs(&function, &Cells::new(&function));
    // The loop's body and what follows it, up to where the branch out of it arrives.
    let body = &runs[0];
    assert_eq!(body.iter().filter(|root| is_branch(root)).count(), 2);
    assert!(!is_branch(body.last().unwrap()), "{body:?}");
    assert_eq!(runs.len(), 2, "{runs:?}");
}

#[test]
fn blocks_end_with_their_branch() {
    let function = function();
    let cells = Cells::of_blocks(&function);
    for run in runs(&function, &cells) {
        let (_, others) = run.split_last().unwrap();
        assert!(!others.iter().any(is_branch), "{run:?}");
    }
}
