//! The older version, where it differs.

use super::{DATA, Guest, READ_WRITE, RESULT, ROOT, VEC, poll_oneoff};
use crate::abi::{OFlags, Version};
use crate::poll::PollOneoff;
use crate::{fd, path};

#[test]
fn positions_are_counted_from_other_numbers() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"0123456789").unwrap();
    let mut seek = |offset, whence| {
        guest
            .call(|ctx, memory| {
                fd::fd_seek(ctx, memory, Version::Unstable, fd, offset, whence, RESULT)
            })
            .map(|()| guest.result_u64())
    };
    const CURRENT: u32 = 0;
    const END: u32 = 1;
    const SET: u32 = 2;
    assert_eq!(seek(4, SET), Ok(4));
    assert_eq!(seek(-1, CURRENT), Ok(3));
    assert_eq!(seek(-2, END), Ok(8));
}

#[test]
fn what_is_known_of_a_file_is_laid_out_more_tightly() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"12345").unwrap();
    guest.put(DATA, &[0xee; 64]);
    guest
        .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Unstable, fd, DATA))
        .unwrap();
    let by_descriptor = guest.get(DATA, 64);
    guest.put(DATA, &[0xee; 64]);
    let at = guest.at(super::PATH, "file");
    guest
        .call(|ctx, memory| path::path_filestat_get(ctx, memory, Version::Unstable, 1, at, DATA))
        .unwrap();
    assert_eq!(guest.get(DATA, 64), by_descriptor);
    let (type_and_links, size) = (&by_descriptor[16..24], &by_descriptor[24..32]);
    assert_eq!(type_and_links, [4, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(size, 5u64.to_le_bytes());
    assert_eq!(
        by_descriptor[56..],
        [0xee; 8],
        "nothing is written behind it"
    );
}

#[test]
fn no_right_is_named_that_there_was_not() {
    let mut guest = Guest::new();
    guest
        .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Unstable, ROOT, DATA))
        .unwrap();
    for at in [DATA + 8, DATA + 16] {
        let rights = u64::from_le_bytes(guest.get(at, 8).try_into().unwrap());
        assert_eq!(rights >> 29, 0, "{rights:x}");
    }
}

#[test]
fn subscriptions_are_longer() {
    let mut guest = Guest::new();
    let mut subscriptions = vec![0; 3 * 56];
    // Standard output, to write.
    subscriptions[0] = 1;
    subscriptions[8] = 2;
    subscriptions[16] = 1;
    // The time of day, long past.
    subscriptions[56] = 2;
    subscriptions[56 + 16..56 + 24].copy_from_slice(&[0xff; 8]);
    subscriptions[56 + 32] = 5;
    subscriptions[56 + 48] = 1;
    // A clock that does not exist.
    subscriptions[112] = 3;
    subscriptions[112 + 24] = 9;
    guest.put(DATA, &subscriptions);
    let events = DATA + 1024;
    let args = PollOneoff {
        subscriptions: DATA,
        events,
        count: 3,
        result: RESULT,
    };
    guest
        .call(|ctx, memory| poll_oneoff(ctx, memory, Version::Unstable, args))
        .unwrap();
    assert_eq!(guest.result(), 3);
    let mut event = |index: u32| {
        let event = guest.get(events + 32 * index, 11);
        (event[0], event[8], event[10])
    };
    assert_eq!(
        [event(0), event(1), event(2)],
        [(1, 0, 2), (2, 0, 0), (3, 28, 0)]
    );
    // A list that ends outside of memory, only because its elements are longer.
    let at_end = PollOneoff {
        subscriptions: super::SIZE - 50,
        events: VEC,
        count: 1,
        result: RESULT,
    };
    let mut call = |version| guest.call(|ctx, memory| poll_oneoff(ctx, memory, version, at_end));
    assert_eq!(call(Version::Preview1), Ok(()));
    assert_eq!(call(Version::Unstable), Err(crate::errno::Errno::Fault));
}
