//! Linear memory whose bounds are checked by page protection.

use std::ops::Range;
use std::ptr::NonNull;

use crate::{GrowError, Layout, MemoryError, MemoryType, Protection, Reservation};

/// A linear memory in a reservation that contains every access its [`Layout`] calls unchecked.
///
/// What is not yet part of the memory is inaccessible, so an access out of bounds faults. It grows in
/// place: the base never moves.
#[derive(Debug)]
pub struct GuardedMemory {
    reservation: Reservation,
    layout: Layout,
    ty: MemoryType,
    base: NonNull<u8>,
    /// Offset of `base` in the reservation, in bytes.
    base_offset: usize,
    pages: u64,
    /// Accessible bytes from `base`; always `pages` × page size, all of them committed.
    len: usize,
}

// SAFETY: `base` points into the owned reservation, which is `Send`.
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
        ty.validate()?;
        ty.guardable()?;
        let mut reservation = Reservation::with_bytes(layout.reservation_bytes())?;
        // Both fit: a valid 32-bit type has at most 4 GiB, and a reservation of more than that exists.
        let base_offset = layout.base_offset() as usize;
        let len = (ty.minimum * ty.page_size()) as usize;
        reservation.commit(base_offset, len)?;
        // SAFETY: the layout puts the base inside its reservation.
        let base = unsafe { reservation.base().add(base_offset) };
        Ok(GuardedMemory {
            reservation,
            layout,
            ty: *ty,
            base,
            base_offset,
            pages: ty.minimum,
            len,
        })
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
        let end = self.base_offset + self.len;
        // Not `commit`: a guest can make this fail as often as it likes, and looking for the limit
        // that explains it is slow.
        if let Err(error) = self.reservation.protect(end, added, Protection::ReadWrite) {
            // Linux changes all of a range like this one or nothing; other hosts promise no such
            // thing, and what is not part of the memory must not be accessible.
            let _ = self.reservation.protect(end, added, Protection::None);
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
    pub fn base_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Accessible bytes.
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

    /// The addresses at which a guest's fault means "out of bounds": the whole reservation, with the
    /// front guard.
    pub fn reservation(&self) -> Range<usize> {
        self.reservation.addresses()
    }
}
