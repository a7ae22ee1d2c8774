//! Linux and macOS.

mod alt_stack;
mod context;
mod errno;
mod handler;

pub(crate) use alt_stack::AltStack;
pub(crate) use handler::{install, try_handle, uninstall};

/// What the kernel says about a signal: `siginfo_t` where there is one.
pub type SigInfo = libc::siginfo_t;

pub(crate) fn availability() -> Result<(), crate::Unavailable> {
    Ok(())
}
