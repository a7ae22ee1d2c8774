//! The guest's descriptors: which numbers are open, and what stands behind
//! each.

use std::fs::File;
use std::sync::Arc;

use cap_std::fs::Dir;

use crate::abi::{FdFlags, FdStat, FileType, Rights};
use crate::embedder::{Input, Output};
use crate::errno::Errno;
#[cfg(unix)]
use crate::host::HostStream;
use crate::memory_dir::{MemoryFile, Node};
use crate::readdir::Listing;
use crate::stat;

/// What a descriptor refers to.
pub(crate) enum Object {
    Input(Input),
    Output(Output),
    /// A descriptor of the host's that the guest was given.
    #[cfg(unix)]
    Host(HostStream),
    /// Anything that was opened by path and is no directory. It came out of a
    /// [`Dir`], so it lies inside a preopened directory.
    File(OpenFile),
    MemoryFile(MemoryFile),
    Directory(Directory),
}

/// An open file.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// It is no pipe or device: reading it never waits.
    pub(crate) regular: bool,
}

/// An open directory, and how far listing it has come.
pub(crate) struct Directory {
    pub(crate) tree: Tree,
    pub(crate) listing: Option<Listing>,
}

/// Where a directory is.
pub(crate) enum Tree {
    Host(Dir),
    Memory(Arc<Node>),
}

impl From<Tree> for Object {
    fn from(tree: Tree) -> Object {
        Object::Directory(Directory {
            tree,
            listing: None,
        })
    }
}

/// What a descriptor was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Access {
    pub(crate) const READ: Access = Access {
        read: true,
        write: false,
    };
    pub(crate) const WRITE: Access = Access {
        read: false,
        write: true,
    };
    pub(crate) const BOTH: Access = Access {
        read: true,
        write: true,
    };
}

/// One open descriptor.
pub(crate) struct Descriptor {
    pub(crate) object: Object,
    /// As the guest has set them; not of [`Object::Host`], which the host has to be asked about.
    pub(crate) flags: FdFlags,
    pub(crate) access: Access,
    /// The guest's name of a preopened directory.
    pub(crate) preopen: Option<String>,
}

impl Descriptor {
    pub(crate) fn new(object: Object, access: Access) -> Descriptor {
        Descriptor {
            object,
            flags: FdFlags::default(),
            access,
            preopen: None,
        }
    }

    pub(crate) fn preopened(tree: Tree, guest_path: String) -> Descriptor {
        Descriptor {
            preopen: Some(guest_path),
            ..Descriptor::new(tree.into(), Access::READ)
        }
    }

    pub(crate) fn file_type(&self) -> Result<FileType, Errno> {
        match &self.object {
            Object::Input(input) => Ok(input.file_type()),
            Object::Output(output) => Ok(output.file_type()),
            #[cfg(unix)]
            Object::Host(stream) => Ok(stream.file_type()),
            Object::File(file) => Ok(stat::of_file(&file.file)?.file_type),
            Object::MemoryFile(_) => Ok(FileType::RegularFile),
            Object::Directory(_) => Ok(FileType::Directory),
        }
    }

    pub(crate) fn stat(&self) -> Result<FdStat, Errno> {
        let (rights_base, rights_inheriting) = self.rights();
        Ok(FdStat {
            file_type: self.file_type()?,
            flags: self.flags(),
            rights_base,
            rights_inheriting,
        })
    }

    pub(crate) fn flags(&self) -> FdFlags {
        match &self.object {
            #[cfg(unix)]
            Object::Host(stream) => stream.flags(),
            _ => self.flags,
        }
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.flags.contains(FdFlags::NONBLOCK)
    }

    /// What it can be used for, and what can be opened through it.
    fn rights(&self) -> (Rights, Rights) {
        let stream = match self.access {
            Access {
                read: true,
                write: true,
            } => Rights::INPUT.union(Rights::OUTPUT),
            Access { read: true, .. } => Rights::INPUT,
            Access { .. } => Rights::OUTPUT,
        };
        let base = match &self.object {
            Object::Directory(_) => {
                return (Rights::DIRECTORY, Rights::DIRECTORY.union(Rights::FILE));
            }
            Object::Input(_) | Object::Output(_) => stream,
            #[cfg(unix)]
            Object::Host(host) if host.is_listener() => Rights::LISTENER,
            #[cfg(unix)]
            Object::Host(host) if host.is_socket() => Rights::SOCKET,
            #[cfg(unix)]
            Object::Host(_) => stream,
            Object::File(_) | Object::MemoryFile(_) => {
                let mut rights = Rights::FILE;
                if !self.access.read {
                    rights = rights.without(Rights::FD_READ);
                }
                if !self.access.write {
                    rights = rights.without(Rights::WRITING);
                }
                rights
            }
        };
        (base, Rights::default())
    }

