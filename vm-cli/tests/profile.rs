//! `palisade profile`: the report, the files it writes, and what it refuses.

mod common;

use std::fs;

use common::{example, palisade};

/// Whether this host has the executor that counts.
fn direct() -> bool {
    palisade(&["run", "--threading", "direct", &example("hello.wasm")]).status == Some(0)
}

#[test]
fn the_guest_runs_as_ever_and_the_report_is_on_standard_error() {
    if !direct() {
        return;
    }
    let file = example("fibonacci.wat");
    let run = palisade(&[
        "profile",
        "--top",
        "2",
        "--invoke",
        "fibonacci",
        &file,
        "15",
    ]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(run.stdout, "610\n");
    assert!(run.stderr.contains("dispatches in 1 functions"), "{run:?}");
    assert!(run.stderr.contains("100.00  fibonacci"), "{run:?}");
    assert!(
        run.stderr.contains("more"),
        "two lines are not all: {run:?}"
    );
}

#[test]
fn a_guest_that_traps_is_profiled_up_to_there() {
    if !direct() {
        return;
    }
    let run = palisade(&["profile", &example("out_of_bounds.wat")]);
    assert_eq!(run.status, Some(134), "{run:?}");
    assert!(run.stderr.contains("dispatches in"), "{run:?}");
}

#[test]
fn stacks_and_shapes_are_written_where_asked() {
    if !direct() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (folded, shapes) = (path("folded"), path("shapes"));
    let file = example("fibonacci.wat");
    let run = palisade(&[
        "profile",
        "--folded",
        &folded,
        "--shapes",
        &shapes,
        "--invoke",
        "fibonacci",
        &file,
        "15",
    ]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let folded = fs::read_to_string(folded).unwrap();
    let (name, count) = folded.trim_end().split_once(' ').unwrap();
    assert_eq!(name, "fibonacci");
    assert!(count.parse::<u64>().unwrap() > 610);
    let shapes = fs::read_to_string(shapes).unwrap();
    assert!(shapes.starts_with('#'), "{shapes}");
    for line in shapes.lines().skip(1) {
        assert!(line.contains('('), "a shape has operators: {line}");
    }
}

#[test]
fn token_threading_is_refused() {
    let file = example("hello.wasm");
    let run = palisade(&["profile", "--threading", "token", &file]);
    run.assert_one_line(1);
    assert!(run.stderr.contains("threading = direct"), "{run:?}");
}
