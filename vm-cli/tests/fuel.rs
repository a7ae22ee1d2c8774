//! `--fuel`: guests stop after so much work, and the command says how much it was.

mod common;

use common::{example, palisade};

const MODES: [&[&str]; 4] = [
    &[],
    &["--bounds", "software"],
    &["--no-baseline"],
    &["--threading", "token"],
];

/// Calls `fibonacci 20` with so much fuel.
fn fibonacci(fuel: &str, mode: &[&str]) -> common::Run {
    let file = example("fibonacci.wat");
    let mut args = vec!["run", "--verbose", "--fuel", fuel];
    args.extend(mode);
    args.extend(["--invoke", "fibonacci", &file, "20"]);
    palisade(&args)
}

/// What the command says has been consumed.
fn consumed(run: &common::Run) -> u64 {
    let line = run.stderr.lines().find_map(|line| {
        let line = line.strip_prefix("palisade: ")?;
        line.strip_suffix(" units of fuel consumed")
    });
    line.unwrap_or_else(|| panic!("{run:?}")).parse().unwrap()
}

#[test]
fn what_a_program_needs_is_the_same_in_every_mode_and_is_enough() {
    let needed = consumed(&fibonacci("1000000000", &[]));
    assert!(needed > 1000, "{needed}");
    for mode in MODES {
        let run = fibonacci(&needed.to_string(), mode);
        assert_eq!((run.status, &*run.stdout), (Some(0), "6765\n"), "{run:?}");
        assert_eq!(consumed(&run), needed);
        let run = fibonacci(&(needed - 1).to_string(), mode);
        assert_eq!((run.status, &*run.stdout), (Some(134), ""), "{run:?}");
        assert!(run.stderr.contains("all fuel consumed"), "{run:?}");
        assert!(consumed(&run) < needed, "{run:?}");
    }
}

#[test]
fn a_start_function_stops_too() {
    for mode in MODES {
        let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
        let text = b"(module (start 0) (func (export \"_start\") (loop (br 0))))";
        std::io::Write::write_all(&mut file, text).unwrap();
        let path = file.path().to_str().unwrap();
        let mut args = vec!["run", "--fuel", "1000"];
        args.extend(mode);
        args.push(path);
        let run = palisade(&args);
        assert_eq!(run.status, Some(134), "{run:?}");
        assert!(run.stderr.contains("all fuel consumed"), "{run:?}");
    }
}

#[test]
fn listings_show_what_is_consumed() {
    let file = example("fibonacci.wat");
    for mode in [&[][..], &["--threading", "token"]] {
        let with = palisade(&[&["explore", "--fuel", &file], mode].concat());
        assert!(with.stdout.contains("consume_fuel"), "{with:?}");
        let without = palisade(&[&["explore", &file], mode].concat());
        assert!(!without.stdout.contains("consume_fuel"), "{without:?}");
    }
}
