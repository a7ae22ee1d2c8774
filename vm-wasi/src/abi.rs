//! The numbers and record layouts of preview 1, and of the version before it.
//!
//! Names, values, sizes and offsets are those of the `wasi_snapshot_preview1`
//! witx description (<https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>), and where [`Version`]
//! says so of `wasi_unstable` (<https://github.com/WebAssembly/WASI/tree/wasi-0.1/preview0>).
//! Every record is little-endian; padding bytes are written as zero, so
//! nothing of the host's memory ever shows through them.

use std::io::SeekFrom;

use crate::errno::Errno;

/// Which of the two modules a guest imports. They have the same functions (the older one lacks `sock_accept`), error
/// numbers and flags; what differs is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Snapshot 0, of 2019.
    Unstable,
    /// Snapshot 1.
    Preview1,
}

impl Version {
    /// The name of the module.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Version::Unstable => "wasi_unstable",
            Version::Preview1 => "wasi_snapshot_preview1",
        }
    }

    /// A target of `fd_seek`.
    pub(crate) fn seek(self, offset: i64, whence: u32) -> Result<SeekFrom, Errno> {
        /// `whence` in the order of snapshot 0.
        const CURRENT: u32 = 0;
        const END: u32 = 1;
        const SET: u32 = 2;
        let whence = match (self, whence) {
            (Version::Unstable, whence) => whence,
            (Version::Preview1, 0) => SET,
            (Version::Preview1, 1) => CURRENT,
            (Version::Preview1, 2) => END,
            (Version::Preview1, _) => return Err(Errno::Inval),
        };
        match whence {
            CURRENT => Ok(SeekFrom::Current(offset)),
            END => Ok(SeekFrom::End(offset)),
            SET => u64::try_from(offset)
                .map(SeekFrom::Start)
                .map_err(|_| Errno::Inval),
            _ => Err(Errno::Inval),
        }
    }

    /// The rights that exist.
    fn rights(self, rights: Rights) -> Rights {
        match self {
            Version::Unstable => rights.without(Rights::SOCK_ACCEPT),
            Version::Preview1 => rights,
        }
    }

    /// The size of a `subscription` in guest memory, in bytes.
    pub(crate) fn subscription_size(self) -> u32 {
        match self {
            Version::Unstable => 56,
            Version::Preview1 => SUBSCRIPTION_SIZE,
        }
    }
}

