//! Waiting.

use std::time::{Duration, Instant};

use super::{DATA, Guest, NONE, READ, READ_WRITE, RESULT, SIZE, VEC, poll_oneoff, with};
use crate::abi::{EVENT_SIZE, OFlags, Rights, SUBSCRIPTION_SIZE, Version};
use crate::errno::Errno;
use crate::pipe::{self, MemoryInputPipe, MemoryOutputPipe};
use crate::poll::PollOneoff;
use crate::{ClockId, VirtualClock};

pub(super) const HOUR: u64 = 3_600_000_000_000;

/// A subscription to a clock.
pub(super) fn clock(userdata: u64, id: u32, timeout: u64, flags: u16) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// A subscription to a descriptor: tag 1 to read, 2 to write.
pub(super) fn descriptor(userdata: u64, tag: u8, fd: u32) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = tag;
    bytes[16..20].copy_from_slice(&fd.to_le_bytes());
    bytes
}

/// What `poll_oneoff` reports: user data, error number and type of each event.
pub(super) fn poll(
    guest: &mut Guest,
    subscriptions: &[[u8; 48]],
) -> Result<Vec<(u64, u16, u8)>, Errno> {
    let count = u32::try_from(subscriptions.len()).unwrap();
    guest.put(DATA, &subscriptions.concat());
    let events = DATA + count * SUBSCRIPTION_SIZE;
    guest.call(|ctx, memory| {
        poll_oneoff(
            ctx,
            memory,
            Version::Preview1,
            PollOneoff {
                subscriptions: DATA,
                events,
                count,
                result: RESULT,
            },
        )
    })?;
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

    let events = poll(
        &mut guest,
        &[
            clock(1, 1, HOUR, 0),
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
            let now = ctx.clocks.now(ClockId::Monotonic)?;
            memory.write_u64(VEC, now + 10_000_000)
        })
        .unwrap();
    let until = u64::from_le_bytes(guest.get(VEC, 8).try_into().unwrap());
    assert_eq!(
        poll(&mut guest, &[clock(9, 1, until, 1)]),
        Ok(vec![(9, 0, 0)])
    );
    let now = guest.ctx.clocks.now(ClockId::Monotonic).unwrap();
    assert!(now >= until);
    // One that is past is reported at once, and an hour-long one not at all.

    let events = poll(&mut guest, &[clock(1, 1, HOUR, 0), clock(2, 0, 1, 1)]);
    assert_eq!(events, Ok(vec![(2, 0, 0)]));
}

#[test]
fn descriptors_are_ready_and_mistakes_are_events() {
    let mut guest = Guest::new();

    let inval = Errno::Inval.raw();
    let badf = Errno::Badf.raw();
    let events = poll(
        &mut guest,
        &[
            clock(1, 1, HOUR, 0),
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
            let args = PollOneoff {
                subscriptions,
                events,
                count,
                result,
            };
            poll_oneoff(ctx, memory, Version::Preview1, args)
        })
    };
    assert_eq!(call(DATA, DATA, 0, RESULT), Err(Errno::Inval));
    assert_eq!(call(DATA, DATA, u32::MAX, RESULT), Err(Errno::Fault));
    assert_eq!(call(SIZE - 47, DATA, 1, RESULT), Err(Errno::Fault));
    assert_eq!(call(DATA, SIZE - 31, 1, RESULT), Err(Errno::Fault));
    assert_eq!(call(DATA, DATA, 1, SIZE - 3), Err(Errno::Fault));
}

/// All of what `poll_oneoff` reports: also the bytes, and whether the other end has hung up.
pub(super) fn poll_in_full(
    guest: &mut Guest,
    subscriptions: &[[u8; 48]],
) -> Vec<(u64, u16, u64, bool)> {
    let events = poll(guest, subscriptions).unwrap();
    let at = DATA + u32::try_from(subscriptions.len()).unwrap() * SUBSCRIPTION_SIZE;
    (0..)
        .zip(events)
        .map(|(index, (userdata, errno, _))| {
            let event = guest.get(at + index * EVENT_SIZE, EVENT_SIZE);
            let bytes = u64::from_le_bytes(event[16..24].try_into().unwrap());
            assert_eq!(event[25..], [0; 7]);
            (userdata, errno, bytes, event[24] == 1)
        })
        .collect()
}

