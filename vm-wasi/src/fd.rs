//! Calls on open descriptors: `fd_*` but for listing directories.

use std::fs::{File, FileTimes};
use std::io::{Read, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::fd::AsFd;

use cap_fs_ext::OpenOptionsMaybeDirExt;
use cap_std::fs::OpenOptions;

use crate::abi::{FdFlags, FileStat, FstFlags, Version};
use crate::ctx::Ctx;
use crate::errno::Errno;
#[cfg(unix)]
use crate::host::write_file_at_once;
use crate::memory::{GuestMemory, IoVec, IoVecs};
use crate::stat;
use crate::table::{Descriptor, Object, OpenFile, Tree};

/// `fd_read`.
pub(crate) fn fd_read(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vecs: IoVecs,
    read: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get_mut(fd)?;
    check_transfer(descriptor, Way::In, memory, vecs, read)?;
    let nonblocking = descriptor.is_nonblocking();
    let until = memory.until();
    let len = match &mut descriptor.object {
        Object::Input(input) => input.read(memory, vecs, nonblocking)?,
        #[cfg(unix)]
        Object::Host(stream) => stream.read(memory, vecs)?,
        Object::File(OpenFile {
            file,
            regular: true,
        }) => transfer(memory, vecs, |memory, vec, _| {
            memory.read_into(vec, |bytes| until.retry(|| file.read(bytes)))
        })?,
        // A second read might wait, although the guest already has something to work with.
        Object::File(OpenFile { file, .. }) => {
            memory.scatter(vecs, |buffer| until.retry(|| file.read(buffer)))?
        }
        Object::MemoryFile(file) => {
            let start = file.position;
            let len = transfer(memory, vecs, |memory, vec, done| {
                memory.read_into(vec, |bytes| {
                    Ok(file.read_at(bytes, start.saturating_add(done)))
                })
            })?;
            file.position = start.saturating_add(u64::from(len));
            len
        }
        Object::Output(_) | Object::Directory(_) => return Err(Errno::Badf),
    };
    memory.write_u32(read, len)
}

/// `fd_pread`.
pub(crate) fn fd_pread(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vecs: IoVecs,
    offset: u64,
    read: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get_mut(fd)?;
    check_transfer(descriptor, Way::In, memory, vecs, read)?;
    check_offset(offset, u64::from(u32::MAX))?;
    let until = memory.until();
    let len = match &descriptor.object {
        Object::MemoryFile(file) => transfer(memory, vecs, |memory, vec, done| {
            memory.read_into(vec, |bytes| Ok(file.read_at(bytes, offset + done)))
        })?,
        _ => {
            let file = descriptor.file(Errno::Spipe)?;
            transfer(memory, vecs, |memory, vec, done| {
                memory.read_into(vec, |bytes| {
                    until.retry(|| positioned::read(file, bytes, offset + done))
                })
            })?
        }
    };
    memory.write_u32(read, len)
}

/// `fd_write`.
pub(crate) fn fd_write(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vecs: IoVecs,
    written: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get_mut(fd)?;
    check_transfer(descriptor, Way::Out, memory, vecs, written)?;
    let nonblocking = descriptor.is_nonblocking();
    let until = memory.until();
    let len = match &mut descriptor.object {
        Object::Output(output) => output.write(memory, vecs, nonblocking)?,
        #[cfg(unix)]
        Object::Host(stream) => stream.write(memory, vecs)?,
        #[cfg(unix)]
        Object::File(OpenFile {
            file,
            regular: false,
        }) if until.is_now() => memory.gather(vecs, |parts| {
            until.retry(|| write_file_at_once(&until, file.as_fd(), parts))
        })?,
        Object::File(OpenFile { file, .. }) => {
            memory.gather(vecs, |parts| until.retry(|| file.write_vectored(parts)))?
        }
        Object::Input(_) | Object::MemoryFile(_) | Object::Directory(_) => {
            return Err(Errno::Badf);
        }
    };
    memory.write_u32(written, len)
}

/// `fd_pwrite`.
pub(crate) fn fd_pwrite(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vecs: IoVecs,
    offset: u64,
    written: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get_mut(fd)?;
    check_transfer(descriptor, Way::Out, memory, vecs, written)?;
    let file = descriptor.file(Errno::Spipe)?;
    check_offset(offset, u64::from(u32::MAX))?;
    let until = memory.until();
    let len = transfer(memory, vecs, |memory, vec, done| {
        let bytes = memory.io_slice(vec)?;
        until.retry(|| positioned::write(file, &bytes, offset + done))
    })?;
    memory.write_u32(written, len)
}

/// Which way bytes go, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Everything that can be wrong with the arguments of a transfer, found before
/// any byte has moved.
pub(crate) fn check_transfer(
    descriptor: &Descriptor,
    way: Way,
    memory: &GuestMemory<'_>,
    vecs: IoVecs,
    result: u32,
) -> Result<(), Errno> {
    match (way, &descriptor.object) {
        (Way::In, Object::Directory(_)) => return Err(Errno::IsDir),
        (Way::In, _) => descriptor.to_read()?,
        (Way::Out, _) => descriptor.to_write()?,
    }
    memory.check(result, 4)?;
    memory.check_io_vecs(vecs)
}

/// Moves one element after the other until one comes up short. An error after
/// some bytes moved is left for the next call to meet.
fn transfer<'m>(
    memory: &mut GuestMemory<'m>,
    vecs: IoVecs,
    mut one: impl FnMut(&mut GuestMemory<'m>, &IoVec, u64) -> std::io::Result<usize>,
) -> Result<u32, Errno> {
    let mut done = 0u32;
    for index in 0..vecs.count {
        let vec = match memory.io_vec(vecs, index) {
            Ok(vec) => vec,
            // The guest read over its own list.
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        };
        let wanted = vec.len();
        if wanted == 0 {
            continue;
        }
        match one(memory, &vec, u64::from(done)) {
            Ok(len) => {
                done = u32::try_from(len)
                    .ok()
                    .and_then(|len| done.checked_add(len))
                    .ok_or(Errno::Overflow)?;
                if len < wanted {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Hosts count offsets in 63 bits: `EINVAL` beyond, as POSIX says.
fn check_offset(offset: u64, len: u64) -> Result<(), Errno> {
    let end = offset.checked_add(len).ok_or(Errno::Inval)?;
    i64::try_from(end).map(drop).map_err(|_| Errno::Inval)
}

#[cfg(unix)]
mod positioned {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(bytes, offset)
    }

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }
}

/// Where positioned calls move the file's position, it is put back.
#[cfg(not(unix))]
mod positioned {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};

    pub(super) fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        at(file, offset, |mut file| file.read(bytes))
    }

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        at(file, offset, |mut file| file.write(bytes))
    }

    fn at<'f, T>(
        mut file: &'f File,
        offset: u64,
        call: impl FnOnce(&'f File) -> io::Result<T>,
    ) -> io::Result<T> {
        let before = file.stream_position()?;
        file.seek(SeekFrom::Start(offset))?;
        let result = call(file);
        file.seek(SeekFrom::Start(before))?;
        result
    }
}

/// `fd_seek`.
pub(crate) fn fd_seek(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    fd: u32,
    offset: i64,
    whence: u32,
    position: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get_mut(fd)?;
    memory.check(position, 8)?;
    let target = version.seek(offset, whence);
    let now = match &mut descriptor.object {
        Object::MemoryFile(file) => {
            file.position = moved(file.position, file.size(), target?)?;
            file.position
        }
        _ => seekable(descriptor)?.seek(target?)?,
    };
    memory.write_u64(position, now)
}

/// `fd_tell`.
pub(crate) fn fd_tell(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    position: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    let now = match &descriptor.object {
        Object::MemoryFile(file) => file.position,
        _ => seekable(descriptor)?.stream_position()?,
    };
    memory.write_u64(position, now)
}

/// Where a position goes in a file of that size.
fn moved(now: u64, size: u64, target: SeekFrom) -> Result<u64, Errno> {
    let position = match target {
        SeekFrom::Start(position) => Some(position),
        SeekFrom::Current(offset) => now.checked_add_signed(offset),
        SeekFrom::End(offset) => size.checked_add_signed(offset),
    };
    let position = position.ok_or(Errno::Inval)?;
    check_offset(position, 0)?;
    Ok(position)
}

fn seekable(descriptor: &Descriptor) -> Result<&File, Errno> {
    match &descriptor.object {
        Object::Directory(_) => Err(Errno::Badf),
        _ => descriptor.file(Errno::Spipe),
    }
}

/// `fd_close`. A preopened directory can be closed like any other. Of the
/// host's standard streams the guest's number is closed: the host goes on using them.
pub(crate) fn fd_close(ctx: &mut Ctx, fd: u32) -> Result<(), Errno> {
    if let Object::Output(output) = &mut ctx.table.get_mut(fd)?.object {
        let flushed = output.flush();
        ctx.table.close(fd)?;
        return flushed;
    }
    ctx.table.close(fd)
}

/// `fd_renumber`.
pub(crate) fn fd_renumber(ctx: &mut Ctx, from: u32, to: u32) -> Result<(), Errno> {
    ctx.table.renumber(from, to)
}

/// `fd_sync`.
pub(crate) fn fd_sync(ctx: &mut Ctx, fd: u32) -> Result<(), Errno> {
    sync(ctx, fd, File::sync_all)
}

/// `fd_datasync`.
pub(crate) fn fd_datasync(ctx: &mut Ctx, fd: u32) -> Result<(), Errno> {
    sync(ctx, fd, File::sync_data)
}

fn sync(
    ctx: &mut Ctx,
    fd: u32,
    how: impl FnOnce(&File) -> std::io::Result<()>,
) -> Result<(), Errno> {
    match &mut ctx.table.get_mut(fd)?.object {
        Object::File(file) => Ok(how(&file.file)?),
        Object::MemoryFile(_) => Ok(()),
        Object::Directory(directory) => {
            let Tree::Host(dir) = &directory.tree else {
                return Ok(());
            };
            // The descriptor of a directory itself may be good for nothing but paths.
            let mut options = OpenOptions::new();
            options.read(true).maybe_dir(true);
            let opened = dir.open_with(".", &options)?;
            Ok(how(&opened.into_std())?)
        }
        #[cfg(unix)]
        Object::Host(stream) => stream.sync(),
        Object::Output(output) => output.flush(),
        Object::Input(_) => Err(Errno::Inval),
    }
}

/// `fd_advise`: advice changes no result, so a host without the call, or
/// without use for it, succeeds.
pub(crate) fn fd_advise(
    ctx: &mut Ctx,
    fd: u32,
    offset: u64,
    len: u64,
    advice: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    if advice > 5 {
        return Err(Errno::Inval);
    }
    match &descriptor.object {
        Object::Directory(_) | Object::MemoryFile(_) => Ok(()),
        _ => {
            let file = descriptor.file(Errno::Spipe)?;
            check_offset(offset, len)?;
            range::advise(file, offset, len, advice)
        }
    }
}

/// `fd_allocate`: all or nothing.
pub(crate) fn fd_allocate(ctx: &mut Ctx, fd: u32, offset: u64, len: u64) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    let file = descriptor.file(Errno::Spipe)?;
    descriptor.to_write()?;
    if len == 0 {
        return Err(Errno::Inval);
    }
    check_offset(offset, len)?;
    undone_on_error(file, offset.saturating_add(len), || {
        range::allocate(file, offset, len)
    })
}