    /// The host's file, for a call that needs one: a directory is `EISDIR`, a stream
    /// `wrong_stream`, a file in memory `EROFS`.
    pub(crate) fn file(&self, wrong_stream: Errno) -> Result<&File, Errno> {
        match &self.object {
            Object::File(file) => Ok(&file.file),
            Object::Directory(_) => Err(Errno::IsDir),
            Object::MemoryFile(_) => Err(Errno::Rofs),
            _ => Err(wrong_stream),
        }
    }

    pub(crate) fn tree(&self) -> Result<&Tree, Errno> {
        match &self.object {
            Object::Directory(directory) => Ok(&directory.tree),
            _ => Err(Errno::NotDir),
        }
    }

    /// The host's directory, for a call that may change it.
    pub(crate) fn dir(&self) -> Result<&Dir, Errno> {
        match self.tree()? {
            Tree::Host(dir) => Ok(dir),
            Tree::Memory(_) => Err(Errno::Rofs),
        }
    }

    /// Refuses what was not opened to be read. POSIX calls that `EBADF`, and so do programs.
    pub(crate) fn to_read(&self) -> Result<(), Errno> {
        self.can(self.access.read)
    }

    /// Refuses what was not opened to be written.
    pub(crate) fn to_write(&self) -> Result<(), Errno> {
        self.can(self.access.write)
    }

    fn can(&self, access: bool) -> Result<(), Errno> {
        match &self.object {
            Object::Directory(_) => Err(Errno::Badf),
            _ if !access => Err(Errno::Badf),
            _ => Ok(()),
        }
    }
}

/// The open descriptors by number.
#[derive(Default)]
pub(crate) struct Table {
    // Numbers are given out lowest first and renumbering needs an open
    // target, so this is never longer than the most that was open at once.
    slots: Vec<Option<Descriptor>>,
}

impl Table {
    /// Opens the lowest free number, as POSIX has it.
    pub(crate) fn push(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        let fd = u32::try_from(index).map_err(|_| Errno::Mfile)?;
        // An i32 in every C library, of which the negative half means failure.
        if i32::try_from(fd).is_err() {
            return Err(Errno::Mfile);
        }
        self.slots[index] = Some(descriptor);
        Ok(fd)
    }

    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        self.slots
            .get(index)
            .and_then(Option::as_ref)
            .ok_or(Errno::Badf)
    }

    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slot(fd)?.as_mut().ok_or(Errno::Badf)
    }

    /// Closes a number; what stood behind it is dropped.
    pub(crate) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        self.slot(fd)?.take().map(drop).ok_or(Errno::Badf)
    }

    /// Moves `from` to the number `to`, whose descriptor is closed. Both must
    /// be open; preopened directories are descriptors like any other.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            let moved = self.slot(from)?.take();
            *self.slot(to)? = moved;
        }
        Ok(())
    }

    fn slot(&mut self, fd: u32) -> Result<&mut Option<Descriptor>, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        self.slots.get_mut(index).ok_or(Errno::Badf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn descriptor(tag: u64) -> Descriptor {
        let nothing = Input::new(crate::stream::Reader(std::io::empty()));
        Descriptor {
            preopen: Some(tag.to_string()),
            ..Descriptor::new(Object::Input(nothing), Access::READ)
        }
    }

    fn tag(table: &Table, fd: u32) -> Option<u64> {
        table.get(fd).ok()?.preopen.as_ref()?.parse().ok()
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        Close(u32),
        Renumber(u32, u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        let fd = || prop_oneof![0u32..6, Just(u32::MAX)];
        prop_oneof![
            Just(Op::Push),
            fd().prop_map(Op::Close),
            (fd(), fd()).prop_map(|(from, to)| Op::Renumber(from, to)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_from_numbers(ops in proptest::collection::vec(op(), 0..40)) {
            let mut table = Table::default();
            let mut model = BTreeMap::new();
            for (step, op) in (0u64..).zip(ops) {
                match op {
                    Op::Push => {
                        let lowest = (0..).find(|fd| !model.contains_key(fd)).unwrap();
                        prop_assert_eq!(table.push(descriptor(step)), Ok(lowest));
                        model.insert(lowest, step);
                    }
                    Op::Close(fd) => {
                        let expected = model.remove(&fd).map(drop).ok_or(Errno::Badf);
                        prop_assert_eq!(table.close(fd), expected);
                    }
                    Op::Renumber(from, to) => {
                        let both = model.contains_key(&from) && model.contains_key(&to);
                        prop_assert_eq!(table.renumber(from, to).is_ok(), both);
                        if both && from != to {
                            let moved = model.remove(&from).unwrap();
                            model.insert(to, moved);
                        }
                    }
                }
                for fd in [0, 1, 2, 3, 4, 5, 6, 40, u32::MAX] {
                    prop_assert_eq!(tag(&table, fd), model.get(&fd).copied());
                }
            }
        }
    }
}
