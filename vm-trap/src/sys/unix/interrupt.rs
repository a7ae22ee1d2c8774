//! The signal by which a thread is told to stop its guest.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{mem, ptr};

use super::action::{has_handler, query, set};
use super::context::MachineContext;
use super::errno;
use crate::InterruptError;
use crate::decide::decide_interrupt;

/// A thread that is alive as long as the run that it is in.
pub(crate) type Thread = libc::pthread_t;

/// The signal; 0 as long as none has been chosen.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// The action that it had before ours; leaked, since ours may be running whenever it is changed.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// Locked by whoever chooses.
static CHOOSING: Mutex<()> = Mutex::new(());

/// One that programs ignore unless they have asked for it, and that others use for the same purpose.
pub(crate) const DEFAULT: c_int = libc::SIGURG;

pub(crate) fn choose(signal: c_int, install: bool) -> Result<(), InterruptError> {
    let _choosing = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
    match SIGNAL.load(Ordering::Relaxed) {
        0 => {}
        chosen if chosen == signal => return Ok(()),
        chosen => return Err(InterruptError::OtherSignal { chosen, signal }),
    }
    if install {
        let sigaction = |source| InterruptError::Sigaction { signal, source };
        let found = query(signal).map_err(sigaction)?;
        PREVIOUS.store(Box::leak(Box::new(found)), Ordering::Release);
        // SAFETY: `sigaction` is plain data, for which zero is valid.
        let mut ours: libc::sigaction = unsafe { mem::zeroed() };
        ours.sa_sigaction = handler as extern "C" fn(_, _, _) as usize;
        // Without `SA_RESTART`: a thread that waits in a system call shall come back.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        set(signal, &ours).map_err(sigaction)?;
    }
    SIGNAL.store(signal, Ordering::Release);
    Ok(())
}

/// The signal that has been chosen, or 0.
pub(super) fn signal() -> c_int {
    SIGNAL.load(Ordering::Relaxed)
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's own arguments, or those that a handler above ours passed on.
    if unsafe { try_interrupt(context) } {
        return;
    }
    // SAFETY: null, or leaked by `choose`.
    let Some(below) = (unsafe { PREVIOUS.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    if !has_handler(below) {
        // What came was meant for a run that has ended, or comes from outside, where the signal has no other
        // meaning any more.
        return;
    }
    if below.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: whoever installed it said that it is such a function.
        let below: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { mem::transmute(below.sa_sigaction) };
        below(signal, info, context);
    } else {
        // SAFETY: whoever installed it said that it is such a function.
        let below: extern "C" fn(c_int) = unsafe { mem::transmute(below.sa_sigaction) };
        below(signal);
    }
}

/// # Safety
///
/// The context is that of a signal that this thread handles now, or null.
pub(super) unsafe fn try_interrupt(context: *mut c_void) -> bool {
    if context.is_null() {
        return false;
    }
    // SAFETY: not null, so the kernel's, by the caller's promise.
    let mut machine = unsafe { MachineContext::new(context) };
    // SAFETY: this thread is stopped at the pc of its context.
    match unsafe { decide_interrupt(machine.pc(), || machine.gpr()) } {
        Some(stop) => {
            // SAFETY: as above.
            machine.set_pc(unsafe { stop.commit() });
            true
        }
        None => false,
    }
}

pub(crate) fn this_thread() -> Thread {
    // SAFETY: only asks.
    unsafe { libc::pthread_self() }
}

/// Sends the signal to a thread that is alive, if there is one to send.
pub(crate) fn notify(thread: Thread) {
    let signal = signal();
    if signal != 0 {
        // SAFETY: the thread is alive, as its run is, which cannot end before the caller lets go of its lock. The
        // signal is a valid one.
        errno::preserve(|| unsafe {
            libc::pthread_kill(thread, signal);
        });
    }
}

/// Lets this thread receive the signal, if one has been chosen. Answers whether it has.
pub(crate) fn unblock_notifications() -> bool {
    let signal = signal();
    if signal != 0 {
        super::mask::unblock_these(&[signal]);
    }
    signal != 0
}
