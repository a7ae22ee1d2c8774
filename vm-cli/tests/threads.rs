//! `--wasi-threads`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::palisade;

const MODES: [&[&str]; 4] = [
    &[],
    &["--no-baseline"],
    &["--bounds", "software"],
    &["--threading", "token"],
];

/// What `threads/threads.c` prints, as `cc` builds it.
const PRINTED: &str = "cc8fa12b6ba35775\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/threads")
}

fn run(options: &[&str], mode: &[&str], file: &Path) -> common::Run {
    let args: Vec<&str> = ["run"]
        .iter()
        .chain(options)
        .chain(mode)
        .copied()
        .chain([file.to_str().unwrap()])
        .collect();
    palisade(&args)
}

#[test]
fn a_program_with_threads_does_the_same_in_every_mode() {
    let program = folder().join("threads.wasm");
    for mode in MODES {
        for _ in 0..3 {
            let run = run(&["--wasi-threads"], mode, &program);
            assert_eq!(run.status, Some(0), "{mode:?}: {run:?}");
            assert_eq!(run.stdout, PRINTED, "{mode:?}: {run:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn the_native_program_prints_that_too() {
    let folder = tempfile::tempdir().unwrap();
    let native = folder.path().join("threads");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-std=c11", "-pthread", "-o"])
        .arg(&native)
        .arg(self::folder().join("threads.c"));
    match compiler.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => return eprintln!("not tested without a C compiler: {error}"),
    }
    let output = Command::new(native).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), PRINTED);
}

#[test]
fn without_the_option_there_are_no_threads() {
    let run = run(&[], &[], &folder().join("threads.wasm"));
    run.assert_one_line(1);
    assert!(run.stderr.contains("env::memory"), "{run:?}");
}

/// A program that makes so many threads, which wait for ever, and exits with how many there were.
fn waiting(body: &str) -> tempfile::NamedTempFile {
    use std::io::Write;
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    let text = format!(
        r#"(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (export "memory" (memory 0))
  (func $wait (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func (export "wasi_thread_start") (param i32 i32) (call $wait))
  (func (export "_start") (local $made i32)
    (block $none
      (loop $again
        (br_if $none (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)))
        (local.set $made (i32.add (local.get $made) (i32.const 1)))
        (br $again)))
    {body}))"#
    );
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn there_are_as_many_threads_as_the_command_allows() {
    let file = waiting("(call $exit (local.get $made))");
    for mode in MODES {
        let options = ["--wasi-threads", "--max-threads", "7"];
        let run = run(&options, mode, file.path());
        assert_eq!(run.status, Some(7), "{mode:?}: {run:?}");
    }
    let run = run(&["--max-threads", "7"], &[], file.path());
    assert_eq!(run.status, Some(2), "{run:?}");
}

#[test]
fn a_time_out_ends_all_threads() {
    let file = waiting("(call $wait)");
    for mode in MODES {
        let options = ["--wasi-threads", "--max-threads", "3", "--timeout", "50ms"];
        let run = run(&options, mode, file.path());
        assert_ne!(run.status, Some(0), "{mode:?}: {run:?}");
        assert!(
            run.stderr.contains("interrupt") || run.stderr.contains("time"),
            "{run:?}"
        );
    }
}
