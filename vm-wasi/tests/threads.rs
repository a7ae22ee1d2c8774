//! Guests with threads, in every mode.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use vm_engine::{
    Bounds, Config, Engine, Error, Instance, Linker, Module, Result, Store, Threading, Trap,
};
use vm_wasi::pipe::MemoryOutputPipe;
use vm_wasi::{
    I32Exit, InputStream, OutputStream, Readiness, WasiCtx, WasiCtxBuilder, WasiThreads,
    WasiThreadsConfig, add_to_linker,
};

/// What each module begins with: its imports, and a function that waits until a place holds a number.
const HEAD: &str = r#"
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (export "memory" (memory 0))
  (func $await (param $at i32) (param $count i32)
    (local $now i32)
    (loop $again
      (local.set $now (i32.atomic.load (local.get $at)))
      (if (i32.ne (local.get $now) (local.get $count))
        (then
          (drop (memory.atomic.wait32 (local.get $at) (local.get $now) (i64.const -1)))
          (br $again)))))
  (func $count (param $at i32)
    (drop (i32.atomic.rmw.add (local.get $at) (i32.const 1)))
    (drop (memory.atomic.notify (local.get $at) (i32.const -1))))"#;

fn engines() -> impl Iterator<Item = Engine> {
    let modes = [
        (Threading::Direct, Bounds::Guarded),
        (Threading::Direct, Bounds::Software),
        (Threading::Token, Bounds::Software),
    ];
    modes.into_iter().filter_map(|(threading, bounds)| {
        let mut config = Config::new();
        config.threading(threading).bounds(bounds);
        Engine::new(&config).ok()
    })
}

/// Runs a program of this body, and answers what it wrote and how it ended.
fn run(engine: &Engine, config: WasiThreadsConfig, body: &str) -> (String, Result<()>) {
    let out = MemoryOutputPipe::new(1 << 20);
    let ctx = WasiCtxBuilder::new()
        .stdout_stream(out.clone())
        .build()
        .unwrap();
    let result = run_with(engine, config, ctx, body);
    let text = String::from_utf8(out.contents().to_vec()).unwrap();
    (text, result)
}

/// Runs a program of this body.
fn run_with(engine: &Engine, config: WasiThreadsConfig, ctx: WasiCtx, body: &str) -> Result<()> {
    let module = Module::new(engine, format!("(module {HEAD} {body})")).unwrap();
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx).unwrap();
    let mut store = Store::new(engine, ctx);
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let threads = WasiThreads::new(config, WasiCtx::share, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    threads
        .add_to_linker(&mut linker, &mut store, &module)
        .unwrap();
    let instance: Instance = linker.instantiate(&mut store, &module).unwrap();
    let start = instance
        .get_typed_func::<(), ()>(&mut store, "_start")
        .unwrap();
    let result = threads.run(&mut store, &module, &linker, |store| start.call(store, ()));
    let again = threads.run(&mut store, &module, &linker, |_| Ok(()));
    assert!(again.unwrap_err().to_string().contains("have run already"));
    result
}

fn status(result: Result<()>) -> Option<i32> {
    let error: Error = result.unwrap_err();
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}

#[test]
fn threads_share_memory_and_streams() {
    let body = r#"
      (data $line "x\n")
      (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
        ;; Numbers are positive, and below 2^29.
        (if (i32.or (i32.le_s (local.get $tid) (i32.const 0)) (i32.ge_s (local.get $tid) (i32.const 0x20000000)))
          (then unreachable))
        (if (i32.ne (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.add (i32.const 1024) (i32.mul (local.get $arg) (i32.const 4)))) (i32.const 0))
          (then unreachable))
        (drop (i32.atomic.rmw.add (i32.const 4) (local.get $arg)))
        (call $count (i32.const 0)))
      (func (export "_start") (local $n i32)
        (memory.init $line (i32.const 256) (i32.const 0) (i32.const 2))
        (i32.store (i32.const 128) (i32.const 256))
        (i32.store (i32.const 132) (i32.const 2))
        (loop $again
          (if (i32.le_s (call $spawn (local.get $n)) (i32.const 0)) (then unreachable))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 32))))
        (call $await (i32.const 0) (i32.const 32))
        (call $exit (i32.load (i32.const 4))))"#;
    for engine in engines() {
        let (text, result) = run(&engine, WasiThreadsConfig::default(), body);
        assert_eq!(status(result), Some((0..32).sum()));
        assert_eq!(text, "x\n".repeat(32));
    }
}

