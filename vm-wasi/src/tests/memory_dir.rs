//! Directories in memory, which are descriptor 3 here.

use super::{
    DATA, Guest, NONE, PATH, READ, READ_WRITE, RESULT, ROOT, SECOND_PATH, VEC, vecs, with,
};
use crate::abi::{OFlags, Rights, Version};
use crate::errno::Errno;
use crate::path::{self, At, PathTimes};
use crate::{MemoryDir, fd};

const NOTHING: Rights = Rights(0);

fn guest() -> Guest {
    let mut files = MemoryDir::new();
    files.file("text", "0123456789").unwrap();
    files.file("sub/deep/file", *b"deep").unwrap();
    files.file("sub/empty", "").unwrap();
    with(|builder| {
        builder.preopened_memory_dir(files, "/");
    })
}

#[test]
fn files_are_read() {
    let mut guest = guest();
    let fd = guest.open("text", NONE, READ).unwrap();
    assert_eq!(guest.read(fd, 4), Ok(b"0123".to_vec()));
    assert_eq!(guest.read(fd, 99), Ok(b"456789".to_vec()));
    assert_eq!(guest.read(fd, 99), Ok(Vec::new()));
    assert_eq!(guest.seek(fd, 7, 0), Ok(7));
    assert_eq!(guest.seek(fd, -2, 1), Ok(5));
    assert_eq!(guest.read(fd, 2), Ok(b"56".to_vec()));
    assert_eq!(guest.seek(fd, -1, 2), Ok(9));
    assert_eq!(guest.seek(fd, 100, 2), Ok(110));
    assert_eq!(guest.read(fd, 2), Ok(Vec::new()));
    assert_eq!(guest.seek(fd, -111, 1), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, i64::MAX, 1), Err(Errno::Inval));
    guest
        .call(|ctx, memory| fd::fd_tell(ctx, memory, fd, RESULT))
        .unwrap();
    assert_eq!(guest.result_u64(), 110);
    for (index, (at, len)) in (0u32..).zip([(DATA, 2u32), (DATA + 50, 3)]) {
        guest.put(VEC + index * 8, &at.to_le_bytes());
        guest.put(VEC + index * 8 + 4, &len.to_le_bytes());
    }
    guest
        .call(|ctx, memory| fd::fd_pread(ctx, memory, fd, vecs(VEC, 2), 6, RESULT))
        .unwrap();
    assert_eq!(guest.result(), 4);
    assert_eq!(
        (guest.get(DATA, 2), guest.get(DATA + 50, 2)),
        (b"67".to_vec(), b"89".to_vec())
    );
    // Another descriptor has a position of its own.
    let other = guest.open("./sub/../text", NONE, READ).unwrap();
    assert_eq!(guest.read(other, 1), Ok(b"0".to_vec()));
    assert_eq!(guest.close(other), Ok(()));
}

#[test]
fn paths_are_resolved() {
    let mut guest = guest();
    for (path, expected) in [
        ("sub/deep/file", Ok(())),
        ("sub//deep/./file", Ok(())),
        ("sub/deep/../deep/file", Ok(())),
        ("sub/", Ok(())),
        ("sub/.", Ok(())),
        (".", Ok(())),
        ("none", Err(Errno::NoEnt)),
        ("none/..", Err(Errno::NoEnt)),
        ("", Err(Errno::NoEnt)),
        ("text/", Err(Errno::NotDir)),
        ("text/.", Err(Errno::NotDir)),
        ("text/x", Err(Errno::NotDir)),
        ("..", Err(Errno::Perm)),
        ("sub/../../x", Err(Errno::Perm)),
        ("/text", Err(Errno::Perm)),
    ] {
        assert_eq!(guest.open(path, NONE, READ).map(|_| ()), expected, "{path}");
    }
    let sub = guest.open("sub", OFlags::DIRECTORY, READ).unwrap();
    assert!(guest.open_with("deep/file", |open| open.fd = sub).is_ok());
    assert_eq!(
        guest.open_with("../text", |open| open.fd = sub),
        Err(Errno::Perm)
    );
    assert_eq!(
        guest.open("text", OFlags::DIRECTORY, READ),
        Err(Errno::NotDir)
    );
    assert_eq!(
        guest.open("sub", OFlags::DIRECTORY.union(OFlags::CREAT), READ),
        Err(Errno::Inval)
    );
}

