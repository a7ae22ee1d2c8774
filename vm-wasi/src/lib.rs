#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod clocks;
mod ctx;
mod errno;
mod fd;
mod linker;
mod memory;
mod path;
pub mod pipe;
mod poll;
mod readdir;
mod stat;
mod stdio;
mod strings;
mod table;

pub use ctx::{BuildError, WasiCtx, WasiCtxBuilder};
pub use linker::{I32Exit, add_to_linker};

/// The library whose [`Dir`](cap_std::fs::Dir) the builder takes.
pub use cap_std;

#[cfg(test)]
mod tests;
