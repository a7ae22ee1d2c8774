//! Listing a directory: `fd_readdir`.

use std::io;

use cap_std::fs::Dir;

use crate::abi::{DirEntHead, FileType};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::memory_dir::Node;
use crate::stat;
use crate::table::{Object, Tree};

/// The entries of a directory at one moment.
///
/// A guest lists a directory in several calls and names its place by a cookie,
/// while it may create and remove files in between. Positions in a snapshot,
/// taken at the first call and kept until the listing starts again, are such
/// cookies on every host.
pub(crate) struct Listing {
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    inode: u64,
    file_type: FileType,
}

impl Listing {
    fn read(tree: &Tree) -> io::Result<Listing> {
        match tree {
            Tree::Host(dir) => Listing::of_host(dir),
            Tree::Memory(node) => Ok(Listing::of_memory(node)),
        }
    }

    fn of_memory(node: &Node) -> Listing {
        let entry = |name: &str, node: &Node| Entry {
            name: name.to_owned(),
            inode: node.inode(),
            file_type: node.file_type(),
        };
        let own = [".", ".."].map(|name| entry(name, node));
        let entries = node.entries().map(|(name, node)| entry(name, node));
        Listing {
            entries: own.into_iter().chain(entries).collect(),
        }
    }

    fn of_host(dir: &Dir) -> io::Result<Listing> {
        let own = |name: &str, inode| Entry {
            name: name.to_owned(),
            inode,
            file_type: FileType::Directory,
        };
        // What `..` is lies outside of what the guest may see. It has the number of the
        // directory itself: C libraries take a 0 for one that is unknown, and ask for `..`.
        let inode = stat::of(&dir.dir_metadata()?).inode;
        let mut entries = vec![own(".", inode), own("..", inode)];
        for entry in dir.entries()? {
            let entry = entry?;
            // A name that is no UTF-8 can't be passed in preview 1, so the
            // guest could do nothing with it.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let (inode, file_type) = match inode_and_type(&entry) {
                Ok(found) => found,
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(Entry {
                name,
                inode,
                file_type,
            });
        }
        Ok(Listing { entries })
    }
}

#[cfg(unix)]
fn inode_and_type(entry: &cap_std::fs::DirEntry) -> io::Result<(u64, FileType)> {
    use std::os::unix::fs::DirEntryExt;
    Ok((entry.ino(), stat::file_type(entry.file_type()?)))
}

#[cfg(not(unix))]
fn inode_and_type(entry: &cap_std::fs::DirEntry) -> io::Result<(u64, FileType)> {
    use cap_fs_ext::DirEntryExt;
    let stat = stat::of(&entry.full_metadata()?);
    Ok((stat.inode, stat.file_type))
}

/// `fd_readdir`: fills the buffer with entries from `cookie` on; the last one
/// is cut off where the buffer ends. A buffer that was not filled says that
/// the directory has no more.
pub(crate) fn fd_readdir(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: u32,
    buffer_len: u32,
    cookie: u64,
    used: u32,
) -> Result<(), Errno> {
    memory.check(used, 4)?;
    memory.check(buffer, buffer_len)?;
    let Object::Directory(directory) = &mut ctx.table.get_mut(fd)?.object else {
        return Err(Errno::NotDir);
    };
    if cookie == 0 {
        directory.listing = None;
    }
    let listing = match &mut directory.listing {
        Some(listing) => listing,
        none => none.insert(Listing::read(&directory.tree)?),
    };

    let first = usize::try_from(cookie).unwrap_or(usize::MAX);
    let mut text = Vec::new();
    let room = usize::try_from(buffer_len).map_err(|_| Errno::Overflow)?;
    // The cookie of an entry is the position of the one behind it.
    for (next, entry) in (1..).zip(&listing.entries).skip(first) {
        let head = DirEntHead {
            next,
            inode: entry.inode,
            name_len: u32::try_from(entry.name.len()).map_err(|_| Errno::Overflow)?,
            file_type: entry.file_type,
        };
        text.extend(head.encode());
        text.extend(entry.name.as_bytes());
        if text.len() >= room {
            text.truncate(room);
            break;
        }
    }
    memory.write(buffer, &text)?;
    memory.write_u32(
        used,
        u32::try_from(text.len()).map_err(|_| Errno::Overflow)?,
    )
}
