//! Open files: reading, writing, positions, sizes, times, flags, rights.

use super::{DATA, Guest, NONE, READ, READ_WRITE, RESULT, ROOT, SIZE, VEC, vecs};
use crate::abi::{FdFlags, OFlags, Rights, Version};
use crate::errno::Errno;
use crate::fd;

#[test]
fn what_is_written_is_read_back() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    assert_eq!(fd, ROOT + 1);
    assert_eq!(guest.write(fd, b"hello, world"), Ok(12));
    assert_eq!(guest.seek(fd, 7, 0), Ok(7));
    assert_eq!(guest.read(fd, 100), Ok(b"world".to_vec()));
    assert_eq!(guest.read(fd, 100), Ok(Vec::new()));
    assert_eq!(guest.seek(fd, -5, 1), Ok(7));
    assert_eq!(guest.seek(fd, -12, 2), Ok(0));
    assert_eq!(guest.seek(fd, -1, 0), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, 0, 3), Err(Errno::Inval));
    assert_eq!(guest.close(fd), Ok(()));
    assert_eq!(guest.close(fd), Err(Errno::Badf));
    assert_eq!(guest.read(fd, 1), Err(Errno::Badf));
    assert_eq!(
        std::fs::read(guest.host.path().join("file")).unwrap(),
        b"hello, world"
    );
}

#[test]
fn positioned_calls_leave_the_position_alone() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"0123456789").unwrap();
    guest.put(DATA, b"xy");
    guest.vec(2);
    let offset = |guest: &mut Guest, offset| {
        guest.call(|ctx, memory| fd::fd_pwrite(ctx, memory, fd, vecs(VEC, 1), offset, RESULT))
    };
    assert_eq!(offset(&mut guest, 4), Ok(()));
    assert_eq!(guest.result(), 2);
    assert_eq!(offset(&mut guest, u64::MAX), Err(Errno::Inval));
    guest.vec(20);
    guest
        .call(|ctx, memory| fd::fd_pread(ctx, memory, fd, vecs(VEC, 1), 3, RESULT))
        .unwrap();
    assert_eq!(guest.result(), 7);
    assert_eq!(guest.get(DATA, 7), b"3xy6789");
    guest
        .call(|ctx, memory| fd::fd_tell(ctx, memory, fd, RESULT))
        .unwrap();
    assert_eq!(guest.result_u64(), 10);
}

#[test]
fn a_scatter_list_is_filled_in_order() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"abcdef").unwrap();
    guest.seek(fd, 0, 0).unwrap();
    for (index, (at, len)) in (0u32..).zip([(100u32, 2u32), (200, 0), (300, 3), (400, 9)]) {
        guest.put(DATA + index * 8, &at.to_le_bytes());
        guest.put(DATA + index * 8 + 4, &len.to_le_bytes());
    }
    guest
        .call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(DATA, 4), RESULT))
        .unwrap();
    assert_eq!(guest.result(), 6);
    assert_eq!(guest.get(100, 3), b"ab\0");
    assert_eq!(guest.get(300, 4), b"cde\0");
    assert_eq!(guest.get(400, 2), b"f\0");
}

#[test]
fn a_list_that_lies_over_its_own_buffer_ends_without_harm() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, &[0xff; 64]).unwrap();
    guest.seek(fd, 0, 0).unwrap();
    // The first element overwrites the second with a pointer out of memory.
    guest.put(VEC, &VEC.to_le_bytes());
    guest.put(VEC + 4, &16u32.to_le_bytes());
    guest.put(VEC + 8, &DATA.to_le_bytes());
    guest.put(VEC + 12, &16u32.to_le_bytes());
    guest
        .call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(VEC, 2), RESULT))
        .unwrap();
    assert_eq!(guest.result(), 16);
}