/// A group of single-bit constants over one integer.
macro_rules! bits {
    ($(#[$attr:meta])* $name:ident: $int:ty { $($(#[$flag_attr:meta])* $flag:ident = $bit:expr;)* }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        pub(crate) struct $name(pub(crate) $int);

        #[allow(dead_code)] // The set is the format's, whether or not each bit has a use here.
        impl $name {
            $($(#[$flag_attr])* pub(crate) const $flag: $name = $name(1 << $bit);)*
            const ALL: $int = $((1 << $bit))|*;

            /// The flags of a guest's argument; bits without a meaning are an error.
            pub(crate) fn from_guest(bits: $int) -> Result<$name, Errno> {
                if bits & !Self::ALL == 0 { Ok($name(bits)) } else { Err(Errno::Inval) }
            }

            pub(crate) const fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            pub(crate) const fn intersects(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            pub(crate) const fn union(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            pub(crate) const fn intersection(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }

            pub(crate) const fn without(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }
        }
    };
}

bits! {
    /// `rights`: what a descriptor may be used for.
    Rights: u64 {
        FD_DATASYNC = 0;
        FD_READ = 1;
        FD_SEEK = 2;
        FD_FDSTAT_SET_FLAGS = 3;
        FD_SYNC = 4;
        FD_TELL = 5;
        FD_WRITE = 6;
        FD_ADVISE = 7;
        FD_ALLOCATE = 8;
        PATH_CREATE_DIRECTORY = 9;
        PATH_CREATE_FILE = 10;
        PATH_LINK_SOURCE = 11;
        PATH_LINK_TARGET = 12;
        PATH_OPEN = 13;
        FD_READDIR = 14;
        PATH_READLINK = 15;
        PATH_RENAME_SOURCE = 16;
        PATH_RENAME_TARGET = 17;
        PATH_FILESTAT_GET = 18;
        PATH_FILESTAT_SET_SIZE = 19;
        PATH_FILESTAT_SET_TIMES = 20;
        FD_FILESTAT_GET = 21;
        FD_FILESTAT_SET_SIZE = 22;
        FD_FILESTAT_SET_TIMES = 23;
        PATH_SYMLINK = 24;
        PATH_REMOVE_DIRECTORY = 25;
        PATH_UNLINK_FILE = 26;
        POLL_FD_READWRITE = 27;
        SOCK_SHUTDOWN = 28;
        SOCK_ACCEPT = 29;
    }
}

/// Rights say what a descriptor can be used for. They cannot be given up: see `fd_fdstat_set_rights`.
impl Rights {
    /// What of a regular file's a descriptor lacks that is not open to be written.
    pub(crate) const WRITING: Rights = Rights::FD_WRITE
        .union(Rights::FD_ALLOCATE)
        .union(Rights::FD_FILESTAT_SET_SIZE);

    /// Everything a regular file can be used for.
    pub(crate) const FILE: Rights = Rights::FD_DATASYNC
        .union(Rights::FD_READ)
        .union(Rights::FD_SEEK)
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_SYNC)
        .union(Rights::FD_TELL)
        .union(Rights::FD_WRITE)
        .union(Rights::FD_ADVISE)
        .union(Rights::FD_ALLOCATE)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::FD_FILESTAT_SET_SIZE)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::POLL_FD_READWRITE);

    /// Everything a directory can be used for. No `PATH_FILESTAT_SET_SIZE`, although files in it can be cut to no
    /// length when they are opened: programs that see it take for granted that it can be given up.
    pub(crate) const DIRECTORY: Rights = Rights::FD_FDSTAT_SET_FLAGS
        .union(Rights::FD_SYNC)
        .union(Rights::FD_ADVISE)
        .union(Rights::PATH_CREATE_DIRECTORY)
        .union(Rights::PATH_CREATE_FILE)
        .union(Rights::PATH_LINK_SOURCE)
        .union(Rights::PATH_LINK_TARGET)
        .union(Rights::PATH_OPEN)
        .union(Rights::FD_READDIR)
        .union(Rights::PATH_READLINK)
        .union(Rights::PATH_RENAME_SOURCE)
        .union(Rights::PATH_RENAME_TARGET)
        .union(Rights::PATH_FILESTAT_GET)
        .union(Rights::PATH_FILESTAT_SET_TIMES)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::PATH_SYMLINK)
        .union(Rights::PATH_REMOVE_DIRECTORY)
        .union(Rights::PATH_UNLINK_FILE)
        .union(Rights::POLL_FD_READWRITE);

    /// A stream that is read. No `FD_SEEK` and no `FD_TELL`: C libraries take
    /// their absence on a character device for "this is a terminal".
    pub(crate) const INPUT: Rights = Rights::FD_READ
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);

    /// A stream that is written.
    pub(crate) const OUTPUT: Rights = Rights::FD_WRITE
        .union(Rights::FD_DATASYNC)
        .union(Rights::FD_SYNC)
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);

    /// A connected socket.
    pub(crate) const SOCKET: Rights = Rights::FD_READ
        .union(Rights::FD_WRITE)
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE)
        .union(Rights::SOCK_SHUTDOWN);

    /// A socket that connections come in at.
    pub(crate) const LISTENER: Rights = Rights::SOCK_ACCEPT
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);
}

bits! {
    /// `fdflags`: how a descriptor behaves.
    FdFlags: u16 { APPEND = 0; DSYNC = 1; NONBLOCK = 2; RSYNC = 3; SYNC = 4; }
}

