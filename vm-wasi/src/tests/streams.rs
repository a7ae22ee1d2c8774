//! Standard streams.

use std::io::{self, Write};

use super::{DATA, Guest, RESULT, SIZE, VEC, vecs, with};
use crate::abi::{FdFlags, Version};
use crate::errno::Errno;
use crate::pipe::{self, MemoryInputPipe, MemoryOutputPipe};
use crate::{OutputStream, fd};

#[test]
fn a_fresh_context_reads_nothing_and_throws_output_away() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(0, 10), Ok(Vec::new()));
    assert_eq!(guest.write(1, b"gone"), Ok(4));
    assert_eq!(guest.write(2, b"gone"), Ok(4));
    assert_eq!(guest.write(0, b"x"), Err(Errno::Badf));
    assert_eq!(guest.read(1, 1), Err(Errno::Badf));
    assert_eq!(guest.seek(1, 0, 1), Err(Errno::Spipe));
}

#[test]
fn output_and_input_go_where_the_embedder_says() {
    let (out, err) = (MemoryOutputPipe::new(100), MemoryOutputPipe::new(4));
    let mut guest = with(|builder| {
        builder
            .stdin(io::Cursor::new(b"line".to_vec()))
            .stdout(out.clone())
            .stderr(err.clone());
    });
    assert_eq!(guest.read(0, 3), Ok(b"lin".to_vec()));
    assert_eq!(guest.read(0, 3), Ok(b"e".to_vec()));
    assert_eq!(guest.read(0, 3), Ok(Vec::new()));
    assert_eq!(guest.write(1, b"out"), Ok(3));
    // As much as there is room for, then the reason.
    assert_eq!(guest.write(2, b"error"), Ok(4));
    assert_eq!(guest.write(2, b"r"), Err(Errno::NoSpc));
    assert_eq!(
        (out.contents(), err.contents()),
        (b"out".to_vec(), b"erro".to_vec())
    );
}

#[test]
fn a_closed_pipe_is_epipe_for_the_guest() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut guest = with(|builder| {
        builder.stdout(Closed);
    });
    assert_eq!(guest.write(1, b"x"), Err(Errno::Pipe));
}

#[test]
fn captured_streams_are_no_terminals() {
    let mut guest = Guest::new();
    for fd in 0..3 {
        guest
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        assert_eq!(guest.get(DATA, 1), [0]);
        guest
            .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        assert_eq!(guest.get(DATA + 16, 1), [0]);
    }
    let fault =
        guest.call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, 0, SIZE - 23));
    assert_eq!(fault, Err(Errno::Fault));
}

/// What the guest has been told is written, is written once, and what it has not been told, is not.
#[test]
fn errors_at_flushing_are_the_next_calls() {
    /// Holds back what is written until it is flushed, which fails at first.
    struct Lazy {
        held: Vec<u8>,
        failures: usize,
        out: MemoryOutputPipe,
    }
    impl Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.held.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.out.write_all(&std::mem::take(&mut self.held))
        }
    }
    let out = MemoryOutputPipe::new(100);
    let lazy = Lazy {
        held: Vec::new(),
        failures: 1,
        out: out.clone(),
    };
    let mut guest = with(|builder| {
        builder.stdout(lazy);
    });
    assert_eq!(guest.write(1, b"one"), Ok(3));
    assert_eq!(guest.write(1, b"two"), Err(Errno::Again));
    assert_eq!(guest.write(1, b"two"), Ok(3));
    assert_eq!(out.contents(), b"onetwo");
}

#[test]
fn a_short_write_is_reported_as_that() {
    struct Three(MemoryOutputPipe);
    impl Write for Three {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(3)])
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl OutputStream for Three {}
    let out = MemoryOutputPipe::new(100);
    let mut guest = with(|builder| {
        builder.stdout_stream(Three(out.clone()));
    });
    assert_eq!(guest.write(1, b"12345"), Ok(3));
    // Elements that are written whole are followed by the next.
    guest.put(DATA, b"abcdefgh");
    for (index, (at, len)) in
        (0u32..).zip([(DATA, 2u32), (DATA + 2, 3), (DATA + 5, 0), (DATA + 5, 4)])
    {
        guest.put(VEC + index * 8, &at.to_le_bytes());
        guest.put(VEC + index * 8 + 4, &len.to_le_bytes());
    }
    guest
        .call(|ctx, memory| fd::fd_write(ctx, memory, 1, vecs(VEC, 4), RESULT))
        .unwrap();
    assert_eq!(guest.result(), 8);
    assert_eq!(out.take(), b"123abcdefgh");
    assert_eq!(out.contents(), b"");
}

