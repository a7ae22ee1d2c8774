//! The calls against a real directory, without an engine: guest memory is an
//! array here, and the calls are plain functions.

mod conformance;
mod files;
mod memory_dir;
mod poll;
#[cfg(unix)]
mod sockets;
mod streams;
mod tree;
mod unstable;

use std::borrow::Cow;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::abi::{OFlags, Rights, Version};
use crate::clocks::Start;
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::memory::{GuestMemory, IoVecs};
use crate::path::{At, PathOpen};
use crate::poll::PollOneoff;
use crate::{WasiCtxBuilder, fd, path, readdir};

/// The descriptor of the preopened directory.
const ROOT: u32 = 3;
/// Where a result goes.
const RESULT: u32 = 0;
/// Where a scatter/gather list of one element goes.
const VEC: u32 = 16;
/// Where paths go.
const PATH: u32 = 1024;
const SECOND_PATH: u32 = 2048;
/// Where contents go.
const DATA: u32 = 4096;
const SIZE: u32 = 65536;

const READ: Rights = Rights::FD_READ
    .union(Rights::FD_SEEK)
    .union(Rights::FD_TELL);
const READ_WRITE: Rights = READ.union(Rights::FD_WRITE);
const NONE: OFlags = OFlags(0);

fn with(change: impl FnOnce(&mut WasiCtxBuilder)) -> Guest {
    let mut builder = WasiCtxBuilder::new();
    change(&mut builder);
    Guest::with(builder)
}

/// Makes the open file behind a guest's standard output non-blocking.
#[cfg(unix)]
fn nonblocking_stdout(guest: &Guest) {
    use rustix::fs::{OFlags, fcntl_setfl};
    let crate::table::Object::Host(stream) = &guest.ctx.table.get(1).unwrap().object else {
        panic!("standard output is not the host's");
    };
    fcntl_setfl(stream.as_fd(), OFlags::NONBLOCK).unwrap();
}

fn vecs(ptr: u32, count: u32) -> IoVecs {
    IoVecs { ptr, count }
}

/// A guest with one preopened directory, which is gone with it.
struct Guest {
    ctx: Ctx,
    bytes: Vec<u8>,
    host: tempfile::TempDir,
}

impl Guest {
    fn new() -> Guest {
        Guest::with(WasiCtxBuilder::new())
    }

    fn with(mut builder: WasiCtxBuilder) -> Guest {
        let host = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(host.path(), ambient_authority()).unwrap();
        Guest {
            ctx: builder.preopened_dir(dir, "/").build_own().unwrap(),
            bytes: vec![0; SIZE as usize],
            host,
        }
    }

    /// Runs one call.
    fn call<T>(&mut self, call: impl FnOnce(&mut Ctx, &mut GuestMemory<'_>) -> T) -> T {
        call(&mut self.ctx, &mut GuestMemory::new(&mut self.bytes))
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> u32 {
        self.call(|_, memory| memory.write(at, bytes)).unwrap();
        u32::try_from(bytes.len()).unwrap()
    }

    fn get(&mut self, at: u32, len: u32) -> Vec<u8> {
        self.call(|_, memory| memory.slice(at, len).map(Cow::into_owned))
            .unwrap()
    }

    fn result(&mut self) -> u32 {
        self.call(|_, memory| memory.read_u32(RESULT)).unwrap()
    }

    fn result_u64(&mut self) -> u64 {
        self.call(|_, memory| memory.read_array(RESULT).map(u64::from_le_bytes))
            .unwrap()
    }

    /// A path below the preopened directory, put into memory.
    fn at(&mut self, place: u32, path: &str) -> At {
        let path_len = self.put(place, path.as_bytes());
        At {
            fd: ROOT,
            path: place,
            path_len,
        }
    }

    fn open(&mut self, path: &str, oflags: OFlags, rights: Rights) -> Result<u32, Errno> {
        self.open_with(path, |open| {
            open.oflags = u32::from(oflags.0);
            open.rights_base = rights.0;
        })
    }

    fn open_with(&mut self, path: &str, change: impl FnOnce(&mut PathOpen)) -> Result<u32, Errno> {
        let at = self.at(PATH, path);
        let mut open = PathOpen {
            fd: ROOT,
            lookup: 1,
            path: at.path,
            path_len: at.path_len,
            oflags: 0,
            rights_base: 0,
            fdflags: 0,
            opened: RESULT,
        };
        change(&mut open);
        self.call(|ctx, memory| path::path_open(ctx, memory, &open))?;
        Ok(self.result())
    }

    /// Points the list at `VEC` to `len` bytes at `DATA`.
    fn vec(&mut self, len: u32) {
        self.put(VEC, &DATA.to_le_bytes());
        self.put(VEC + 4, &len.to_le_bytes());
    }

    fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, Errno> {
        let len = self.put(DATA, bytes);
        self.vec(len);
        self.call(|ctx, memory| fd::fd_write(ctx, memory, fd, vecs(VEC, 1), RESULT))?;
        Ok(self.result())
    }

    fn read(&mut self, fd: u32, len: u32) -> Result<Vec<u8>, Errno> {
        self.vec(len);
        self.call(|ctx, memory| fd::fd_read(ctx, memory, fd, vecs(VEC, 1), RESULT))?;
        let len = self.result();
        Ok(self.get(DATA, len))
    }

    fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64, Errno> {
        self.call(|ctx, memory| {
            fd::fd_seek(ctx, memory, Version::Preview1, fd, offset, whence, RESULT)
        })?;
        Ok(self.result_u64())
    }

    fn close(&mut self, fd: u32) -> Result<(), Errno> {
        fd::fd_close(&mut self.ctx, fd)
    }

    /// Lists a directory as C libraries do: with a small buffer, starting
    /// again at the cookie of the last entry that came whole.
    fn list(&mut self, fd: u32, buffer_len: u32) -> Result<Vec<(String, u8)>, Errno> {
        let mut entries = Vec::new();
        let mut cookie = 0;
        loop {
            self.call(|ctx, memory| {
                readdir::fd_readdir(ctx, memory, fd, DATA, buffer_len, cookie, RESULT)
            })?;
            let used = self.result();
            let bytes = self.get(DATA, used);
            let mut rest = &bytes[..];
            while let Some((head, after)) = rest.split_at_checked(24) {
                let name_len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
                let Some((name, after)) = after.split_at_checked(name_len) else {
                    break;
                };
                cookie = u64::from_le_bytes(head[0..8].try_into().unwrap());
                entries.push((String::from_utf8(name.to_vec()).unwrap(), head[20]));
                rest = after;
            }
            if used < buffer_len {
                entries.sort();
                return Ok(entries);
            }
        }
    }
}

/// `poll_oneoff` that waits.
fn poll_oneoff(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    args: PollOneoff,
) -> Result<(), Errno> {
    crate::poll::poll_oneoff(ctx, memory, version, args, &mut Start::default(), true).map(drop)
}
