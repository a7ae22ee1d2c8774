//! Limits of the host, each from too little to enough: the command ends with a status and one line, in every mode.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use common::{Run, example};

const MODES: [[&str; 4]; 4] = [
    ["--threading", "auto", "--bounds", "auto"],
    ["--threading", "direct", "--bounds", "guarded"],
    ["--threading", "direct", "--bounds", "software"],
    ["--threading", "token", "--bounds", "software"],
];

/// Takes what it can get of memory and table, then goes on with code that has not run before.
const GREEDY: &str = r#"(module
  (memory 1)
  (table 1 funcref)
  (func $after (param i32) (result i32)
    (i32.store (local.get 0) (i32.const 7))
    (i32.load (local.get 0)))
  (func (export "_start")
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (loop $more
      (br_if $more (i32.ne (table.grow (ref.null func) (i32.const 10000)) (i32.const -1))))
    (if (i32.ne (call $after (i32.const 100)) (i32.const 7)) (then unreachable))))"#;

/// Runs the command after a shell command. One that hangs is ended, with status 124.
fn after(shell: &str, args: &[&str]) -> Output {
    in_shell(
        &format!("{shell}; RUST_BACKTRACE=1 exec \"$0\" \"$@\""),
        args,
    )
}

fn in_shell(line: &str, args: &[&str]) -> Output {
    Command::new("timeout")
        .args(["60", "sh", "-c", line, env!("CARGO_BIN_EXE_palisade")])
        .args(args)
        .output()
        .unwrap()
}

/// Whether the loader gets as far as the program under a limit. What it refuses is not the command's to report.
fn loads(shell: &str) -> bool {
    let line = format!("{shell}; LD_TRACE_LOADED_OBJECTS=1 exec \"$0\"");
    let output = in_shell(&line, &[]);
    output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("not found")
}

/// Runs a command line after a shell command: it ends well, or with one line that says why not.
fn ends_well(shell: &str, args: &[&str], expected: &str) {
    let output = after(shell, args);
    let signal = output.status.signal();
    let run = Run::of(output);
    let what = format!("{shell}: {args:?}: {run:?}");
    assert_eq!(signal, None, "{what}");
    match run.status {
        Some(0) => assert!(run.stdout.starts_with(expected), "{what}"),
        Some(1) => run.assert_one_line(1),
        _ => panic!("{what}"),
    }
}

fn ends_well_in_every_mode(shell: &str, file: &str, expected: &str) {
    for mode in MODES {
        ends_well(shell, &[&["run"][..], &mode, &[file]].concat(), expected);
    }
}

fn sweep(file: &str, expected: &str, limits: impl IntoIterator<Item = (String, String)>) {
    let mut loaded = 0;
    for (shell, control) in limits {
        if loads(&control) {
            ends_well_in_every_mode(&shell, file, expected);
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "the limits are all too small for the loader");
}

/// Limits in KiB, each with one that is less by what the language takes before the program's first instruction.
fn memory(flag: &str, limits: impl IntoIterator<Item = u64>) -> Vec<(String, String)> {
    let pair = |limit| {
        (
            format!("ulimit -{flag} {limit}"),
            format!("ulimit -{flag} {}", limit - 1024),
        )
    };
    limits.into_iter().map(pair).collect()
}

fn greedy() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("greedy.wat");
    std::fs::write(&file, GREEDY).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (dir, file)
}

#[test]
fn data() {
    let hello = example("hello.wasm");
    let limits = [
        1100, 1500, 2000, 4000, 4400, 5000, 6000, 8200, 8600, 9000, 10_000, 14_000, 64_000,
    ];
    sweep(&hello, "Hello", memory("d", limits));
    let (_dir, greedy) = greedy();
    sweep(
        &greedy,
        "",
        memory("d", [8600, 9000, 12_000, 16_000, 64_000]),
    );
}

/// What the program itself takes of address space depends on how it was built, so where it begins is searched for.
#[test]
fn address_space() {
    let least = (1..)
        .map(|mib| mib << 10)
        .find(|kib| loads(&format!("ulimit -v {kib}")))
        .unwrap();
    let hello = example("hello.wasm");
    let more = [
        1100,
        2048,
        4096,
        5120,
        8192,
        10_240,
        12_288,
        13_312,
        14_336,
        20_480,
        65_536,
        4 << 20,
        13 << 20,
    ];
    sweep(&hello, "Hello", memory("v", more.map(|more| least + more)));
    let (_dir, greedy) = greedy();
    let more = [13_312, 14_336, 20_480, 65_536];
    sweep(&greedy, "", memory("v", more.map(|more| least + more)));
}

#[test]
fn stack() {
    let pair = |limit: u64| {
        (
            format!("ulimit -s {limit}"),
            format!("ulimit -s {}", limit / 2),
        )
    };
    let hello = example("hello.wasm");
    sweep(
        &hello,
        "Hello",
        [8, 16, 32, 64, 128, 256, 1024, 8192, 65_536].map(pair),
    );
    // Too little of both: a thread with a larger stack cannot be had either.
    let both = |limit: u64| {
        let limit = format!("ulimit -s 64; ulimit -d {limit}");
        (limit.clone(), limit)
    };
    sweep(
        &hello,
        "Hello",
        [6000, 10_000, 14_000, 20_000, 40_000].map(both),
    );
}

#[test]
fn open_files() {
    let pair = |limit: u64| (format!("ulimit -n {limit}"), format!("ulimit -n {limit}"));
    sweep(
        &example("hello.wasm"),
        "Hello",
        [3, 4, 5, 6, 8, 16].map(pair),
    );
}

#[test]
fn processes() {
    let pair = |limit: &str| (limit.to_owned(), "true".to_owned());
    let limits = [
        "ulimit -u 0",
        "ulimit -u 1",
        "ulimit -u 64",
        "ulimit -s 64; ulimit -u 0",
    ];
    sweep(&example("hello.wasm"), "Hello", limits.map(pair));
}

#[test]
fn other_commands() {
    let hello = example("hello.wasm");
    let limits = [
        1100, 2000, 4400, 5000, 9000, 14_000, 30_000, 50_000, 60_000, 75_000, 200_000,
    ];
    for (shell, control) in memory("d", limits) {
        if loads(&control) {
            ends_well(&shell, &["strategy"], "");
            ends_well(&shell, &["--help"], "");
            ends_well(&shell, &["explore", &hello], "; ");
            ends_well(&shell, &["profile", &hello], "Hello");
        }
    }
}

#[test]
fn what_is_refused_is_said() {
    let output = after("ulimit -d 4000", &["run", &example("hello.wasm")]);
    let run = Run::of(output);
    run.assert_one_line(1);
    assert!(run.stderr.contains("ulimit -d"), "{run:?}");
}
