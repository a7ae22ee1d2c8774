//! Paths: what a guest can do to the tree, and that it can't leave it.

use super::{DATA, Guest, NONE, PATH, READ, READ_WRITE, RESULT, ROOT, SECOND_PATH, SIZE};
use crate::abi::{OFlags, Rights, Version};
use crate::errno::Errno;
use crate::path::{self, At, PathTimes};
use crate::{fd, readdir};

impl Guest {
    /// One of the calls that take a path and nothing else.
    fn path(
        &mut self,
        call: impl FnOnce(
            &mut crate::ctx::Ctx,
            &mut crate::memory::GuestMemory<'_>,
            At,
        ) -> Result<(), Errno>,
        path: &str,
    ) -> Result<(), Errno> {
        let at = self.at(PATH, path);
        self.call(|ctx, memory| call(ctx, memory, at))
    }

    fn symlink(&mut self, target: &str, link: &str) -> Result<(), Errno> {
        let target = self.at(SECOND_PATH, target);
        let link = self.at(PATH, link);
        self.call(|ctx, memory| path::path_symlink(ctx, memory, target.path, target.path_len, link))
    }

    fn file_type(&mut self, path: &str, lookup: u32) -> Result<u8, Errno> {
        self.path(
            |ctx, memory, at| {
                path::path_filestat_get(ctx, memory, Version::Preview1, lookup, at, DATA)
            },
            path,
        )?;
        Ok(self.get(DATA + 16, 1)[0])
    }
}

#[test]
fn directories_are_made_listed_and_removed() {
    let mut guest = Guest::new();
    assert_eq!(guest.path(path::path_create_directory, "sub"), Ok(()));
    assert_eq!(
        guest.path(path::path_create_directory, "sub"),
        Err(Errno::Exist)
    );
    guest.open("sub/b", OFlags::CREAT, READ_WRITE).unwrap();
    guest
        .open("sub/a-rather-long-name", OFlags::CREAT, READ_WRITE)
        .unwrap();
    guest.path(path::path_create_directory, "sub/c").unwrap();
    guest.symlink("b", "sub/d").unwrap();
    let expected: Vec<(String, u8)> = [
        (".", 3),
        ("..", 3),
        ("a-rather-long-name", 4),
        ("b", 4),
        ("c", 3),
        ("d", 7),
    ]
    .map(|(name, file_type)| (name.to_owned(), file_type))
    .to_vec();
    let fd = guest
        .open("sub", OFlags::DIRECTORY, Rights::DIRECTORY)
        .unwrap();
    // A buffer that holds all, one that cuts every entry, one that fits one.
    for buffer_len in [4096, 43, 42] {
        assert_eq!(
            guest.list(fd, buffer_len),
            Ok(expected.clone()),
            "{buffer_len}"
        );
    }
    assert_eq!(
        guest.path(path::path_remove_directory, "sub"),
        Err(Errno::NotEmpty)
    );
    for file in ["sub/a-rather-long-name", "sub/b", "sub/d"] {
        guest.path(path::path_unlink_file, file).unwrap();
    }
    assert_eq!(
        guest.path(path::path_unlink_file, "sub/c"),
        Err(Errno::IsDir)
    );
    guest.path(path::path_remove_directory, "sub/c").unwrap();
    // From the start again: the new state.
    assert_eq!(guest.list(fd, 4096).unwrap().len(), 2);
    assert_eq!(guest.path(path::path_remove_directory, "sub"), Ok(()));
    assert_eq!(guest.file_type("sub", 1), Err(Errno::NoEnt));
}

