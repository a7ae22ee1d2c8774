//! The standard streams of a guest are those of the process: no buffer stands between.
#![cfg(unix)]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use common::{Run, command};

/// A module with the calls that the tests use, in a file of its own. Address 0 holds a list of one element.
fn guest(body: &str) -> (tempfile::NamedTempFile, String) {
    let text = format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Reads at most so many bytes to 1000, and returns how many there were.
  (func $read (param $fd i32) (param $len i32) (result i32)
    (i32.store (i32.const 0) (i32.const 1000))
    (i32.store (i32.const 4) (local.get $len))
    (call $check (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 8)))
  ;; Writes from an address; returns the error number. How many bytes it were is at 8 then.
  (func $write (param $fd i32) (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (i32.add (i32.const 100) (local.get $errno))))))
  (func (export "_start") {body}))"#
    );
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

fn spawn(path: &str, change: impl FnOnce(&mut std::process::Command)) -> Child {
    let mut command = command();
    command.args(["run", path]);
    change(&mut command);
    command.spawn().unwrap()
}

#[test]
fn what_the_guest_does_not_read_is_left_for_the_next() {
    let (_file, path) = guest(
        "(call $check (call $write (i32.const 1) (i32.const 1000) (call $read (i32.const 0) (i32.const 2))))",
    );
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(b"a\nb\nc\n").unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let (stdin, mut beside) = (input.try_clone().unwrap(), input);
    let run = Run::of(
        command()
            .args(["run", &path])
            .stdin(stdin)
            .output()
            .unwrap(),
    );
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (Some(0), "a\n"),
        "{run:?}"
    );
    let mut rest = String::new();
    beside.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "b\nc\n");
}

#[test]
fn waiting_for_input_ends_when_there_is_some() {
    // Two subscriptions: 100: standard input, 148: a clock, in 10 ms. Prints `t` each time that it was the clock, and
    // what it reads at last.
    let (_file, path) = guest(
        r#"
        (i32.store8 (i32.const 108) (i32.const 1))
        (i32.store (i32.const 164) (i32.const 1))
        (i64.store (i32.const 172) (i64.const 10000000))
        (i32.store8 (i32.const 400) (i32.const 116))
        (loop $again
          (call $check (call $poll_oneoff (i32.const 100) (i32.const 200) (i32.const 2) (i32.const 300)))
          (if (i32.eqz (i32.load8_u (i32.const 210)))
            (then
              (call $check (call $write (i32.const 1) (i32.const 400) (i32.const 1)))
              (br $again))))
        (call $check (call $write (i32.const 1) (i32.const 1000) (call $read (i32.const 0) (i32.const 99))))"#,
    );
    let mut child = spawn(&path, |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    });
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut ticks = [0; 3];
    stdout.read_exact(&mut ticks).unwrap();
    assert_eq!(&ticks, b"ttt");
    stdin.write_all(b"hi\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.trim_start_matches('t'), "hi\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_full_pipe_takes_each_byte_once() {
    // 4,000 times the 256 bytes at 1000; what does not fit is tried again.
    let (_file, path) = guest(
        r#"(local $round i32) (local $at i32) (local $errno i32)
        (loop $fill
          (i32.store8 (i32.add (i32.const 1000) (local.get $at)) (local.get $at))
          (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 256))))
        (loop $rounds
          (local.set $at (i32.const 0))
          (loop $rest
            (local.set $errno (call $write
              (i32.const 1)
              (i32.add (i32.const 1000) (local.get $at))
              (i32.sub (i32.const 256) (local.get $at))))
            (if (i32.eq (local.get $errno) (i32.const 6)) ;; EAGAIN
              (then (drop (call $sched_yield)) (br $rest)))
            (call $check (local.get $errno))
            (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
            (br_if $rest (i32.lt_u (local.get $at) (i32.const 256))))
          (br_if $rounds
            (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 4000))))"#,
    );
    let (mut reader, writer) = pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut child = spawn(&path, |command| {
        command.stdout(writer);
    });
    let mut bytes = Vec::new();
    let mut some = [0; 3000];
    loop {
        match reader.read(&mut some).unwrap() {
            0 => break,
            len => bytes.extend_from_slice(&some[..len]),
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(bytes.len(), 4000 * 256);
    assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
}

#[test]
#[cfg(target_os = "linux")]
fn an_error_that_the_guest_ignores_is_none() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let (_file, path) = guest("(drop (call $write (i32.const 1) (i32.const 1000) (i32.const 5)))");
    assert_eq!(
        spawn(&path, |command| {
            command.stdout(full());
        })
        .wait()
        .unwrap()
        .code(),
        Some(0)
    );
    // One that it does not ignore is the host's.
    let (_file, path) =
        guest("(call $check (call $write (i32.const 1) (i32.const 1000) (i32.const 5)))");
    const ENOSPC: i32 = 51;
    assert_eq!(
        spawn(&path, |command| {
            command.stdout(full());
        })
        .wait()
        .unwrap()
        .code(),
        Some(100 + ENOSPC)
    );
}

/// As a native program does that leaves signals as they are.
#[test]
fn a_guest_whose_reader_goes_away_ends_by_the_signal() {
    const SIGPIPE: i32 = 13;
    let endless = "(loop $more (drop (call $write (i32.const 1) (i32.const 1000) (i32.const 999))) (br $more))";
    let (_file, path) = guest(endless);
    let mut child = spawn(&path, |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGPIPE), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    // On standard error, too.
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (_file, path) = guest(
        "(drop (call $write (i32.const 2) (i32.const 1000) (i32.const 9))) (call $proc_exit (i32.const 3))",
    );
    let mut child = spawn(&path, |command| {
        command.stderr(writer);
    });
    assert_eq!(child.wait().unwrap().signal(), Some(SIGPIPE));
}

#[test]
fn a_guest_serves_a_socket() {
    // Accepts at 3, and sends back what it gets, until there is no more.
    let (_file, path) = guest(
        r#"(local $len i32)
        (call $check (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 500)))
        (loop $more
          (if (local.tee $len (call $read (i32.load (i32.const 500)) (i32.const 3)))
            (then
              (call $check (call $write (i32.load (i32.const 500)) (i32.const 1000) (local.get $len)))
              (br $more))))
        (call $check (call $fd_close (i32.load (i32.const 500))))"#,
    );
    let mut child = command()
        .args(["run", "--verbose", "--tcplisten", "127.0.0.1:0", &path])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| {
            Some(
                line.unwrap()
                    .strip_prefix("palisade: listening at ")?
                    .to_owned(),
            )
        })
        .unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.write_all(b"there and back").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "there and back");
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_address_that_cannot_be_listened_at_is_named() {
    let (_file, path) = guest("");
    for address in ["nowhere", "127.0.0.1:notaport", "192.0.2.1:80"] {
        let run = common::palisade(&["run", "--tcplisten", address, &path]);
        run.assert_one_line(1);
        assert!(run.stderr.contains(address), "{run:?}");
    }
}
