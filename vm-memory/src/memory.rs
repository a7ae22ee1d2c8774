//! Linear memory of either kind, and the host's checked access to its bytes.

use std::ops::Range;

use crate::{
    BoundedMemory, GrowError, GuardedMemory, Layout, MemoryError, MemoryImage, MemoryType,
    OutOfBounds, Pool, SharedMemory,
};

/// A linear memory, bounds-checked by guard pages or by code.
///
/// Of a shared one no bytes are lent: what lends them finds none. Copies are made of it as of any other.
///
/// Offsets and lengths of the host's accesses are in bytes and checked explicitly in both kinds; an
/// access that is refused has changed nothing.
///
/// Guest code reaches the bytes through [`base_ptr`](Self::base_ptr). Whoever runs it must not let it
/// run while a slice borrowed from the memory is alive.
#[derive(Debug)]
pub enum LinearMemory {
    /// Bounds are checked by page protection.
    Guarded(GuardedMemory),
    /// Bounds are checked by code.
    Bounded(BoundedMemory),
    /// Threads share it; its bounds are checked either way.
    Shared(SharedMemory),
}

impl LinearMemory {
    /// A guarded memory of the type's minimum size, zeroed.
    ///
    /// # Errors
    ///
    /// The type is invalid or not [guardable](MemoryType::guardable), or the host refuses; the error
    /// names the limit it ran into.
    pub fn new_guarded(ty: &MemoryType, layout: Layout) -> Result<LinearMemory, MemoryError> {
        GuardedMemory::new(ty, layout).map(LinearMemory::Guarded)
    }

    /// A guarded memory of the type's minimum size from a pool: zeroed, or with the contents of an
    /// image.
    ///
    /// # Errors
    ///
    /// As for [`Pool::memory`].
    pub fn new_pooled(
        ty: &MemoryType,
        pool: &Pool,
        image: Option<&MemoryImage>,
    ) -> Result<LinearMemory, MemoryError> {
        pool.memory(ty, image).map(LinearMemory::Guarded)
    }

    /// A bounded memory of the type's minimum size, zeroed.
    ///
    /// # Errors
    ///
    /// The type is invalid, or the host has not enough memory.
    pub fn new_bounded(ty: &MemoryType) -> Result<LinearMemory, MemoryError> {
        BoundedMemory::new(ty).map(LinearMemory::Bounded)
    }

    /// Whether guard pages check the bounds.
    pub fn is_guarded(&self) -> bool {
        match self {
            LinearMemory::Guarded(_) => true,
            LinearMemory::Bounded(_) => false,
            LinearMemory::Shared(memory) => memory.layout().is_some(),
        }
    }

    /// The memory, if threads share it.
    pub fn shared(&self) -> Option<&SharedMemory> {
        match self {
            LinearMemory::Shared(memory) => Some(memory),
            LinearMemory::Guarded(_) | LinearMemory::Bounded(_) => None,
        }
    }

    /// Address of the first byte. Constant in a guarded memory; growth may move it in a bounded one.
    #[inline]
    pub fn base_ptr(&self) -> *mut u8 {
        match self {
            LinearMemory::Guarded(memory) => memory.base_ptr(),
            LinearMemory::Bounded(memory) => memory.base_ptr(),
            LinearMemory::Shared(memory) => memory.base_ptr(),
        }
    }

