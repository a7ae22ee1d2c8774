//! Guarded value stacks from a fixed number of slots.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::limits::check_mappings;
use crate::slots::Slots;
use crate::span::Span;
use crate::{MemoryError, Reservation, ValueStack, host_page_size};

/// A fixed number of guarded [`ValueStack`]s in one reservation. Cheap to clone; all clones are the
/// same pool, and it lives until the last clone and the last stack are gone.
///
/// A stack goes back when it is dropped, and is cleared then. Neighbours share the guard between
/// them.
#[derive(Clone, Debug)]
pub struct StackPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reservation: Reservation,
    /// Usable bytes of a stack.
    usable: usize,
    guard: usize,
    slots: Slots<Retained>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Retained {
    /// Whether the usable part is accessible.
    committed: bool,
    /// Whether the host refused to clear it.
    dirty: bool,
}

impl StackPool {
    /// Reserves address space for so many stacks, each of at least `bytes` usable bytes, with at
    /// least `guard_bytes` inaccessible ones behind it. Both are rounded up to whole host pages, at
    /// least one each.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Reserve`] names the limit that made the host refuse;
    /// [`MemoryError::PoolMappings`] if the host allows fewer mappings than that many stacks need;
    /// [`MemoryError::Unsupported`] where this crate has no guard pages.
    pub fn new(slots: u32, bytes: usize, guard_bytes: usize) -> Result<StackPool, MemoryError> {
        // In 128 bits, so that no size can overflow.
        let page = host_page_size() as u128;
        let usable = (bytes.max(1) as u128).next_multiple_of(page);
        let guard = (guard_bytes.max(1) as u128).next_multiple_of(page);
        // One guard more than stacks: the first stack has one in front, too.
        let total = (usable + guard)
            .saturating_mul(slots.into())
            .saturating_add(guard);
        let reservation = Reservation::with_bytes(u64::try_from(total).unwrap_or(u64::MAX))?;
        check_mappings(slots, 2)?;
        Ok(StackPool(Arc::new(Inner {
            reservation,
            // Both fit: with no slots they are not used, else the reservation is larger.
            usable: usable as usize,
            guard: guard as usize,
            slots: Slots::new(slots)?,
        })))
    }

    /// An empty stack, zeroed.
    ///
    /// # Errors
    ///
    /// [`MemoryError::PoolFull`], or the host refuses.
    pub fn stack(&self) -> Result<ValueStack, MemoryError> {
        ValueStack::pooled(self)
    }

    /// Stacks that can be in use at a time.
    pub fn capacity(&self) -> u32 {
        self.0.slots.count()
    }

    /// Stacks that are in use now.
    pub fn in_use(&self) -> u32 {
        self.0.slots.in_use()
    }

    pub(crate) fn take(&self) -> Result<StackSlot, MemoryError> {
        let inner = &self.0;
        let (index, retained) = inner.slots.take(|retained| !retained.dirty)?;
        let offset = inner.guard + index as usize * (inner.usable + inner.guard);
        // SAFETY: slot number `index` lies in the reservation, which has room for all of them.
        let base = unsafe { inner.reservation.base().add(offset) };
        let mut slot = StackSlot {
            // SAFETY: the pool gives every slot to one user at a time, and the slot keeps the pool.
            // Guards are nobody's and never change.
            span: unsafe { Span::new(base, inner.usable) },
            pool: self.clone(),
            index,
            retained,
        };
        if slot.retained.dirty {
            slot.span.discard(0, inner.usable)?;
            slot.retained.dirty = false;
        }
        if !slot.retained.committed {
            slot.span.commit(0, inner.usable)?;
            slot.retained.committed = true;
        }
        Ok(slot)
    }
}

/// A stack in use; goes back to its pool, cleared, when it is dropped.
#[derive(Debug)]
pub(crate) struct StackSlot {
    span: Span,
    pool: StackPool,
    index: u32,
    retained: Retained,
}

impl StackSlot {
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.span.base()
    }

    /// Usable bytes.
    pub(crate) fn usable(&self) -> usize {
        self.span.len()
    }

    /// Inaccessible bytes behind the usable ones.
    pub(crate) fn guard(&self) -> usize {
        self.pool.0.guard
    }
}

impl Drop for StackSlot {
    fn drop(&mut self) {
        if self.retained.committed && !self.retained.dirty {
            // Every guest uses the first page: keep it, and have the host take the others.
            let page = host_page_size();
            // SAFETY: at least a page is usable and accessible, and nobody uses it any more.
            unsafe { self.span.base().write_bytes(0, page) };
            let rest = self.span.len() - page;
            self.retained.dirty = self.span.discard(page, rest).is_err();
        }
        self.pool.0.slots.give(self.index, self.retained);
    }
}
