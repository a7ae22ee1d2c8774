//! What programs of wasi-testsuite (<https://github.com/WebAssembly/wasi-testsuite>, preview 1) look at and the other
//! tests here do not. Where it allows several answers, this is the one that Unix gives.
#![cfg(unix)]

use super::{DATA, Guest, NONE, PATH, READ, READ_WRITE, RESULT, ROOT, SECOND_PATH, VEC, vecs};
use crate::abi::{FdFlags, OFlags, Rights, Version};
use crate::errno::Errno;
use crate::path::{self, At, PathTimes};
use crate::{fd, readdir};

const NOTHING: Rights = Rights(0);
const DIRECTORY: OFlags = OFlags::DIRECTORY;
const CREATE: OFlags = OFlags::CREAT;

/// What is known of a file, in the order of preview 1.
#[derive(Debug, PartialEq, Eq)]
struct Stat([u64; 8]);

impl Stat {
    fn file_type(&self) -> u64 {
        self.0[2]
    }

    fn size(&self) -> u64 {
        self.0[4]
    }

    fn accessed(&self) -> u64 {
        self.0[5]
    }

    fn modified(&self) -> u64 {
        self.0[6]
    }
}

impl Guest {
    fn stat_at(&mut self) -> Stat {
        let bytes = self.get(DATA, 64);
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        Stat(words)
    }