#[test]
fn listing_survives_removal_in_between_and_odd_cookies() {
    let mut guest = Guest::new();
    for index in 0..100 {
        guest
            .open(&format!("file{index}"), OFlags::CREAT, READ)
            .unwrap();
    }
    // `rm *`: each batch is removed before the next one is read.
    let mut removed = 0;
    let mut cookie = 0;
    loop {
        guest
            .call(|ctx, memory| readdir::fd_readdir(ctx, memory, ROOT, DATA, 100, cookie, RESULT))
            .unwrap();
        let used = guest.result();
        let bytes = guest.get(DATA, used);
        let mut rest = &bytes[..];
        while let Some((head, after)) = rest.split_at_checked(24) {
            let name_len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
            let Some((name, after)) = after.split_at_checked(name_len) else {
                break;
            };
            cookie = u64::from_le_bytes(head[0..8].try_into().unwrap());
            rest = after;
            let name = std::str::from_utf8(name).unwrap();
            if !name.starts_with('.') {
                guest.path(path::path_unlink_file, name).unwrap();
                removed += 1;
            }
        }
        if used < 100 {
            break;
        }
    }
    assert_eq!(removed, 100);
    for cookie in [1 << 40, u64::MAX] {
        guest
            .call(|ctx, memory| readdir::fd_readdir(ctx, memory, ROOT, DATA, 100, cookie, RESULT))
            .unwrap();
        assert_eq!(guest.result(), 0);
    }
    let fault =
        guest.call(|ctx, memory| readdir::fd_readdir(ctx, memory, ROOT, SIZE - 10, 11, 0, RESULT));
    assert_eq!(fault, Err(Errno::Fault));
    let file = guest.open("file", OFlags::CREAT, READ).unwrap();
    assert_eq!(guest.list(file, 100), Err(Errno::NotDir));
}

/// C libraries ask for the inode of what has none by its name, and `..` is outside.
#[test]
fn every_entry_has_an_inode() {
    let mut guest = Guest::new();
    guest.open("file", OFlags::CREAT, READ).unwrap();
    guest
        .call(|ctx, memory| readdir::fd_readdir(ctx, memory, ROOT, DATA, 4096, 0, RESULT))
        .unwrap();
    let used = guest.result();
    let bytes = guest.get(DATA, used);
    let mut rest = &bytes[..];
    let mut inodes = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(24) {
        let name_len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
        inodes.push(u64::from_le_bytes(head[8..16].try_into().unwrap()));
        rest = &after[name_len..];
    }
    guest.file_type(".", 1).unwrap();
    let own = u64::from_le_bytes(guest.get(DATA + 8, 8).try_into().unwrap());
    guest.file_type("file", 1).unwrap();
    let file = u64::from_le_bytes(guest.get(DATA + 8, 8).try_into().unwrap());
    assert_eq!(inodes, [own, own, file]);
    assert!(own != 0);
}

/// The cookie of an entry is where the one behind it is found, also after others have come.
#[test]
fn a_cookie_leads_to_the_entry_behind_its_own() {
    let mut guest = Guest::new();
    for name in ["a", "b", "c"] {
        guest.open(name, OFlags::CREAT, READ).unwrap();
    }
    let mut from = |cookie: u64| -> Vec<(u64, String)> {
        guest
            .call(|ctx, memory| readdir::fd_readdir(ctx, memory, ROOT, DATA, 4096, cookie, RESULT))
            .unwrap();
        let used = guest.result();
        let bytes = guest.get(DATA, used);
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(24) {
            let name_len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
            let next = u64::from_le_bytes(head[0..8].try_into().unwrap());
            let (name, after) = after.split_at(name_len);
            entries.push((next, String::from_utf8(name.to_vec()).unwrap()));
            rest = after;
        }
        entries
    };
    let all = from(0);
    assert_eq!(all.len(), 5);
    for (index, (next, _)) in all.iter().enumerate() {
        assert_eq!(from(*next), all[index + 1..]);
    }
}

