//! Calls on paths: `path_*`.
//!
//! Every path is resolved by cap-std below an open directory. A path that
//! leads out of it, by `..`, by a symbolic link or by being absolute, is
//! refused with `EPERM`.

use cap_fs_ext::{
    DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsMaybeDirExt, OpenOptionsSyncExt,
};
use cap_std::fs::{Dir, Metadata, OpenOptions};

use crate::abi::{FdFlags, FstFlags, LookupFlags, OFlags, Rights, Version};
use std::borrow::Cow;

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::fd::set_host_flags;
use crate::memory::GuestMemory;
use crate::memory_dir::Opened;
use crate::stat;
use crate::table::{Access, Descriptor, Object, OpenFile, Tree};

/// The raw arguments of `path_open`, in the order of its signature, but for the rights to pass on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathOpen {
    pub(crate) fd: u32,
    pub(crate) lookup: u32,
    pub(crate) path: u32,
    pub(crate) path_len: u32,
    pub(crate) oflags: u32,
    pub(crate) rights_base: u64,
    pub(crate) fdflags: u32,
    pub(crate) opened: u32,
}

/// `path_open`.
pub(crate) fn path_open(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    args: &PathOpen,
) -> Result<(), Errno> {
    let parent = ctx.table.get(args.fd)?;
    let tree = parent.tree()?;
    let path = memory.string(args.path, args.path_len)?;
    let path = &*path;
    let lookup = LookupFlags::from_guest(args.lookup)?;
    let oflags = OFlags::from_guest(u16::try_from(args.oflags).map_err(|_| Errno::Inval)?)?;
    let flags = FdFlags::from_guest(u16::try_from(args.fdflags).map_err(|_| Errno::Inval)?)?;
    memory.check(args.opened, 4)?;

    // Of the rights asked for, those to read and to write say how to open; there are no others to be had or to be
    // withheld, and so none to pass on.
    let rights = Rights(args.rights_base);
    let request = Request {
        follow: lookup.contains(LookupFlags::SYMLINK_FOLLOW),
        oflags,
        flags,
        access: Access {
            read: rights.intersects(Rights::FD_READ.union(Rights::FD_READDIR)),
            write: rights.intersects(Rights::WRITING),
        },
    };
    let object = match tree {
        Tree::Host(dir) => request.open(dir, path)?,
        Tree::Memory(node) => match node.open(path, oflags, request.access.write)? {
            Opened::File(file) => Object::MemoryFile(file),
            Opened::Directory(node) => Tree::Memory(node).into(),
        },
    };
    // They are about reading and writing, which directories are not for.
    let flags = match object {
        Object::Directory(_) => FdFlags::default(),
        _ => flags,
    };
    let fd = ctx.table.push(Descriptor {
        flags,
        ..Descriptor::new(object, request.access)
    })?;
    memory.write_u32(args.opened, fd)
}

/// How to open something.
struct Request {
    follow: bool,
    oflags: OFlags,
    flags: FdFlags,
    access: Access,
}

impl Request {
    fn open(&self, dir: &Dir, path: &str) -> Result<Object, Errno> {
        if self.oflags.contains(OFlags::DIRECTORY) {
            return self.open_directory(dir, path);
        }
        let file = self.open_file(dir, path)?;
        let metadata = file.metadata()?;
        let file = file.into_std();
        if metadata.is_dir() {
            let for_files = OFlags::TRUNC.union(OFlags::CREAT);
            if self.access.write || self.oflags.intersects(for_files) {
                return Err(Errno::IsDir);
            }
            return Ok(Tree::Host(Dir::from_std_file(file)).into());
        }
        // Set afterwards because opening for appending and cutting to no
        // length at once is a contradiction to the standard library.
        if self.flags.contains(FdFlags::APPEND) {
            set_host_flags(&file, self.flags)?;
        }
        let regular = metadata.is_file();
        Ok(Object::File(OpenFile { file, regular }))
    }

