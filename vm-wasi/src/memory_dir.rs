//! Directories in memory: files that an embedder gives a guest to read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::abi::{FileStat, FileType, OFlags};
use crate::errno::Errno;

/// A directory whose files are bytes in memory. Guests can list and read it, and change nothing (`EROFS`). Clones
/// share what is in them.
///
/// ```
/// use vm_wasi::{MemoryDir, WasiCtxBuilder};
///
/// let mut files = MemoryDir::new();
/// files.file("etc/motd", "hello\n")?.file("main.py", "print(1)\n")?;
/// let ctx = WasiCtxBuilder::new().preopened_memory_dir(files, "/").build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryDir {
    root: Arc<Node>,
}

/// A path at which there can be no file in memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no file can be put at {path:?}: {reason}")]
pub struct MemoryDirError {
    path: String,
    reason: &'static str,
}

/// A file or a directory.
#[derive(Debug)]
pub(crate) struct Node {
    inode: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File(Arc<[u8]>),
    Directory(BTreeMap<String, Arc<Node>>),
}

/// An open file, and where it is read.
pub(crate) struct MemoryFile {
    node: Arc<Node>,
    bytes: Arc<[u8]>,
    pub(crate) position: u64,
}

/// What a path leads to.
pub(crate) enum Opened {
    File(MemoryFile),
    Directory(Arc<Node>),
}

impl MemoryDir {
    /// An empty directory.
    pub fn new() -> MemoryDir {
        MemoryDir::default()
    }

    /// Puts a file at a path, whose directories are made as needed. One that is there already is replaced.
    ///
    /// # Errors
    ///
    /// The path is no list of names with `/` between them, or leads through a file, or a directory is there.
    pub fn file(
        &mut self,
        path: impl AsRef<str>,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<&mut MemoryDir, MemoryDirError> {
        let path = path.as_ref();
        let refused = |reason| MemoryDirError {
            path: path.to_owned(),
            reason,
        };
        let mut names: Vec<&str> = path.split('/').collect();
        if names
            .iter()
            .any(|name| matches!(*name, "" | "." | "..") || name.contains('\0'))
        {
            return Err(refused("it must be names with `/` between them"));
        }
        let name = names.pop().unwrap_or_default();
        let mut node = &mut self.root;
        for directory in names {
            let Kind::Directory(entries) = &mut Arc::make_mut(node).kind else {
                return Err(refused("a file is in the way"));
            };
            node = entries.entry(directory.to_owned()).or_default();
        }
        let Kind::Directory(entries) = &mut Arc::make_mut(node).kind else {
            return Err(refused("a file is in the way"));
        };
        if entries.get(name).is_some_and(|node| node.is_dir()) {
            return Err(refused("there is a directory"));
        }
        entries.insert(
            name.to_owned(),
            Arc::new(Node::new(Kind::File(bytes.into().into()))),
        );
        Ok(self)
    }

    pub(crate) fn into_root(self) -> Arc<Node> {
        self.root
    }
}

/// Made when one of two directories that share it changes: it is another then.
impl Clone for Node {
    fn clone(&self) -> Node {
        Node::new(self.kind.clone())
    }
}

impl Default for Node {
    fn default() -> Node {
        Node::new(Kind::Directory(BTreeMap::new()))
    }
}

impl Node {
    fn new(kind: Kind) -> Node {
        /// No two nodes of a process have the same, so no guest takes one for another.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Node {
            inode: NEXT.fetch_add(1, Ordering::Relaxed),
            kind,
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn file_type(&self) -> FileType {
        match self.kind {
            Kind::File(_) => FileType::RegularFile,
            Kind::Directory(_) => FileType::Directory,
        }
    }

    pub(crate) fn stat(&self) -> FileStat {
        FileStat {
            inode: self.inode,
            links: 1,
            size: match &self.kind {
                Kind::File(bytes) => bytes.len() as u64,
                Kind::Directory(_) => 0,
            },
            ..FileStat::of_type(self.file_type())
        }
    }

    /// What is in a directory, in the order of names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        let entries = match &self.kind {
            Kind::File(_) => None,
            Kind::Directory(entries) => Some(entries),
        };
        entries
            .into_iter()
            .flatten()
            .map(|(name, node)| (name.as_str(), &**node))
    }

    /// What a path leads to from here. Out is `EPERM`, as from a directory of the host's.
    pub(crate) fn find(self: &Arc<Node>, path: &str) -> Result<Arc<Node>, Errno> {
        if path.is_empty() {
            return Err(Errno::NoEnt);
        }
        if path.starts_with('/') {
            return Err(Errno::Perm);
        }
        let mut way = vec![self];
        for name in path.split('/') {
            let Kind::Directory(entries) = &way.last().unwrap_or(&self).kind else {
                // Nothing leads on from a file, not even a slash.
                return Err(Errno::NotDir);
            };
            match name {
                "" | "." => {}
                ".." if way.len() > 1 => {
                    way.pop();
                }
                ".." => return Err(Errno::Perm),
                name => way.push(entries.get(name).ok_or(Errno::NoEnt)?),
            }
        }
        Ok(Arc::clone(way.last().unwrap_or(&self)))
    }

    /// `path_open`.
    pub(crate) fn open(
        self: &Arc<Node>,
        path: &str,
        oflags: OFlags,
        write: bool,
    ) -> Result<Opened, Errno> {
        let create = oflags.contains(OFlags::CREAT);
        let for_files = OFlags::CREAT.union(OFlags::EXCL).union(OFlags::TRUNC);
        if oflags.contains(OFlags::DIRECTORY) && oflags.intersects(for_files) {
            return Err(Errno::Inval);
        }
        let node = match self.find(path) {
            Ok(_) if create && oflags.contains(OFlags::EXCL) => return Err(Errno::Exist),
            Err(Errno::NoEnt) if create && !path.is_empty() => return Err(Errno::Rofs),
            found => found?,
        };
        match &node.kind {
            Kind::Directory(_) if write || create || oflags.contains(OFlags::TRUNC) => {
                Err(Errno::IsDir)
            }
            Kind::Directory(_) => Ok(Opened::Directory(node)),
            Kind::File(_) if oflags.contains(OFlags::DIRECTORY) => Err(Errno::NotDir),
            Kind::File(_) if write || oflags.contains(OFlags::TRUNC) => Err(Errno::Rofs),
            Kind::File(bytes) => Ok(Opened::File(MemoryFile {
                bytes: bytes.clone(),
                node,
                position: 0,
            })),
        }
    }
}

impl MemoryFile {
    pub(crate) fn stat(&self) -> FileStat {
        self.node.stat()
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Copies from a position on, and returns how many bytes that were.
    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> usize {
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let rest = &self.bytes[start..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        len
    }
}