#[test]
fn times_pass_on_a_virtual_clock_without_waiting() {
    let clock_of_guest = VirtualClock::new(Duration::from_secs(1_000));
    let mut guest = with(|builder| {
        builder
            .clock(ClockId::Realtime, clock_of_guest.clone())
            .clock(ClockId::Monotonic, clock_of_guest.clone())
            .clock(ClockId::ProcessCpuTime, clock_of_guest.clone());
    });
    let second = 1_000_000_000;
    // Relative, absolute, and of a clock that never gets there by itself.
    let events = poll(
        &mut guest,
        &[clock(1, 1, HOUR, 0), clock(2, 0, 9 * HOUR, 0)],
    );
    assert_eq!(events, Ok(vec![(1, 0, 0)]));
    assert_eq!(clock_of_guest.now(), Duration::from_secs(4_600));
    let events = poll(
        &mut guest,
        &[clock(1, 0, 5_000 * second, 1), clock(2, 2, 400 * second, 0)],
    );
    assert_eq!(
        events,
        Ok(vec![(1, 0, 0), (2, 0, 0)]),
        "both are in 400 seconds"
    );
    assert_eq!(clock_of_guest.now(), Duration::from_secs(5_000));
    // What is there already comes first, and no time passes.
    let events = poll(&mut guest, &[clock(1, 1, HOUR, 0), descriptor(2, 2, 1)]);
    assert_eq!(events, Ok(vec![(2, 0, 2)]));
    assert_eq!(clock_of_guest.now(), Duration::from_secs(5_000));
}

#[test]
fn streams_in_memory_say_how_much_there_is() {
    let stdin = MemoryInputPipe::new("12345");
    let mut guest = with(|builder| {
        builder
            .stdin_stream(stdin)
            .stdout_stream(MemoryOutputPipe::new(7));
    });
    let both = [descriptor(1, 1, 0), descriptor(2, 2, 1)];
    assert_eq!(
        poll_in_full(&mut guest, &both),
        [(1, 0, 5, true), (2, 0, 7, false)]
    );
    guest.read(0, 5).unwrap();
    guest.write(1, b"123").unwrap();
    assert_eq!(
        poll_in_full(&mut guest, &both),
        [(1, 0, 0, true), (2, 0, 4, false)]
    );
}

#[test]
fn a_stream_that_another_thread_serves_ends_the_wait() {
    let (writer, reader) = pipe::pipe(4);
    let mut guest = with(|builder| {
        builder.stdin_stream(reader);
    });
    let wait = [descriptor(1, 1, 0), clock(2, 1, HOUR, 0)];
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        let mut writer = writer;
        std::io::Write::write_all(&mut writer, b"abc").unwrap();
        writer
    });
    assert_eq!(poll_in_full(&mut guest, &wait), [(1, 0, 3, false)]);
    let writer = later.join().unwrap();
    guest.read(0, 3).unwrap();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(writer);
    });
    assert_eq!(poll_in_full(&mut guest, &wait), [(1, 0, 0, true)]);
    later.join().unwrap();
}

#[test]
fn a_wait_without_a_clock_ends_too() {
    let (out, mut drain) = pipe::pipe(2);
    let mut guest = with(|builder| {
        builder.stdout_stream(out);
    });
    guest.write(1, b"ab").unwrap();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        std::io::Read::read(&mut drain, &mut [0; 1]).unwrap();
        drain
    });
    assert_eq!(
        poll_in_full(&mut guest, &[descriptor(1, 2, 1)]),
        [(1, 0, 1, false)]
    );
    later.join().unwrap();
}

#[test]
fn files_are_always_ready_for_what_they_were_opened_for() {
    let mut guest = Guest::new();
    let both = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(both, b"12345678").unwrap();
    guest.seek(both, 3, 0).unwrap();
    let reads = guest.open("file", NONE, READ).unwrap();
    let writes = guest.open("file", NONE, Rights::FD_WRITE).unwrap();
    let directory = guest.open(".", OFlags::DIRECTORY, READ).unwrap();
    let badf = Errno::Badf.raw();
    assert_eq!(
        poll_in_full(
            &mut guest,
            &[
                descriptor(1, 1, both),
                descriptor(2, 2, both),
                descriptor(3, 1, reads),
                descriptor(4, 2, reads),
                descriptor(5, 1, writes),
                descriptor(6, 2, writes),
                descriptor(7, 1, directory),
                descriptor(8, 2, directory),
                clock(9, 1, HOUR, 0),
            ]
        ),
        [
            (1, 0, 5, false),
            (2, 0, 1, false),
            (3, 0, 8, false),
            (4, badf, 0, false),
            (5, badf, 0, false),
            (6, 0, 1, false),
            (7, badf, 0, false),
            (8, badf, 0, false),
        ]
    );
    guest.seek(both, 100, 0).unwrap();
    assert_eq!(
        poll_in_full(&mut guest, &[descriptor(1, 1, both)]),
        [(1, 0, 0, false)]
    );
}

