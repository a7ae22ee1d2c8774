#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod clocks;
mod ctx;
mod embedder;
mod errno;
mod fd;
#[cfg(unix)]
mod host;
mod linker;
mod memory;
mod memory_dir;
mod path;
pub mod pipe;
mod poll;
mod random;
mod readdir;
mod sock;
mod stat;
mod stream;
mod strings;
mod table;
mod threads;
mod until;
mod waiter;

pub use clocks::{Clock, ClockId, VirtualClock};
pub use ctx::{BuildError, WasiCtx, WasiCtxBuilder};
pub use linker::{BrokenPipe, I32Exit, add_to_linker};
pub use memory_dir::{MemoryDir, MemoryDirError};
pub use stream::{InputStream, OutputStream, Readiness};
pub use threads::{WasiThreads, WasiThreadsConfig};

/// The library whose [`Dir`](cap_std::fs::Dir) the builder takes.
pub use cap_std;

#[cfg(test)]
mod tests;
