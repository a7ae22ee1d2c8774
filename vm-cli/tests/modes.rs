//! Modes: what is chosen, what is refused, and what is said about it.

mod common;

use common::{example, palisade};

#[test]
fn every_mode_that_the_host_allows_prints_the_same() {
    let strategy = palisade(&["strategy"]);
    assert_eq!(strategy.status, Some(0), "{strategy:?}");
    let mut allowed = 0;
    for (threading, bounds) in [
        ("direct", "guarded"),
        ("direct", "software"),
        ("token", "software"),
    ] {
        let run = palisade(&[
            "run",
            "--threading",
            threading,
            "--bounds",
            bounds,
            &example("hello.wasm"),
        ]);
        let mode = format!("{threading} + {bounds}");
        let line = strategy
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(&mode));
        if line.unwrap().trim_end().ends_with(" available") {
            assert_eq!(run.status, Some(0), "{mode}: {run:?}");
            assert!(run.stdout.starts_with("Hello"), "{mode}: {run:?}");
            allowed += 1;
        } else {
            run.assert_one_line(1);
        }
    }
    assert!(
        allowed >= 1,
        "the portable mode is always there: {strategy:?}"
    );
}

#[test]
fn a_program_prints_the_same_without_baseline_code() {
    let run = palisade(&["run", &example("hello.wasm")]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let optimized = palisade(&["run", "--no-baseline", &example("hello.wasm")]);
    assert_eq!(optimized.status, Some(0), "{optimized:?}");
    assert_eq!(optimized.stdout, run.stdout);
}

#[test]
fn token_with_guards_is_refused_naming_both() {
    let args = [
        "run",
        "--threading",
        "token",
        "--bounds",
        "guarded",
        &example("hello.wasm"),
    ];
    let run = palisade(&args);
    run.assert_one_line(1);
    assert!(run.stderr.contains("threading = token"), "{run:?}");
    assert!(run.stderr.contains("bounds = guarded"), "{run:?}");
}

#[test]
fn verbose_says_which_mode_and_why() {
    let args = [
        "run",
        "--verbose",
        "--threading",
        "token",
        &example("hello.wasm"),
    ];
    let run = palisade(&args);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("Hello"), "{run:?}");
    let mut lines = run.stderr.lines();
    assert_eq!(
        lines.next(),
        Some("palisade: token threading, software bounds checks"),
        "{run:?}"
    );
    assert!(
        lines.next().is_some_and(|line| line.contains("asked for")),
        "{run:?}"
    );
}

/// Under a limit of address space that no guarded memory fits into.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn without_address_space_auto_runs_in_software_and_guarded_is_refused() {
    let limited = |args: &[&str]| {
        let line = "ulimit -v 4000000; exec \"$0\" \"$@\"";
        let output = std::process::Command::new("sh")
            .args(["-c", line, env!("CARGO_BIN_EXE_palisade"), "run"])
            .args(args)
            .output()
            .unwrap();
        common::Run::of(output)
    };
    let hello = example("hello.wasm");

    let run = limited(&["--verbose", &hello]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("Hello"), "{run:?}");
    assert!(run.stderr.contains("software bounds checks"), "{run:?}");
    // Where there would be guards without the limit, the limit is the reason.
    if palisade(&["strategy"])
        .stdout
        .starts_with("direct threading, guarded")
    {
        assert!(run.stderr.contains("guard pages cannot be had"), "{run:?}");
    }

    let run = limited(&["--bounds", "guarded", &hello]);
    run.assert_one_line(1);
    assert!(run.stderr.contains("bounds = guarded"), "{run:?}");
}

#[test]
fn strategy_lists_every_mode() {
    let run = palisade(&["strategy"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    for mode in [
        "direct + guarded",
        "direct + software",
        "token + software",
        "token + guarded",
    ] {
        assert!(run.stdout.contains(mode), "{mode}: {run:?}");
    }
    let refused = run
        .stdout
        .lines()
        .find(|line| line.contains("token + guarded"))
        .unwrap();
    assert!(refused.contains("not available: "), "{refused}");
}

#[test]
fn functions_can_be_validated_when_they_are_called() {
    for mode in [
        &["--threading", "direct", "--bounds", "software"][..],
        &[
            "--threading",
            "direct",
            "--bounds",
            "software",
            "--no-baseline",
        ],
        &["--threading", "token"],
        &[],
    ] {
        let run = |args: &[&str]| palisade(&[&["run"], mode, args].concat());
        let eager = run(&[&example("hello.wasm")]);
        let lazy = run(&["--validate", "lazily", &example("hello.wasm")]);
        assert_eq!(lazy.stdout, eager.stdout);
        assert_eq!(lazy.status, eager.status);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invalid.wat");
        let text = r#"(module
            (func $bad (export "bad") (drop))
            (func (export "good") (param i32) (result i32) (local.get 0))
            (func (export "to bad") (call $bad)))"#;
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        run(&["--invoke", "good", file, "5"]).assert_one_line(1);
        run(&["--validate", "eagerly", "--invoke", "good", file, "5"]).assert_one_line(1);
        let good = run(&["--validate", "lazily", "--invoke", "good", file, "5"]);
        assert_eq!(
            (good.status, good.stdout.as_str()),
            (Some(0), "5\n"),
            "{good:?}"
        );
        for name in ["bad", "to bad"] {
            let bad = run(&["--validate", "lazily", "--invoke", name, file]);
            assert_eq!(bad.status, Some(1), "{bad:?}");
            assert!(
                bad.stderr
                    .contains("function 0 \"bad\" is not valid: invalid module: type mismatch"),
                "{bad:?}"
            );
        }
    }
}

#[test]
fn only_run_validates_lazily() {
    let run = palisade(&["profile", "--validate", "lazily", &example("hello.wasm")]);
    run.assert_one_line(2);
    let run = palisade(&["explore", "--validate", "lazily", &example("hello.wasm")]);
    assert_eq!(run.status, Some(2), "{run:?}");
}