#[test]
fn no_path_leads_out() {
    let mut guest = Guest::new();
    let outside = guest.host.path().parent().unwrap().to_owned();
    let name = format!("palisade-outside-{}", std::process::id());
    guest.path(path::path_create_directory, "sub").unwrap();
    for escape in [
        format!("../{name}"),
        format!("sub/../../{name}"),
        format!("./sub/.././../{name}"),
        format!("/{name}"),
        outside.join(&name).to_str().unwrap().to_owned(),
    ] {
        assert_eq!(
            guest.open(&escape, OFlags::CREAT, READ_WRITE),
            Err(Errno::Perm),
            "{escape}"
        );
        assert_eq!(
            guest.path(path::path_create_directory, &escape),
            Err(Errno::Perm)
        );
        assert_eq!(
            guest.path(path::path_unlink_file, &escape),
            Err(Errno::Perm)
        );
        assert_eq!(
            guest.path(path::path_remove_directory, &escape),
            Err(Errno::Perm)
        );
        assert_eq!(guest.file_type(&escape, 0), Err(Errno::Perm));
        let from = guest.at(PATH, "sub");
        let to = guest.at(SECOND_PATH, &escape);
        let rename = guest.call(|ctx, memory| path::path_rename(ctx, memory, from, to));
        assert_eq!(rename, Err(Errno::Perm));
    }
    assert_eq!(guest.open("..", OFlags::DIRECTORY, READ), Err(Errno::Perm));
    assert!(!outside.join(&name).exists());
    assert_eq!(guest.file_type("sub/..", 1), Ok(3), "`..` inside is fine");
}

#[test]
#[cfg(unix)]
fn no_symbolic_link_leads_out() {
    let mut guest = Guest::new();
    let target = tempfile::NamedTempFile::new().unwrap();
    // Made by the host, where the guest couldn't.
    std::os::unix::fs::symlink(target.path(), guest.host.path().join("absolute")).unwrap();
    std::os::unix::fs::symlink("..", guest.host.path().join("up")).unwrap();
    assert_eq!(guest.open("absolute", NONE, READ), Err(Errno::Perm));
    assert_eq!(guest.open("up", OFlags::DIRECTORY, READ), Err(Errno::Perm));
    assert_eq!(
        guest.open("up/x", OFlags::CREAT, READ_WRITE),
        Err(Errno::Perm)
    );
    assert_eq!(guest.symlink("/etc/passwd", "mine"), Err(Errno::Perm));
}

#[test]
fn symbolic_links_are_followed_when_asked() {
    let mut guest = Guest::new();
    let fd = guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"through the link").unwrap();
    guest.symlink("file", "link").unwrap();
    assert_eq!(guest.file_type("link", 0), Ok(7));
    assert_eq!(guest.file_type("link", 1), Ok(4));
    let fd = guest.open("link", NONE, READ).unwrap();
    assert_eq!(guest.read(fd, 7), Ok(b"through".to_vec()));
    assert_eq!(
        guest.open_with("link", |open| open.lookup = 0),
        Err(Errno::Loop)
    );
    assert_eq!(
        guest.open_with("link", |open| open.lookup = 2),
        Err(Errno::Inval)
    );

    let link = guest.at(PATH, "link");
    let readlink = |guest: &mut Guest, len| {
        guest.call(|ctx, memory| path::path_readlink(ctx, memory, link, DATA, len, RESULT))
    };
    readlink(&mut guest, 100).unwrap();
    assert_eq!(guest.result(), 4);
    assert_eq!(guest.get(DATA, 4), b"file");
    // Cut to the buffer.
    readlink(&mut guest, 2).unwrap();
    assert_eq!(guest.result(), 2);
    guest.symlink("loop", "loop").unwrap();
    assert_eq!(guest.open("loop", NONE, READ), Err(Errno::Loop));
}

