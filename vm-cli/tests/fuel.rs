//! `--fuel`: guests stop after so much work, and the command says how much it was. `--deterministic`.

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

#[test]
fn deterministic_programs_have_canonical_nans_and_a_depth() {
    let text = br#"(module
      (func (export "nan") (result i64) (i64.reinterpret_f64 (f64.div (f64.const -0) (f64.const 0))))
      (func $deep (export "deep") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))"#;
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    std::io::Write::write_all(&mut file, text).unwrap();
    let path = file.path().to_str().unwrap();
    for mode in MODES {
        let run = |args: &[&str]| {
            let start = [
                &["run", "--deterministic"],
                mode,
                &["--invoke", args[0], path],
            ]
            .concat();
            palisade(&[&start[..], &args[1..]].concat())
        };
        assert_eq!(run(&["nan"]).stdout, "9221120237041090560\n", "{mode:?}");
        assert_eq!(run(&["deep", "7999"]).stdout, "7999\n", "{mode:?}");
        assert_eq!(run(&["deep", "8000"]).status, Some(134), "{mode:?}");
    }
}
