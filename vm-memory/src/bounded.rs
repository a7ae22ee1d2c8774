//! Linear memory on the heap, for accesses that are checked by code.

use std::ptr::NonNull;

use crate::heap::HeapBytes;
use crate::{GrowError, MemoryError, MemoryType};

/// A linear memory on the heap: any memory type, any platform, no system calls of this crate's.
///
/// Nothing but code checks its bounds. Growth may move the base.
#[derive(Debug)]
pub struct BoundedMemory {
    /// May be larger than the memory, so that repeated growth does not copy every time. Bytes past
    /// `len` are zero: nothing can write them before the memory has grown over them.
    heap: HeapBytes,
    ty: MemoryType,
    pages: u64,
    /// Accessible bytes; always `pages` × page size.
    len: usize,
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
        let heap = HeapBytes::zeroed(len).map_err(|_| refused)?;
        Ok(BoundedMemory {
            heap,
            ty: *ty,
            pages: ty.minimum,
            len,
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
        if len > self.heap.len() {
            self.enlarge(len)?;
        }
        self.pages = pages;
        self.len = len;
        Ok(previous)
    }

    /// Moves the contents to an allocation of at least `len` bytes.
    fn enlarge(&mut self, len: usize) -> Result<(), GrowError> {
        // Twice the size makes the copying linear in the final size; zeroed pages that nobody
        // touches cost no memory. If that much cannot be had, the exact size may.
        let limit = self.ty.bytes(self.ty.limit_pages()).unwrap_or(u64::MAX);
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let generous = self.heap.len().saturating_mul(2).min(room).max(len);
        let heap = HeapBytes::zeroed(generous)
            .or_else(|_| HeapBytes::zeroed(len))
            .map_err(|_| GrowError::HostMemory {
                bytes: (len - self.len) as u64,
                source: None,
            })?;
        // SAFETY: `self.len` bytes are allocated in the old heap (invariant of the type), and at
        // least `len`, which is more, in the new one; two allocations do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.heap.base().as_ptr(),
                heap.base().as_ptr(),
                self.len,
            );
        }
        self.heap = heap;
        Ok(())
    }

    /// Address of the first byte, aligned to 8; valid until the memory grows.
    pub fn base_ptr(&self) -> *mut u8 {
        NonNull::as_ptr(self.heap.base())
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
}