#[test]
fn bad_pointers_are_faults_before_anything_happens() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"data").unwrap();
    guest.seek(fd, 0, 0).unwrap();

    guest.vec(1 << 20);
    for (list, count, result) in [
        (VEC, 1, RESULT),          // the buffer ends outside
        (SIZE - 7, 1, RESULT),     // the list ends outside
        (u32::MAX, 1, RESULT),     // the list wraps around
        (VEC, u32::MAX, RESULT),   // more elements than memory
        (u32::MAX - 7, 2, RESULT), // a later element wraps around
    ] {
        let read =
            guest.call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(list, count), result));
        assert_eq!(read, Err(Errno::Fault), "{list} {count} {result}");
        let write =
            guest.call(|ctx, memory| fd::fd_write(ctx, memory, fd, vecs(list, count), result));
        assert_eq!(write, Err(Errno::Fault), "{list} {count} {result}");
    }
    guest.vec(2);
    for result in [SIZE - 3, u32::MAX] {
        let read = guest.call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(VEC, 1), result));
        assert_eq!(read, Err(Errno::Fault));
        assert_eq!(
            guest.open_with("new", |open| {
                open.oflags = u32::from(OFlags::CREAT.0);
                open.opened = result;
            }),
            Err(Errno::Fault)
        );
    }
    assert!(!guest.host.path().join("new").exists());
    assert_eq!(guest.read(fd, 10), Ok(b"data".to_vec()));
    assert_eq!(guest.seek(fd, 0, 2), Ok(4));
}

#[test]
fn a_file_can_be_used_only_for_what_it_was_opened_for() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, Rights::FD_WRITE).unwrap();
    guest.write(fd, b"secret").unwrap();
    assert_eq!(guest.read(fd, 1), Err(Errno::Badf));
    let fd = guest.open("file", NONE, READ).unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
    assert_eq!(
        fd::fd_filestat_set_size(&mut guest.ctx, fd, 0),
        Err(Errno::Badf)
    );
    assert_eq!(guest.read(fd, 10), Ok(b"secret".to_vec()));
}

/// Refused is what cannot be enforced, also if nothing would change.
#[test]
fn rights_cannot_be_given_up() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    for fd in [fd, ROOT, 1] {
        assert_eq!(
            fd::fd_fdstat_set_rights(&mut guest.ctx, fd),
            Err(Errno::NotSup)
        );
    }
    assert_eq!(
        fd::fd_fdstat_set_rights(&mut guest.ctx, 77),
        Err(Errno::Badf)
    );
    // What they say is what can be done: here all that was opened for, whatever was asked for.
    let mut rights = |oflags: OFlags, name: &str, rights: Rights| {
        let fd = guest.open(name, oflags, rights).unwrap();
        guest
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        let stat = guest.get(DATA, 24);
        let word = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().unwrap());
        (Rights(word(8)), Rights(word(16)))
    };
    let nothing = Rights::default();
    assert_eq!(rights(NONE, "file", READ_WRITE), (Rights::FILE, nothing));
    assert_eq!(
        rights(NONE, "file", Rights::FD_READ),
        (Rights::FILE.without(Rights::WRITING), nothing)
    );
    assert_eq!(
        rights(NONE, "file", nothing),
        (
            Rights::FILE.without(Rights::WRITING.union(Rights::FD_READ)),
            nothing
        )
    );
    let directory = (Rights::DIRECTORY, Rights::DIRECTORY.union(Rights::FILE));
    assert_eq!(rights(OFlags::DIRECTORY, ".", Rights::FD_SEEK), directory);
    assert!(!Rights::DIRECTORY.intersects(Rights::FD_SEEK.union(Rights::PATH_FILESTAT_SET_SIZE)));
}

