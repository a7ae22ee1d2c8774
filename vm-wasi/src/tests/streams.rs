//! Standard streams and waiting.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::{DATA, Guest, RESULT, SIZE, VEC};
use crate::abi::{EVENT_SIZE, SUBSCRIPTION_SIZE};
use crate::errno::Errno;
use crate::pipe::MemoryOutputPipe;
use crate::{WasiCtxBuilder, fd, poll};

fn with(change: impl FnOnce(&mut WasiCtxBuilder)) -> Guest {
    let mut builder = WasiCtxBuilder::new();
    change(&mut builder);
    Guest::with(builder)
}

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
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, fd, DATA))
            .unwrap();
        assert_eq!(guest.get(DATA, 1), [0]);
        guest
            .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, fd, DATA))
            .unwrap();
        assert_eq!(guest.get(DATA + 16, 1), [0]);
    }
    let fault = guest.call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, 0, SIZE - 23));
    assert_eq!(fault, Err(Errno::Fault));
}

/// A subscription to a clock.
fn clock(userdata: u64, id: u32, timeout: u64, flags: u16) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// A subscription to a descriptor: tag 1 to read, 2 to write.
fn descriptor(userdata: u64, tag: u8, fd: u32) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = tag;
    bytes[16..20].copy_from_slice(&fd.to_le_bytes());
    bytes
}

/// What `poll_oneoff` reports: user data, error number and type of each event.
fn poll(guest: &mut Guest, subscriptions: &[[u8; 48]]) -> Result<Vec<(u64, u16, u8)>, Errno> {
    let count = u32::try_from(subscriptions.len()).unwrap();
    guest.put(DATA, &subscriptions.concat());
    let events = DATA + count * SUBSCRIPTION_SIZE;
    guest.call(|ctx, memory| poll::poll_oneoff(ctx, memory, DATA, events, count, RESULT))?;
    let happened = guest.result();
    Ok((0..happened)
        .map(|index| {
            let event = guest.get(events + index * EVENT_SIZE, EVENT_SIZE);
            let userdata = u64::from_le_bytes(event[0..8].try_into().unwrap());
            (
                userdata,
                u16::from_le_bytes([event[8], event[9]]),
                event[10],
            )
        })
        .collect())
}

#[test]
fn the_earliest_clock_ends_the_wait() {
    let mut guest = Guest::new();
    let before = Instant::now();
    let hour = 3_600_000_000_000;
    let events = poll(
        &mut guest,
        &[
            clock(1, 1, hour, 0),
            clock(2, 0, 20_000_000, 0),
            clock(3, 1, u64::MAX, 0),
        ],
    );
    assert_eq!(events, Ok(vec![(2, 0, 0)]));
    let waited = before.elapsed();
    assert!(waited >= Duration::from_millis(20), "{waited:?}");
    assert!(waited < Duration::from_secs(60), "{waited:?}");
}

#[test]
fn an_absolute_time_is_waited_for() {
    let mut guest = Guest::new();
    guest
        .call(|ctx, memory| {
            let now = ctx.clocks.now(crate::abi::ClockId::Monotonic)?;
            memory.write_u64(VEC, now + 10_000_000)
        })
        .unwrap();
    let until = u64::from_le_bytes(guest.get(VEC, 8).try_into().unwrap());
    assert_eq!(
        poll(&mut guest, &[clock(9, 1, until, 1)]),
        Ok(vec![(9, 0, 0)])
    );
    let now = guest
        .ctx
        .clocks
        .now(crate::abi::ClockId::Monotonic)
        .unwrap();
    assert!(now >= until);
    // One that is past is reported at once, and an hour-long one not at all.
    let hour = 3_600_000_000_000;
    let events = poll(&mut guest, &[clock(1, 1, hour, 0), clock(2, 0, 1, 1)]);
    assert_eq!(events, Ok(vec![(2, 0, 0)]));
}

#[test]
fn descriptors_are_ready_and_mistakes_are_events() {
    let mut guest = Guest::new();
    let hour = 3_600_000_000_000;
    let inval = Errno::Inval.raw();
    let badf = Errno::Badf.raw();
    let events = poll(
        &mut guest,
        &[
            clock(1, 1, hour, 0),
            descriptor(2, 1, 0),
            descriptor(3, 2, 1),
            descriptor(4, 1, 1),
            descriptor(5, 2, 77),
            clock(6, 99, 1, 0),
            clock(7, 1, 1, 8),
            clock(8, 2, 1, 0),
            descriptor(9, 200, 0),
        ],
    );
    assert_eq!(
        events,
        Ok(vec![
            (2, 0, 1),
            (3, 0, 2),
            (4, badf, 1),
            (5, badf, 2),
            (6, inval, 0),
            (7, inval, 0),
            (8, Errno::NotSup.raw(), 0),
            (9, inval, 200),
        ])
    );
}

#[test]
fn lists_out_of_memory_are_faults() {
    let mut guest = Guest::new();
    let mut call = |subscriptions, events, count, result| {
        guest.call(|ctx, memory| {
            poll::poll_oneoff(ctx, memory, subscriptions, events, count, result)
        })
    };
    assert_eq!(call(DATA, DATA, 0, RESULT), Err(Errno::Inval));
    assert_eq!(call(DATA, DATA, u32::MAX, RESULT), Err(Errno::Fault));
    assert_eq!(call(SIZE - 47, DATA, 1, RESULT), Err(Errno::Fault));
    assert_eq!(call(DATA, SIZE - 31, 1, RESULT), Err(Errno::Fault));
    assert_eq!(call(DATA, DATA, 1, SIZE - 3), Err(Errno::Fault));
}