bits! {
    /// `oflags`: what opening does.
    OFlags: u16 { CREAT = 0; DIRECTORY = 1; EXCL = 2; TRUNC = 3; }
}

bits! {
    /// `fstflags`: which times to set, and to what.
    FstFlags: u16 { ATIM = 0; ATIM_NOW = 1; MTIM = 2; MTIM_NOW = 3; }
}

bits! {
    /// `lookupflags`: how a path is resolved.
    LookupFlags: u32 { SYMLINK_FOLLOW = 0; }
}

bits! {
    /// `riflags`: how a socket is read.
    RiFlags: u16 { PEEK = 0; WAITALL = 1; }
}

bits! {
    /// `sdflags`: which ways of a socket to shut down.
    SdFlags: u8 { RD = 0; WR = 1; }
}

bits! {
    /// `subclockflags`: whether a timeout is a point in time.
    SubclockFlags: u16 { ABSTIME = 0; }
}

/// `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketDgram = 5,
    SocketStream = 6,
    SymbolicLink = 7,
}

/// `fdstat`: the state of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FdStat {
    pub(crate) file_type: FileType,
    pub(crate) flags: FdFlags,
    pub(crate) rights_base: Rights,
    pub(crate) rights_inheriting: Rights,
}

impl FdStat {
    pub(crate) fn encode(&self, version: Version) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0] = self.file_type as u8;
        bytes[2..4].copy_from_slice(&self.flags.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&version.rights(self.rights_base).0.to_le_bytes());
        bytes[16..24].copy_from_slice(&version.rights(self.rights_inheriting).0.to_le_bytes());
        bytes
    }
}

/// `filestat`: what is known of a file. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) file_type: FileType,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) changed: u64,
}

impl FileStat {
    /// A file of which only the type is known: a stream.
    pub(crate) fn of_type(file_type: FileType) -> FileStat {
        FileStat {
            device: 0,
            inode: 0,
            file_type,
            links: 0,
            size: 0,
            accessed: 0,
            modified: 0,
            changed: 0,
        }
    }

    pub(crate) fn encode(&self, version: Version) -> Vec<u8> {
        let (device, inode, file_type) = (self.device, self.inode, self.file_type as u64);
        let (size, accessed, modified, changed) =
            (self.size, self.accessed, self.modified, self.changed);
        // The type is one byte, with seven of padding or with three and the links in half the width.
        let words = match version {
            Version::Preview1 => vec![
                device, inode, file_type, self.links, size, accessed, modified, changed,
            ],
            Version::Unstable => {
                let links = u64::from(u32::try_from(self.links).unwrap_or(u32::MAX));
                vec![
                    device,
                    inode,
                    file_type | links << 32,
                    size,
                    accessed,
                    modified,
                    changed,
                ]
            }
        };
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

/// `dirent`: the head of one entry of a directory; the name follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirEntHead {
    pub(crate) next: u64,
    pub(crate) inode: u64,
    pub(crate) name_len: u32,
    pub(crate) file_type: FileType,
}

impl DirEntHead {
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0..8].copy_from_slice(&self.next.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.name_len.to_le_bytes());
        bytes[20] = self.file_type as u8;
        bytes
    }
}

/// The size of a `subscription` of preview 1, in bytes.
pub(crate) const SUBSCRIPTION_SIZE: u32 = 48;
/// The size of an `event` in guest memory, in bytes.
pub(crate) const EVENT_SIZE: u32 = 32;

/// `subscription`: one thing that `poll_oneoff` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    pub(crate) kind: SubscriptionKind,
}

/// The tagged union in a [`Subscription`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionKind {
    Clock {
        id: u32,
        timeout: u64,
        flags: u16,
    },
    FdRead(u32),
    FdWrite(u32),
    /// A tag that is not defined.
    Unknown(u8),
}

