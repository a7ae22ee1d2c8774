//! Zeroed bytes from the global allocator, without aborting when there are none.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// The largest alignment for which every host's allocator passes a zeroed allocation straight to
/// `calloc`: large ones then come lazily zeroed from the operating system, instead of being written.
pub(crate) const ALIGN: usize = 8;

/// The request does not fit the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllocError;

/// An owned, zeroed allocation that is accessed through its raw base pointer only.
#[derive(Debug)]
pub(crate) struct HeapBytes {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: `HeapBytes` owns its allocation alone, and the global allocator is not bound to a thread.
unsafe impl Send for HeapBytes {}
// SAFETY: shared references only read the base address and the length.
unsafe impl Sync for HeapBytes {}

impl HeapBytes {
    /// Allocates `len` zero bytes, aligned to [`ALIGN`].
    pub(crate) fn zeroed(len: usize) -> Result<HeapBytes, AllocError> {
        let layout = Layout::from_size_align(len, ALIGN).map_err(|_| AllocError)?;
        if len == 0 {
            return Ok(HeapBytes {
                base: NonNull::<u64>::dangling().cast(),
                len,
            });
        }
        crate::sys::admit(crate::sys::Request::Allocate).map_err(|_| AllocError)?;
        // SAFETY: the layout's size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(AllocError)?;
        Ok(HeapBytes { base, len })
    }

    /// Address of the first byte; dangling but aligned if there are none.
    #[inline]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for HeapBytes {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: `zeroed` accepted the same size and alignment, so they still form a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(self.len, ALIGN) };
        // SAFETY: allocated in `zeroed` with this layout, and freed only here.
        unsafe { dealloc(self.base.as_ptr(), layout) };
    }
}
