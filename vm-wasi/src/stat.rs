//! What the host knows of a file, as preview 1 writes it down.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use cap_fs_ext::{FileTypeExt, MetadataExt, SystemTimeSpec};
use cap_std::fs::Metadata;

use crate::abi::{FileStat, FileType, FstFlags};
use crate::clocks::since_epoch;
use crate::errno::Errno;

pub(crate) fn of_file(file: &File) -> io::Result<FileStat> {
    Ok(of(&Metadata::from_file(file)?))
}

pub(crate) fn of(metadata: &Metadata) -> FileStat {
    // A file system without one of the times reports 1970 for it.
    let time = |time: io::Result<cap_std::time::SystemTime>| {
        time.map_or(0, |time| since_epoch(time.into_std()))
    };
    FileStat {
        device: metadata.dev(),
        inode: metadata.ino(),
        file_type: file_type(metadata.file_type()),
        links: metadata.nlink(),
        size: metadata.len(),
        accessed: time(metadata.accessed()),
        modified: time(metadata.modified()),
        changed: changed(metadata).unwrap_or_else(|| time(metadata.created())),
    }
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<u64> {
    use cap_std::fs::MetadataExt as UnixMetadataExt;
    let seconds = u64::try_from(UnixMetadataExt::ctime(metadata)).ok()?;
    let nanoseconds = u64::try_from(UnixMetadataExt::ctime_nsec(metadata)).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

#[cfg(not(unix))]
fn changed(_metadata: &Metadata) -> Option<u64> {
    None
}

pub(crate) fn file_type(host: cap_std::fs::FileType) -> FileType {
    if host.is_file() {
        FileType::RegularFile
    } else if host.is_dir() {
        FileType::Directory
    } else if host.is_symlink() {
        FileType::SymbolicLink
    } else if host.is_block_device() {
        FileType::BlockDevice
    } else if host.is_char_device() {
        FileType::CharacterDevice
    } else if host.is_socket() {
        FileType::SocketStream
    } else {
        // A pipe, for which preview 1 has no name.
        FileType::Unknown
    }
}

/// The times that `*_filestat_set_times` shall set; `None` leaves one alone.
pub(crate) fn times(
    accessed: u64,
    modified: u64,
    flags: FstFlags,
) -> Result<(Option<SystemTimeSpec>, Option<SystemTimeSpec>), Errno> {
    let time = |nanoseconds: u64, set: FstFlags, set_now: FstFlags| match (
        flags.contains(set),
        flags.contains(set_now),
    ) {
        (false, false) => Ok(None),
        (false, true) => Ok(Some(SystemTimeSpec::SymbolicNow)),
        (true, false) => SystemTime::UNIX_EPOCH
            .checked_add(std::time::Duration::from_nanos(nanoseconds))
            .map(|time| {
                let time = cap_std::time::SystemTime::from_std(time);
                Some(SystemTimeSpec::Absolute(time))
            })
            .ok_or(Errno::Overflow),
        (true, true) => Err(Errno::Inval),
    };
    Ok((
        time(accessed, FstFlags::ATIM, FstFlags::ATIM_NOW)?,
        time(modified, FstFlags::MTIM, FstFlags::MTIM_NOW)?,
    ))
}

/// A time to set, as the standard library takes it.
pub(crate) fn absolute(time: SystemTimeSpec) -> SystemTime {
    match time {
        SystemTimeSpec::SymbolicNow => SystemTime::now(),
        SystemTimeSpec::Absolute(time) => time.into_std(),
    }
}
