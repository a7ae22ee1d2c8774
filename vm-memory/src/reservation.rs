//! Address space that is reserved first and committed piece by piece.

use std::ops::Range;
use std::ptr::NonNull;

use crate::limits::{Request, explain};
use crate::{HostLimit, MemoryError, host_page_size, sys};

/// What may be done with a range of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Every access faults.
    None,
    /// Reading only; a write faults.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// Address space reserved without memory behind it, unmapped on drop.
///
/// Offsets and lengths are in bytes and must be multiples of the [host's page
/// size](crate::host_page_size). A new reservation is inaccessible from end to end, and costs no
/// memory: pages come when a [committed](Self::commit) one is first touched. The base never moves.
///
/// Only addresses are handed out. Whoever turns them into references must keep to what is committed
/// and must hold none while changing the protection under them.
///
/// Works on Linux, Android, Apple systems and FreeBSD; elsewhere, [`Reservation::new`] says so.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and `Reservation` owns it alone.
unsafe impl Send for Reservation {}
// SAFETY: shared references only read the base address and the length; every change takes `&mut`.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes (a multiple of the host's page size, not zero), inaccessible.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Reserve`] names the limit that made the host refuse;
    /// [`MemoryError::Misaligned`] if `len` is zero or no whole number of host pages;
    /// [`MemoryError::Unsupported`] where this crate has no guard pages.
    pub fn new(len: usize) -> Result<Reservation, MemoryError> {
        if let Some(reason) = sys::PLATFORM_GAP {
            return Err(MemoryError::Unsupported { reason });
        }
        let page = host_page_size();
        if len == 0 || !len.is_multiple_of(page) {
            return Err(MemoryError::Misaligned {
                offset: 0,
                len,
                page,
            });
        }
        match sys::reserve(len) {
            Ok(base) => Ok(Reservation { base, len }),
            Err(source) => Err(MemoryError::Reserve {
                bytes: len as u64,
                limit: explain(Request::Reserve, len as u64),
                source: Some(source),
            }),
        }
    }

    /// As [`new`](Self::new), for a length that may not fit this host's addresses.
    pub(crate) fn with_bytes(bytes: u64) -> Result<Reservation, MemoryError> {
        match usize::try_from(bytes) {
            // Above `isize::MAX` pointer offsets have no meaning in Rust.
            Ok(len) if isize::try_from(len).is_ok() => Reservation::new(len),
            _ => Err(MemoryError::Reserve {
                bytes,
                limit: HostLimit::AddressWidth,
                source: None,
            }),
        }
    }

    /// Address of the first byte. Constant for the life of the reservation.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "a reservation is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The addresses from the first byte to one past the last.
    pub fn addresses(&self) -> Range<usize> {
        let start = self.base.addr().get();
        start..start + self.len
    }

    /// Makes a range readable and writable. Pages not touched before read as zero; those that were
    /// keep their contents.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Commit`] names the limit that made the host refuse. The host changes pages of
    /// one protection all at once, but a range of mixed protections may have been changed in part. A
    /// range that does not fit is refused as well.
    pub fn commit(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
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

    /// Gives the pages of a range back to the host and makes it inaccessible. When it is committed
    /// again, it reads as zero.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Protect`] if the host refuses, after which the range may be inaccessible with
    /// its pages kept. A range that does not fit is refused as well.
    pub fn decommit(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: `range` has checked that it is ours and page-aligned. References into it are
        // excluded by the contract of whoever made them (see the type's documentation).
        unsafe { sys::decommit(address, len) }.map_err(|source| MemoryError::Protect {
            bytes: len as u64,
            source,
        })
    }

    /// Sets what may be done with a range. Contents are kept, even while inaccessible.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Protect`] with the operating system's own error; cheap, no limit is looked
    /// for. A range that does not fit is refused as well.
    pub fn protect(
        &mut self,
        offset: usize,
        len: usize,
        protection: Protection,
    ) -> Result<(), MemoryError> {
        let Some(address) = self.range(offset, len)? else {
            return Ok(());
        };
        // SAFETY: as in `decommit`.
        unsafe { sys::protect(address, len, protection) }.map_err(|source| MemoryError::Protect {
            bytes: len as u64,
            source,
        })
    }

    /// The address of a range that lies in the reservation on page boundaries, or `None` if the
    /// range is empty and there is nothing to do.
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

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { sys::release(self.base, self.len) };
    }
}
