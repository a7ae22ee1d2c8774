//! Guarded memories from a fixed number of slots that are reserved once and used again and again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits::check_mappings;
use crate::slots::Slots;
use crate::span::Span;
use crate::{
    GuardedMemory, Layout, MemoryError, MemoryImage, MemoryType, Protection, Reservation,
    host_page_size,
};

/// What a [`Pool`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    slots: u32,
    layout: Layout,
    keep_resident: usize,
}

impl PoolConfig {
    /// So many slots, each with room for a memory of this layout.
    pub const fn new(slots: u32, layout: Layout) -> PoolConfig {
        PoolConfig {
            slots,
            layout,
            keep_resident: 0,
        }
    }

    /// How many bytes from a memory's start are cleared by writing zeroes when its slot is given
    /// back, rather than by giving the pages back to the host; rounded down to host pages. Default: 0.
    ///
    /// Writing is cheaper than having the host take pages and bring them back one fault at a time,
    /// but the pages stay in memory while the slot is unused, also those that no guest has touched.
    /// Memories with an image are always reset by the host.
    pub const fn keep_resident(self, bytes: usize) -> PoolConfig {
        PoolConfig {
            keep_resident: bytes,
            ..self
        }
    }

    /// Memories that can be in use at a time.
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Of every memory of the pool.
    pub const fn layout(&self) -> Layout {
        self.layout
    }
}

/// A fixed number of guarded memories in one reservation. Cheap to clone; all clones are the same
/// pool, and it lives until the last clone and the last memory are gone.
///
/// A memory from the pool goes back when it is dropped, and is reset then: contents, mapping and
/// size. When the slot is used again for a memory of the same size and [image](MemoryImage), nothing
/// is asked of the host.
///
/// What holds for a memory from the pool is what holds for one of its own: the same layout, the same
/// guards on both sides, zeroes (or the image) at the start.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: PoolConfig,
    reservation: Reservation,
    /// Bytes from one slot to the next: each has guards of its own.
    stride: usize,
    slots: Slots<Retained>,
    /// Whether a slot has been given up, see [`Span::is_torn`].
    torn: AtomicBool,
}

/// What a free slot keeps. All of its bytes are zero, or those of the image, unless it is dirty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Retained {
    /// Bytes from the base that are readable and writable.
    accessible: usize,
    image: Option<MappedImage>,
    /// Bytes from the base that may be in any state, because the host refused to reset or to
    /// prepare them. They are mapped anew before the slot is used again.
    dirty: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MappedImage {
    id: u64,
    len: usize,
}

impl Pool {
    /// Reserves address space for all slots. Costs no memory.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Reserve`] names the limit that made the host refuse;
    /// [`MemoryError::PoolMappings`] if the host allows fewer mappings than memories of that number
    /// need; [`MemoryError::Unsupported`] where this crate has no guard pages.
    pub fn new(config: PoolConfig) -> Result<Pool, MemoryError> {
        let stride = config.layout.reservation_bytes();
        // A pool without slots is full from the start, but needs an address.
        let total = stride.saturating_mul(u64::from(config.slots.max(1)));
        let reservation = Reservation::with_bytes(total)?;
        check_mappings(config.slots, 2)?;
        Ok(Pool(Arc::new(Inner {
            config,
            reservation,
            // Less than the reservation, whose length is a `usize`.
            stride: stride as usize,
            slots: Slots::new(config.slots)?,
            torn: AtomicBool::new(false),
        })))
    }

    /// A memory of the type's minimum size, zeroed, or with the contents of an image.
    ///
    /// # Errors
    ///
    /// [`MemoryError::PoolFull`]; the type is invalid or not [guardable](MemoryType::guardable); the
    /// image does not fit; or the host refuses.
    pub fn memory(
        &self,
        ty: &MemoryType,
        image: Option<&MemoryImage>,
    ) -> Result<GuardedMemory, MemoryError> {
        GuardedMemory::pooled(ty, self, image)
    }

    /// What it was made of.
    pub fn config(&self) -> &PoolConfig {
        &self.0.config
    }

    /// Memories that are in use now.
    pub fn in_use(&self) -> u32 {
        self.0.slots.in_use()
    }

    /// Memories that can be in use at a time. Less than at the start only if the host once failed in
    /// the middle of replacing a mapping.
    pub fn capacity(&self) -> u32 {
        self.0.slots.count() - self.0.slots.retired()
    }

    /// The addresses of all slots, guards included.
    pub fn addresses(&self) -> Range<usize> {
        self.0.reservation.addresses()
    }