    fn open_directory(&self, dir: &Dir, path: &str) -> Result<Object, Errno> {
        let contradiction = OFlags::CREAT.union(OFlags::EXCL).union(OFlags::TRUNC);
        if self.oflags.intersects(contradiction) {
            return Err(Errno::Inval);
        }
        let dir = if self.follow {
            dir.open_dir(path)?
        } else {
            dir.open_dir_nofollow(path)?
        };
        // What it is matters more: something else is `ENOTDIR`.
        if self.access.write {
            return Err(Errno::IsDir);
        }
        Ok(Tree::Host(dir).into())
    }

    fn open_file(&self, dir: &Dir, path: &str) -> Result<cap_std::fs::File, Errno> {
        let create = self.oflags.contains(OFlags::CREAT);
        let exclusive = create && self.oflags.contains(OFlags::EXCL);
        let truncate = self.oflags.contains(OFlags::TRUNC);
        let Access { read, write } = self.access;
        let mut options = OpenOptions::new();
        options
            .write(write || truncate)
            // Without either, the descriptor still is good for its metadata.
            .read(read || !(write || truncate))
            .truncate(truncate)
            .maybe_dir(true)
            .nonblock(self.flags.contains(FdFlags::NONBLOCK))
            .dsync(self.flags.contains(FdFlags::DSYNC))
            .sync(self.flags.contains(FdFlags::SYNC))
            .rsync(self.flags.contains(FdFlags::RSYNC))
            .follow(if self.follow {
                FollowSymlinks::Yes
            } else {
                FollowSymlinks::No
            });
        // The standard library creates only what is opened for writing, which
        // fails on an existing file that may only be read. What is called a
        // directory is not created, nor is it opened then.
        if create && !exclusive && !is_called_directory(path) {
            match dir.open_with(path, &options) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => return Ok(result?),
            }
        }
        if create {
            options.write(true).create(true).create_new(exclusive);
        }
        Ok(dir.open_with(path, &options)?)
    }
}

/// Whether a path ends so that it can only mean a directory. cap-std does not always mind.
fn is_called_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.")
}

/// A path without the slashes at its end, unless it has nothing else.
fn without_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        name => name,
    }
}

/// `path_filestat_get`.
pub(crate) fn path_filestat_get(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    lookup: u32,
    at: At,
    result: u32,
) -> Result<(), Errno> {
    let (tree, path) = at.resolve_in_tree(ctx, memory)?;
    let path = &*path;
    let lookup = LookupFlags::from_guest(lookup)?;
    let dir = match tree {
        Tree::Host(dir) => dir,
        Tree::Memory(node) => {
            let stat = node.find(path)?.stat();
            return memory.write(result, &stat.encode(version));
        }
    };
    let called_directory = is_called_directory(path);
    let metadata: Metadata = if lookup.contains(LookupFlags::SYMLINK_FOLLOW) || called_directory {
        dir.metadata(path)?
    } else {
        dir.symlink_metadata(path)?
    };
    if called_directory && !metadata.is_dir() {
        return Err(Errno::NotDir);
    }
    memory.write(result, &stat::of(&metadata).encode(version))
}

/// The raw arguments of `path_filestat_set_times`, in the order of its
/// signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTimes {
    pub(crate) fd: u32,
    pub(crate) lookup: u32,
    pub(crate) path: u32,
    pub(crate) path_len: u32,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) flags: u32,
}

/// `path_filestat_set_times`.
pub(crate) fn path_filestat_set_times(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    args: &PathTimes,
) -> Result<(), Errno> {
    let dir = ctx.table.get(args.fd)?.dir()?;
    let lookup = LookupFlags::from_guest(args.lookup)?;
    let path = memory.string(args.path, args.path_len)?;
    let path = &*path;
    let flags = FstFlags::from_guest(u16::try_from(args.flags).map_err(|_| Errno::Inval)?)?;
    let (accessed, modified) = stat::times(args.accessed, args.modified, flags)?;
    if lookup.contains(LookupFlags::SYMLINK_FOLLOW) {
        Ok(dir.set_times(path, accessed, modified)?)
    } else {
        Ok(dir.set_symlink_times(path, accessed, modified)?)
    }
}

/// `path_create_directory`.
pub(crate) fn path_create_directory(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    at: At,
) -> Result<(), Errno> {
    let (dir, path) = at.resolve(ctx, memory)?;
    let path = &*path;
    Ok(dir.create_dir(path)?)
}

