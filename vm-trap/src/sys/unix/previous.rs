//! The actions that ours stand above.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::SIGNALS;
use super::action::{default_action, has_handler, is_same};

/// How many handlers of ours there are, one above the other, at most. The first is that of `install`, the
/// others are put above handlers that came later: see [`super::install`].
pub(super) const LAYERS: usize = 8;

/// What each layer found when it was put up, one per signal. Null before that; afterwards never null again,
/// because a handler may still be running, or be called by someone who took its address, when it has been
/// removed.
static PREVIOUS: [[AtomicPtr<Previous>; SIGNALS.len()]; LAYERS] =
    [const { [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS.len()] }; LAYERS];

/// The action that a signal had before ours. Leaked: see [`PREVIOUS`].
struct Previous {
    action: libc::sigaction,
    /// Whether a handler with `SA_RESETHAND` has had its one call.
    spent: AtomicBool,
}

fn load(layer: usize, index: usize) -> Option<&'static Previous> {
    // SAFETY: null, or leaked by `publish_previous`.
    unsafe { PREVIOUS[layer][index].load(Ordering::Acquire).as_ref() }
}

/// The action below a layer, as the kernel would take it for a signal now: one
/// with `SA_RESETHAND` is taken once.
pub(super) fn take_previous_action(layer: usize, signal: c_int) -> libc::sigaction {
    let index = SIGNALS.iter().position(|(ours, _)| *ours == signal);
    match index.and_then(|index| load(layer, index)) {
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

/// The action below a layer, as it was found; the default if that has been spent.
pub(super) fn previous_action(layer: usize, index: usize) -> libc::sigaction {
    match load(layer, index) {
        Some(previous) if !previous.spent.load(Ordering::Relaxed) => previous.action,
        _ => default_action(),
    }
}

/// The layer to put above an action: the one that has stood above it before, else one that nobody can have
/// seen yet; none if all are in use. Either way the new order of handlers has no circle that was not there:
/// who chains from `action` to the one layer was below it already, and nobody chains to the other.
pub(super) fn layer_above(index: usize, action: &libc::sigaction) -> Option<usize> {
    let above = |layer: &usize| load(*layer, index);
    let known = (1..LAYERS).find(|layer| above(layer).is_some_and(|p| is_same(&p.action, action)));
    known.or_else(|| (1..LAYERS).find(|layer| above(layer).is_none()))
}

pub(super) fn publish_previous(layer: usize, index: usize, action: libc::sigaction) {
    if let Some(previous) = load(layer, index)
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
    PREVIOUS[layer][index].store(previous, Ordering::Release);
}