#[test]
fn opening_obeys_its_flags() {
    let mut guest = Guest::new();
    assert_eq!(guest.open("file", NONE, READ), Err(Errno::NoEnt));
    let exclusive = OFlags::CREAT.union(OFlags::EXCL);
    // Created although only for reading, as `O_RDONLY | O_CREAT`.
    assert!(guest.open("file", exclusive, READ).is_ok());
    assert_eq!(guest.open("file", exclusive, READ), Err(Errno::Exist));
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"contents").unwrap();
    let fd = guest.open("file", NONE, READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"contents".to_vec()));
    guest.open("file", OFlags::TRUNC, READ_WRITE).unwrap();
    assert_eq!(guest.seek(fd, 0, 2), Ok(0));
    assert_eq!(
        guest.open("file", OFlags::DIRECTORY, READ),
        Err(Errno::NotDir)
    );
    assert_eq!(guest.open(".", NONE, READ_WRITE), Err(Errno::IsDir));
    assert_eq!(
        guest.open(".", OFlags::DIRECTORY, READ_WRITE),
        Err(Errno::IsDir)
    );
    assert_eq!(
        guest.open("file", OFlags::DIRECTORY, READ_WRITE),
        Err(Errno::NotDir)
    );
    assert_eq!(
        guest.open("none", OFlags::DIRECTORY, READ_WRITE),
        Err(Errno::NoEnt)
    );
    for rights in [READ, Rights::default(), Rights::DIRECTORY] {
        assert!(
            guest.open(".", OFlags::DIRECTORY, rights).is_ok(),
            "{rights:?}"
        );
    }
    assert_eq!(guest.open("file", OFlags(1 << 9), READ), Err(Errno::Inval));
    assert_eq!(
        guest.open_with("file", |open| open.oflags = 1 << 16),
        Err(Errno::Inval)
    );
    assert_eq!(
        guest.open_with("file", |open| open.fd = fd),
        Err(Errno::NotDir)
    );
    assert_eq!(
        guest.open_with("file", |open| open.fd = 99),
        Err(Errno::Badf)
    );
}

#[test]
#[cfg(unix)]
fn a_file_that_may_only_be_read_can_be_opened_with_creat() {
    use std::os::unix::fs::PermissionsExt;
    let mut guest = Guest::new();
    let file = guest.host.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
    let fd = guest.open("file", OFlags::CREAT, READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"x".to_vec()));
}

#[test]
#[cfg(unix)]
fn appending_writes_at_the_end_and_can_be_switched() {
    let mut guest = Guest::new();
    let fd = guest
        .open_with("log", |open| {
            open.oflags = u32::from(OFlags::CREAT.union(OFlags::TRUNC).0);
            open.rights_base = READ_WRITE.0;
            open.fdflags = u32::from(FdFlags::APPEND.0);
        })
        .unwrap();
    guest.write(fd, b"one").unwrap();
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"two").unwrap();
    assert_eq!(fd::fd_fdstat_set_flags(&mut guest.ctx, fd, 0), Ok(()));
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"1").unwrap();
    assert_eq!(
        std::fs::read(guest.host.path().join("log")).unwrap(),
        b"1netwo"
    );
    assert_eq!(
        fd::fd_fdstat_set_flags(&mut guest.ctx, fd, 16),
        Err(Errno::NotSup)
    );
    assert_eq!(
        fd::fd_fdstat_set_flags(&mut guest.ctx, fd, 32),
        Err(Errno::Inval)
    );
    // A stream can be told not to wait, and nothing else.
    assert_eq!(fd::fd_fdstat_set_flags(&mut guest.ctx, 1, 4), Ok(()));
    assert_eq!(
        fd::fd_fdstat_set_flags(&mut guest.ctx, 1, 1),
        Err(Errno::NotSup)
    );
}

#[test]
fn sizes_and_times_can_be_set() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    fd::fd_filestat_set_size(&mut guest.ctx, fd, 1234).unwrap();
    assert_eq!(
        fd::fd_filestat_set_size(&mut guest.ctx, fd, u64::MAX),
        Err(Errno::Inval)
    );
    let second = 1_000_000_000;
    fd::fd_filestat_set_times(&mut guest.ctx, fd, 5 * second, 7 * second, 0b101).unwrap();
    assert_eq!(
        fd::fd_filestat_set_times(&mut guest.ctx, fd, 0, 0, 0b11),
        Err(Errno::Inval)
    );
    guest
        .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
        .unwrap();
    let stat = guest.get(DATA, 64);
    let field = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().unwrap());
    assert_eq!(field(16), 4, "a regular file");
    assert_eq!((field(24), field(32)), (1, 1234));
    assert_eq!((field(40), field(48)), (5 * second, 7 * second));
    // Leaves one alone and sets the other to the present.
    fd::fd_filestat_set_times(&mut guest.ctx, fd, 0, 0, 0b1000).unwrap();
    guest
        .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
        .unwrap();
    let stat = guest.get(DATA, 64);
    let field = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().unwrap());
    assert_eq!(field(40), 5 * second);
    assert!(field(48) > 1_700_000_000 * second);
    // And of a directory.
    fd::fd_filestat_set_times(&mut guest.ctx, ROOT, 3 * second, 0, 1).unwrap();
}