/// As many subscriptions as memory holds, of which most ask the same: nothing is allocated for each.
#[test]
fn many_subscriptions_are_no_matter() {
    let mut guest = Guest::new();
    let count = (SIZE - DATA) / (SUBSCRIPTION_SIZE + EVENT_SIZE);
    let subscriptions: Vec<[u8; 48]> = (0..u64::from(count))
        .map(|index| {
            if index % 3 == 0 {
                clock(index, 1, HOUR, 0)
            } else {
                descriptor(index, 2, 1)
            }
        })
        .collect();
    let events = poll(&mut guest, &subscriptions).unwrap();
    assert_eq!(
        events.len(),
        subscriptions.len() - subscriptions.len().div_ceil(3)
    );
}

/// Pipes of the host's.
#[cfg(unix)]
mod host {
    use std::io::{Read, Write, pipe};

    use super::*;

    #[test]
    fn input_is_ready_when_it_is_there() {
        let (stdin, mut writer) = pipe().unwrap();
        let mut guest = with(|builder| {
            builder.stdin_fd(stdin);
        });
        let moment = 5_000_000;
        let either = [descriptor(1, 1, 0), clock(2, 1, moment, 0)];
        for _ in 0..3 {
            assert_eq!(
                poll_in_full(&mut guest, &either),
                [(2, 0, 0, false)],
                "nothing is there"
            );
        }
        let or_later = [descriptor(1, 1, 0), clock(2, 1, HOUR, 0)];
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            writer.write_all(b"hi\n").unwrap();
            writer
        });
        assert_eq!(poll_in_full(&mut guest, &or_later), [(1, 0, 3, false)]);
        drop(thread.join().unwrap());
        assert_eq!(
            poll_in_full(&mut guest, &or_later),
            [(1, 0, 3, true)],
            "closed behind what is left"
        );
        guest.read(0, 10).unwrap();
        assert_eq!(poll_in_full(&mut guest, &or_later), [(1, 0, 0, true)]);
    }

    #[test]
    fn output_is_ready_when_there_is_room_or_nobody() {
        let (mut reader, stdout) = pipe().unwrap();
        let mut guest = with(|builder| {
            builder.stdout_fd(stdout);
        });
        let either = [descriptor(1, 2, 1), clock(2, 1, 5_000_000, 0)];
        assert_eq!(poll_in_full(&mut guest, &either), [(1, 0, 1, false)]);
        crate::tests::nonblocking_stdout(&guest);
        while guest.write(1, &[0; 4096]).is_ok() {}
        assert_eq!(
            poll_in_full(&mut guest, &either),
            [(2, 0, 0, false)],
            "it is full"
        );
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            reader.read_exact(&mut [0; 16384]).unwrap();
            reader
        });
        let or_later = [descriptor(1, 2, 1), clock(2, 1, HOUR, 0)];
        assert_eq!(poll_in_full(&mut guest, &or_later), [(1, 0, 1, false)]);
        drop(thread.join().unwrap());
        assert_eq!(poll_in_full(&mut guest, &or_later), [(1, 0, 0, true)]);
    }

    /// Both at once, in either order.
    #[test]
    fn what_is_the_hosts_and_what_is_the_embedders_is_waited_for_together() {
        let (stdin, mut to_host) = pipe().unwrap();
        for first in ["host", "embedder"] {
            let (out, mut drain) = pipe::pipe(1);
            let stdin = stdin.try_clone().unwrap();
            let mut guest = with(|builder| {
                builder.stdin_fd(stdin).stdout_stream(out);
            });
            guest.write(1, b"x").unwrap();
            let mut to_host = to_host.try_clone().unwrap();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                match first {
                    "host" => to_host.write_all(b"x").unwrap(),
                    _ => drain.read_exact(&mut [0]).unwrap(),
                }
                drain
            });
            let events = poll(
                &mut guest,
                &[
                    descriptor(1, 1, 0),
                    descriptor(2, 2, 1),
                    clock(3, 0, HOUR, 0),
                ],
            );
            match first {
                "host" => {
                    assert_eq!(events, Ok(vec![(1, 0, 1)]));
                    guest.read(0, 1).unwrap();
                }
                _ => assert_eq!(events, Ok(vec![(2, 0, 2)])),
            }
            thread.join().unwrap();
        }
        to_host.flush().unwrap();
    }
}