/// Makes a file at most so long, and as long as it was before if that fails.
///
/// Some file systems (ext4 on Linux) make the file longer bit by bit, and leave it at what they came to when there is
/// no more space. A length that this call cannot have made is somebody else's, and is left alone.
pub(crate) fn undone_on_error(
    file: &File,
    most: u64,
    grow: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let before = file.metadata()?.len();
    grow().inspect_err(|_| {
        let after = file.metadata().map_or(before, |metadata| metadata.len());
        if before < after && after <= most {
            // Why there is no more space is what the guest has to hear, whatever comes of this.
            let _ = file.set_len(before);
        }
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod range {
    use std::fs::File;
    use std::num::NonZeroU64;

    use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};

    use super::Errno;

    pub(super) fn advise(file: &File, offset: u64, len: u64, advice: u32) -> Result<(), Errno> {
        let advice = match advice {
            1 => Advice::Sequential,
            2 => Advice::Random,
            3 => Advice::WillNeed,
            4 => Advice::DontNeed,
            5 => Advice::NoReuse,
            _ => Advice::Normal,
        };
        fadvise(file, offset, NonZeroU64::new(len), advice)
            .map_err(|error| std::io::Error::from(error).into())
    }

    pub(super) fn allocate(file: &File, offset: u64, len: u64) -> Result<(), Errno> {
        fallocate(file, FallocateFlags::empty(), offset, len)
            .map_err(|error| std::io::Error::from(error).into())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod range {
    use std::fs::File;

    use super::Errno;

    pub(super) fn advise(_: &File, _: u64, _: u64, _: u32) -> Result<(), Errno> {
        Ok(())
    }

    // Making the file longer would not reserve the space, which is all that
    // the caller asks for.
    pub(super) fn allocate(_: &File, _: u64, _: u64) -> Result<(), Errno> {
        Err(Errno::NotSup)
    }
}

/// `fd_fdstat_get`.
pub(crate) fn fd_fdstat_get(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let stat = ctx.table.get(fd)?.stat()?;
    memory.write(result, &stat.encode(version))
}

/// `fd_fdstat_set_flags`: of a file, `APPEND` and `NONBLOCK` can be changed, of a
/// stream `NONBLOCK`; the others are fixed when it is opened, as on the host.
pub(crate) fn fd_fdstat_set_flags(ctx: &mut Ctx, fd: u32, flags: u32) -> Result<(), Errno> {
    let flags = FdFlags::from_guest(u16::try_from(flags).map_err(|_| Errno::Inval)?)?;
    let descriptor = ctx.table.get_mut(fd)?;
    let now = descriptor.flags();
    if flags == now {
        return Ok(());
    }
    let changeable = match &descriptor.object {
        Object::File(_) => FdFlags::APPEND.union(FdFlags::NONBLOCK),
        Object::Directory(_) => FdFlags::default(),
        _ => FdFlags::NONBLOCK,
    };
    if flags.without(changeable) != now.without(changeable) {
        return Err(Errno::NotSup);
    }
    match &mut descriptor.object {
        Object::File(file) => set_host_flags(&file.file, flags)?,
        #[cfg(unix)]
        Object::Host(stream) => stream.set_nonblocking(flags.contains(FdFlags::NONBLOCK)),
        _ => {}
    }
    descriptor.flags = flags;
    Ok(())
}

#[cfg(unix)]
pub(crate) fn set_host_flags(file: &File, flags: FdFlags) -> Result<(), Errno> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let change = || {
        let mut host = fcntl_getfl(file)?;
        host.set(OFlags::APPEND, flags.contains(FdFlags::APPEND));
        host.set(OFlags::NONBLOCK, flags.contains(FdFlags::NONBLOCK));
        fcntl_setfl(file, host)
    };
    change().map_err(|error| std::io::Error::from(error).into())
}

#[cfg(not(unix))]
pub(crate) fn set_host_flags(_file: &File, _flags: FdFlags) -> Result<(), Errno> {
    Err(Errno::NotSup)
}

/// `fd_fdstat_set_rights`: refused. Rights that could be given up would have to
/// be asked for at every call, of programs that have been written for engines that ask for none.
pub(crate) fn fd_fdstat_set_rights(ctx: &mut Ctx, fd: u32) -> Result<(), Errno> {
    ctx.table.get(fd)?;
    Err(Errno::NotSup)
}

/// `fd_filestat_get`.
pub(crate) fn fd_filestat_get(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    let stat = match &descriptor.object {
        Object::File(file) => stat::of_file(&file.file)?,
        Object::MemoryFile(file) => file.stat(),
        Object::Directory(directory) => match &directory.tree {
            Tree::Host(dir) => stat::of(&dir.dir_metadata()?),
            Tree::Memory(node) => node.stat(),
        },
        _ => FileStat::of_type(descriptor.file_type()?),
    };
    memory.write(result, &stat.encode(version))
}

/// `fd_filestat_set_size`.
pub(crate) fn fd_filestat_set_size(ctx: &mut Ctx, fd: u32, size: u64) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    let file = descriptor.file(Errno::Inval)?;
    descriptor.to_write()?;
    check_offset(size, 0)?;
    Ok(file.set_len(size)?)
}

/// `fd_filestat_set_times`.
pub(crate) fn fd_filestat_set_times(
    ctx: &mut Ctx,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(), Errno> {
    let flags = FstFlags::from_guest(u16::try_from(flags).map_err(|_| Errno::Inval)?)?;
    let (accessed, modified) = stat::times(accessed, modified, flags)?;
    match &ctx.table.get(fd)?.object {
        Object::File(file) => {
            let file = &file.file;
            let mut times = FileTimes::new();
            if let Some(time) = accessed {
                times = times.set_accessed(stat::absolute(time));
            }
            if let Some(time) = modified {
                times = times.set_modified(stat::absolute(time));
            }
            Ok(file.set_times(times)?)
        }
        Object::Directory(directory) => {
            use cap_fs_ext::DirExt;
            match &directory.tree {
                Tree::Host(dir) => Ok(dir.set_times(".", accessed, modified)?),
                Tree::Memory(_) => Err(Errno::Rofs),
            }
        }
        Object::MemoryFile(_) => Err(Errno::Rofs),
        _ => Err(Errno::Badf),
    }
}

/// `fd_prestat_get`. C libraries ask for 3, 4, … until one is `EBADF`.
pub(crate) fn fd_prestat_get(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let name = ctx.table.get(fd)?.preopen.as_ref().ok_or(Errno::Badf)?;
    let len = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
    // The tag 0: a directory. There is no other.
    let [a, b, c, d] = len.to_le_bytes();
    memory.write(result, &[0, 0, 0, 0, a, b, c, d])
}

/// `fd_prestat_dir_name`.
pub(crate) fn fd_prestat_dir_name(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<(), Errno> {
    let name = ctx.table.get(fd)?.preopen.as_ref().ok_or(Errno::Badf)?;
    if usize::try_from(path_len).is_ok_and(|room| room < name.len()) {
        return Err(Errno::NameTooLong);
    }
    memory.write(path, name.as_bytes())
}