#[test]
fn space_that_could_not_be_reserved_leaves_the_length_alone() {
    let guest = Guest::new();
    let path = guest.host.path().join("file");
    std::fs::write(&path, b"0123456789").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let len = || std::fs::metadata(&path).unwrap().len();
    // As ext4 does it when there is space for a part only.
    let partly = |len| {
        file.set_len(len).unwrap();
        Err(Errno::NoSpc)
    };
    assert_eq!(
        fd::undone_on_error(&file, 110, || partly(60)),
        Err(Errno::NoSpc)
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
    assert_eq!(
        fd::undone_on_error(&file, 110, || partly(110)),
        Err(Errno::NoSpc)
    );
    assert_eq!(len(), 10);
    // Longer than asked for, or shorter than before: somebody else did that.
    for other in [111, 4] {
        let result = fd::undone_on_error(&file, 110, || partly(other));
        assert_eq!((result, len()), (Err(Errno::NoSpc), other));
        file.set_len(10).unwrap();
    }
    let whole = || Ok(file.set_len(110)?);
    assert_eq!(fd::undone_on_error(&file, 110, whole), Ok(()));
    assert_eq!(len(), 110);
}

#[test]
#[cfg(target_os = "linux")]
fn space_can_be_reserved_and_advice_given() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    match fd::fd_allocate(&mut guest.ctx, fd, 100, 28) {
        Ok(()) => assert_eq!(guest.seek(fd, 0, 2), Ok(128)),
        // Not every file system can.
        Err(errno) => assert_eq!(errno, Errno::NotSup),
    }
    assert_eq!(fd::fd_allocate(&mut guest.ctx, fd, 0, 0), Err(Errno::Inval));
    assert_eq!(
        fd::fd_allocate(&mut guest.ctx, fd, u64::MAX, 1),
        Err(Errno::Inval)
    );
    for advice in 0..=5 {
        assert_eq!(
            fd::fd_advise(&mut guest.ctx, fd, 0, 0, advice),
            Ok(()),
            "{advice}"
        );
    }
    assert_eq!(
        fd::fd_advise(&mut guest.ctx, fd, 0, 0, 6),
        Err(Errno::Inval)
    );
    assert_eq!(fd::fd_sync(&mut guest.ctx, fd), Ok(()));
    assert_eq!(fd::fd_datasync(&mut guest.ctx, fd), Ok(()));
}

#[test]
#[cfg(unix)]
fn directories_can_be_synchronised() {
    let mut guest = Guest::new();
    let by_flag = guest.open(".", OFlags::DIRECTORY, READ).unwrap();
    let by_what_it_is = guest.open(".", NONE, READ).unwrap();
    for fd in [ROOT, by_flag, by_what_it_is] {
        assert_eq!(fd::fd_sync(&mut guest.ctx, fd), Ok(()));
        assert_eq!(fd::fd_datasync(&mut guest.ctx, fd), Ok(()));
    }
}

