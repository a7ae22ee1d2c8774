//! The two tiers of code, and the way from the first to the second.
//!
//! A function first gets *baseline* code, which is made quickly and has all values in the slots of its
//! frame. Each call and each turn of its loops counts. When there have been enough, the function is translated
//! again to *optimized* code: calls enter that from then on, and the loop that has counted goes on in it, in
//! the same frame ("on-stack replacement").
//!
//! A loop that is entered with nothing on the operand stack has all its values in locals. Baseline code has
//! them in adjacent slots; optimized code has them elsewhere, some in registers. So
//! [`continue_optimized`] moves them within the frame, those that belong into registers to slots above the
//! frame, and answers cells that enter the function as usual, but with these slots as the pinned parameters, and
//! then branch to the loop.

use std::sync::atomic::{AtomicU64, Ordering};

use vm_translate::Function;
use vm_translate::ir::{FRAME_HEADER, Place, Slot};

use super::code::Inner;
use crate::context::{Context, Word};

/// The operands of a [`super::fixed::Fixed::Turn`], in words from its cell's start.
const TURN_CODE: usize = 1;
/// The function in the lower half, the loop's number in the upper.
const TURN_LOOP: usize = 2;
/// How many turns are left until the loop is hot.
pub(super) const TURN_LEFT: usize = 3;
const TURN_WORDS: usize = 4;

/// How a frame of baseline code becomes one of optimized code.
#[derive(Debug)]
pub(super) struct Continuation {
    /// For each slot of the locals, in their order, the one that its value is to be moved to.
    moves: Box<[Slot]>,
    /// One past the slots of the optimized frame and those above it.
    end: Slot,
    /// Of each loop the offset of its `loop` in the module, and where its cells start in bytes.
    entries: Box<[(u32, u32)]>,
}

/// The slot from which the cells of a continuation take a pinned local, given by its place among the pins.
pub(super) fn pinned_slot(function: &Function, pin: usize) -> Slot {
    function.frame_slots() + pin as Slot
}

impl Continuation {
    /// That of a function in optimized code, with these entries.
    pub(super) fn new(function: &Function, entries: &[(u32, u32)]) -> Continuation {
        let slots = |place: Place| {
            place.slots().unwrap_or_else(|| {
                let pin = function.pins().iter().position(|pin| pin.place == place);
                let slot = pinned_slot(function, pin.unwrap_or(0));
                slot..slot + 1
            })
        };
        Continuation {
            moves: function.local_places().flat_map(slots).collect(),
            end: pinned_slot(function, function.pins().len()),
            entries: entries.into(),
        }
    }

    /// The bytes that it takes besides itself.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.moves) + size_of_val(&*self.entries)
    }

    /// Where the cells start that go on at the loop with this offset, in bytes.
    pub(super) fn entry(&self, offset: u32) -> Option<u32> {
        let found = self.entries.binary_search_by_key(&offset, |entry| entry.0);
        found.ok().map(|n| self.entries[n].1)
    }

    /// Moves the locals to where the cells of the continuation expect them.
    ///
    /// # Safety
    ///
    /// The frame is one of baseline code of the same function, and has room for `end` slots.
    unsafe fn move_locals(&self, frame: *mut Word) {
        // SAFETY: baseline code has the locals side by side in the slots after the header. All slots are below `end`.
        unsafe {
            let first = frame.add(FRAME_HEADER as usize);
            let values: Vec<Word> = (0..self.moves.len())
                .map(|slot| first.add(slot).read())
                .collect();
            for (value, slot) in values.into_iter().zip(&self.moves) {
                frame.add(*slot as usize).write(value);
            }
        }
    }
}

/// Where the code of a loop goes on that has been through enough turns in baseline code: in optimized code
/// if there is a way, and else behind its cell.
///
/// # Safety
///
/// Called by the handler of [`super::fixed::Fixed::Turn`] with its cell and the frame.
pub(super) unsafe extern "C" fn continue_optimized(
    context: *mut Context,
    frame: *mut Word,
    cell: *mut u64,
) -> *const u8 {
    // SAFETY: the operands are those that the encoder has written; code's words are atomic. The module's
    // code lives as long as the instance that runs.
    let (inner, number, left) = unsafe {
        let [inner, number, left] =
            [TURN_CODE, TURN_LOOP, TURN_LEFT].map(|word| AtomicU64::from_ptr(cell.add(word)));
        let inner = inner.load(Ordering::Relaxed) as usize;
        let inner = &*std::ptr::with_exposed_provenance::<Inner>(inner);
        (inner, number.load(Ordering::Relaxed), left)
    };
    let (func, number) = (number as u32, (number >> 32) as usize);
    // SAFETY: the context is that of the run.
    let limit = unsafe { (*context).stack_limit };
    let room = limit.addr().saturating_sub(frame.addr()) / size_of::<Word>();
    // While other threads count, counts may get lost.
    match inner.continuation(func, number) {
        Some((continuation, entry)) if continuation.end as usize <= room => {
            // Another frame that comes here need not wait.
            left.store(1, Ordering::Relaxed);
            // SAFETY: the frame is one of the function's baseline code, and there is room.
            unsafe { continuation.move_locals(frame) };
            entry
        }
        Some(_) => {
            left.store(inner.turns(), Ordering::Relaxed);
            cell.wrapping_add(TURN_WORDS).cast()
        }
        None => {
            left.store(u64::MAX, Ordering::Relaxed);
            cell.wrapping_add(TURN_WORDS).cast()
        }
    }
}
