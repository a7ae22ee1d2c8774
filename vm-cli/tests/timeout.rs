//! `--timeout`: guests that would never end, wherever they are.
#![cfg(unix)]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Run, command};

const MODES: [&[&str]; 3] = [&[], &["--bounds", "software"], &["--threading", "token"]];

/// Runs a module for a short time, with a standard input on which nothing ever comes.
fn run(wat: &str, mode: &[&str]) -> Run {
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    file.write_all(wat.as_bytes()).unwrap();
    let mut child = command();
    child
        .args(["run", "--timeout", "50ms"])
        .args(mode)
        .arg(file.path());
    let child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    // Held open until it has ended.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Run::of(output)
}

/// What waits for ever.
const WAITING: &str = r#"
    (import "wasi_snapshot_preview1" "fd_read"
        (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\10\00\00\00")
    ;; A clock, relative, 2^60 ns.
    (data (i32.const 100) "\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\10")"#;

#[test]
fn guests_that_never_end_are_stopped() {
    for (what, wat) in [
        (
            "a loop",
            "(module (func (export \"_start\") (loop (br 0))))".to_owned(),
        ),
        (
            "a start function",
            "(module (start 0) (func (export \"_start\") (loop (br 0))))".to_owned(),
        ),
        (
            "a read",
            format!(
                r#"(module {WAITING} (func (export "_start")
                    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (loop (br 0))))"#
            ),
        ),
        (
            "a sleep",
            format!(
                r#"(module {WAITING} (func (export "_start")
                    (drop (call $poll_oneoff
                        (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)))
                    (loop (br 0))))"#
            ),
        ),
    ] {
        for mode in MODES {
            let run = run(&wat, mode);
            assert_eq!(run.status, Some(134), "{what} {mode:?} {run:?}");
            assert!(run.stderr.contains("interrupt"), "{what} {mode:?} {run:?}");
        }
    }
}

#[test]
fn guests_that_end_in_time_are_not() {
    for mode in MODES {
        let run = run("(module (func (export \"_start\")))", mode);
        assert_eq!(
            (run.status, run.stderr.as_str()),
            (Some(0), ""),
            "{mode:?} {run:?}"
        );
    }
}