#[test]
fn a_guest_reads_no_more_than_it_asks_for() {
    let stdin = MemoryInputPipe::new("12345");
    let mut guest = with(|builder| {
        builder.stdin_stream(stdin.clone());
    });
    assert_eq!(guest.read(0, 2), Ok(b"12".to_vec()));
    assert_eq!(stdin.contents(), b"345");
    assert_eq!(guest.read(0, 0), Ok(Vec::new()));
    assert_eq!(stdin.contents(), b"345");
}

#[test]
fn a_guest_can_ask_not_to_wait() {
    let (mut writer, reader) = pipe::pipe(4);
    let (output, drained) = pipe::pipe(4);
    let mut guest = with(|builder| {
        builder.stdin_stream(reader).stdout_stream(output);
    });
    let nonblocking = u32::from(FdFlags::NONBLOCK.0);
    for fd in 0..2 {
        fd::fd_fdstat_set_flags(&mut guest.ctx, fd, nonblocking).unwrap();
        guest
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        assert_eq!(guest.get(DATA + 2, 2), nonblocking.to_le_bytes()[..2]);
    }
    assert_eq!(guest.read(0, 10), Err(Errno::Again));
    writer.write_all(b"xy").unwrap();
    assert_eq!(guest.read(0, 10), Ok(b"xy".to_vec()));
    assert_eq!(guest.read(0, 10), Err(Errno::Again));
    drop(writer);
    assert_eq!(guest.read(0, 10), Ok(Vec::new()));

    assert_eq!(guest.write(1, b"123456"), Ok(4));
    assert_eq!(guest.write(1, b"56"), Err(Errno::Again));
    drop(drained);
    assert_eq!(guest.write(1, b"56"), Err(Errno::Pipe));
}

/// Pipes of the host's, as standard streams.
#[cfg(unix)]
mod host {
    use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
    use std::os::fd::AsFd;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::super::{DATA, Guest, RESULT, VEC, vecs, with};
    use crate::abi::{FdFlags, Version};
    use crate::errno::Errno;
    use crate::fd;

    /// A guest whose standard input and output are pipes.
    fn piped() -> (PipeWriter, Guest, PipeReader) {
        let (stdin, to_guest) = pipe().unwrap();
        let (from_guest, stdout) = pipe().unwrap();
        let guest = with(|builder| {
            builder.stdin_fd(stdin).stdout_fd(stdout);
        });
        (to_guest, guest, from_guest)
    }

