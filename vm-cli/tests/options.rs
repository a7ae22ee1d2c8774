//! Options of `palisade run` that change what a program is given.

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Run, command, example, palisade};

/// A folder with modules in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Prints the strings that `args` or `environ` give.
fn print(what: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "{what}_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "{what}_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  (func (export "_start")
    (drop (call $sizes (i32.const 16) (i32.const 4)))
    (drop (call $get (i32.const 1000) (i32.const 65536)))
    (i32.store (i32.const 0) (i32.const 65536))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

#[test]
fn the_first_argument_can_be_chosen() {
    let folder = Folder::new();
    let file = folder.file("several.wat", &print("args"));
    let run = palisade(&["run", "--argv0", "ls", &file, "-l"]);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (Some(0), "ls\0-l\0"),
        "{run:?}"
    );
}

#[test]
fn variables_are_inherited_one_by_one_or_all() {
    let folder = Folder::new();
    let file = folder.file("environment.wat", &print("environ"));
    let environment = |args: &[&str]| {
        let output = command()
            .args(["run"])
            .args(args)
            .arg(&file)
            .env_clear()
            .envs([("ONE", "1"), ("TWO", "a=b"), ("EMPTY", "")])
            .output();
        let run = Run::of(output.unwrap());
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        let mut found: Vec<String> = run
            .stdout
            .split_terminator('\0')
            .map(str::to_owned)
            .collect();
        found.sort();
        found
    };
    assert_eq!(environment(&[]), [""; 0]);
    assert_eq!(
        environment(&["--env", "TWO", "--env=NONE", "--env=X=y"]),
        ["TWO=a=b", "X=y"]
    );
    assert_eq!(
        environment(&["--inherit-env"]),
        ["EMPTY=", "ONE=1", "TWO=a=b"]
    );
    assert_eq!(
        environment(&["--env=ONE=2", "--inherit-env", "--env", "X=y"]),
        ["EMPTY=", "ONE=2", "TWO=a=b", "X=y"]
    );
}

#[test]
#[cfg(unix)]
fn a_variable_that_no_guest_can_be_given_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let value = std::ffi::OsStr::from_bytes(b"\xff");
    for (args, status) in [
        (&["--inherit-env"][..], 1),
        (&["--env", "ODD"], 1),
        (&[], 0),
    ] {
        let run = command()
            .arg("run")
            .args(args)
            .arg(example("hello.wasm"))
            .env("ODD", value)
            .output();
        let run = Run::of(run.unwrap());
        if status == 0 {
            assert_eq!(run.status, Some(0), "{run:?}");
        } else {
            run.assert_one_line(1);
            assert!(run.stderr.contains("ODD"), "{run:?}");
        }
    }
}

#[test]
fn modules_are_loaded_before_the_program() {
    let folder = Folder::new();
    let counter = folder.file(
        "counter.wat",
        r#"(module
  (global $count (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $count (i32.const 40)))
  (func (export "next") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count)))"#,
    );
    let twice = folder.file(
        "twice.wat",
        r#"(module
  (import "counter" "next" (func $next (result i32)))
  (func (export "next") (result i32) (drop (call $next)) (call $next)))"#,
    );
    let program = folder.file(
        "program.wat",
        r#"(module
  (import "twice" "next" (func $next (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 0)
  (func (export "_start") (call $exit (call $next))))"#,
    );
    let preload = |name: &str, file: &str| format!("--preload={name}={file}");
    let (counter, twice) = (preload("counter", &counter), preload("twice", &twice));
    assert_eq!(
        palisade(&["run", &counter, &twice, &program]).status,
        Some(42)
    );
    // Each sees those before it only.
    let run = palisade(&["run", &twice, &counter, &program]);
    run.assert_one_line(1);
    assert!(run.stderr.contains("counter::next"), "{run:?}");
    palisade(&["run", "--preload=x=/no/such/file", &program]).assert_one_line(1);
    let trapping = folder.file(
        "trapping.wat",
        r#"(module (func (export "_initialize") unreachable))"#,
    );
    assert_eq!(
        palisade(&["run", &preload("x", &trapping), &program]).status,
        Some(134)
    );
}

