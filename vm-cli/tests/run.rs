//! `palisade run`: programs, their arguments and files, traps, mistakes.

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Run, command, example, palisade};

/// A module in a file of its own.
fn file(contents: impl AsRef<[u8]>) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    file.write_all(contents.as_ref()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

/// Prints its arguments, and what `extra` does.
fn echo(extra: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get"
    (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func $print (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start")
    (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
    (drop (call $args_get (i32.const 1000) (i32.const 4000)))
    (call $print (i32.const 4000) (i32.load (i32.const 20)))
    {extra}))"#
    )
}

#[test]
fn a_c_program_says_hello() {
    let run = palisade(&["run", &example("hello.wasm")]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    assert!(run.stdout.starts_with("Hello"), "{run:?}");
}

#[test]
fn all_that_follows_the_file_is_the_guests() {
    let (_file, path) = file(echo(""));
    let args = [
        "--help",
        "--",
        "--verbose",
        "-x",
        "",
        "--dir",
        "a b",
        "--",
        "--invoke=f",
    ];
    let run = palisade(&[&["run", &path][..], &args].concat());
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let found: Vec<&str> = run.stdout.split_terminator('\0').collect();
    assert_eq!(found, [&[&path[..]][..], &args].concat());
}

#[test]
fn the_environment_is_what_is_given_and_nothing_else() {
    let (_file, path) = file(echo(
        "(drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
         (drop (call $environ_get (i32.const 1000) (i32.const 4000)))
         (call $print (i32.const 4000) (i32.load (i32.const 20)))",
    ));
    let run = palisade(&["run", "--env", "A=1", "--env=B=x=y", "--env", "E=", &path]);
    assert_eq!(run.stdout, format!("{path}\0A=1\0B=x=y\0E=\0"));
}

#[test]
fn the_guests_exit_status_is_passed_on() {
    for (status, expected) in [(0, 0), (1, 1), (77, 77), (255, 255), (-1, 255), (256, 1)] {
        let (_file, path) = file(echo(&format!("(call $proc_exit (i32.const {status}))")));
        let run = palisade(&["run", &path]);
        assert_eq!(run.status, Some(expected), "{status}: {run:?}");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn a_trap_names_what_happened_and_where() {
    let file = example("out_of_bounds.wat");
    let run = palisade(&["run", &file]);
    assert_eq!(run.status, Some(134), "{run:?}");
    let mut lines = run.stderr.lines();
    assert_eq!(
        lines.next(),
        Some("palisade: error: wasm trap: out of bounds memory access"),
        "{run:?}"
    );
    assert_eq!(lines.next(), Some("wasm backtrace:"));
    for name in ["load", "middle", "outer", "_start"] {
        let line = lines.next().unwrap_or_default();
        assert!(
            line.contains(" 0x") && line.ends_with(&format!("!{name}")),
            "{line:?}"
        );
    }
    assert_eq!(lines.next(), None, "{run:?}");
}

#[test]
fn a_directory_is_given_under_a_name() {
    // Opens `name` below the first directory and exits with the error number.
    let open = |name: &str| {
        format!(
            r#"(module
  (import "wasi_snapshot_preview1" "path_open" (func $path_open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "{name}")
  (func (export "_start")
    ;; Its name is of 6 bytes and begins with `/guest`'s first four.
    (if (call $name (i32.const 3) (i32.const 200) (i32.const 6))
      (then (call $proc_exit (i32.const 98))))
    (if (i32.ne (i32.load (i32.const 200)) (i32.const 0x6575672f))
      (then (call $proc_exit (i32.const 99))))
    (call $proc_exit (call $path_open (i32.const 3) (i32.const 1)
      (i32.const 100) (i32.const {}) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))"#,
            name.len()
        )
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there"), b"").unwrap();
    let dir = format!("--dir={}::/guest", dir.path().display());
    for (name, errno) in [("there", 0), ("missing", 44), ("../x", 63)] {
        let (_file, path) = file(open(name));
        let run = palisade(&["run", &dir, &path]);
        assert_eq!(run.status, Some(errno), "{name}: {run:?}");
    }
    let (_file, path) = file(open("there"));
    let run = palisade(&["run", &path]);
    assert_eq!(run.status, Some(98), "no directory without --dir: {run:?}");
    palisade(&["run", "--dir", "/no/such/directory", &path]).assert_one_line(1);
}

#[test]
fn a_function_is_called_with_arguments() {
    let (_file, path) = file(
        r#"(module
  (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
  (func (export "nothing"))
  (func (export "trap") unreachable)
  (global $state (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $state (i32.const 5)))
  (func (export "state") (result i32) global.get $state))"#,
    );
    let invoke = |name: &str, args: &[&str]| {
        palisade(&[&["run", "--invoke", name, &path][..], args].concat())
    };
    let run = invoke("swap", &["-3", "-0.5"]);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (Some(0), "-0.5\n-3\n"),
        "{run:?}"
    );
    assert_eq!(invoke("swap", &["0xffffffff", "1"]).stdout, "1\n-1\n");
    assert_eq!(invoke("nothing", &[]).stdout, "");
    assert_eq!(
        invoke("state", &[]).stdout,
        "5\n",
        "a library is initialised first"
    );
    assert_eq!(invoke("trap", &[]).status, Some(134));

    let run = invoke("swap", &["1"]);
    run.assert_one_line(2);
    assert!(run.stderr.contains("needs 2 arguments, but 1"), "{run:?}");
    let run = invoke("swap", &["1", "two"]);
    run.assert_one_line(2);
    assert!(
        run.stderr.contains("argument 2") && run.stderr.contains("two"),
        "{run:?}"
    );
    let run = invoke("missing", &[]);
    run.assert_one_line(1);
    assert!(
        run.stderr.contains("missing") && run.stderr.contains("swap, nothing"),
        "{run:?}"
    );
}

#[test]
fn a_module_that_is_no_program_says_so() {
    let (_file, path) = file("(module (func (export \"f\")))");
    let run = palisade(&["run", &path]);
    run.assert_one_line(1);
    assert!(
        run.stderr.contains("`_start`") && run.stderr.contains("--invoke"),
        "{run:?}"
    );
    let (_file, path) = file("(module (func (export \"_start\") (param i32)))");
    let run = palisade(&["run", &path]);
    run.assert_one_line(1);
    assert!(run.stderr.contains("(i32)"), "{run:?}");
}

#[test]
fn a_missing_import_is_named() {
    let (_file, path) = file(
        "(module (import \"env\" \"clock_ms\" (func (result i32))) (func (export \"_start\")))",
    );
    let run = palisade(&["run", &path]);
    run.assert_one_line(1);
    assert!(
        run.stderr.contains("env") && run.stderr.contains("clock_ms"),
        "{run:?}"
    );
}

#[test]
fn a_proposal_that_is_not_supported_is_called_that() {
    let (_file, path) = file("(module (type (struct (field i32))) (func (export \"_start\")))");
    let run = palisade(&["run", &path]);
    run.assert_one_line(1);
    assert!(
        run.stderr.contains("`gc`, which is not supported") && !run.stderr.contains("enabled"),
        "{run:?}"
    );
}

#[test]
fn mistakes_on_the_command_line_are_one_line() {
    let hello = example("hello.wasm");
    for (args, names) in [
        (&["run"][..], "FILE"),
        (&["run", "--threading", "fast", &hello], "--threading"),
        (&["run", "--bounds", "none", &hello], "--bounds"),
        (&["run", "--env", "=value", &hello], "--env"),
        (&["run", "--dir", "::", &hello], "--dir"),
        (&["run", "--unknown", &hello], "--unknown"),
        (&["walk"], "walk"),
        (&[], "subcommand"),
    ] {
        let run = palisade(args);
        run.assert_one_line(2);
        assert!(run.stderr.contains(names), "{args:?}: {run:?}");
    }
}

#[test]
fn help_is_on_standard_output() {
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["explore", "-h"],
        &["strategy", "--help"],
    ] {
        let run = palisade(args);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(run.stdout.contains("Usage: palisade"), "{args:?}");
    }
    let help = palisade(&["run", "--help"]).stdout;
    let options = [
        "--dir",
        "--env",
        "--invoke",
        "--threading",
        "--bounds",
        "--verbose",
    ];
    for word in options.into_iter().chain(["FILE", "ARGS", "134"]) {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn standard_input_reaches_the_guest() {
    let (_file, path) = file(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $proc_exit (i32.load8_u (i32.const 100)))))"#,
    );
    let mut child = command()
        .args(["run", &path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"A").unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.status, Some(65), "{run:?}");
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly() {
    let shell = |line: &str| {
        Run::of(
            std::process::Command::new("sh")
                .args([
                    "-c",
                    line,
                    env!("CARGO_BIN_EXE_palisade"),
                    &example("hello.wasm"),
                ])
                .output()
                .unwrap(),
        )
    };
    for line in [
        "\"$0\" explore \"$1\" | head -n 1",
        "{ sleep 0.2; \"$0\" strategy; } | true",
        "{ sleep 0.2; \"$0\" run --help; } | true",
        "{ sleep 0.2; \"$0\" run \"$1\"; } | true",
        "\"$0\" run \"$1\" >&- 2>&-",
        "\"$0\" run nothing 2>&-",
    ] {
        let run = shell(line);
        assert!(!run.stderr.contains("panicked"), "{line}: {run:?}");
        assert!(!run.stderr.contains("palisade: error"), "{line}: {run:?}");
    }
}

/// Of commands that print, and of guests, to a pipe that nobody will ever read.
#[test]
#[cfg(unix)]
fn a_closed_pipe_is_a_success_of_commands_and_ends_guests_by_a_signal() {
    use std::os::unix::process::ExitStatusExt as _;
    let output = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command().args(args).stdout(writer).output().unwrap()
    };
    let (hello, fibonacci) = (example("hello.wasm"), example("fibonacci.wat"));
    let commands: [&[&str]; 5] = [
        &["explore", &hello],
        &["strategy"],
        &["--help"],
        &["run", "--help"],
        &["run", "--invoke", "fibonacci", &fibonacci, "5"],
    ];
    for args in commands {
        let output = output(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    for args in [&["run", &hello], &["profile", hello.as_str()]] {
        let output = output(args);
        assert_eq!(output.status.signal(), Some(13), "{args:?}: {output:?}");
    }
}