#[test]
fn nothing_is_changed() {
    let mut guest = guest();
    for (path, oflags, rights, errno) in [
        ("text", NONE, READ_WRITE, Errno::Rofs),
        ("text", OFlags::TRUNC, READ, Errno::Rofs),
        ("new", OFlags::CREAT, READ, Errno::Rofs),
        (
            "text",
            OFlags::CREAT.union(OFlags::EXCL),
            READ,
            Errno::Exist,
        ),
        ("sub", OFlags::CREAT, READ, Errno::IsDir),
        ("sub", NONE, READ_WRITE, Errno::IsDir),
    ] {
        assert_eq!(guest.open(path, oflags, rights), Err(errno), "{path}");
    }
    let fd = guest.open("text", OFlags::CREAT, READ).unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
    assert_eq!(
        fd::fd_filestat_set_size(&mut guest.ctx, fd, 0),
        Err(Errno::Rofs)
    );
    assert_eq!(fd::fd_allocate(&mut guest.ctx, fd, 0, 1), Err(Errno::Rofs));
    for fd in [fd, ROOT] {
        assert_eq!(
            fd::fd_filestat_set_times(&mut guest.ctx, fd, 0, 0, 1),
            Err(Errno::Rofs)
        );
        assert_eq!(fd::fd_sync(&mut guest.ctx, fd), Ok(()));
        assert_eq!(fd::fd_advise(&mut guest.ctx, fd, 0, 0, 1), Ok(()));
    }
    let (a, b) = (guest.at(PATH, "text"), guest.at(SECOND_PATH, "sub"));
    let host = At { fd: ROOT + 1, ..b };
    let times = PathTimes {
        fd: a.fd,
        lookup: 0,
        path: a.path,
        path_len: a.path_len,
        accessed: 0,
        modified: 0,
        flags: 1,
    };
    let calls = guest.call(|ctx, memory| {
        [
            path::path_create_directory(ctx, memory, a),
            path::path_remove_directory(ctx, memory, b),
            path::path_unlink_file(ctx, memory, a),
            path::path_rename(ctx, memory, a, b),
            path::path_rename(ctx, memory, host, a),
            path::path_link(ctx, memory, 0, a, host),
            path::path_symlink(ctx, memory, a.path, a.path_len, b),
            path::path_filestat_set_times(ctx, memory, &times),
        ]
    });
    assert_eq!(calls, [Err(Errno::Rofs); 8]);
    // There are no links to be read.
    let readlink = guest.call(|ctx, memory| path::path_readlink(ctx, memory, a, DATA, 9, RESULT));
    assert_eq!(readlink, Err(Errno::Inval));
    assert_eq!(guest.read(fd, 99), Ok(b"0123456789".to_vec()));
}

#[test]
fn what_is_there_is_listed_and_described() {
    let mut guest = guest();
    let list = |guest: &mut Guest, fd| {
        let entries = guest.list(fd, 60).unwrap();
        entries
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&mut guest, ROOT), [".", "..", "sub", "text"]);
    let sub = guest.open("sub", NONE, READ).unwrap();
    assert_eq!(list(&mut guest, sub), [".", "..", "deep", "empty"]);

    let mut inodes = Vec::new();
    for (path, file_type, size) in [
        ("text", 4, 10),
        ("sub", 3, 0),
        ("sub/empty", 4, 0),
        (".", 3, 0),
    ] {
        let fd = guest.open(path, NONE, READ).unwrap();
        guest
            .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        let by_descriptor = guest.get(DATA, 64);
        let at = guest.at(PATH, path);
        guest
            .call(|ctx, memory| {
                path::path_filestat_get(ctx, memory, Version::Preview1, 1, at, DATA)
            })
            .unwrap();
        assert_eq!(guest.get(DATA, 64), by_descriptor, "{path}");
        let word = |at: usize| u64::from_le_bytes(by_descriptor[at..at + 8].try_into().unwrap());
        assert_eq!(
            (word(16), word(24), word(32)),
            (file_type, 1, size),
            "{path}"
        );
        inodes.push(word(8));
        guest
            .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        assert_eq!(u64::from(guest.get(DATA, 1)[0]), file_type);
    }
    inodes.sort();
    inodes.dedup();
    assert_eq!(inodes.len(), 4);
    guest
        .call(|ctx, memory| fd::fd_prestat_get(ctx, memory, ROOT, RESULT))
        .unwrap();
    assert_eq!(guest.result_u64(), 1 << 32);
}

#[test]
fn files_are_ready() {
    use super::poll::{HOUR, clock, descriptor, poll_in_full};
    let mut guest = guest();
    let fd = guest.open("text", NONE, READ).unwrap();
    guest.seek(fd, 4, 0).unwrap();
    let unread = guest.open("text", NONE, NOTHING).unwrap();
    let badf = Errno::Badf.raw();
    assert_eq!(
        poll_in_full(
            &mut guest,
            &[
                descriptor(1, 1, fd),
                descriptor(2, 2, fd),
                descriptor(3, 1, unread),
                clock(4, 1, HOUR, 0)
            ]
        ),
        [(1, 0, 6, false), (2, badf, 0, false), (3, badf, 0, false)]
    );
    assert_eq!(guest.read(unread, 1), Err(Errno::Badf));
}

#[test]
fn an_embedder_hears_where_no_file_can_be() {
    let mut files = MemoryDir::new();
    files.file("a/b", "1").unwrap().file("a/b", "2").unwrap();
    for path in [
        "", "/", "/x", "x/", "x//y", "./x", "../x", "x/..", "x\0", "a", "a/b/c",
    ] {
        let error = files.file(path, "").unwrap_err();
        assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
    }
    // A clone that changes leaves the other as it was.
    let before = files.clone();
    files.file("a/c", "3").unwrap();
    for (files, expected) in [(before, Err(Errno::NoEnt)), (files, Ok(b"3".to_vec()))] {
        let mut guest = with(|builder| {
            builder.preopened_memory_dir(files, "/");
        });
        let fd = guest.open("a/b", NONE, READ).unwrap();
        assert_eq!(guest.read(fd, 9), Ok(b"2".to_vec()));
        let read = guest
            .open("a/c", NONE, READ)
            .and_then(|fd| guest.read(fd, 9));
        assert_eq!(read, expected);
    }
}