#[test]
fn what_is_missing_is_refused_or_stood_in_for() {
    let folder = Folder::new();
    let file = folder.file(
        "wanting.wat",
        r#"(module
  (import "env" "missing" (func $missing (param i32) (result i32 f64)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "_start"))
  (func (export "call") (call $missing (i32.const 5)) (drop) (call $exit)))"#,
    );
    let run = |args: &[&str]| palisade(&[&["run"], args, &[&file[..]]].concat());
    run(&[]).assert_one_line(1);
    assert_eq!(
        run(&["--unknown-imports", "trap"]).status,
        Some(0),
        "it is not called"
    );
    let trapped = run(&["--unknown-imports=trap", "--invoke=call"]);
    assert_eq!(trapped.status, Some(134), "{trapped:?}");
    assert!(trapped.stderr.contains("env::missing"), "{trapped:?}");
    assert_eq!(
        run(&["--unknown-imports=default", "--invoke=call"]).status,
        Some(0)
    );

    let all = folder.file(
        "all.wat",
        r#"(module
  (import "env" "g" (global $g (mut i64)))
  (import "env" "t" (table $t 3 funcref))
  (import "env" "m" (memory 2 5))
  (func (export "state") (result i64 i32 i32)
    (global.get $g) (table.size $t) (memory.grow (i32.const 3))))"#,
    );
    let state = palisade(&["run", "--unknown-imports=default", "--invoke=state", &all]);
    assert_eq!(state.stdout, "0\n3\n2\n", "{state:?}");
    let refused = palisade(&["run", "--unknown-imports=trap", "--invoke=state", &all]);
    refused.assert_one_line(1);
    assert!(refused.stderr.contains("env::g"), "{refused:?}");
}

#[test]
fn memories_and_tables_are_limited() {
    let folder = Folder::new();
    let file = folder.file(
        "growing.wat",
        r#"(module
  (memory 2)
  (table $t 10 funcref)
  (func (export "memory") (result i32)
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    memory.size)
  (func (export "table") (result i32)
    (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))))
    (table.size $t)))"#,
    );
    let memory = |limit: &str| palisade(&["run", "--max-memory", limit, "--invoke=memory", &file]);
    for (limit, pages) in [
        ("131072", "2\n"),
        ("196607", "2\n"),
        ("192K", "3\n"),
        ("1M", "16\n"),
    ] {
        let run = memory(limit);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (Some(0), pages),
            "{limit}: {run:?}"
        );
    }
    let run = memory("131071");
    run.assert_one_line(1);
    assert!(
        run.stderr.contains("131072 bytes") && run.stderr.contains("--max-memory"),
        "{run:?}"
    );

    let table = |limit: &str| {
        palisade(&[
            "run",
            "--max-table-elements",
            limit,
            "--invoke=table",
            &file,
        ])
    };
    assert_eq!(table("10").stdout, "10\n");
    assert_eq!(table("1234").stdout, "1234\n");
    table("9").assert_one_line(1);
}

#[test]
fn the_word_run_can_be_left_out() {
    let hello = example("hello.wasm");
    for args in [
        &[&hello[..]][..],
        &["--threading", "token", &hello],
        &["--", &hello],
    ] {
        let run = palisade(args);
        assert_eq!(
            (run.status, run.stderr.as_str()),
            (Some(0), ""),
            "{args:?}: {run:?}"
        );
        assert!(run.stdout.starts_with("Hello"), "{args:?}: {run:?}");
    }
    let missing = palisade(&["no/such.wasm"]);
    missing.assert_one_line(1);
    assert!(missing.stderr.contains("no/such.wasm"), "{missing:?}");
    let mistyped = palisade(&["strategi"]);
    mistyped.assert_one_line(2);
    assert!(mistyped.stderr.contains("strategi"), "{mistyped:?}");
}

#[test]
fn a_module_comes_from_standard_input() {
    let piped = |args: &[&str], bytes: &[u8]| {
        let mut child = command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        Run::of(child.wait_with_output().unwrap())
    };
    let hello = std::fs::read(example("hello.wasm")).unwrap();
    for args in [
        &["run", "-"][..],
        &["-"],
        &["run", "--argv0", "x", "-", "--dir"],
    ] {
        let run = piped(args, &hello);
        assert_eq!(run.status, Some(0), "{run:?}");
        assert!(run.stdout.starts_with("Hello"), "{run:?}");
    }
    let run = piped(&["explore", "-"], b"(module (func $named))");
    assert!(run.stdout.contains("; function 0: named"), "{run:?}");
    let run = piped(&["-"], b"nonsense");
    run.assert_one_line(1);
    assert!(run.stderr.contains("standard input"), "{run:?}");
}

#[test]
fn the_entry_of_a_program_may_have_no_name() {
    let folder = Folder::new();
    let exit = |code: u32, name: &str| {
        format!(r#"(func (export "{name}") (call $exit (i32.const {code})))"#)
    };
    let module = |functions: &str| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
               (global $state (mut i32) (i32.const 0)) {functions})"#
        )
    };
    let status =
        |functions: String| palisade(&["run", &folder.file("p.wat", &module(&functions))]).status;
    assert_eq!(status(exit(7, "")), Some(7));
    assert_eq!(
        status(exit(7, "") + &exit(8, "_start")),
        Some(8),
        "`_start` comes first"
    );
    let library = r#"(func (export "_initialize") (global.set $state (i32.const 9)))
                     (func (export "") (call $exit (global.get $state)))"#;
    assert_eq!(status(library.to_owned()), Some(9));
    assert_eq!(
        status(r#"(func (export "") (param i32))"#.to_owned()),
        Some(1)
    );
}
