//! Linear memory for accesses that are checked by code.

use std::ptr::NonNull;

use crate::growable::{Growable, Refused};
use crate::{GrowError, MemoryError, MemoryType};

/// A linear memory of any type, on any platform.
///
/// Nothing but code checks its bounds. Growth may move the base. What the guest does not touch takes no
/// memory, and growth touches and copies nothing, where the host has pages (see the crate's documentation);
/// a small memory is on the heap.
#[derive(Debug)]
pub struct BoundedMemory {
    bytes: Growable,
    ty: MemoryType,
    /// Accessible pages; always the length of `bytes`.
    pages: u64,
}

impl BoundedMemory {
    /// Allocates the type's minimum, zeroed.
    ///
    /// # Errors
    ///
    /// The type is invalid, or the host has not enough memory.
    pub fn new(ty: &MemoryType) -> Result<BoundedMemory, MemoryError> {
        ty.validate()?;
        let bytes = ty.bytes(ty.minimum).unwrap_or(u64::MAX);
        let refused = MemoryError::Allocate { bytes };
        let len = usize::try_from(bytes).map_err(|_| refused.clone())?;
        let bytes = Growable::zeroed(len, most(ty)).map_err(|_| refused)?;
        Ok(BoundedMemory {
            bytes,
            ty: *ty,
            pages: ty.minimum,
        })
    }

    /// Adds `delta` zeroed pages and returns how many there were before. The base may move.
    ///
    /// # Errors
    ///
    /// The memory is unchanged then.
    pub fn grow(&mut self, delta: u64) -> Result<u64, GrowError> {
        let previous = self.pages;
        let pages = self.ty.grown(previous, delta)?;
        let bytes = self.ty.bytes(pages).unwrap_or(u64::MAX);
        let len = usize::try_from(bytes)
            .ok()
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or(GrowError::AddressSpace { bytes })?;
        let added = (len - self.bytes.len()) as u64;
        self.bytes
            .grow(len, most(&self.ty))
            .map_err(|Refused(source)| GrowError::HostMemory {
                bytes: added,
                source,
            })?;
        self.pages = pages;
        Ok(previous)
    }

    /// Address of the first byte, aligned to 8; valid until the memory grows.
    #[inline]
    pub fn base_ptr(&self) -> *mut u8 {
        NonNull::as_ptr(self.bytes.base())
    }

    /// Accessible bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Accessible pages, of the type's page size.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The type it was made with.
    pub fn ty(&self) -> &MemoryType {
        &self.ty
    }
}

/// Bytes that a memory of this type may grow to.
fn most(ty: &MemoryType) -> u64 {
    ty.bytes(ty.limit_pages()).unwrap_or(u64::MAX)
}