    fn stat_fd(&mut self, fd: u32) -> Stat {
        self.call(|ctx, memory| fd::fd_filestat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        self.stat_at()
    }

    fn stat_path(&mut self, path: &str, lookup: u32) -> Result<Stat, Errno> {
        let at = self.at(PATH, path);
        self.call(|ctx, memory| {
            path::path_filestat_get(ctx, memory, Version::Preview1, lookup, at, DATA)
        })?;
        Ok(self.stat_at())
    }

    /// File type, flags, rights and rights to pass on.
    fn fdstat(&mut self, fd: u32) -> (u8, u16, Rights, Rights) {
        self.call(|ctx, memory| fd::fd_fdstat_get(ctx, memory, Version::Preview1, fd, DATA))
            .unwrap();
        let bytes = self.get(DATA, 24);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (
            bytes[0],
            u16::from_le_bytes([bytes[2], bytes[3]]),
            Rights(word(8)),
            Rights(word(16)),
        )
    }

    fn create(&mut self, path: &str) {
        let fd = self.open(path, CREATE, NOTHING).unwrap();
        self.close(fd).unwrap();
    }

    fn open_nofollow(&mut self, path: &str, oflags: OFlags) -> Result<u32, Errno> {
        self.open_with(path, |open| {
            open.lookup = 0;
            open.oflags = u32::from(oflags.0);
        })
    }

    fn make(&mut self, path: &str) -> Result<(), Errno> {
        let at = self.at(PATH, path);
        self.call(|ctx, memory| path::path_create_directory(ctx, memory, at))
    }

    fn remove(&mut self, path: &str) -> Result<(), Errno> {
        let at = self.at(PATH, path);
        self.call(|ctx, memory| path::path_remove_directory(ctx, memory, at))
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let at = self.at(PATH, path);
        self.call(|ctx, memory| path::path_unlink_file(ctx, memory, at))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let (from, to) = (self.at(PATH, from), self.at(SECOND_PATH, to));
        self.call(|ctx, memory| path::path_rename(ctx, memory, from, to))
    }

    fn link_to(&mut self, lookup: u32, from: &str, to_fd: u32, to: &str) -> Result<(), Errno> {
        let from = self.at(PATH, from);
        let to = At {
            fd: to_fd,
            ..self.at(SECOND_PATH, to)
        };
        self.call(|ctx, memory| path::path_link(ctx, memory, lookup, from, to))
    }

    fn link(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.link_to(0, from, ROOT, to)
    }

    fn point(&mut self, target: &str, link: &str) -> Result<(), Errno> {
        let target = self.at(SECOND_PATH, target);
        let link = self.at(PATH, link);
        self.call(|ctx, memory| path::path_symlink(ctx, memory, target.path, target.path_len, link))
    }

    fn touch(&mut self, path: &str, lookup: u32, modified: u64, flags: u32) -> Result<(), Errno> {
        let at = self.at(PATH, path);
        let times = PathTimes {
            fd: at.fd,
            lookup,
            path: at.path,
            path_len: at.path_len,
            accessed: 0,
            modified,
            flags,
        };
        self.call(|ctx, memory| path::path_filestat_set_times(ctx, memory, &times))
    }
}

const ATIM: u32 = 1;
const ATIM_NOW: u32 = 2;
const MTIM: u32 = 4;
const MTIM_NOW: u32 = 8;

#[test]
fn names_can_be_used_again_after_removal() {
    let mut guest = Guest::new();
    for _ in 0..2 {
        guest.create("file");
        let fd = guest.open("file", NONE, NOTHING).unwrap();
        guest.close(fd).unwrap();
        guest.unlink("file").unwrap();
        guest.make("dir").unwrap();
        let fd = guest.open("dir", DIRECTORY, NOTHING).unwrap();
        guest.close(fd).unwrap();
        guest.remove("dir").unwrap();
    }
    // While they are open, too.
    let fd = guest.open("file", CREATE, READ_WRITE).unwrap();
    guest.unlink("file").unwrap();
    guest.create("file");
    guest.write(fd, b"gone").unwrap();
    assert_eq!(guest.stat_path("file", 0).unwrap().size(), 0);
}

#[test]
fn links_are_not_followed_unless_asked() {
    let mut guest = Guest::new();
    guest.point("target", "link").unwrap();
    for what in ["nothing", "directory", "file"] {
        match what {
            "directory" => guest.make("target").unwrap(),
            "file" => guest.create("target"),
            _ => {}
        }
        let as_directory = guest.open_nofollow("link", DIRECTORY).unwrap_err();
        assert!(
            [Errno::NotDir, Errno::Loop].contains(&as_directory),
            "{what}: {as_directory:?}"
        );
        assert_eq!(
            guest.open_nofollow("link", NONE),
            Err(Errno::Loop),
            "{what}"
        );
        let followed = guest.open("link", DIRECTORY, NOTHING);
        match what {
            "directory" => {
                assert!(followed.is_ok());
                guest.remove("target").unwrap();
            }
            "file" => assert_eq!(followed, Err(Errno::NotDir)),
            _ => assert_eq!(followed, Err(Errno::NoEnt)),
        }
    }
}

#[test]
fn a_directory_is_no_file() {
    let mut guest = Guest::new();
    let dir = guest.open(".", DIRECTORY, Rights::FD_SEEK).unwrap();
    assert_eq!(guest.stat_fd(dir).file_type(), 3);
    for fd in [ROOT, dir] {
        let refused = [Errno::IsDir, Errno::Badf];
        assert!(refused.contains(&guest.read(fd, 10).unwrap_err()));
        assert!(refused.contains(&guest.write(fd, b"x").unwrap_err()));
        guest.vec(1);
        let list = vecs(VEC, 1);
        let pread = guest.call(|ctx, memory| fd::fd_pread(ctx, memory, fd, list, 0, RESULT));
        assert!(refused.contains(&pread.unwrap_err()));
        let pwrite = guest.call(|ctx, memory| fd::fd_pwrite(ctx, memory, fd, list, 0, RESULT));
        assert!(refused.contains(&pwrite.unwrap_err()));
        for whence in 0..3 {
            assert!(refused.contains(&guest.seek(fd, 0, whence).unwrap_err()));
        }
        let tell = guest.call(|ctx, memory| fd::fd_tell(ctx, memory, fd, RESULT));
        assert!(refused.contains(&tell.unwrap_err()));
        assert!(refused.contains(&fd::fd_allocate(&mut guest.ctx, fd, 0, 1).unwrap_err()));
        assert!(refused.contains(&fd::fd_filestat_set_size(&mut guest.ctx, fd, 0).unwrap_err()));
        let (file_type, flags, rights, _) = guest.fdstat(fd);
        assert_eq!((file_type, flags), (3, 0));
        assert!(!rights.intersects(Rights::FD_SEEK.union(Rights::FD_FILESTAT_SET_SIZE)));
    }
    // A name may have more room than it needs.
    guest
        .call(|ctx, memory| fd::fd_prestat_dir_name(ctx, memory, ROOT, DATA, 2))
        .unwrap();
}

#[test]
fn space_is_added_and_never_taken() {
    let mut guest = Guest::new();
    let fd = guest.open("file", CREATE, READ_WRITE).unwrap();
    for (offset, len, size) in [(0, 100, 100), (10, 10, 100), (90, 20, 110)] {
        match fd::fd_allocate(&mut guest.ctx, fd, offset, len) {
            Ok(()) => assert_eq!(guest.stat_fd(fd).size(), size),
            // Not every system or file system can.
            Err(errno) => assert_eq!(errno, Errno::NotSup),
        }
    }
}

#[test]
fn positions_go_beyond_the_end_and_not_before_the_start() {
    let mut guest = Guest::new();
    let fd = guest.open("file", CREATE, READ_WRITE).unwrap();
    let tell = |guest: &mut Guest| {
        guest
            .call(|ctx, memory| fd::fd_tell(ctx, memory, fd, RESULT))
            .unwrap();
        guest.result_u64()
    };
    assert_eq!(tell(&mut guest), 0);
    guest.write(fd, &[0; 100]).unwrap();
    assert_eq!(tell(&mut guest), 100);
    assert_eq!(guest.seek(fd, -50, 1), Ok(50));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    assert_eq!(guest.seek(fd, 1000, 1), Ok(1000));
    assert_eq!(guest.seek(fd, -2000, 1), Err(Errno::Inval));
    assert_eq!(tell(&mut guest), 1000);
    guest.seek(fd, 0, 0).unwrap();
    assert_eq!(guest.read(fd, 100).unwrap().len(), 100);
    assert_eq!(tell(&mut guest), 100);
}

#[test]
fn what_one_descriptor_writes_another_reads() {
    let mut guest = Guest::new();
    let reads = guest.open("file", CREATE, Rights::FD_READ).unwrap();
    let writes = guest.open("file", NONE, Rights::FD_WRITE).unwrap();
    guest.write(writes, b"1").unwrap();
    assert_eq!(guest.read(reads, 1), Ok(b"1".to_vec()));
    let both = guest
        .open("file", CREATE.union(OFlags::TRUNC), READ_WRITE)
        .unwrap();
    assert_eq!(guest.read(both, 10), Ok(Vec::new()));
    assert_eq!(guest.stat_fd(reads).size(), 0);
}

#[test]
fn a_time_is_set_to_one_thing() {
    let mut guest = Guest::new();
    // Only for reading: that says nothing about its times.
    let fd = guest.open("file", CREATE, Rights::FD_READ).unwrap();
    let before = guest.stat_fd(fd);
    for flags in [MTIM | MTIM_NOW, ATIM | ATIM_NOW, 16] {
        let set = fd::fd_filestat_set_times(&mut guest.ctx, fd, 100, 200, flags);
        assert_eq!(set, Err(Errno::Inval));
        assert_eq!(guest.touch("file", 0, 200, flags), Err(Errno::Inval));
    }
    assert_eq!(guest.stat_fd(fd), before);
    let modified = before.modified() - 100;
    fd::fd_filestat_set_times(&mut guest.ctx, fd, modified, modified, MTIM).unwrap();
    let after = guest.stat_fd(fd);
    assert_eq!(
        (after.accessed(), after.modified()),
        (before.accessed(), modified)
    );
}

#[test]
fn times_of_links_and_of_what_they_point_at() {
    let mut guest = Guest::new();
    guest.create("file");
    guest.point("file", "link").unwrap();
    let file = guest.stat_path("file", 0).unwrap();
    let link = guest.stat_path("link", 0).unwrap();
    assert_eq!((file.file_type(), link.file_type()), (4, 7));
    let earlier = link.modified() - 200;
    guest.touch("link", 0, earlier, MTIM).unwrap();
    assert_eq!(guest.stat_path("link", 0).unwrap().modified(), earlier);
    assert_eq!(guest.stat_path("file", 0), Ok(file));
    assert_eq!(guest.stat_path("link", 1), guest.stat_path("file", 0));
    guest.touch("link", 1, 5_000, MTIM).unwrap();
    assert_eq!(guest.stat_path("file", 0).unwrap().modified(), 5_000);
    assert_eq!(guest.stat_path("link", 0).unwrap().modified(), earlier);
}

#[test]
fn odd_paths() {
    let mut guest = Guest::new();
    guest.make("dir").unwrap();
    guest.make("dir/nested").unwrap();
    guest.create("dir/nested/file");
    assert_eq!(
        guest.open("/dir/nested/file", NONE, NOTHING),
        Err(Errno::Perm)
    );
    assert!(
        guest
            .open(
                "dir/.//nested/../../dir/nested/../nested///./file",
                NONE,
                NOTHING
            )
            .is_ok()
    );
    assert_eq!(
        guest.open("dir/nested/file\0", NONE, NOTHING),
        Err(Errno::Inval)
    );
    for slashes in ["/", "///"] {
        let file = guest.open(&format!("dir/nested/file{slashes}"), NONE, NOTHING);
        assert_eq!(file, Err(Errno::NotDir));
        assert!(
            guest
                .open(&format!("dir/nested{slashes}"), NONE, NOTHING)
                .is_ok()
        );
    }
    assert_eq!(
        guest.open("dir/nested/../../../dir/nested/file", NONE, NOTHING),
        Err(Errno::Perm)
    );
}

#[test]
fn a_file_is_no_terminal() {
    let mut guest = Guest::new();
    let fd = guest.open("file", CREATE, NOTHING).unwrap();
    assert_eq!(guest.fdstat(fd).0, 4);
}

#[test]
fn what_is_there_is_found_by_name() {
    let mut guest = Guest::new();
    guest.make("dir").unwrap();
    guest.create("dir/file");
    guest.point("dir/file", "to_file").unwrap();
    guest.point("dir", "to_dir").unwrap();
    for (path, itself, followed) in [
        ("dir", 3, 3),
        ("dir/file", 4, 4),
        ("to_file", 7, 4),
        ("to_dir", 7, 3),
    ] {
        assert_eq!(
            guest.stat_path(path, 0).unwrap().file_type(),
            itself,
            "{path}"
        );
        assert_eq!(
            guest.stat_path(path, 1).unwrap().file_type(),
            followed,
            "{path}"
        );
    }
    assert_eq!(guest.stat_path("none", 0), Err(Errno::NoEnt));
}

#[test]
fn flags_are_those_of_opening() {
    let mut guest = Guest::new();
    let flags = FdFlags::APPEND.union(FdFlags::SYNC);
    let fd = guest
        .open_with("file", |open| {
            open.oflags = u32::from(CREATE.0);
            open.rights_base = READ_WRITE.0;
            open.fdflags = u32::from(flags.0);
        })
        .unwrap();
    assert_eq!(guest.fdstat(fd).1, flags.0);
    let nonblocking =
        |open: &mut crate::path::PathOpen| open.fdflags = u32::from(FdFlags::NONBLOCK.0);
    assert!(guest.open_with(".", nonblocking).is_ok());
}

#[test]
fn hard_links() {
    let mut guest = Guest::new();
    let file = guest.open("file", CREATE, READ).unwrap();
    guest.link("file", "link").unwrap();
    let link = guest.open("link", NONE, READ).unwrap();
    assert_eq!(guest.stat_fd(link), guest.stat_fd(file));
    assert_eq!(guest.fdstat(link), guest.fdstat(file));
    guest.unlink("link").unwrap();

    guest.make("sub").unwrap();
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    guest.link_to(0, "file", sub, "link").unwrap();
    assert_eq!(guest.stat_path("sub/link", 0).unwrap(), guest.stat_fd(file));

    guest.create("there");
    guest.make("dir").unwrap();
    for existing in ["there", "file", "dir"] {
        assert_eq!(guest.link("file", existing), Err(Errno::Exist));
    }
    assert_eq!(guest.link("dir", "link"), Err(Errno::Perm));
    assert_eq!(guest.link("file", "link/"), Err(Errno::NoEnt));

    // To a link itself, wherever it points.
    for target in ["nowhere", "symbolic"] {
        guest.point(target, "symbolic").unwrap();
        guest.link("symbolic", "link").unwrap();
        assert_eq!(guest.stat_path("link", 0).unwrap().file_type(), 7);
        assert_eq!(guest.link("file", "symbolic"), Err(Errno::Exist));
        assert_eq!(
            guest.link_to(1, "symbolic", ROOT, "other"),
            Err(Errno::Inval)
        );
        guest.unlink("symbolic").unwrap();
        guest.unlink("link").unwrap();
    }
}

#[test]
fn a_preopened_directory_is_opened_again() {
    let mut guest = Guest::new();
    let (_, _, rights, inheriting) = guest.fdstat(ROOT);
    for bit in [
        9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24, 25, 26,
    ] {
        assert!(rights.contains(Rights(1 << bit)), "{bit}");
    }
    for bit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 27] {
        assert!(inheriting.contains(Rights(1 << bit)), "{bit}");
    }
    assert!(guest.open(".", NONE, rights).is_ok());
    assert!(guest.open(".", NONE, NOTHING).is_ok());
    assert!(guest.open(".", DIRECTORY, NOTHING).is_ok());
    assert!(guest.open(".", DIRECTORY, Rights::FD_READ).is_ok());
    assert_eq!(guest.open(".", DIRECTORY, READ_WRITE), Err(Errno::IsDir));
}

