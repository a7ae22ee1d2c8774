//! The signal handlers: installing, removing, and what happens in one.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{io, mem, ptr};

use super::context::MachineContext;
use super::{SIGNALS, errno};
use crate::decide::decide;
use crate::{InstallError, UninstallError, thread};

/// What [`install`] found, one per signal. Null before the first install;
/// afterwards never null again, because a handler may still be running, or be
/// called by someone who took its address, after [`uninstall`].
static PREVIOUS: [AtomicPtr<Previous>; SIGNALS.len()] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS.len()];

/// Whether our handlers are installed. Locked by whoever changes that.
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// The action that a signal had before ours. Leaked: see [`PREVIOUS`].
struct Previous {
    action: libc::sigaction,
    /// Whether a handler with `SA_RESETHAND` has had its one call.
    spent: AtomicBool,
}

pub(crate) fn install() -> Result<(), InstallError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate() {
        if let Err(source) = install_one(index, signal) {
            for (index, (signal, _)) in SIGNALS.into_iter().enumerate().take(index) {
                // The error that is reported is the first one.
                let _ = restore_one(index, signal);
            }
            return Err(InstallError::Sigaction {
                signal: name,
                source,
            });
        }
    }
    *installed = true;
    Ok(())
}

fn install_one(index: usize, signal: c_int) -> io::Result<()> {
    let found = query(signal)?;
    if is_ours(&found) {
        // Someone saved our handler and put it back after `uninstall`. What
        // it was above of is still in `PREVIOUS`.
        return Ok(());
    }
    // Before ours is installed, so that it can chain from its first moment.
    publish_previous(index, found);

    // SAFETY: `sigaction` is plain data, for which zero is valid.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    ours.sa_sigaction = handler_address();
    // A profiler's signal may arrive while ours is being handled, and its
    // handler may fault and recover: with this signal blocked, that would end
    // the process. What the handler below wants blocked is blocked before it
    // is called, and not longer: see `chain`.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    if has_handler(&found) {
        // Whether a system call that the signal interrupts goes on afterwards.
        ours.sa_flags |= found.sa_flags & libc::SA_RESTART;
    }
    let replaced = set(signal, &ours)?;
    if !is_same(&replaced, &found) && !is_ours(&replaced) {
        // Another thread installed its handler in between: that one is below.
        publish_previous(index, replaced);
    }
    Ok(())
}

pub(crate) fn uninstall() -> Result<(), UninstallError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        return Err(UninstallError::NotInstalled);
    }
    let threads = thread::running();
    if threads != 0 {
        return Err(UninstallError::ActivationsLive { threads });
    }
    for (signal, name) in SIGNALS {
        let now = query(signal).map_err(|source| UninstallError::Sigaction {
            signal: name,
            source,
        })?;
        if !is_ours(&now) {
            return Err(UninstallError::InstalledAbove { signal: name });
        }
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate() {
        let error = match restore_one(index, signal) {
            Ok(replaced) if is_ours(&replaced) => continue,
            Ok(above) => {
                // Installed since we asked. What it is above of is ours.
                let _ = set(signal, &above);
                UninstallError::InstalledAbove { signal: name }
            }
            Err(source) => UninstallError::Sigaction {
                signal: name,
                source,
            },
        };
        for (index, (signal, _)) in SIGNALS.into_iter().enumerate().take(index) {
            // The error that is reported is the first one.
            let _ = install_one(index, signal);
        }
        return Err(error);
    }
    *installed = false;
    Ok(())
}

/// Puts back what was there before ours, and returns what it replaces.
fn restore_one(index: usize, signal: c_int) -> io::Result<libc::sigaction> {
    set(signal, &previous_action(index))
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's own arguments, or those that a handler above ours
    // passed on.
    unsafe {
        if !try_handle(signal, info, context) {
            chain(signal, info, context);
        }
    }
}

fn handler_address() -> usize {
    let f: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handler;
    f as usize
}

/// # Safety
///
/// As for [`crate::try_handle`].
pub(crate) unsafe fn try_handle(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) -> bool {
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

/// Passes a signal that is not ours to the action that was there before.
///
/// # Safety
///
/// As for [`try_handle`].
unsafe fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let action = take_previous_action(signal);
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

/// The action below ours, as the kernel would take it for a signal now: one
/// with `SA_RESETHAND` is taken once.
fn take_previous_action(signal: c_int) -> libc::sigaction {
    let previous = SIGNALS
        .iter()
        .zip(&PREVIOUS)
        .find(|((ours, _), _)| *ours == signal)
        .map_or(ptr::null_mut(), |(_, slot)| slot.load(Ordering::Acquire));
    // SAFETY: null, or leaked by `publish_previous`.
    match unsafe { previous.as_ref() } {
        None => default_action(),
        Some(previous) => {
            let once =
                has_handler(&previous.action) && previous.action.sa_flags & libc::SA_RESETHAND != 0;
            if once && previous.spent.swap(true, Ordering::Relaxed) {
                default_action()
            } else {
                previous.action
            }
        }
    }
}

/// The action below ours, as it was found; the default if that has been spent.
fn previous_action(index: usize) -> libc::sigaction {
    // SAFETY: null, or leaked by `publish_previous`.
    match unsafe { PREVIOUS[index].load(Ordering::Acquire).as_ref() } {
        Some(previous) if !previous.spent.load(Ordering::Relaxed) => previous.action,
        _ => default_action(),
    }
}

fn publish_previous(index: usize, action: libc::sigaction) {
    let now = PREVIOUS[index].load(Ordering::Acquire);
    // SAFETY: null, or leaked below.
    if let Some(previous) = unsafe { now.as_ref() }
        && is_same(&previous.action, &action)
    {
        // The usual case when handlers are installed and removed repeatedly:
        // nothing more is leaked.
        previous.spent.store(false, Ordering::Relaxed);
        return;
    }
    let previous = Box::leak(Box::new(Previous {
        action,
        spent: AtomicBool::new(false),
    }));
    PREVIOUS[index].store(previous, Ordering::Release);
}

fn default_action() -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which zero is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = libc::SIG_DFL;
    action
}

fn has_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handler_address()
}

fn is_same(a: &libc::sigaction, b: &libc::sigaction) -> bool {
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

fn query(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = default_action();
    // SAFETY: only asks.
    match unsafe { libc::sigaction(signal, ptr::null(), &mut action) } {
        0 => Ok(action),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the action, and returns the one that it replaces.
fn set(signal: c_int, action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut replaced = default_action();
    // SAFETY: the action is ours, which is async-signal-safe, or one that was
    // installed before.
    match unsafe { libc::sigaction(signal, action, &mut replaced) } {
        0 => Ok(replaced),
        _ => Err(io::Error::last_os_error()),
    }
}
