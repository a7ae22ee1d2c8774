//! Initial contents that many memories share until they write to them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{MemoryError, host_page_size, sys};

/// The largest guarded memory.
const MAX_IMAGE_BYTES: u64 = 1 << 32;

/// What a guarded memory starts with, mapped copy-on-write: a page is copied when it is first
/// written, not when the memory is made.
///
/// Pays where the initial contents are large. A page that the guest writes costs a fault and a copy,
/// more than the copy alone would have cost.
///
/// Only on Linux and Android; elsewhere, [`MemoryImage::new`] says so. The plain path is to write the
/// same bytes to a memory without an image.
#[derive(Debug)]
pub struct MemoryImage {
    /// No two images of a process have the same, not even one after the other.
    id: u64,
    /// Whole host pages.
    len: usize,
    file: sys::ImageFile,
}

impl MemoryImage {
    /// An image of these pieces, each bytes and their offset from the memory's start. Where pieces
    /// overlap, the later one counts; what is between them is zero.
    ///
    /// # Errors
    ///
    /// [`MemoryError::ImageUnsupported`] where there are no images; [`MemoryError::Image`] if the
    /// host refuses, because it has too little memory, too many open files, or forbids
    /// `memfd_create`; [`MemoryError::ImageTooLarge`] if no memory holds it.
    pub fn new(pieces: &[(u64, &[u8])]) -> Result<MemoryImage, MemoryError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(reason) = sys::PLATFORM_GAP.or(sys::IMAGE_GAP) {
            return Err(MemoryError::ImageUnsupported { reason });
        }
        let end = pieces
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(offset, bytes)| offset.saturating_add(bytes.len() as u64))
            .max()
            .unwrap_or(0);
        if end > MAX_IMAGE_BYTES {
            return Err(MemoryError::ImageTooLarge {
                image: end,
                memory: MAX_IMAGE_BYTES,
            });
        }
        // At most 4 GiB, and only on hosts that can address a guarded memory.
        let len = (end as usize).next_multiple_of(host_page_size());
        // Every piece ends at `len` at most, which fits.
        let pieces: Vec<_> = pieces
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(offset, bytes)| (*offset as usize, *bytes))
            .collect();
        let file = sys::ImageFile::new(len, &pieces)
            .map_err(|source| MemoryError::Image { bytes: end, source })?;
        Ok(MemoryImage {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            len,
            file,
        })
    }

    /// Bytes from the memory's start that the image covers: whole host pages. A memory must be at
    /// least as large from the start.
    pub fn byte_len(&self) -> u64 {
        self.len as u64
    }

    pub(crate) fn mapped_len(&self) -> usize {
        self.len
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn file(&self) -> &sys::ImageFile {
        &self.file
    }

    /// Checks that a memory of `len` bytes holds the image.
    pub(crate) fn fits(&self, len: usize) -> Result<(), MemoryError> {
        if self.len > len {
            return Err(MemoryError::ImageTooLarge {
                image: self.len as u64,
                memory: len as u64,
            });
        }
        Ok(())
    }
}