#[test]
fn renaming() {
    let mut guest = Guest::new();
    guest.make("source").unwrap();
    guest.rename("source", "target").unwrap();
    assert_eq!(guest.open("source", DIRECTORY, NOTHING), Err(Errno::NoEnt));
    assert!(guest.open("target", DIRECTORY, NOTHING).is_ok());
    // Over a directory that is empty, and over one that is not.
    guest.make("source").unwrap();
    guest.rename("source", "target").unwrap();
    guest.make("source").unwrap();
    guest.create("target/file");
    assert_eq!(guest.rename("source", "target"), Err(Errno::NotEmpty));
    assert_eq!(guest.rename("source", "target/file"), Err(Errno::NotDir));
    guest.unlink("target/file").unwrap();
    guest.remove("target").unwrap();
    // Slashes behind the names of directories.
    for (from, to) in [
        ("source/", "target"),
        ("target", "source/"),
        ("source/", "target/"),
        ("target", "source"),
    ] {
        guest.rename(from, to).unwrap();
    }
    guest.remove("source").unwrap();

    guest.create("source");
    guest.rename("source", "target").unwrap();
    assert_eq!(guest.open("source", NONE, NOTHING), Err(Errno::NoEnt));
    guest.create("source");
    guest.rename("source", "target").unwrap();
    assert!(guest.open("target", NONE, NOTHING).is_ok());
    guest.create("source");
    guest.make("dir").unwrap();
    assert_eq!(guest.rename("source", "dir"), Err(Errno::IsDir));
}