/// `path_remove_directory`.
pub(crate) fn path_remove_directory(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    at: At,
) -> Result<(), Errno> {
    let (dir, path) = at.resolve(ctx, memory)?;
    let path = &*path;
    // That it is a directory is a matter of course. (cap-std would remove `.` in it, which is an error.)
    Ok(dir.remove_dir(without_slashes(path))?)
}

/// `path_unlink_file`.
pub(crate) fn path_unlink_file(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    at: At,
) -> Result<(), Errno> {
    let (dir, path) = at.resolve(ctx, memory)?;
    let path = &*path;
    Ok(dir.remove_file_or_symlink(path)?)
}

/// One path below one open directory, as the guest passes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) fd: u32,
    pub(crate) path: u32,
    pub(crate) path_len: u32,
}

impl At {
    fn resolve<'a>(
        &self,
        ctx: &'a Ctx,
        memory: &'a GuestMemory<'_>,
    ) -> Result<(&'a Dir, Cow<'a, str>), Errno> {
        let dir = ctx.table.get(self.fd)?.dir()?;
        Ok((dir, memory.string(self.path, self.path_len)?))
    }

    fn resolve_in_tree<'a>(
        &self,
        ctx: &'a Ctx,
        memory: &'a GuestMemory<'_>,
    ) -> Result<(&'a Tree, Cow<'a, str>), Errno> {
        let tree = ctx.table.get(self.fd)?.tree()?;
        Ok((tree, memory.string(self.path, self.path_len)?))
    }
}

/// `path_rename`.
pub(crate) fn path_rename(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    from: At,
    to: At,
) -> Result<(), Errno> {
    let (from_dir, from) = from.resolve(ctx, memory)?;
    let from = &*from;
    let (to_dir, to) = to.resolve(ctx, memory)?;
    let to = &*to;
    if is_called_directory(from) || is_called_directory(to) {
        let name = without_slashes(from);
        if !from_dir.symlink_metadata(name)?.is_dir() {
            return Err(Errno::NotDir);
        }
    }
    Ok(from_dir.rename(from, to_dir, to)?)
}

/// `path_link`. A link to what a symbolic link points at is not supported:
/// following happens on the host, out of cap-std's sight.
pub(crate) fn path_link(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    lookup: u32,
    from: At,
    to: At,
) -> Result<(), Errno> {
    if LookupFlags::from_guest(lookup)?.contains(LookupFlags::SYMLINK_FOLLOW) {
        return Err(Errno::Inval);
    }
    let (from_dir, from) = from.resolve(ctx, memory)?;
    let from = &*from;
    let (to_dir, to) = to.resolve(ctx, memory)?;
    let to = &*to;
    Ok(from_dir.hard_link(from, to_dir, to)?)
}

/// `path_symlink`. An absolute target is refused: it would mean one file to
/// the guest and another to the host.
pub(crate) fn path_symlink(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    target: u32,
    target_len: u32,
    link: At,
) -> Result<(), Errno> {
    let target = memory.string(target, target_len)?;
    let target = &*target;
    let (dir, link) = link.resolve(ctx, memory)?;
    let link = &*link;
    Ok(DirExt::symlink(dir, target, link)?)
}

/// `path_readlink`: as much of the target as the buffer holds, without an end
/// mark.
pub(crate) fn path_readlink(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    link: At,
    buffer: u32,
    buffer_len: u32,
    used: u32,
) -> Result<(), Errno> {
    memory.check(used, 4)?;
    let (tree, path) = link.resolve_in_tree(ctx, memory)?;
    let path = &*path;
    let dir = match tree {
        Tree::Host(dir) => dir,
        // There are no links in memory.
        Tree::Memory(node) => return node.find(path).and(Err(Errno::Inval)),
    };
    let target = dir.read_link(path)?.into_os_string();
    let target = target.into_string().map_err(|_| Errno::Ilseq)?;
    let room = usize::try_from(buffer_len).map_err(|_| Errno::Overflow)?;
    let len = target.len().min(room);
    memory.check(buffer, buffer_len)?;
    memory.write(buffer, &target.as_bytes()[..len])?;
    memory.write_u32(used, u32::try_from(len).map_err(|_| Errno::Overflow)?)
}
