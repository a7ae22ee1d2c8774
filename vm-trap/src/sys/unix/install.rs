//! Installing handlers, staying first, and removing them.
//!
//! Who installs a handler after ours may pass nothing on, and the next guest fault is then a crash. Nobody
//! can tell from outside whether it does. So ours is put above it, as if it had been installed later: what
//! is not a guest's still goes to it, and from it, if it passes on, to ours below, which passes on to what
//! was there first. For that each time needs a handler of its own, which knows whom it stands above: a
//! *layer*.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{io, mem};

use super::SIGNALS;
use super::action::{has_handler, is_same, query, set};
use super::handler::handler;
use super::previous::{LAYERS, layer_above, previous_action, publish_previous};
use crate::{InstallError, NotFirst, Standing, UninstallError, thread};

/// The signals by which the kernel reports an access to a guard: the only ones for which it matters who is
/// first.
const GUARD_SIGNALS: usize = if cfg!(target_os = "macos") { 2 } else { 1 };

/// Whether our handlers are installed. Changed while [`CHANGING`] is locked.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Locked by whoever changes handlers.
static CHANGING: Mutex<()> = Mutex::new(());

static HANDLERS: [extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void); LAYERS] = [
    handler::<0>,
    handler::<1>,
    handler::<2>,
    handler::<3>,
    handler::<4>,
    handler::<5>,
    handler::<6>,
    handler::<7>,
];

pub(crate) fn install() -> Result<(), InstallError> {
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    if INSTALLED.load(Ordering::Relaxed) {
        return Ok(());
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate() {
        if let Err(source) = install_one(index, signal) {
            for (index, (signal, _)) in SIGNALS.into_iter().enumerate().take(index) {
                // The error that is reported is the first one.
                let _ = restore_one(0, index, signal);
            }
            return Err(InstallError::Sigaction {
                signal: name,
                source,
            });
        }
    }
    INSTALLED.store(true, Ordering::Release);
    Ok(())
}

fn install_one(index: usize, signal: c_int) -> io::Result<()> {
    let found = query(signal)?;
    if layer_of(&found).is_some() {
        // Someone saved our handler and put it back after `uninstall`. What
        // it was above of is still known.
        return Ok(());
    }
    put_above(0, index, signal, found)
}

/// Puts a layer above an action that was found.
fn put_above(layer: usize, index: usize, signal: c_int, found: libc::sigaction) -> io::Result<()> {
    // Before ours is installed, so that it can chain from its first moment.
    publish_previous(layer, index, found);
    let replaced = set(signal, &action_of(layer, &found))?;
    if !is_same(&replaced, &found) && layer_of(&replaced) != Some(layer) {
        // Another thread changed the action in between: that one is below.
        publish_previous(layer, index, replaced);
    }
    Ok(())
}

/// The action by which a layer stands above another.
fn action_of(layer: usize, below: &libc::sigaction) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which zero is valid.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    ours.sa_sigaction = HANDLERS[layer] as usize;
    // A profiler's signal may arrive while ours is being handled, and its
    // handler may fault and recover: with this signal blocked, that would end
    // the process. What the handler below wants blocked is blocked before it
    // is called, and not longer: see `chain`.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    if has_handler(below) {
        // Whether a system call that the signal interrupts goes on afterwards.
        ours.sa_flags |= below.sa_flags & libc::SA_RESTART;
        // Who came later than ours, and wants the thread's own stack, has it
        // as it would without us.
        if layer > 0 && below.sa_flags & libc::SA_ONSTACK == 0 {
            ours.sa_flags &= !libc::SA_ONSTACK;
        }
    }
    ours
}

/// Which of our handlers an action is.
fn layer_of(action: &libc::sigaction) -> Option<usize> {
    let is_it = |handler: &extern "C" fn(_, _, _)| *handler as usize == action.sa_sigaction;
    HANDLERS.iter().position(is_it)
}

