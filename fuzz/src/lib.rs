#![doc = include_str!("../README.md")]

pub mod compare;
pub mod counts;
#[cfg(feature = "wasi")]
pub mod csmith;
pub mod drive;
pub mod host;
pub mod imports;
pub mod modes;
pub mod oracle;
pub mod rewrite;
pub mod script;
#[cfg(feature = "shrink")]
pub mod shrink;
pub mod targets;
pub mod value;
pub mod vm;

/// The generator of random programs that vm-translate's tests have.
#[path = "../../vm-translate/tests/common/generate/mod.rs"]
#[allow(missing_docs, dead_code, unreachable_pub, reason = "written for tests")]
mod generate;