    /// A slot whose first `len` bytes are accessible, and hold the image and zeroes behind it.
    pub(crate) fn take(
        &self,
        len: usize,
        image: Option<&MemoryImage>,
    ) -> Result<PoolSlot, MemoryError> {
        let wanted = image.map(|image| MappedImage {
            id: image.id(),
            len: image.mapped_len(),
        });
        let (index, retained) = self
            .0
            .slots
            .take(|retained| retained.image == wanted && retained.dirty.is_none())?;
        let base = self.0.reservation.base();
        // SAFETY: slot number `index` lies in the reservation, which has room for all of them.
        let base = unsafe { base.add(index as usize * self.0.stride) };
        // SAFETY: the pool gives every slot to one user at a time, and the slot keeps the pool.
        let span = unsafe { Span::new(base, self.0.stride) };
        let mut slot = PoolSlot {
            span,
            pool: self.clone(),
            index,
            retained,
        };
        slot.prepare(len, image, wanted)?;
        Ok(slot)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if *self.torn.get_mut() {
            self.reservation.leak();
        }
    }
}

/// A slot in use; goes back to its pool, reset, when it is dropped.
#[derive(Debug)]
pub(crate) struct PoolSlot {
    span: Span,
    pool: Pool,
    index: u32,
    retained: Retained,
}

impl PoolSlot {
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Makes `added` more bytes accessible. If the host refuses, nothing has changed.
    pub(crate) fn grow(&mut self, added: usize) -> Result<(), MemoryError> {
        let end = self.base_offset() + self.retained.accessible;
        if let Err(error) = self.span.protect(end, added, Protection::ReadWrite) {
            // As in memories with a reservation of their own. If this fails too, the slot is mapped
            // anew before it is used again.
            if self.span.protect(end, added, Protection::None).is_err() {
                self.retained.dirty = Some(self.retained.accessible + added);
            }
            return Err(error);
        }
        self.retained.accessible += added;
        Ok(())
    }

    fn base_offset(&self) -> usize {
        self.pool.0.config.layout.base_offset() as usize
    }

    /// Brings the slot from what it has retained to what is wanted of it.
    fn prepare(
        &mut self,
        len: usize,
        image: Option<&MemoryImage>,
        wanted: Option<MappedImage>,
    ) -> Result<(), MemoryError> {
        let start = self.base_offset();
        if let Some(extent) = self.retained.dirty {
            self.span.unmap(start, extent)?;
            self.retained = Retained::default();
        }
        let Retained {
            accessible,
            image: old,
            ..
        } = self.retained;
        if (accessible, old) == (len, wanted) {
            return Ok(());
        }
        // Until all is done.
        self.retained.dirty = Some(accessible.max(len));
        if old != wanted {
            // The image that the slot's last user had must not be seen by the next.
            self.span.unmap(start, old.map_or(0, |old| old.len))?;
            if let Some(image) = image {
                self.span.map(start, image)?;
            }
            self.span.commit(start, len)?;
        } else if len > accessible {
            self.span.commit(start + accessible, len - accessible)?;
        }
        if len < accessible {
            self.span
                .protect(start + len, accessible - len, Protection::None)?;
        }
        self.retained = Retained {
            accessible: len,
            image: wanted,
            dirty: None,
        };
        Ok(())
    }

    /// Puts the contents back to what they were at first.
    fn reset(&mut self) -> Result<(), MemoryError> {
        let start = self.base_offset();
        let Retained {
            accessible, image, ..
        } = self.retained;
        let keep = self.pool.0.config.keep_resident.min(accessible);
        let zeroed = match image {
            // Which pages still are the image's is not known, and all would be copied.
            Some(_) => 0,
            None => keep / host_page_size() * host_page_size(),
        };
        // SAFETY: `zeroed` bytes from the base are accessible, anonymous memory of this slot's, which
        // nobody uses any more.
        unsafe {
            self.span.base().add(start).write_bytes(0, zeroed);
        }
        self.span.discard(start + zeroed, accessible - zeroed)
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        if self.retained.dirty.is_some() || self.reset().is_err() {
            // It may have grown since it became dirty.
            let extent = self.retained.dirty.unwrap_or(0);
            self.retained.dirty = Some(extent.max(self.retained.accessible));
        }
        let inner = &self.pool.0;
        if self.span.is_torn() {
            inner.torn.store(true, Ordering::Relaxed);
            inner.slots.retire();
        } else {
            inner.slots.give(self.index, self.retained);
        }
    }
}
