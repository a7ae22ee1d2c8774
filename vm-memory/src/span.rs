//! A stretch of a mapping that one owner may change: a reservation, or a slot of a pool's.

use std::ops::Range;
use std::ptr::NonNull;

use crate::image::MemoryImage;
use crate::limits::{Request, explain};
use crate::{MemoryError, Protection, host_page_size, sys};

/// Whole host pages, inaccessible at first. Not unmapped on drop: that is up to the owner.
///
/// Offsets and lengths are in bytes. References into the span are excluded while its mapping or its
/// protection changes, by the contract of whoever made them: only addresses are handed out.
#[derive(Debug)]
pub(crate) struct Span {
    base: NonNull<u8>,
    len: usize,
    torn: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread, and only the span's owner changes it.
unsafe impl Send for Span {}
// SAFETY: shared references only read the base address and the length; every change takes `&mut`.
unsafe impl Sync for Span {}

impl Span {
    /// # Safety
    ///
    /// The range consists of whole pages of one live mapping of this crate's, which stays until the
    /// span is dropped, and nobody but the span's owner changes or uses the range meanwhile.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize) -> Span {
        Span {
            base,
            len,
            torn: false,
        }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.base.addr().get();
        start..start + self.len
    }

    /// Whether a failed change left a hole in the mapping, into which another thread's mapping may
    /// have fallen. Such a span must neither be used nor unmapped any more.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// [`Reservation::commit`](crate::Reservation::commit).
    pub(crate) fn commit(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        self.protect(offset, len, Protection::ReadWrite)
            .map_err(|error| match error {
                MemoryError::Protect { bytes, source } => MemoryError::Commit {
                    bytes,
                    limit: explain(Request::Commit, bytes),
                    source,
                },
                other => other,
            })
    }

    /// [`Reservation::decommit`](crate::Reservation::decommit).
    pub(crate) fn decommit(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: `range` has checked that it is ours and page-aligned. References into it are
        // excluded, see the type; images are mapped only into spans that nobody decommits.
        unsafe { sys::decommit(address, len) }.map_err(|source| refused(len, source))
    }

    /// [`Reservation::protect`](crate::Reservation::protect).
    pub(crate) fn protect(
        &mut self,
        offset: usize,
        len: usize,
        protection: Protection,
    ) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: as in `decommit`.
        unsafe { sys::protect(address, len, protection) }.map_err(|source| refused(len, source))
    }

    /// Drops what has been written to a committed range, which then reads as it did at first: as
    /// zeroes, or as the image mapped there.
    pub(crate) fn discard(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: as in `decommit`; the callers give ranges that are readable and writable.
        unsafe { sys::discard(address, len) }.map_err(|source| refused(len, source))
    }

    /// Puts inaccessible, zeroed memory in place of whatever a range is mapped to.
    pub(crate) fn unmap(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: as in `decommit`.
        let result = unsafe { sys::remap(address, len, Protection::None) };
        self.check_mapped(address, len, result)
    }

    /// Maps an image copy-on-write, readable only until it is committed.
    pub(crate) fn map(&mut self, offset: usize, image: &MemoryImage) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, image.mapped_len())? else {
            return Ok(());
        };
        let len = image.mapped_len();
        // SAFETY: as in `decommit`.
        let result = unsafe { image.file().map(address, len) };
        self.check_mapped(address, len, result)
    }

    /// Linux takes the old mapping away before the last step that may fail, which it does for want
    /// of the kernel's own memory. Refusals on account of any limit come earlier.
    fn check_mapped(
        &mut self,
        address: NonNull<u8>,
        len: usize,
        result: Result<(), crate::OsError>,
    ) -> Result<(), MemoryError> {
        result.map_err(|source| {
            self.torn |= !sys::is_mapped(address, len);
            refused(len, source)
        })
    }

    /// The address of a range that lies in the span on page boundaries, or `None` if the range is
    /// empty and there is nothing to do.
    fn range(&self, offset: usize, len: usize) -> Result<Option<NonNull<u8>>, MemoryError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {}
            _ => {
                return Err(MemoryError::OutsideReservation {
                    offset,
                    len,
                    reserved: self.len,
                });
            }
        }
        let page = host_page_size();
        if !offset.is_multiple_of(page) || !len.is_multiple_of(page) {
            return Err(MemoryError::Misaligned { offset, len, page });
        }
        if len == 0 {
            return Ok(None);
        }
        // SAFETY: `offset` lies in the mapping, by the check above.
        Ok(Some(unsafe { self.base.add(offset) }))
    }
}

fn refused(len: usize, source: crate::OsError) -> MemoryError {
    MemoryError::Protect {
        bytes: len as u64,
        source,
    }
}