impl Subscription {
    /// Reads [`Version::subscription_size`] bytes.
    pub(crate) fn decode(bytes: &[u8], version: Version) -> Subscription {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        // In the older one, a clock's subscription begins with an identifier that nothing uses.
        let clock = match version {
            Version::Unstable => 24,
            Version::Preview1 => 16,
        };
        let kind = match bytes[8] {
            0 => SubscriptionKind::Clock {
                id: u32_at(clock),
                timeout: u64_at(clock + 8),
                flags: u16_at(clock + 24),
            },
            1 => SubscriptionKind::FdRead(u32_at(16)),
            2 => SubscriptionKind::FdWrite(u32_at(16)),
            tag => SubscriptionKind::Unknown(tag),
        };
        Subscription {
            userdata: u64_at(0),
            kind,
        }
    }
}

/// `event`: one thing that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) error: Errno,
    /// `eventtype`: 0 clock, 1 read, 2 write.
    pub(crate) event_type: u8,
    /// How many bytes can be read or written; 0 for a clock.
    pub(crate) bytes: u64,
    /// The other end of what is read or written has been closed.
    pub(crate) hangup: bool,
}

impl Event {
    pub(crate) fn encode(&self) -> [u8; EVENT_SIZE as usize] {
        let mut bytes = [0; EVENT_SIZE as usize];
        bytes[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.error.raw().to_le_bytes());
        bytes[10] = self.event_type;
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        // `eventrwflags` has this one flag.
        bytes[24] = u8::from(self.hangup);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_number_the_ends_of_a_file_differently() {
        let seek = |version: Version| [0, 1, 2].map(|whence| version.seek(5, whence).unwrap());
        let (start, current, end) = (SeekFrom::Start(5), SeekFrom::Current(5), SeekFrom::End(5));
        assert_eq!(seek(Version::Preview1), [start, current, end]);
        assert_eq!(seek(Version::Unstable), [current, end, start]);
        for version in [Version::Preview1, Version::Unstable] {
            assert_eq!(version.seek(0, 3), Err(Errno::Inval));
            assert_eq!(version.seek(0, u32::MAX), Err(Errno::Inval));
        }
        assert_eq!(Version::Preview1.seek(-1, 0), Err(Errno::Inval));
        assert_eq!(Version::Unstable.seek(-1, 2), Err(Errno::Inval));
    }

    #[test]
    fn the_versions_lay_out_what_is_known_of_a_file_differently() {
        let stat = FileStat {
            device: 1,
            inode: 2,
            file_type: FileType::RegularFile,
            links: 3,
            size: 4,
            accessed: 5,
            modified: 6,
            changed: 7,
        };
        let words = |bytes: Vec<u8>| -> Vec<u64> {
            let words = bytes.chunks_exact(8);
            words
                .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                .collect()
        };
        assert_eq!(
            words(stat.encode(Version::Preview1)),
            [1, 2, 4, 3, 4, 5, 6, 7]
        );
        assert_eq!(
            words(stat.encode(Version::Unstable)),
            [1, 2, 3 << 32 | 4, 4, 5, 6, 7]
        );
    }

    #[test]
    fn the_versions_lay_out_subscriptions_differently() {
        let clock = SubscriptionKind::Clock {
            id: 1,
            timeout: 0x0102_0304_0506_0708,
            flags: 1,
        };
        for (version, size, at) in [(Version::Preview1, 48, 16), (Version::Unstable, 56, 24)] {
            assert_eq!(version.subscription_size(), size);
            let mut bytes = vec![0; size as usize];
            bytes[0] = 9;
            bytes[at] = 1;
            bytes[at + 8..at + 16].copy_from_slice(&0x0102_0304_0506_0708u64.to_le_bytes());
            bytes[at + 24] = 1;
            let subscription = Subscription::decode(&bytes, version);
            assert_eq!(
                subscription,
                Subscription {
                    userdata: 9,
                    kind: clock
                }
            );
            bytes[8] = 2;
            bytes[16..20].copy_from_slice(&77u32.to_le_bytes());
            assert_eq!(
                Subscription::decode(&bytes, version).kind,
                SubscriptionKind::FdWrite(77)
            );
        }
    }
}