#[test]
fn slashes_behind_names() {
    let mut guest = Guest::new();
    guest.create("file");
    guest.make("dir").unwrap();
    assert_eq!(guest.point("source", "new/"), Err(Errno::NoEnt));
    assert_eq!(guest.point("source", "dir/"), Err(Errno::Exist));
    assert_eq!(guest.point("source", "dir"), Err(Errno::Exist));
    assert_eq!(guest.point("source", "file"), Err(Errno::Exist));
    let at_file = guest.point("source", "file/").unwrap_err();
    assert!(
        [Errno::NotDir, Errno::Exist].contains(&at_file),
        "{at_file:?}"
    );

    assert_eq!(guest.unlink("dir"), Err(Errno::IsDir));
    assert_eq!(guest.unlink("dir/"), Err(Errno::IsDir));
    assert_eq!(guest.unlink("file/"), Err(Errno::NotDir));
    assert_eq!(guest.remove("file"), Err(Errno::NotDir));
    assert_eq!(guest.remove("file/"), Err(Errno::NotDir));
    assert_eq!(guest.remove("dir/."), Err(Errno::Inval));
    guest.remove("dir/").unwrap();
    guest.make("dir//").unwrap();
    guest.remove("dir///").unwrap();
    assert_eq!(guest.remove("/"), Err(Errno::Perm));
    assert_eq!(guest.remove(""), Err(Errno::NoEnt));
    guest.unlink("file").unwrap();
}