    /// Accessible bytes.
    #[inline]
    pub fn byte_len(&self) -> u64 {
        self.len() as u64
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            LinearMemory::Guarded(memory) => memory.byte_len(),
            LinearMemory::Bounded(memory) => memory.byte_len(),
            // At most what is reserved.
            LinearMemory::Shared(memory) => memory.byte_len() as usize,
        }
    }

    /// Accessible pages, of the type's page size (`memory.size`).
    pub fn pages(&self) -> u64 {
        match self {
            LinearMemory::Guarded(memory) => memory.pages(),
            LinearMemory::Bounded(memory) => memory.pages(),
            LinearMemory::Shared(memory) => memory.pages(),
        }
    }

    /// The type it was made with. Its minimum stays that of the start.
    pub fn ty(&self) -> &MemoryType {
        match self {
            LinearMemory::Guarded(memory) => memory.ty(),
            LinearMemory::Bounded(memory) => memory.ty(),
            LinearMemory::Shared(memory) => memory.ty(),
        }
    }

    /// The layout of a guarded memory.
    pub fn layout(&self) -> Option<Layout> {
        match self {
            LinearMemory::Guarded(memory) => Some(memory.layout()),
            LinearMemory::Bounded(_) => None,
            LinearMemory::Shared(memory) => memory.layout(),
        }
    }

    /// The addresses at which a guest's fault means "out of bounds": the whole reservation with its
    /// front guard, or `None` for a bounded memory.
    pub fn reservation(&self) -> Option<Range<usize>> {
        match self {
            LinearMemory::Guarded(memory) => Some(memory.reservation()),
            LinearMemory::Bounded(_) => None,
            LinearMemory::Shared(memory) => memory.reservation(),
        }
    }

    /// Adds `delta` zeroed pages and returns how many there were before (`memory.grow`).
    ///
    /// # Errors
    ///
    /// Past the maximum, or the host has no memory or address space left. The memory is unchanged
    /// then.
    pub fn grow(&mut self, delta: u64) -> Result<u64, GrowError> {
        match self {
            LinearMemory::Guarded(memory) => memory.grow(delta),
            LinearMemory::Bounded(memory) => memory.grow(delta),
            LinearMemory::Shared(memory) => memory.grow(delta),
        }
    }

    /// Bytes that can be lent.
    #[inline]
    fn lent(&self) -> usize {
        match self {
            LinearMemory::Shared(_) => 0,
            LinearMemory::Guarded(_) | LinearMemory::Bounded(_) => self.len(),
        }
    }

    /// All accessible bytes; of a shared memory, none.
    pub fn data(&self) -> &[u8] {
        // SAFETY: both kinds that lend bytes guarantee `lent` initialised (zeroed) readable bytes from a base that is
        // not null, for as long as `self` is not changed; `len` is at most `isize::MAX` because an
        // allocation or a reservation contains it. Whoever writes through `base_ptr` must not do so
        // during this borrow.
        unsafe { std::slice::from_raw_parts(self.base_ptr(), self.lent()) }
    }

    /// All accessible bytes, to write to; of a shared memory, none.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; the bytes are writable, and `&mut self` makes this borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base_ptr(), self.lent()) }
    }

    /// The bytes `offset .. offset + len`.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory, or threads share it.
    pub fn slice(&self, offset: u64, len: u64) -> Result<&[u8], OutOfBounds> {
        let range = OutOfBounds::check(offset, len, self.lent() as u64)?;
        Ok(&self.data()[range])
    }

    /// The bytes `offset .. offset + len`, to write to.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory, or threads share it.
    #[inline]
    pub fn slice_mut(&mut self, offset: u64, len: u64) -> Result<&mut [u8], OutOfBounds> {
        let range = OutOfBounds::check(offset, len, self.lent() as u64)?;
        Ok(&mut self.data_mut()[range])
    }

    /// Copies from the memory into all of `buffer`.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then `buffer` is unchanged.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), OutOfBounds> {
        if let LinearMemory::Shared(memory) = self {
            return memory.read(offset, buffer);
        }
        buffer.copy_from_slice(self.slice(offset, buffer.len() as u64)?);
        Ok(())
    }

    /// Copies all of `bytes` into the memory.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then nothing was written.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        if let LinearMemory::Shared(memory) = self {
            return memory.write(offset, bytes);
        }
        self.slice_mut(offset, bytes.len() as u64)?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Sets `len` bytes to `byte` (`memory.fill`).
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then nothing was written. An empty range must not start
    /// past the end either, as in the specification.
    #[inline]
    pub fn fill(&mut self, offset: u64, len: u64, byte: u8) -> Result<(), OutOfBounds> {
        if let LinearMemory::Shared(memory) = self {
            return memory.fill(offset, len, byte);
        }
        self.slice_mut(offset, len)?.fill(byte);
        Ok(())
    }

    /// Copies `len` bytes within the memory as if through a buffer (`memory.copy`).
    ///
    /// # Errors
    ///
    /// One of the ranges is not inside the memory; then nothing was written. An empty range must not
    /// start past the end either, as in the specification.
    #[inline]
    pub fn copy_within(&mut self, dst: u64, src: u64, len: u64) -> Result<(), OutOfBounds> {
        if let LinearMemory::Shared(memory) = self {
            return memory.copy_within(dst, src, len);
        }
        let src = OutOfBounds::check(src, len, self.byte_len())?;
        let dst = OutOfBounds::check(dst, len, self.byte_len())?;
        self.data_mut().copy_within(src, dst.start);
        Ok(())
    }
}

/// Copies `len` bytes from one memory to another (`memory.copy` between two memories).
///
/// # Errors
///
/// One of the ranges is not inside its memory; then nothing was written.
pub fn copy(
    dst: &mut LinearMemory,
    dst_offset: u64,
    src: &LinearMemory,
    src_offset: u64,
    len: u64,
) -> Result<(), OutOfBounds> {
    match (dst, src) {
        (LinearMemory::Shared(dst), LinearMemory::Shared(src)) => {
            src.copy_to(src_offset, dst, dst_offset, len)
        }
        (LinearMemory::Shared(dst), src) => dst.write(dst_offset, src.slice(src_offset, len)?),
        (dst, LinearMemory::Shared(src)) => src.read(src_offset, dst.slice_mut(dst_offset, len)?),
        (dst, src) => {
            let bytes = src.slice(src_offset, len)?;
            dst.slice_mut(dst_offset, len)?.copy_from_slice(bytes);
            Ok(())
        }
    }
}
