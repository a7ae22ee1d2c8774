//! The locks and the clock by which threads share a memory: the standard library's, but in two kinds of builds for tests.
//!
//! | built with | what | because |
//! | --- | --- | --- |
//! | `--cfg loom`, the crate's own tests | loom's locks, and a clock that tests set | all orders in which threads can run are tried |
//! | `--cfg helgrind` | those of pthread | Valgrind knows them, and sees who waits for whom |
//!
//! All are used as the standard library's are.

#[cfg(all(test, loom))]
pub(super) mod model;
#[cfg(all(helgrind, not(all(test, loom))))]
mod pthread;

#[cfg(not(any(helgrind, all(test, loom))))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, loom)))]
pub(super) use std::time::Instant;

#[cfg(all(test, loom))]
pub(super) use model::{Condvar, Instant, Mutex, MutexGuard};
#[cfg(all(helgrind, not(all(test, loom))))]
pub(super) use pthread::{Condvar, Mutex, MutexGuard};
