//! Linux and macOS.

mod action;
mod alt_stack;
mod context;
mod errno;
mod handler;
mod install;
mod interrupt;
mod mask;
mod previous;

use std::ffi::c_int;

pub(crate) use alt_stack::AltStack;
pub(crate) use handler::try_handle;
pub(crate) use install::{ensure_first, install, standing, uninstall};
pub(crate) use interrupt::{
    DEFAULT as INTERRUPT_SIGNAL, Thread, choose, notify, this_thread, unblock_notifications,
};
pub(crate) use mask::unblock;

/// The signals of faults. Linux reports an access to inaccessible pages as `SIGSEGV`, macOS as `SIGBUS`; on
/// both, the other one means a mapping whose file is too short, or no mapping at all.
const SIGNALS: [(c_int, &str); 2] = [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGBUS, "SIGBUS")];

/// What the kernel says about a signal: `siginfo_t` where there is one.
pub type SigInfo = libc::siginfo_t;

pub(crate) fn availability() -> Result<(), crate::Unavailable> {
    Ok(())
}
