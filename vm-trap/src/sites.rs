//! Text that may fault on guest data: the process-wide table of access sites.
//!
//! The table is a fixed array of atomics, because the signal handler reads it
//! in any thread at any moment. It only grows: text that was guest text once
//! stays so until the process ends (or the library that holds both the text
//! and this crate is unloaded).

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::RegionClass;

/// How many ranges of text a process can register.
pub const MAX_SITES: usize = 64;

/// A contiguous range of machine code whose instructions may fault on guest
/// data of one class.
///
/// Code that may fault on both classes is registered twice, once for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSites {
    /// Address of the first instruction, and the address after the last.
    pub text: Range<usize>,
    /// The class of region that these instructions may fault on.
    pub class: RegionClass,
}

/// Why access sites could not be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A range of text is empty.
    #[error("text {:#x}..{:#x} is empty: check the symbols that delimit it", text.start, text.end)]
    Empty {
        /// The range that was given.
        text: Range<usize>,
    },
    /// The table is full.
    #[error(
        "the table of access sites is full ({MAX_SITES} ranges): put handlers in fewer, contiguous ranges"
    )]
    Full,
}

struct Entry {
    start: AtomicUsize,
    end: AtomicUsize,
    class: AtomicU8,
}

static TABLE: [Entry; MAX_SITES] = [const {
    Entry {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        class: AtomicU8::new(0),
    }
}; MAX_SITES];

/// How many entries of the table are complete. Written last, with release
/// order, so a reader never sees half an entry.
static FILLED: AtomicUsize = AtomicUsize::new(0);

/// Held by writers only.
static WRITER: Mutex<()> = Mutex::new(());

/// Registers text that may fault on guest data. A range that is registered
/// already is skipped, so calling this again with the same slice does nothing.
///
/// # Errors
///
/// If a range is empty or the table has no room for all of them; nothing is
/// registered then.
///
/// # Safety
///
/// Every instruction in these ranges that can fault on an address of a region
/// of that class must be such that the thread may continue at the landing pad
/// of its innermost armed [`Activation`](crate::Activation) instead: no frame
/// of compiled Rust, C or C++ lies between the entry trampoline and it, and
/// the stack pointer is the one the landing pad expects.
pub unsafe fn register_sites(sites: &'static [AccessSites]) -> Result<(), RegisterError> {
    let _writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let filled = FILLED.load(Ordering::Relaxed);

    for (index, site) in sites.iter().enumerate() {
        if site.text.is_empty() {
            return Err(RegisterError::Empty {
                text: site.text.clone(),
            });
        }
        // Room for everything new is checked before the first write, so that
        // an error leaves the table as it was.
        let new = sites[..=index]
            .iter()
            .filter(|site| !is_registered(site, filled))
            .count();
        if filled + new > MAX_SITES {
            return Err(RegisterError::Full);
        }
    }

    let mut next = filled;
    for site in sites {
        if is_registered(site, next) {
            continue;
        }
        add(next, &site.text, site.class.bit());
        next += 1;
    }
    Ok(())
}

fn is_registered(site: &AccessSites, filled: usize) -> bool {
    is_known(&site.text, site.class.bit(), filled)
}

fn is_known(text: &Range<usize>, class: u8, filled: usize) -> bool {
    TABLE.iter().take(filled).any(|entry| {
        entry.start.load(Ordering::Relaxed) == text.start
            && entry.end.load(Ordering::Relaxed) == text.end
            && entry.class.load(Ordering::Relaxed) == class
    })
}

/// What [`classes_at`] says of text in which a thread may be stopped, besides classes of regions.
pub(crate) const INTERRUPTIBLE: u8 = 0x80;

/// Registers text in which a guest may be stopped from outside, see [`Interrupt`](crate::Interrupt). A range that is
/// registered already is skipped.
///
/// # Errors
///
/// If the range is empty or there is no room for it.
///
/// # Safety
///
/// Wherever a thread is in this text while its innermost activation is armed, it may go on at that activation's
/// landing pad instead, as [`register_sites`] has it for faults.
pub unsafe fn register_interruptible(text: Range<usize>) -> Result<(), RegisterError> {
    let _writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let filled = FILLED.load(Ordering::Relaxed);
    if text.is_empty() {
        return Err(RegisterError::Empty { text });
    }
    if is_known(&text, INTERRUPTIBLE, filled) {
        return Ok(());
    }
    if filled == MAX_SITES {
        return Err(RegisterError::Full);
    }
    add(filled, &text, INTERRUPTIBLE);
    Ok(())
}

/// Fills the next entry of the table.
fn add(filled: usize, text: &Range<usize>, class: u8) {
    let entry = &TABLE[filled];
    entry.start.store(text.start, Ordering::Relaxed);
    entry.end.store(text.end, Ordering::Relaxed);
    entry.class.store(class, Ordering::Relaxed);
    FILLED.store(filled + 1, Ordering::Release);
}

/// Whether there are any access sites: until then no fault of this process can be a guest's.
#[inline]
pub(crate) fn any() -> bool {
    FILLED.load(Ordering::Relaxed) != 0
}

/// The classes that the instruction at `pc` may fault on, as a set of
/// [`RegionClass::bit`]s; 0 if it is no access site.
pub(crate) fn classes_at(pc: usize) -> u8 {
    let filled = FILLED.load(Ordering::Acquire);
    let mut classes = 0;
    for entry in TABLE.iter().take(filled) {
        if entry.start.load(Ordering::Relaxed) <= pc && pc < entry.end.load(Ordering::Relaxed) {
            classes |= entry.class.load(Ordering::Relaxed);
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    #[test]
    fn a_pc_has_the_classes_of_the_ranges_that_hold_it() {
        let site = |text, class| AccessSites { text, class };
        static SITES: OnceLock<[AccessSites; 2]> = OnceLock::new();
        let sites = SITES.get_or_init(|| {
            [
                site(100..110, RegionClass::Memory),
                site(105..120, RegionClass::Stack),
            ]
        });
        // SAFETY: no code is at such addresses.
        unsafe { register_sites(sites) }.expect("two entries fit");
        let (memory, stack) = (RegionClass::Memory.bit(), RegionClass::Stack.bit());
        for (pc, classes) in [
            (99, 0),
            (100, memory),
            (104, memory),
            (105, memory | stack),
            (109, memory | stack),
            (110, stack),
            (119, stack),
            (120, 0),
        ] {
            assert_eq!(classes_at(pc), classes, "{pc}");
        }
    }
}
