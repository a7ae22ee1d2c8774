//! Signals that a thread does not block.

use std::ffi::c_int;
use std::{mem, ptr};

use super::SIGNALS;

/// Unblocks the signals of faults in this thread. The kernel ends a process whose thread blocks the signal
/// of its own fault, whatever handler there is.
pub(crate) fn unblock() {
    unblock_these(&SIGNALS.map(|(signal, _)| signal));
}

pub(super) fn unblock_these(signals: &[c_int]) {
    // SAFETY: `sigset_t` is plain data, which `sigemptyset` makes an empty set; then valid sets, of valid
    // signals. It cannot fail with this first argument.
    unsafe {
        let mut ours: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut ours);
        for signal in signals {
            libc::sigaddset(&mut ours, *signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &ours, ptr::null_mut());
    }
}