#[test]
fn files_are_renamed_and_linked() {
    let mut guest = Guest::new();
    let fd = guest.open("old", OFlags::CREAT, READ_WRITE).unwrap();
    guest.write(fd, b"12345").unwrap();
    let (old, new) = (guest.at(PATH, "old"), guest.at(SECOND_PATH, "new"));
    guest
        .call(|ctx, memory| path::path_link(ctx, memory, 0, old, new))
        .unwrap();
    let again = guest.call(|ctx, memory| path::path_link(ctx, memory, 0, old, new));
    assert_eq!(again, Err(Errno::Exist));
    let follow = guest.call(|ctx, memory| path::path_link(ctx, memory, 1, old, new));
    assert_eq!(follow, Err(Errno::Inval));
    guest
        .call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
        .unwrap();
    assert_eq!(guest.get(DATA + 24, 1), [2], "two names");
    let (old, third) = (guest.at(PATH, "old"), guest.at(SECOND_PATH, "third"));
    guest
        .call(|ctx, memory| path::path_rename(ctx, memory, old, third))
        .unwrap();
    assert_eq!(guest.open("old", NONE, READ), Err(Errno::NoEnt));
    let fd = guest.open("third", NONE, READ).unwrap();
    assert_eq!(guest.read(fd, 9), Ok(b"12345".to_vec()));
}

#[test]
fn times_are_set_by_path() {
    let mut guest = Guest::new();
    guest.open("file", OFlags::CREAT, READ_WRITE).unwrap();
    let at = guest.at(PATH, "file");
    let args = PathTimes {
        fd: at.fd,
        lookup: 1,
        path: at.path,
        path_len: at.path_len,
        accessed: 11,
        modified: 2_000_000_000,
        flags: 0b101,
    };
    guest
        .call(|ctx, memory| path::path_filestat_set_times(ctx, memory, &args))
        .unwrap();
    guest.file_type("file", 1).unwrap();
    let modified = guest.get(DATA + 48, 8);
    assert_eq!(modified, 2_000_000_000u64.to_le_bytes());
}

#[test]
fn paths_are_text() {
    let mut guest = Guest::new();
    let len = guest.put(PATH, b"a\xffb");
    let bytes = guest.call(|ctx, memory| {
        path::path_create_directory(
            ctx,
            memory,
            At {
                fd: ROOT,
                path: PATH,
                path_len: len,
            },
        )
    });
    assert_eq!(bytes, Err(Errno::Ilseq));
    assert_eq!(
        guest.path(path::path_create_directory, "a\0b"),
        Err(Errno::Inval)
    );
    assert_eq!(
        guest.path(path::path_create_directory, ""),
        Err(Errno::NoEnt)
    );
    let outside = guest.call(|ctx, memory| {
        path::path_create_directory(
            ctx,
            memory,
            At {
                fd: ROOT,
                path: SIZE - 1,
                path_len: 2,
            },
        )
    });
    assert_eq!(outside, Err(Errno::Fault));
    let name = "x".repeat(300);
    assert_eq!(
        guest.path(path::path_create_directory, &name),
        Err(Errno::NameTooLong)
    );
}

#[test]
fn preopened_directories_say_their_names() {
    let mut guest = Guest::new();
    let prestat = |guest: &mut Guest, fd| {
        guest.call(|ctx, memory| fd::fd_prestat_get(ctx, memory, fd, RESULT))
    };
    let name = |guest: &mut Guest, len| {
        guest.call(|ctx, memory| fd::fd_prestat_dir_name(ctx, memory, ROOT, DATA, len))
    };
    prestat(&mut guest, ROOT).unwrap();
    assert_eq!(guest.result_u64(), 1 << 32);
    name(&mut guest, 1).unwrap();
    assert_eq!(guest.get(DATA, 1), b"/");
    assert_eq!(name(&mut guest, 0), Err(Errno::NameTooLong));
    assert_eq!(prestat(&mut guest, 0), Err(Errno::Badf));
    assert_eq!(prestat(&mut guest, ROOT + 1), Err(Errno::Badf));
    // What C libraries look at before they open anything below it.
    guest
        .call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, ROOT, DATA))
        .unwrap();
    let stat = guest.get(DATA, 24);
    assert_eq!(stat[0], 3);
    let inheriting = Rights(u64::from_le_bytes(stat[16..24].try_into().unwrap()));
    assert!(inheriting.contains(Rights::FILE.union(Rights::DIRECTORY)));
}