#[test]
fn one_thread_ends_all_by_exit_or_trap() {
    for engine in engines() {
        for (last, expected) in [
            ("(call $exit (i32.const 42))", None),
            ("unreachable", Some(Trap::Unreachable)),
            (
                "(drop (i32.load (i32.const -4)))",
                Some(Trap::MemoryOutOfBounds),
            ),
        ] {
            // Some wait for ever, some run for ever, one sleeps for an hour; so does the first thread.
            let body = format!(
                r#"
              (func $sleep
                (i64.store (i32.const 512) (i64.const 1))
                (i32.store (i32.const 528) (i32.const 1))
                (i64.store (i32.const 536) (i64.const 3600000000000))
                (drop (call $poll (i32.const 512) (i32.const 640) (i32.const 1) (i32.const 700))))
              (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
                (call $count (i32.const 0))
                (if (i32.eqz (local.get $arg))
                  (then (call $await (i32.const 0) (i32.const 10)) {last}))
                (if (i32.eq (i32.and (local.get $arg) (i32.const 3)) (i32.const 1))
                  (then (drop (memory.atomic.wait32 (i32.const 16) (i32.const 0) (i64.const -1)))))
                (if (i32.eq (local.get $arg) (i32.const 2)) (then (call $sleep)))
                (loop (br 0)))
              (func (export "_start") (local $n i32)
                (loop $again
                  (drop (call $spawn (local.get $n)))
                  (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10))))
                (call $sleep))"#
            );
            let (_, result) = run(&engine, WasiThreadsConfig::default(), &body);
            match expected {
                None => assert_eq!(status(result), Some(42)),
                Some(trap) => assert_eq!(result.unwrap_err().trap(), Some(trap)),
            }
        }
    }
}

#[test]
fn who_returns_from_the_first_thread_ends_the_others() {
    let body = r#"
      (func (export "wasi_thread_start") (param i32 i32)
        (call $count (i32.const 0))
        (loop (br 0)))
      (func (export "_start")
        (drop (call $spawn (i32.const 0)))
        (drop (call $spawn (i32.const 0)))
        (call $await (i32.const 0) (i32.const 2)))"#;
    for engine in engines() {
        run(&engine, WasiThreadsConfig::default(), body).1.unwrap();
    }
}

#[test]
fn there_are_as_many_as_are_allowed() {
    let body = r#"
      (func (export "wasi_thread_start") (param i32 i32)
        (drop (memory.atomic.wait32 (i32.const 16) (i32.const 0) (i64.const -1))))
      (func (export "_start") (local $made i32)
        (block $none
          (loop $again
            (br_if $none (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)))
            (local.set $made (i32.add (local.get $made) (i32.const 1)))
            (br $again)))
        (call $exit (local.get $made)))"#;
    for engine in engines() {
        let config = *WasiThreadsConfig::default().max_threads(5);
        assert_eq!(status(run(&engine, config, body).1), Some(5));
        // Without the function that they start by there are none.
        let body = body.replace("wasi_thread_start", "start");
        assert_eq!(status(run(&engine, config, &body).1), Some(0));
    }
}

#[test]
fn threads_come_and_go() {
    let body = r#"
      (func (export "wasi_thread_start") (param i32 i32)
        (call $count (i32.const 0)))
      (func (export "_start") (local $n i32)
        (loop $again
          (if (i32.gt_s (call $spawn (i32.const 0)) (i32.const 0))
            (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 300))))
        (call $await (i32.const 0) (i32.const 300)))"#;
    for engine in engines() {
        let config = *WasiThreadsConfig::default().max_threads(3);
        run(&engine, config, body).1.unwrap();
    }
}

/// A stream that counts how often it is used by another thread than the one that has asked it before whether it is ready: what that was told may
/// not be true any more.
struct Asked {
    by: Option<ThreadId>,
    unasked: Arc<AtomicU32>,
}

impl Asked {
    fn new(unasked: &Arc<AtomicU32>) -> Asked {
        Asked {
            by: None,
            unasked: Arc::clone(unasked),
        }
    }

    fn ask(&mut self) -> Poll<Readiness> {
        self.by = Some(thread::current().id());
        Poll::Ready(Readiness::bytes(1))
    }