#[test]
fn renumbering_replaces_the_target() {
    let mut guest = Guest::new();
    let one = guest.open("one", OFlags::CREAT, READ_WRITE).unwrap();
    let two = guest.open("two", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(one, b"first").unwrap();
    assert_eq!(fd::fd_renumber(&mut guest.ctx, one, two), Ok(()));
    assert_eq!(guest.seek(two, 0, 2), Ok(5));
    assert_eq!(guest.seek(one, 0, 2), Err(Errno::Badf));
    assert_eq!(fd::fd_renumber(&mut guest.ctx, two, 77), Err(Errno::Badf));
    // The number that became free is the next one to be given out.
    assert_eq!(guest.open("one", NONE, READ), Ok(one));
    assert_eq!(fd::fd_renumber(&mut guest.ctx, one, one), Ok(()));
    assert_eq!(guest.seek(one, 0, 2), Ok(5));
}

#[test]
fn preopened_directories_are_renumbered_and_closed_like_others() {
    let mut guest = Guest::new();
    let sub = {
        std::fs::create_dir(guest.host.path().join("sub")).unwrap();
        guest.open("sub", OFlags::DIRECTORY, READ).unwrap()
    };
    let inode = |guest: &mut Guest, fd| {
        guest
            .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
            .map(|()| guest.get(DATA + 8, 8))
    };
    let prestat = |guest: &mut Guest, fd| {
        guest.call(|ctx, memory| fd::fd_prestat_get(ctx, memory, fd, RESULT))
    };
    let expected = inode(&mut guest, sub);
    assert_eq!(fd::fd_renumber(&mut guest.ctx, sub, ROOT), Ok(()));
    assert_eq!(inode(&mut guest, ROOT), expected);
    assert_eq!(inode(&mut guest, sub), Err(Errno::Badf));
    assert_eq!(
        prestat(&mut guest, ROOT),
        Err(Errno::Badf),
        "it is no preopened one now"
    );

    let mut guest = Guest::new();
    let other = guest.open(".", OFlags::DIRECTORY, READ).unwrap();
    assert_eq!(fd::fd_renumber(&mut guest.ctx, ROOT, other), Ok(()));
    assert_eq!(prestat(&mut guest, other), Ok(()), "its name goes with it");
    assert_eq!(guest.close(other), Ok(()));
    assert_eq!(prestat(&mut guest, other), Err(Errno::Badf));
}

#[test]
fn standard_streams_are_renumbered_like_others() {
    let mut guest = Guest::new();
    for stream in 0..3 {
        let file = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
        assert_eq!(fd::fd_renumber(&mut guest.ctx, stream, file), Ok(()));
        assert_eq!(guest.close(stream), Err(Errno::Badf));
        assert_eq!(
            guest.seek(file, 0, 1),
            Err(Errno::Spipe),
            "it is a stream now"
        );
    }
}

/// A second read of a pipe would wait, although the first has brought what there was.
#[test]
#[cfg(target_os = "linux")]
fn a_pipe_that_was_opened_by_its_path_is_read_once() {
    let mut guest = Guest::new();
    let made = std::process::Command::new("mkfifo")
        .arg(guest.host.path().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    // Open for both, so that it does not wait for the other end.
    let fd = guest.open("pipe", NONE, READ_WRITE).unwrap();
    guest.write(fd, b"abcd").unwrap();
    for (index, (at, len)) in (0u32..).zip([(DATA, 3u32), (DATA + 100, 1), (DATA + 200, 50)]) {
        guest.put(VEC + index * 8, &at.to_le_bytes());
        guest.put(VEC + index * 8 + 4, &len.to_le_bytes());
    }
    for (count, expected) in [(2, 4), (3, 4)] {
        guest
            .call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(VEC, count), RESULT))
            .unwrap();
        assert_eq!(guest.result(), expected);
        assert_eq!(
            (guest.get(DATA, 3), guest.get(DATA + 100, 1)),
            (b"abc".to_vec(), b"d".to_vec())
        );
        guest.put(DATA + 300, b"abcd");
        guest.put(VEC + 40, &(DATA + 300).to_le_bytes());
        guest.put(VEC + 44, &4u32.to_le_bytes());
        guest
            .call(|ctx, memory| fd::fd_write(ctx, memory, fd, vecs(VEC + 40, 1), RESULT))
            .unwrap();
    }
}
