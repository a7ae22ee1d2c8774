//! The guest's descriptors: which numbers are open, and what stands behind
//! each.

use std::fs::File;

use cap_std::fs::Dir;

use crate::abi::{FdFlags, FdStat, FileType, Rights};
use crate::errno::Errno;
use crate::readdir::Listing;
use crate::stat;
use crate::stdio::{Input, Output};

/// What a descriptor refers to.
pub(crate) enum Object {
    Input(Input),
    Output(Output),
    /// Anything that was opened by path and is no directory. It came out of a
    /// [`Dir`], so it lies inside a preopened directory.
    File(File),
    Directory(Directory),
}

/// An open directory, and how far listing it has come.
pub(crate) struct Directory {
    pub(crate) dir: Dir,
    pub(crate) listing: Option<Listing>,
}

/// One open descriptor.
pub(crate) struct Descriptor {
    pub(crate) object: Object,
    pub(crate) flags: FdFlags,
    pub(crate) rights_base: Rights,
    pub(crate) rights_inheriting: Rights,
    /// The guest's name of a preopened directory.
    pub(crate) preopen: Option<String>,
}

impl Descriptor {
    pub(crate) fn input(input: Input) -> Descriptor {
        Descriptor::of(Object::Input(input), Rights::INPUT)
    }

    pub(crate) fn output(output: Output) -> Descriptor {
        Descriptor::of(Object::Output(output), Rights::OUTPUT)
    }

    pub(crate) fn preopened(dir: Dir, guest_path: String) -> Descriptor {
        Descriptor {
            rights_inheriting: Rights::DIRECTORY.union(Rights::FILE),
            preopen: Some(guest_path),
            ..Descriptor::of(
                Object::Directory(Directory { dir, listing: None }),
                Rights::DIRECTORY,
            )
        }
    }

    fn of(object: Object, rights_base: Rights) -> Descriptor {
        Descriptor {
            object,
            flags: FdFlags::default(),
            rights_base,
            rights_inheriting: Rights::default(),
            preopen: None,
        }
    }

    pub(crate) fn file_type(&self) -> Result<FileType, Errno> {
        match &self.object {
            Object::Input(input) => Ok(input.file_type()),
            Object::Output(output) => Ok(output.file_type()),
            Object::File(file) => Ok(stat::of_file(file)?.file_type),
            Object::Directory(_) => Ok(FileType::Directory),
        }
    }

    pub(crate) fn stat(&self) -> Result<FdStat, Errno> {
        Ok(FdStat {
            file_type: self.file_type()?,
            flags: self.flags,
            rights_base: self.rights_base,
            rights_inheriting: self.rights_inheriting,
        })
    }

    /// The file, for a call that needs one: a directory is `EISDIR`, a stream
    /// `wrong_stream`.
    pub(crate) fn file(&self, wrong_stream: Errno) -> Result<&File, Errno> {
        match &self.object {
            Object::File(file) => Ok(file),
            Object::Directory(_) => Err(Errno::IsDir),
            Object::Input(_) | Object::Output(_) => Err(wrong_stream),
        }
    }

    pub(crate) fn dir(&self) -> Result<&Dir, Errno> {
        match &self.object {
            Object::Directory(directory) => Ok(&directory.dir),
            _ => Err(Errno::NotDir),
        }
    }

    /// Refuses what the descriptor was not opened for. POSIX calls a read of
    /// a write-only descriptor `EBADF`, and so do programs.
    pub(crate) fn require(&self, rights: Rights) -> Result<(), Errno> {
        if self.rights_base.contains(rights) {
            Ok(())
        } else {
            Err(Errno::Badf)
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
    /// be open. A preopened directory keeps its number: C libraries remember
    /// the numbers they found at start.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        let preopen = self.get(from)?.preopen.is_some() | self.get(to)?.preopen.is_some();
        if from == to {
            return Ok(());
        }
        if preopen {
            return Err(Errno::NotSup);
        }
        let moved = self.slot(from)?.take();
        *self.slot(to)? = moved;
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
        Descriptor {
            rights_inheriting: Rights(tag),
            ..Descriptor::input(Input::new(Box::new(std::io::empty())))
        }
    }

    fn tag(table: &Table, fd: u32) -> Option<u64> {
        table
            .get(fd)
            .ok()
            .map(|descriptor| descriptor.rights_inheriting.0)
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
