//! Address space that is reserved first and committed piece by piece.

use std::ops::Range;
use std::ptr::NonNull;

use crate::image::MemoryImage;
use crate::limits::{Request, explain};
use crate::span::Span;
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
    span: Span,
    leaked: bool,
}

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
            Ok(base) => Ok(Reservation {
                // SAFETY: the mapping is new and belongs to the reservation alone.
                span: unsafe { Span::new(base, len) },
                leaked: false,
            }),
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
        self.span.base()
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "a reservation is never empty")]
    pub fn len(&self) -> usize {
        self.span.len()
    }

    /// The addresses from the first byte to one past the last.
    pub fn addresses(&self) -> Range<usize> {
        self.span.addresses()
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
        self.span.commit(offset, len)
    }

    /// Gives the pages of a range back to the host and makes it inaccessible. When it is committed
    /// again, it reads as zero.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Protect`] if the host refuses, after which the range may be inaccessible with
    /// its pages kept. A range that does not fit is refused as well.
    pub fn decommit(&mut self, offset: usize, len: usize) -> Result<(), MemoryError> {
        self.span.decommit(offset, len)
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
        self.span.protect(offset, len, protection)
    }

    /// Maps an image copy-on-write, readable only until it is committed.
    pub(crate) fn map(&mut self, offset: usize, image: &MemoryImage) -> Result<(), MemoryError> {
        self.span.map(offset, image)
    }

    /// Keeps the mapping for ever: there may be a hole in it, with something of another's.
    pub(crate) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.leaked || self.span.is_torn() {
            return;
        }
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { sys::release(self.base(), self.len()) };
    }
}
