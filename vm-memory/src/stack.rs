//! Value stacks of an interpreter: 8-byte slots, ended by a guard or by code.

use std::ops::Range;
use std::ptr::NonNull;

use crate::heap::HeapBytes;
use crate::stack_pool::StackSlot;
use crate::{MemoryError, Reservation, StackPool, host_page_size};

/// Plain stacks from this size on are mappings of their own where that is possible: allocators that
/// use memory again write zeroes to all of it, and most of a stack is never touched.
const MAPPED_BYTES: usize = 256 << 10;

/// Bytes in a slot.
const SLOT: usize = size_of::<u64>();

/// A stack of 8-byte slots that grows upwards from its base.
///
/// The host provides its pages when they are first touched, zeroed, so a large stack costs what is
/// used of it. A guarded stack has inaccessible pages on both sides: whoever pushes by less than the
/// guard at a time needs no check, running over the end faults. Who uses a plain one checks against
/// [`limit`](Self::limit).
///
/// Only addresses are handed out; what is written to and read from them, and on which thread, is the
/// user's concern.
#[derive(Debug)]
pub struct ValueStack {
    base: NonNull<u64>,
    /// Usable slots.
    slots: usize,
    guard: Option<Range<usize>>,
    _backing: Backing,
}

/// Owns the bytes; never looked at again.
#[derive(Debug)]
enum Backing {
    Guarded { _reservation: Reservation },
    Pooled { _slot: StackSlot },
    Plain { _heap: HeapBytes },
    PlainMapped { _reservation: Reservation },
}

// SAFETY: `base` points into the owned backing, which is `Send`.
unsafe impl Send for ValueStack {}
// SAFETY: shared references only read addresses and sizes; the user of the addresses answers for the
// accesses.
unsafe impl Sync for ValueStack {}

impl ValueStack {
    /// A stack of at least `bytes` usable bytes, followed by at least `guard_bytes` inaccessible
    /// ones. Both are rounded up to whole host pages, at least one each.
    ///
    /// # Errors
    ///
    /// The host refuses; the error names the limit.
    pub fn guarded(bytes: usize, guard_bytes: usize) -> Result<ValueStack, MemoryError> {
        // In 128 bits, so that no size can overflow.
        let page = host_page_size();
        let pages = |bytes: usize| (bytes.max(1) as u128).next_multiple_of(page as u128);
        let total = page as u128 + pages(bytes) + pages(guard_bytes);
        let mut reservation = Reservation::with_bytes(u64::try_from(total).unwrap_or(u64::MAX))?;
        // Both are less than the reservation, whose length is a `usize`.
        let (front, usable) = (page, pages(bytes) as usize);
        reservation.commit(front, usable)?;
        // SAFETY: the front guard is the reservation's first page.
        let base = unsafe { reservation.base().add(front) };
        let guard = base.addr().get() + usable..reservation.addresses().end;
        Ok(ValueStack {
            base: base.cast(),
            slots: usable / SLOT,
            guard: Some(guard),
            _backing: Backing::Guarded {
                _reservation: reservation,
            },
        })
    }

    /// A stack in a slot of a pool's.
    pub(crate) fn pooled(pool: &StackPool) -> Result<ValueStack, MemoryError> {
        let slot = pool.take()?;
        let base = slot.base();
        let end = base.addr().get() + slot.usable();
        Ok(ValueStack {
            base: base.cast(),
            slots: slot.usable() / SLOT,
            guard: Some(end..end + slot.guard()),
            _backing: Backing::Pooled { _slot: slot },
        })
    }

    /// A stack of `bytes` usable bytes, rounded up to whole slots, without a guard: on the heap, or if
    /// large, in pages of the host's where it has them.
    ///
    /// # Errors
    ///
    /// The host has not enough memory.
    pub fn plain(bytes: usize) -> Result<ValueStack, MemoryError> {
        let slots = bytes.div_ceil(SLOT);
        let refused = MemoryError::Allocate {
            bytes: bytes as u64,
        };
        let bytes = slots.checked_mul(SLOT).ok_or(refused.clone())?;
        if bytes >= MAPPED_BYTES
            && let Ok(reservation) = committed(bytes)
        {
            return Ok(ValueStack {
                base: reservation.base().cast(),
                slots,
                guard: None,
                _backing: Backing::PlainMapped {
                    _reservation: reservation,
                },
            });
        }
        let heap = HeapBytes::zeroed(bytes).map_err(|_| refused)?;
        Ok(ValueStack {
            base: heap.base().cast(),
            slots,
            guard: None,
            _backing: Backing::Plain { _heap: heap },
        })
    }

    /// Address of the first slot.
    pub fn base(&self) -> *mut u64 {
        self.base.as_ptr()
    }

    /// Address one past the last usable slot.
    pub fn limit(&self) -> *mut u64 {
        // SAFETY: `slots` slots are usable from the base, so one past the last is in bounds.
        unsafe { self.base.as_ptr().add(self.slots) }
    }

    /// Usable bytes.
    pub fn len_bytes(&self) -> usize {
        self.slots * SLOT
    }

    /// Usable slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The addresses of the guard behind the usable part, at which a guest's fault means that the
    /// stack is exhausted, or `None` for a plain stack.
    pub fn guard(&self) -> Option<Range<usize>> {
        self.guard.clone()
    }
}

/// At least so many bytes in pages of their own, accessible throughout.
fn committed(bytes: usize) -> Result<Reservation, MemoryError> {
    let len = (bytes as u64)
        .checked_next_multiple_of(host_page_size() as u64)
        .unwrap_or(u64::MAX);
    let mut reservation = Reservation::with_bytes(len)?;
    reservation.commit(0, reservation.len())?;
    Ok(reservation)
}
