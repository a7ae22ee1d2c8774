//! Small guests that use WASI through the engine.

use std::io::Cursor;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use vm_engine::{Engine, Error, Linker, Module, Store};
use vm_wasi::pipe::MemoryOutputPipe;
use vm_wasi::{
    BrokenPipe, ClockId, I32Exit, VirtualClock, WasiCtx, WasiCtxBuilder, add_to_linker, cap_std,
};

/// Runs the `_start` of a module, and returns what it printed.
fn run(text: &str, builder: &mut WasiCtxBuilder) -> (Result<(), Error>, Vec<u8>) {
    let stdout = MemoryOutputPipe::new(1 << 16);
    let ctx = builder.stdout(stdout.clone()).build().unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, text).unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(&engine, ctx);
    let result = linker
        .instantiate(&mut store, &module)
        .and_then(|instance| instance.get_typed_func::<(), ()>(&mut store, "_start"))
        .and_then(|start| start.call(&mut store, ()));
    (result, stdout.contents())
}

/// Runs a module that ends by `proc_exit`, and returns the status.
fn status(text: &str, builder: &mut WasiCtxBuilder) -> i32 {
    let (result, _) = run(text, builder);
    let error = result.expect_err("the guest returned instead of exiting");
    match error.downcast_ref::<I32Exit>() {
        Some(exit) => exit.0,
        None => panic!("{error}"),
    }
}

