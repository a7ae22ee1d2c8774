//! Linear memory whose bounds are checked by page protection.

use std::ops::Range;
use std::ptr::NonNull;

use crate::pool::PoolSlot;
use crate::{
    GrowError, Layout, MemoryError, MemoryImage, MemoryType, Pool, Protection, Reservation,
};

/// A linear memory in a reservation of its own, or in a slot of a [`Pool`], that contains every access its [`Layout`] calls unchecked.
///
/// What is not yet part of the memory is inaccessible, so an access out of bounds faults. It grows in
/// place: the base never moves.
#[derive(Debug)]
pub struct GuardedMemory {
    space: Space,
    layout: Layout,
    ty: MemoryType,
    base: NonNull<u8>,
    /// Offset of `base` in the reservation, in bytes.
    base_offset: usize,
    pages: u64,
    /// Accessible bytes from `base`; always `pages` × page size, all of them committed.
    len: usize,
}

/// What the memory lies in.
#[derive(Debug)]
enum Space {
    Own(Reservation),
    Pooled(PoolSlot),
}

// SAFETY: `base` points into the owned space, which is `Send`.
unsafe impl Send for GuardedMemory {}
// SAFETY: shared references read only plain fields; the bytes are reached through raw pointers, for
// whose use the caller answers, or through slices that borrow `self`.
unsafe impl Sync for GuardedMemory {}

impl GuardedMemory {
    /// Reserves the layout and commits the type's minimum.
    ///
    /// # Errors
    ///
    /// The type is invalid or not [guardable](MemoryType::guardable), or the host refuses.
    pub fn new(ty: &MemoryType, layout: Layout) -> Result<GuardedMemory, MemoryError> {
        GuardedMemory::own(ty, layout, None)
    }

    /// As [`new`](Self::new), with the contents of an image instead of zeroes.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); or the image is larger than the type's minimum.
    pub fn with_image(
        ty: &MemoryType,
        layout: Layout,
        image: &MemoryImage,
    ) -> Result<GuardedMemory, MemoryError> {
        GuardedMemory::own(ty, layout, Some(image))
    }

    fn own(
        ty: &MemoryType,
        layout: Layout,
        image: Option<&MemoryImage>,
    ) -> Result<GuardedMemory, MemoryError> {
        let len = start_len(ty, image)?;
        let mut reservation = Reservation::with_bytes(layout.reservation_bytes())?;
        // It fits: the reservation, which is larger, exists.
        let base_offset = layout.base_offset() as usize;
        if let Some(image) = image {
            reservation.map(base_offset, image)?;
        }
        reservation.commit(base_offset, len)?;
        let start = reservation.base();
        Ok(GuardedMemory::place(
            Space::Own(reservation),
            start,
            layout,
            ty,
            len,
        ))
    }

    /// A memory in a slot of a pool's.
    pub(crate) fn pooled(
        ty: &MemoryType,
        pool: &Pool,
        image: Option<&MemoryImage>,
    ) -> Result<GuardedMemory, MemoryError> {
        let len = start_len(ty, image)?;
        let slot = pool.take(len, image)?;
        let start = slot.span().base();
        let layout = pool.config().layout();
        Ok(GuardedMemory::place(
            Space::Pooled(slot),
            start,
            layout,
            ty,
            len,
        ))
    }

    /// `space` holds the layout from `start` on, and `len` bytes from its base are accessible.
    fn place(
        space: Space,
        start: NonNull<u8>,
        layout: Layout,
        ty: &MemoryType,
        len: usize,
    ) -> GuardedMemory {
        let base_offset = layout.base_offset() as usize;
        GuardedMemory {
            space,
            layout,
            ty: *ty,
            // SAFETY: the layout puts the base inside its space.
            base: unsafe { start.add(base_offset) },
            base_offset,
            pages: ty.minimum,
            len,
        }
    }

    /// Adds `delta` zeroed pages in place and returns how many there were before.
    ///
    /// # Errors
    ///
    /// The memory is unchanged then.
    pub fn grow(&mut self, delta: u64) -> Result<u64, GrowError> {
        let previous = self.pages;
        let pages = self.ty.grown(previous, delta)?;
        // At most 4 GiB, which lie in the reservation.
        let added = (delta * self.ty.page_size()) as usize;
        let grown = match &mut self.space {
            Space::Own(reservation) => {
                grow_in_place(reservation, self.base_offset + self.len, added)
            }
            Space::Pooled(slot) => slot.grow(added),
        };
        if let Err(error) = grown {
            return Err(GrowError::HostMemory {
                bytes: added as u64,
                source: match error {
                    MemoryError::Protect { source, .. } => Some(source),
                    _ => None,
                },
            });
        }
        self.pages = pages;
        self.len += added;
        Ok(previous)
    }

    /// Address of the first byte. Constant for the life of the memory.
    #[inline]
    pub fn base_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Accessible bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.len
    }

    /// Accessible pages, of the type's page size.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The type it was made with.
    pub fn ty(&self) -> &MemoryType {
        &self.ty
    }

    /// The layout it was made with.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The addresses at which a guest's fault means "out of bounds": the whole reservation, or
    /// slot of a pool, with the front guard.
    pub fn reservation(&self) -> Range<usize> {
        match &self.space {
            Space::Own(reservation) => reservation.addresses(),
            Space::Pooled(slot) => slot.span().addresses(),
        }
    }
}

/// Bytes at the start of a memory of this type, if it can be guarded and holds the image.
fn start_len(ty: &MemoryType, image: Option<&MemoryImage>) -> Result<usize, MemoryError> {
    ty.validate()?;
    ty.guardable()?;
    let bytes = ty.minimum * ty.page_size();
    // A valid type with 32-bit indices has at most 4 GiB, which some hosts cannot address.
    let len = usize::try_from(bytes).map_err(|_| MemoryError::Allocate { bytes })?;
    if let Some(image) = image {
        image.fits(len)?;
    }
    Ok(len)
}

/// Makes the bytes behind `end` accessible. If the host refuses, nothing has changed.
fn grow_in_place(
    reservation: &mut Reservation,
    end: usize,
    added: usize,
) -> Result<(), MemoryError> {
    // Not `commit`: a guest can make this fail as often as it likes, and looking for the limit that
    // explains it is slow.
    let grown = reservation.protect(end, added, Protection::ReadWrite);
    if grown.is_err() {
        // Linux changes all of a range like this one or nothing; other hosts promise no such thing,
        // and what is not part of the memory must not be accessible.
        let _ = reservation.protect(end, added, Protection::None);
    }
    grown
}