/// Whether a guest's fault comes to us first, with the kernel's account of it.
fn is_first(action: &libc::sigaction) -> bool {
    // Without `SA_SIGINFO` there is no account: someone has saved and restored
    // our handler by `signal`, which keeps nothing but the address.
    layer_of(action).is_some() && action.sa_flags & libc::SA_SIGINFO != 0
}

pub(crate) fn standing() -> Standing {
    if !INSTALLED.load(Ordering::Acquire) {
        return Standing::NotInstalled;
    }
    let behind = SIGNALS.into_iter().take(GUARD_SIGNALS).find(|(signal, _)| {
        // A query cannot fail for a signal that exists.
        query(*signal).is_ok_and(|action| !is_first(&action))
    });
    match behind {
        Some((_, signal)) => Standing::Behind { signal },
        None => Standing::First,
    }
}

pub(crate) fn ensure_first() -> Result<(), NotFirst> {
    // The usual case takes no lock: it might be held by another thread when
    // the process forks, and for ever in the child.
    match standing() {
        Standing::First => return Ok(()),
        Standing::NotInstalled => return Err(NotFirst::NotInstalled),
        Standing::Behind { .. } => {}
    }
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    if !INSTALLED.load(Ordering::Relaxed) {
        return Err(NotFirst::NotInstalled);
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate().take(GUARD_SIGNALS) {
        let sigaction = |source| NotFirst::Sigaction {
            signal: name,
            source,
        };
        let found = query(signal).map_err(sigaction)?;
        match layer_of(&found) {
            Some(_) if is_first(&found) => {}
            Some(layer) => {
                let below = previous_action(layer, index);
                set(signal, &action_of(layer, &below)).map_err(sigaction)?;
            }
            None => {
                let layer =
                    layer_above(index, &found).ok_or(NotFirst::Overtaken { signal: name })?;
                put_above(layer, index, signal, found).map_err(sigaction)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn uninstall() -> Result<(), UninstallError> {
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    if !INSTALLED.load(Ordering::Relaxed) {
        return Err(UninstallError::NotInstalled);
    }
    let threads = thread::running();
    if threads != 0 {
        return Err(UninstallError::ActivationsLive { threads });
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate() {
        let top = uncover(index, signal).map_err(|source| UninstallError::Sigaction {
            signal: name,
            source,
        })?;
        if is_above(&top) {
            return Err(UninstallError::InstalledAbove { signal: name });
        }
    }
    for (index, (signal, name)) in SIGNALS.into_iter().enumerate() {
        let error = match remove_one(index, signal) {
            Ok(true) => continue,
            Ok(false) => UninstallError::InstalledAbove { signal: name },
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
    INSTALLED.store(false, Ordering::Release);
    Ok(())
}

/// Takes away the layers that stand above someone else's handler, so that its owner finds it where it was
/// put, and can remove it. Returns the action that is there then.
fn uncover(index: usize, signal: c_int) -> io::Result<libc::sigaction> {
    let mut top = query(signal)?;
    for _ in 1..LAYERS {
        match layer_of(&top) {
            Some(layer) if layer > 0 => {
                restore_one(layer, index, signal)?;
                top = query(signal)?;
            }
            _ => break,
        }
    }
    Ok(top)
}

/// Whether an action is a handler of someone else's, who may call ours. (The default calls nobody: who has
/// set it has removed our handler.)
fn is_above(action: &libc::sigaction) -> bool {
    has_handler(action) && layer_of(action).is_none()
}

/// Puts back what our first handler found, if that handler is still there. Returns whether nobody stands
/// above it.
fn remove_one(index: usize, signal: c_int) -> io::Result<bool> {
    if !has_handler(&query(signal)?) {
        return Ok(true);
    }
    let replaced = restore_one(0, index, signal)?;
    let above = is_above(&replaced);
    if above {
        // Installed since we asked. What it is above of is ours.
        let _ = set(signal, &replaced);
    }
    Ok(!above)
}

/// Puts back what was there before a layer of ours, and returns what it replaces.
fn restore_one(layer: usize, index: usize, signal: c_int) -> io::Result<libc::sigaction> {
    set(signal, &previous_action(layer, index))
}