/// As on the host: found by comparing random calls with another implementation.
#[test]
fn what_is_called_a_directory_is_one() {
    let mut guest = Guest::new();
    guest.create("file");
    guest.make("dir").unwrap();
    guest.point("dir", "to_dir").unwrap();
    guest.point("file", "to_file").unwrap();
    for end in ["/", "//", "/.", "/./"] {
        for lookup in 0..2 {
            let mut file_type = |name: &str| {
                guest
                    .stat_path(&format!("{name}{end}"), lookup)
                    .map(|stat| stat.file_type())
            };
            assert_eq!(file_type("file"), Err(Errno::NotDir), "{end} {lookup}");
            assert_eq!(file_type("to_file"), Err(Errno::NotDir), "{end} {lookup}");
            assert_eq!(file_type("dir"), Ok(3), "{end} {lookup}");
            assert_eq!(file_type("to_dir"), Ok(3), "{end} {lookup}");
            assert_eq!(file_type("none"), Err(Errno::NoEnt), "{end} {lookup}");
        }
    }
    assert_eq!(guest.rename("file", "other/"), Err(Errno::NotDir));
    assert_eq!(guest.rename("file/", "other"), Err(Errno::NotDir));
    assert_eq!(guest.rename("none/", "other"), Err(Errno::NoEnt));
    assert_eq!(guest.rename("dir/", "other/"), Ok(()));

    assert_eq!(guest.open("other", CREATE, NOTHING), Err(Errno::IsDir));
    assert_eq!(guest.open(".", CREATE, READ), Err(Errno::IsDir));
    assert_eq!(guest.open("new/", CREATE, READ), Err(Errno::IsDir));
    assert_eq!(guest.open("file/", CREATE, READ), Err(Errno::IsDir));
    assert_eq!(guest.open("none/new", CREATE, READ), Err(Errno::NoEnt));
    // Flags of reading and writing mean nothing for a directory.
    let flags = |open: &mut crate::path::PathOpen| open.fdflags = u32::from(FdFlags::APPEND.0);
    let fd = guest.open_with("other", flags).unwrap();
    assert_eq!(guest.fdstat(fd).1, 0);
}

#[test]
fn a_file_is_cut_without_rights_that_name_that() {
    let mut guest = Guest::new();
    let fd = guest.open("file", CREATE, READ_WRITE).unwrap();
    guest.write(fd, b"long").unwrap();
    guest.open("file", OFlags::TRUNC, NOTHING).unwrap();
    assert_eq!(guest.stat_fd(fd).size(), 0);
}

#[test]
fn a_directory_of_a_thousand_entries_is_listed_in_parts() {
    let mut guest = Guest::new();
    let dir = guest.open(".", DIRECTORY, READ).unwrap();
    for index in 0..1000 {
        std::fs::write(guest.host.path().join(format!("file.{index}")), b"").unwrap();
    }
    assert_eq!(guest.list(dir, 256).unwrap().len(), 1002);
    // A buffer that is not filled says that there is no more.
    guest
        .call(|ctx, memory| readdir::fd_readdir(ctx, memory, dir, DATA, 40, 1001, RESULT))
        .unwrap();
    assert!(guest.result() < 40);
}