/// A module whose `_start` is `body`, with the imports that the tests use.
fn guest(body: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "args_get"
    (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get"
    (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek"
    (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get"
    (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open
      (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Writes what lies at an address to a descriptor. The list is at 0, the
  ;; number of bytes written at 8.
  (func $write (param $fd i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (call $check
      (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $expect (i32.load (i32.const 8)) (local.get $len)))
  ;; Exits with an error number, unless it is success.
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  ;; Exits with 99 unless both are equal.
  (func $expect (param $found i32) (param $expected i32)
    (if (i32.ne (local.get $found) (local.get $expected))
      (then (call $proc_exit (i32.const 99)))))
  (func (export "_start") {body}))"#
    )
}

/// A directory of the host's, and a builder that gives it to the guest.
fn preopened() -> (tempfile::TempDir, WasiCtxBuilder) {
    let host = tempfile::tempdir().unwrap();
    let mut builder = WasiCtxBuilder::new();
    let dir = Dir::open_ambient_dir(host.path(), ambient_authority()).unwrap();
    builder.preopened_dir(dir, ".");
    (host, builder)
}

#[test]
fn every_function_of_preview_1_exists_with_its_type() {
    let functions = [
        ("args_get", "i32 i32"),
        ("args_sizes_get", "i32 i32"),
        ("environ_get", "i32 i32"),
        ("environ_sizes_get", "i32 i32"),
        ("clock_res_get", "i32 i32"),
        ("clock_time_get", "i32 i64 i32"),
        ("fd_advise", "i32 i64 i64 i32"),
        ("fd_allocate", "i32 i64 i64"),
        ("fd_close", "i32"),
        ("fd_datasync", "i32"),
        ("fd_fdstat_get", "i32 i32"),
        ("fd_fdstat_set_flags", "i32 i32"),
        ("fd_fdstat_set_rights", "i32 i64 i64"),
        ("fd_filestat_get", "i32 i32"),
        ("fd_filestat_set_size", "i32 i64"),
        ("fd_filestat_set_times", "i32 i64 i64 i32"),
        ("fd_pread", "i32 i32 i32 i64 i32"),
        ("fd_prestat_get", "i32 i32"),
        ("fd_prestat_dir_name", "i32 i32 i32"),
        ("fd_pwrite", "i32 i32 i32 i64 i32"),
        ("fd_read", "i32 i32 i32 i32"),
        ("fd_readdir", "i32 i32 i32 i64 i32"),
        ("fd_renumber", "i32 i32"),
        ("fd_seek", "i32 i64 i32 i32"),
        ("fd_sync", "i32"),
        ("fd_tell", "i32 i32"),
        ("fd_write", "i32 i32 i32 i32"),
        ("path_create_directory", "i32 i32 i32"),
        ("path_filestat_get", "i32 i32 i32 i32 i32"),
        ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
        ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        ("path_readlink", "i32 i32 i32 i32 i32 i32"),
        ("path_remove_directory", "i32 i32 i32"),
        ("path_rename", "i32 i32 i32 i32 i32 i32"),
        ("path_symlink", "i32 i32 i32 i32 i32"),
        ("path_unlink_file", "i32 i32 i32"),
        ("poll_oneoff", "i32 i32 i32 i32"),
        ("proc_raise", "i32"),
        ("random_get", "i32 i32"),
        ("sched_yield", ""),
        ("sock_accept", "i32 i32 i32"),
        ("sock_recv", "i32 i32 i32 i32 i32 i32"),
        ("sock_send", "i32 i32 i32 i32 i32"),
        ("sock_shutdown", "i32 i32"),
    ];
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        let mut text = format!("(module (import \"{module}\" \"proc_exit\" (func (param i32)))");
        for (name, params) in functions {
            // The older version is older than this one.
            if (module, name) != ("wasi_unstable", "sock_accept") {
                text.push_str(&format!(
                    "(import \"{module}\" \"{name}\" (func (param {params}) (result i32)))"
                ));
            }
        }
        text.push_str("(func (export \"_start\")))");
        let (result, _) = run(&text, &mut WasiCtxBuilder::new());
        result.unwrap();
    }
    let (result, _) = run(
        r#"(module (import "wasi_unstable" "sock_accept" (func (param i32 i32 i32) (result i32)))
             (func (export "_start")))"#,
        &mut WasiCtxBuilder::new(),
    );
    assert!(result.is_err());
}

#[test]
fn signals_are_not_supported_and_what_is_none_is_invalid() {
    // Errno `notsup` and `inval`. Preview 1 has signals from `none` to `sys`.
    for (signal, errno) in [(0, 58), (6, 58), (30, 58), (31, 28), (-1, 28)] {
        let text = format!(
            r#"(module
                 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                 (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
                 (memory (export "memory") 1)
                 (func (export "_start") (call $exit (call $raise (i32.const {signal})))))"#
        );
        assert_eq!(status(&text, &mut WasiCtxBuilder::new()), errno, "{signal}");
    }
}

#[test]
fn a_guest_of_the_older_version_runs() {
    // Writes to a file, and reads it from its end: there, 1 means the end and 2 the start.
    let text = guest(&format!(
        "{}
         (call $write (i32.load (i32.const 16)) (i32.const 100) (i32.const 4))
         (call $check (call $fd_seek (i32.load (i32.const 16)) (i64.const -3) (i32.const 1) (i32.const 24)))
         (call $expect (i32.load (i32.const 24)) (i32.const 1))
         (i32.store (i32.const 0) (i32.const 200))
         (call $check
           (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
         (call $expect (i32.load (i32.const 8)) (i32.const 3))
         (call $check (call $fd_filestat_get (i32.load (i32.const 16)) (i32.const 300)))
         (call $expect (i32.load (i32.const 320)) (i32.const 1))
         (call $expect (i32.load (i32.const 324)) (i32.const 4))
         (call $write (i32.const 1) (i32.const 200) (i32.const 3))",
        open(4)
    ));
    let text = with_path(&text, "file").replace("wasi_snapshot_preview1", "wasi_unstable");
    let (_host, mut builder) = preopened();
    let (result, stdout) = run(&text, &mut builder);
    result.unwrap();
    assert_eq!(stdout, b"ile");
}

#[test]
fn a_guest_ends_with_its_reader_if_that_is_wanted() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    const EPIPE: i32 = 64;
    let text = guest("(call $write (i32.const 2) (i32.const 0) (i32.const 1))");
    let mut builder = WasiCtxBuilder::new();
    assert_eq!(status(&text, builder.stderr(Closed)), EPIPE);
    let (result, _) = run(&text, builder.stderr(Closed).end_on_broken_pipe(true));
    assert_eq!(
        result.unwrap_err().downcast_ref::<BrokenPipe>(),
        Some(&BrokenPipe)
    );
}

#[test]
fn a_guest_runs_the_same_each_time_if_that_is_wanted() {
    // Sleeps an hour, and prints the time of day and random bytes.
    let text = guest(
        "(i32.store (i32.const 16) (i32.const 1))
         (i64.store (i32.const 24) (i64.const 3600000000000))
         (call $check (call $poll_oneoff
           (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 300)))
         (call $check (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 400)))
         (call $check (call $random_get (i32.const 408) (i32.const 3)))
         (call $write (i32.const 1) (i32.const 400) (i32.const 11))",
    );
    let clock = VirtualClock::new(Duration::from_secs(1_000));
    let mut next = 0;
    let mut builder = WasiCtxBuilder::new();
    builder
        .clock(ClockId::Realtime, clock.clone())
        .clock(ClockId::Monotonic, clock)
        .random(move |bytes| {
            for byte in bytes {
                next += 1;
                *byte = next;
            }
        });
    let (result, stdout) = run(&text, &mut builder);
    result.unwrap();
    let time = 4_600_000_000_000u64.to_le_bytes();
    assert_eq!(stdout, [&time[..], &[1, 2, 3]].concat());
}

#[test]
fn a_guest_prints() {
    let text = guest("(call $write (i32.const 1) (i32.const 100) (i32.const 6))")
        + r#"(; after the module ;)"#;
    let text = text.replace(
        "(func (export",
        "(data (i32.const 100) \"hello\\n\") (func (export",
    );
    let (result, stdout) = run(&text, &mut WasiCtxBuilder::new());
    result.unwrap();
    assert_eq!(stdout, b"hello\n");
}

#[test]
fn arguments_and_environment_arrive() {
    let text = guest(
        "(call $check (call $args_get (i32.const 16) (i32.const 100)))
         (call $check (call $environ_get (i32.const 16) (i32.const 113)))
         (call $expect (i32.load (i32.const 16)) (i32.const 113))
         (call $write (i32.const 1) (i32.const 100) (i32.const 17))",
    );
    let mut builder = WasiCtxBuilder::new();
    builder.arg("prog").args(&["--help", ""]).env("A", "b");
    let (result, stdout) = run(&text, &mut builder);
    result.unwrap();
    assert_eq!(stdout, b"prog\0--help\0\0A=b\0");
}

#[test]
fn standard_input_is_read() {
    let text = guest(
        "(i32.store (i32.const 0) (i32.const 100))
         (i32.store (i32.const 4) (i32.const 1000))
         (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
         (call $write (i32.const 1) (i32.const 100) (i32.load (i32.const 8)))",
    );
    let (result, stdout) = run(
        &text,
        WasiCtxBuilder::new().stdin(Cursor::new(b"from outside".to_vec())),
    );
    result.unwrap();
    assert_eq!(stdout, b"from outside");
}

#[test]
fn the_exit_status_is_an_error_of_its_own_type() {
    let text = guest("(call $proc_exit (i32.const -7)) unreachable");
    assert_eq!(status(&text, &mut WasiCtxBuilder::new()), -7);
    assert_eq!(I32Exit(-7).process_exit_code(), 249);
    assert_eq!(I32Exit(0).process_exit_code(), 0);
    assert_eq!(I32Exit(256).process_exit_code(), 1);
}

/// Opens the path at 100 for reading and writing, creating it, and stores the
/// descriptor at 16.
fn open(len: usize) -> String {
    format!(
        "(call $check (call $path_open (i32.const 3) (i32.const 1)
           (i32.const 100) (i32.const {len}) (i32.const 1)
           (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 16)))"
    )
}

fn with_path(text: &str, path: &str) -> String {
    let data = format!("(data (i32.const 100) \"{path}\") (func (export");
    text.replace("(func (export", &data)
}

#[test]
fn a_file_is_written_below_a_preopened_directory() {
    let (host, mut builder) = preopened();
    let text = guest(&format!(
        "{} (call $write (i32.load (i32.const 16)) (i32.const 100) (i32.const 4))
         (call $check (call $fd_close (i32.load (i32.const 16))))
         (call $proc_exit (i32.const 77))",
        open(4)
    ));
    assert_eq!(status(&with_path(&text, "file"), &mut builder), 77);
    assert_eq!(std::fs::read(host.path().join("file")).unwrap(), b"file");
}

#[test]
fn no_file_outside_is_reached() {
    const EPERM: i32 = 63;
    for path in ["../escaped", "/etc/passwd", "./../escaped"] {
        let (host, mut builder) = preopened();
        let text = with_path(&guest(&open(path.len())), path);
        assert_eq!(status(&text, &mut builder), EPERM, "{path}");
        assert!(!host.path().join("../escaped").exists());
    }
}

#[test]
fn a_bad_pointer_is_efault_and_no_trap() {
    const EFAULT: i32 = 21;
    for call in [
        "(call $fd_write (i32.const 1) (i32.const 65529) (i32.const 1) (i32.const 8))",
        "(call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 8))",
        "(call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const -1))",
        "(call $random_get (i32.const 65535) (i32.const 2))",
        "(call $random_get (i32.const 1) (i32.const -1))",
        "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 65529))",
        "(call $args_get (i32.const 65533) (i32.const 0))",
        "(call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))",
    ] {
        let text = guest(&format!("(call $check {call})"));
        let mut builder = WasiCtxBuilder::new();
        assert_eq!(status(&text, builder.arg("prog")), EFAULT, "{call}");
    }
}

#[test]
fn a_guest_sleeps() {
    // One subscription at 0, to the monotonic clock in 20 ms; the times before
    // and after at 400 and 408.
    let text = guest(
        "(call $check (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 400)))
         (i32.store (i32.const 16) (i32.const 1))
         (i64.store (i32.const 24) (i64.const 20000000))
         (call $check (call $poll_oneoff
           (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 300)))
         (call $expect (i32.load (i32.const 300)) (i32.const 1))
         (call $check (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 408)))
         (call $expect
           (i64.ge_u
             (i64.sub (i64.load (i32.const 408)) (i64.load (i32.const 400)))
             (i64.const 20000000))
           (i32.const 1))",
    );
    run(&text, &mut WasiCtxBuilder::new()).0.unwrap();
}

#[test]
fn random_bytes_differ() {
    let text = guest(
        "(call $check (call $random_get (i32.const 100) (i32.const 16)))
         (call $check (call $random_get (i32.const 116) (i32.const 16)))
         (call $expect
           (i32.or
             (i64.ne (i64.load (i32.const 100)) (i64.load (i32.const 116)))
             (i64.ne (i64.load (i32.const 108)) (i64.load (i32.const 124))))
           (i32.const 1))",
    );
    run(&text, &mut WasiCtxBuilder::new()).0.unwrap();
}

#[test]
fn there_are_no_sockets() {
    const ENOTSOCK: i32 = 57;
    const EBADF: i32 = 8;
    for (fd, errno) in [(0, ENOTSOCK), (44, EBADF)] {
        let text = guest(&format!(
            "(call $check (call $sock_recv (i32.const {fd}) (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0)))"
        ));
        assert_eq!(status(&text, &mut WasiCtxBuilder::new()), errno);
    }
}

#[test]
fn a_guest_without_a_memory_hears_what_is_missing() {
    let text = "(module
      (import \"wasi_snapshot_preview1\" \"random_get\"
        (func $random_get (param i32 i32) (result i32)))
      (func (export \"_start\") (drop (call $random_get (i32.const 0) (i32.const 0)))))";
    let (result, _) = run(text, &mut WasiCtxBuilder::new());
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("random_get") && message.contains("`memory`"),
        "{message}"
    );
}
