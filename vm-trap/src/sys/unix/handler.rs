//! What happens in a signal handler of ours: the fault is a guest's, or is passed on.

use std::ffi::{c_int, c_void};
use std::{mem, ptr};

use super::action::set;
use super::context::MachineContext;
use super::previous::take_previous_action;
use super::{SIGNALS, errno, interrupt};
use crate::decide::decide;

/// The signal handler that stands at a layer: they differ in whom they pass signals on to.
pub(super) extern "C" fn handler<const LAYER: usize>(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: the kernel's own arguments, or those that a handler above ours
    // passed on.
    unsafe {
        if !try_handle(signal, info, context) {
            chain(LAYER, signal, info, context);
        }
    }
}

/// # Safety
///
/// As for [`crate::try_handle`].
pub(crate) unsafe fn try_handle(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) -> bool {
    if signal != 0 && signal == interrupt::signal() {
        // SAFETY: the caller's promise.
        return unsafe { interrupt::try_interrupt(context) };
    }
    if !SIGNALS.iter().any(|(ours, _)| *ours == signal) || info.is_null() || context.is_null() {
        return false;
    }
    // SAFETY: not null, so the kernel's, by the caller's promise.
    let code = unsafe { (*info).si_code };
    if !is_memory_fault(signal, code) {
        return false;
    }
    // SAFETY: a memory fault has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: not null, so the kernel's, by the caller's promise.
    let mut machine = unsafe { MachineContext::new(context) };
    // SAFETY: this is the thread that faulted, stopped at the pc of its context.
    let Some(guest_fault) = (unsafe { decide(machine.pc(), address, || machine.gpr()) }) else {
        return false;
    };
    // SAFETY: as above.
    machine.set_pc(unsafe { guest_fault.commit() });
    true
}

/// Whether the kernel reports an access that the page tables refused. A signal
/// sent by a program is none, nor is a general protection fault (which has no
/// address), nor a failure of the hardware at a valid address.
fn is_memory_fault(signal: c_int, code: c_int) -> bool {
    // The same on Linux and macOS; see sigaction(2) of each.
    const SEGV_MAPERR: c_int = 1;
    const SEGV_ACCERR: c_int = 2;
    const BUS_ADRALN: c_int = 1;
    const BUS_ADRERR: c_int = 2;
    if signal == libc::SIGSEGV {
        matches!(code, SEGV_MAPERR | SEGV_ACCERR)
    } else {
        // macOS has reported guard pages with either code.
        code == BUS_ADRERR || cfg!(target_os = "macos") && code == BUS_ADRALN
    }
}

/// Whether a program sent the signal, as by `kill(2)`: running the interrupted
/// instruction again then does not bring it back.
fn is_sent(code: c_int) -> bool {
    // macOS numbers SI_USER and its kin from 0x10001.
    code <= 0 || cfg!(target_os = "macos") && code > 0x1_0000
}

/// Passes a signal that is not ours to the action that the layer was put above.
///
/// # Safety
///
/// As for [`try_handle`].
unsafe fn chain(layer: usize, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let action = take_previous_action(layer, signal);
    match action.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: if not null, the kernel's.
            let sent = unsafe { info.as_ref() }.is_some_and(|info| is_sent(info.si_code));
            if sent && action.sa_sigaction == libc::SIG_IGN {
                return;
            }
            errno::preserve(|| {
                // If even this fails, the fault comes again and again: there
                // is nothing to be done about it here, and it cannot fail for
                // a signal that we have a handler for.
                let _ = set(signal, &action);
                if sent {
                    // SAFETY: async-signal-safe. It is delivered at the latest
                    // when our handler returns.
                    unsafe { libc::raise(signal) };
                }
            });
        }
        address => with_mask_of(&action, signal, || {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: whoever installed it said that it is such a function.
                let below: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    unsafe { mem::transmute(address) };
                below(signal, info, context);
            } else {
                // SAFETY: whoever installed it said that it is such a function.
                let below: extern "C" fn(c_int) = unsafe { mem::transmute(address) };
                below(signal);
            }
        }),
    }
}

/// Runs `f` with those signals blocked that the kernel would block for a
/// handler installed by this action, besides those that are blocked now.
fn with_mask_of(action: &libc::sigaction, signal: c_int, f: impl FnOnce()) {
    let mut mask = action.sa_mask;
    if action.sa_flags & libc::SA_NODEFER == 0 {
        // SAFETY: a valid set and a valid signal.
        unsafe { libc::sigaddset(&mut mask, signal) };
    }
    let mut before = mask;
    errno::preserve(|| {
        // SAFETY: async-signal-safe; both sets are valid. It cannot fail with
        // this first argument.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &mask, &mut before) };
    });
    f();
    errno::preserve(|| {
        // SAFETY: as above. For a handler above ours, which goes on; without
        // one, the kernel restores the mask of the interrupted code.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
    });
}