    fn is_used(&mut self) {
        if self.by.take() != Some(thread::current().id()) {
            self.unasked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Read for Asked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_used();
        buffer[0] = b'x';
        Ok(1)
    }
}

impl Write for Asked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_used();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl InputStream for Asked {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Readiness> {
        self.ask()
    }
}

impl OutputStream for Asked {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Readiness> {
        self.ask()
    }
}

/// Otherwise one that finds nothing where it was told that there is something would wait with what all threads need.
#[test]
fn streams_are_asked_and_used_without_another_thread_between() {
    let body = r#"
      (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
        (local $n i32) (local $result i32)
        ;; Where the count goes.
        (local.set $result (i32.add (i32.const 1024) (i32.mul (local.get $arg) (i32.const 8))))
        (loop $again
          (if (call $read (i32.const 0) (i32.const 128) (i32.const 1) (local.get $result)) (then unreachable))
          (if (i32.ne (i32.load (local.get $result)) (i32.const 1)) (then unreachable))
          (if (call $write (i32.const 1) (i32.const 128) (i32.const 2) (local.get $result)) (then unreachable))
          (if (i32.ne (i32.load (local.get $result)) (i32.const 8)) (then unreachable))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 500))))
        (call $count (i32.const 0)))
      (func (export "_start") (local $n i32)
        ;; Two buffers of four bytes.
        (i64.store (i32.const 128) (i64.const 0x400000200))
        (i64.store (i32.const 136) (i64.const 0x400000200))
        (loop $again
          (drop (call $spawn (local.get $n)))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 8))))
        (call $await (i32.const 0) (i32.const 8)))"#;
    for engine in engines() {
        let unasked = Arc::new(AtomicU32::new(0));
        let ctx = WasiCtxBuilder::new()
            .stdin_stream(Asked::new(&unasked))
            .stdout_stream(Asked::new(&unasked))
            .build()
            .unwrap();
        run_with(&engine, WasiThreadsConfig::default(), ctx, body).unwrap();
        assert_eq!(unasked.load(Ordering::Relaxed), 0);
    }
}

/// Runs a program whose threads wait for streams of the host's that nobody uses. It ends all the same, since its first thread has what it needs.
#[cfg(unix)]
fn ends_with_unused_pipes(body: &str) {
    // Sleeps for as long as others need to begin to wait, makes another call, and ends the program.
    let end = r#"(func $end
      (i64.store (i32.const 512) (i64.const 1))
      (i32.store (i32.const 528) (i32.const 1))
      (i64.store (i32.const 536) (i64.const 20000000))
      (drop (call $poll (i32.const 512) (i32.const 640) (i32.const 1) (i32.const 700)))
      (drop (call $time (i32.const 1) (i64.const 0) (i32.const 704)))
      (call $exit (i32.const 7)))"#;
    for engine in engines() {
        let (stdin, _input) = io::pipe().unwrap();
        let (_output, stdout) = io::pipe().unwrap();
        let ctx = WasiCtxBuilder::new()
            .stdin_fd(stdin)
            .stdout_fd(stdout)
            .build()
            .unwrap();
        let (sender, ended) = mpsc::channel();
        let body = format!("{end} {body}");
        thread::spawn(move || {
            let result = run_with(&engine, WasiThreadsConfig::default(), ctx, &body);
            sender.send(status(result)).unwrap();
        });
        let ended = ended.recv_timeout(Duration::from_secs(60));
        assert_eq!(ended.expect("the guest hangs"), Some(7));
    }
}

#[cfg(unix)]
#[test]
fn who_writes_more_than_fits_keeps_nobody_from_other_calls() {
    ends_with_unused_pipes(
        r#"
      ;; A little, and then more than there is room for.
      (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
        (call $count (i32.const 0))
        (drop (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 1024)))
        (loop (drop (call $write (i32.const 1) (i32.const 136) (i32.const 1) (i32.const 1024))) (br 0)))
      (func (export "_start")
        (i64.store (i32.const 128) (i64.const 0x200000000000))
        (i64.store (i32.const 136) (i64.const 0x2000000000000))
        (drop (memory.grow (i32.const 3)))
        (drop (call $spawn (i32.const 0)))
        (call $await (i32.const 0) (i32.const 1))
        (call $end))"#,
    );
}

#[cfg(unix)]
#[test]
fn who_waits_for_input_keeps_nobody_from_other_calls() {
    ends_with_unused_pipes(
        r#"
      (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
        (call $count (i32.const 0))
        (drop (call $read (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 1024))))
      (func (export "_start")
        (i64.store (i32.const 128) (i64.const 0x400000200))
        (drop (call $spawn (i32.const 0)))
        (call $await (i32.const 0) (i32.const 1))
        (call $end))"#,
    );
}