    fn host_nonblocking(fd: impl AsFd) {
        let flags = fcntl_getfl(&fd).unwrap();
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK).unwrap();
    }

    fn flags(guest: &mut Guest, fd: u32) -> u16 {
        guest
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        u16::from_le_bytes(guest.get(DATA + 2, 2).try_into().unwrap())
    }

    #[test]
    fn a_read_takes_what_was_asked_for_and_leaves_the_rest() {
        let (stdin, mut writer) = pipe().unwrap();
        let mut beside = stdin.try_clone().unwrap();
        let mut guest = with(|builder| {
            builder.stdin_fd(stdin);
        });
        writer.write_all(b"a\nb\nc\n").unwrap();
        drop(writer);
        assert_eq!(guest.read(0, 2), Ok(b"a\n".to_vec()));
        let mut rest = Vec::new();
        beside.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"b\nc\n");
        assert_eq!(guest.read(0, 2), Ok(Vec::new()));
    }

    /// Two elements, of which what is there fills just the first: a second read would wait.
    #[test]
    fn several_elements_are_one_read() {
        let (mut writer, mut guest, _) = piped();
        writer.write_all(b"abc").unwrap();
        for (index, (at, len)) in (0u32..).zip([(DATA, 3u32), (DATA + 10, 5)]) {
            guest.put(VEC + index * 8, &at.to_le_bytes());
            guest.put(VEC + index * 8 + 4, &len.to_le_bytes());
        }
        guest
            .call(|ctx, memory| fd::fd_read(ctx, memory, 0, vecs(VEC, 2), RESULT))
            .unwrap();
        assert_eq!(guest.result(), 3);
        writer.write_all(b"defgh").unwrap();
        guest
            .call(|ctx, memory| fd::fd_read(ctx, memory, 0, vecs(VEC, 2), RESULT))
            .unwrap();
        assert_eq!(guest.result(), 5);
        assert_eq!(
            (guest.get(DATA, 3), guest.get(DATA + 10, 2)),
            (b"def".to_vec(), b"gh".to_vec())
        );
    }

    /// A pipe that the host has made non-blocking: the guest hears of each byte that went out, and of no other.
    #[test]
    fn what_a_full_pipe_takes_is_what_is_reported() {
        let (_, mut guest, mut from_guest) = piped();
        let mut sent = Vec::new();
        let mut received = Vec::new();
        let mut refused = 0;
        host_nonblocking(from_guest.as_fd());
        // The two ends have flags of their own.
        assert_eq!(flags(&mut guest, 1), 0);
        crate::tests::nonblocking_stdout(&guest);
        assert_eq!(flags(&mut guest, 1), FdFlags::NONBLOCK.0);
        for round in 0..400u32 {
            let line: Vec<u8> = (0..1111).map(|at| (round + at) as u8).collect();
            let mut rest = &line[..];
            while !rest.is_empty() {
                match guest.write(1, rest) {
                    Ok(len) => rest = &rest[len as usize..],
                    Err(errno) => {
                        assert_eq!(errno, Errno::Again);
                        refused += 1;
                        let mut some = [0; 5000];
                        let len = from_guest.read(&mut some).unwrap();
                        received.extend_from_slice(&some[..len]);
                    }
                }
            }
            sent.extend_from_slice(&line);
        }
        drop(guest);
        from_guest.read_to_end(&mut received).unwrap();
        assert!(refused > 10, "{refused}");
        assert!(received == sent, "{} {}", received.len(), sent.len());
    }

    #[test]
    fn closed_pipes_are_ends_and_errors() {
        let (writer, mut guest, reader) = piped();
        drop((writer, reader));
        assert_eq!(guest.read(0, 10), Ok(Vec::new()));
        assert_eq!(guest.write(1, b"x"), Err(Errno::Pipe));
        assert_eq!(guest.write(0, b"x"), Err(Errno::Badf));
        assert_eq!(guest.read(1, 1), Err(Errno::Badf));
    }

    /// The open file may be shared with others: the guest's wish changes nothing about it.
    #[test]
    fn a_guest_that_asks_not_to_wait_does_not_ask_for_others() {
        let (stdin, mut writer) = pipe().unwrap();
        let (mut from_guest, stdout) = pipe().unwrap();
        let (beside, out_beside) = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
        let mut guest = with(|builder| {
            builder.stdin_fd(stdin).stdout_fd(stdout);
        });
        for fd in 0..2 {
            fd::fd_fdstat_set_flags(&mut guest.ctx, fd, u32::from(FdFlags::NONBLOCK.0)).unwrap();
            assert_eq!(flags(&mut guest, fd), FdFlags::NONBLOCK.0);
        }
        assert!(!fcntl_getfl(&beside).unwrap().contains(OFlags::NONBLOCK));
        assert!(!fcntl_getfl(&out_beside).unwrap().contains(OFlags::NONBLOCK));
        assert_eq!(guest.read(0, 5), Err(Errno::Again));
        writer.write_all(b"now").unwrap();
        assert_eq!(guest.read(0, 5), Ok(b"now".to_vec()));

        let mut written = 0;
        let refused = loop {
            match guest.write(1, &[7; 10_000]) {
                Ok(len) => written += len as usize,
                Err(errno) => break errno,
            }
        };
        assert_eq!(refused, Errno::Again);
        let mut all = vec![0; written];
        from_guest.read_exact(&mut all).unwrap();

        // And back: it waits, even where the host would not.
        host_nonblocking(&beside);
        fd::fd_fdstat_set_flags(&mut guest.ctx, 0, 0).unwrap();
        assert_eq!(flags(&mut guest, 0), 0);
        let later = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer.write_all(b"later").unwrap();
        });
        assert_eq!(guest.read(0, 5), Ok(b"later".to_vec()));
        later.join().unwrap();
    }

    #[test]
    fn synchronising_a_pipe_is_no_error() {
        let (_writer, mut guest, _reader) = piped();
        assert_eq!(fd::fd_sync(&mut guest.ctx, 1), Ok(()));
        assert_eq!(fd::fd_datasync(&mut guest.ctx, 0), Ok(()));
        assert_eq!(guest.seek(1, 0, 1), Err(Errno::Spipe));
    }
}
