//! Signal actions, `sigaction(2)`.

use std::ffi::c_int;
use std::{io, mem, ptr};

pub(super) fn default_action() -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which zero is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = libc::SIG_DFL;
    action
}

pub(super) fn has_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

pub(super) fn is_same(a: &libc::sigaction, b: &libc::sigaction) -> bool {
    // Signals are numbered from 1; 31 on macOS, 64 on Linux.
    let highest = if cfg!(target_os = "linux") { 64 } else { 31 };
    a.sa_sigaction == b.sa_sigaction
        && a.sa_flags == b.sa_flags
        && (1..=highest).all(|signal| {
            // SAFETY: both sets are valid, and the call only reads them.
            unsafe {
                libc::sigismember(&a.sa_mask, signal) == libc::sigismember(&b.sa_mask, signal)
            }
        })
}

pub(super) fn query(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = default_action();
    // SAFETY: only asks.
    match unsafe { libc::sigaction(signal, ptr::null(), &mut action) } {
        0 => Ok(action),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the action, and returns the one that it replaces.
pub(super) fn set(signal: c_int, action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut replaced = default_action();
    // SAFETY: the action is ours, which is async-signal-safe, or one that was
    // installed before.
    match unsafe { libc::sigaction(signal, action, &mut replaced) } {
        0 => Ok(replaced),
        _ => Err(io::Error::last_os_error()),
    }
}
