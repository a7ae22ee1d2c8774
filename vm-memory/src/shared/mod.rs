//! Linear memory that belongs to several threads at once.
//!
//! | module | what |
//! | --- | --- |
//! | `bytes` | copies of bytes that others may access at the same time |
//! | `sync` | the locks for it |
//! | `waiters` | who waits at which address |

mod bytes;
mod sync;
mod waiters;

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::heap::HeapBytes;
use crate::sys::PLATFORM_GAP;
use crate::{
    GrowError, Layout, MemoryError, MemoryType, OutOfBounds, Protection, Reservation,
    host_page_size,
};

use sync::{Instant, Mutex};
use waiters::Queues;
pub use waiters::{Ticks, WaitResult, Waiter};

/// Where a memory's bytes are, and how many: what code reads that finds a memory by a pointer to this.
///
/// The base of a [`SharedMemory`] never changes, and its length only grows, at any time.
#[repr(C)]
#[derive(Debug)]
pub struct Extent {
    /// Address of the first byte.
    pub base: *mut u8,
    /// Accessible bytes.
    pub len: AtomicU64,
}

/// A linear memory that any number of threads use at once: a handle, cheap to clone.
///
/// It lives as long as one of its handles. Its base never moves: room up to its maximum is reserved when it is made, so that growth
/// by one thread stops no other. What was inside of it stays inside.
///
/// Nobody is lent its bytes. The host reads and writes copies, by atomic accesses; guests do so by atomic accesses too, or in assembly,
/// of which Rust's memory model knows nothing.
///
/// # Examples
///
/// ```
/// use vm_memory::{MemoryType, SharedMemory, WaitResult};
///
/// let memory = SharedMemory::new_bounded(&MemoryType::new(1, Some(2)))?;
/// let other = memory.clone();
/// std::thread::spawn(move || other.write(8, &[1, 2, 3])).join().unwrap()?;
/// let mut bytes = [0; 4];
/// memory.read(8, &mut bytes)?;
/// assert_eq!(bytes, [1, 2, 3, 0]);
/// assert_eq!(memory.grow(1)?, 1);
/// assert_eq!(memory.atomic_wait32(0, 7, None)?, WaitResult::Mismatch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SharedMemory(Arc<Inner>);

struct Inner {
    extent: Extent,
    ty: MemoryType,
    layout: Option<Layout>,
    /// Offset of the base in what it lies in.
    base_offset: usize,
    /// The addresses of all that is reserved.
    addresses: Range<usize>,
    /// Locked while it grows.
    space: Mutex<Space>,
    queues: Queues,
}

/// What the memory lies in.
enum Space {
    /// Reserved pages, of which so many bytes from the base are accessible.
    Reserved { pages: Reservation, open: usize },
    /// All that it may have, where there are no pages to reserve.
    Heap { _bytes: HeapBytes },
}

// SAFETY: the base points into the owned space, which is not bound to a thread.
unsafe impl Send for Inner {}
// SAFETY: the length is atomic; the space is behind a lock; the bytes are accessed atomically only, or in assembly by guests.
unsafe impl Sync for Inner {}

/// Why an atomic operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtomicError {
    /// The bytes are not inside the memory.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// The address is no multiple of the width.
    #[error("the address {address:#x} of an atomic access is no multiple of its {width} bytes")]
    Unaligned {
        /// The address.
        address: u64,
        /// Bytes accessed.
        width: u32,
    },
}

/// The value that a thread waits for to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Of 32 bits.
    U32(u32),
    /// Of 64 bits.
    U64(u64),
}

impl Expected {
    /// Bytes of it.
    pub const fn width(self) -> u32 {
        match self {
            Expected::U32(_) => 4,
            Expected::U64(_) => 8,
        }
    }
}

impl SharedMemory {
    /// A memory of the type's minimum size, zeroed, whose bounds are checked by guard pages.
    ///
    /// # Errors
    ///
    /// The type is invalid, has no maximum, or is not [guardable](MemoryType::guardable); or the host refuses.
    pub fn new_guarded(ty: &MemoryType, layout: Layout) -> Result<SharedMemory, MemoryError> {
        validate(ty)?;
        ty.guardable()?;
        let pages = Reservation::with_bytes(layout.reservation_bytes())?;
        // It fits: the reservation, which is larger, exists.
        SharedMemory::reserved(ty, pages, layout.base_offset() as usize, Some(layout))
    }

    /// A memory of the type's minimum size, zeroed, whose bounds are checked by code. Room for its maximum is reserved, which takes address
    /// space but no memory.
    ///
    /// # Errors
    ///
    /// The type is invalid or has no maximum; or the host has not so much address space.
    pub fn new_bounded(ty: &MemoryType) -> Result<SharedMemory, MemoryError> {
        validate(ty)?;
        let most = ty.bytes(ty.limit_pages()).unwrap_or(u64::MAX);
        let refused = MemoryError::Allocate { bytes: most };
        if PLATFORM_GAP.is_some() {
            let most = usize::try_from(most).map_err(|_| refused.clone())?;
            let bytes = HeapBytes::zeroed(most).map_err(|_| refused)?;
            let start = bytes.base();
            let addresses = start.as_ptr().addr()..start.as_ptr().addr();
            let space = Space::Heap { _bytes: bytes };
            return Ok(SharedMemory::place(ty, start, 0, addresses, None, space));
        }
        let page = host_page_size() as u64;
        let room = most.checked_next_multiple_of(page).ok_or(refused)?;
        let pages = Reservation::with_bytes(room.max(page))?;
        SharedMemory::reserved(ty, pages, 0, None)
    }

    /// In reserved pages, of which the first are made accessible.
    fn reserved(
        ty: &MemoryType,
        mut pages: Reservation,
        base_offset: usize,
        layout: Option<Layout>,
    ) -> Result<SharedMemory, MemoryError> {
        // Not more than the maximum, for which there is room.
        let len = (ty.minimum * ty.page_size()) as usize;
        let open = len.next_multiple_of(host_page_size());
        pages.commit(base_offset, open)?;
        // SAFETY: the base lies inside of what is reserved.
        let base = unsafe { pages.base().add(base_offset) };
        let addresses = pages.addresses();
        let space = Space::Reserved { pages, open };
        Ok(SharedMemory::place(
            ty,
            base,
            base_offset,
            addresses,
            layout,
            space,
        ))
    }

    fn place(
        ty: &MemoryType,
        base: NonNull<u8>,
        base_offset: usize,
        addresses: Range<usize>,
        layout: Option<Layout>,
        space: Space,
    ) -> SharedMemory {
        SharedMemory(Arc::new(Inner {
            extent: Extent {
                base: base.as_ptr(),
                len: AtomicU64::new(ty.minimum * ty.page_size()),
            },
            ty: *ty,
            layout,
            base_offset,
            addresses,
            space: Mutex::new(space),
            queues: Queues::default(),
        }))
    }

    /// The type it was made with. Its minimum stays that of the start.
    pub fn ty(&self) -> &MemoryType {
        &self.0.ty
    }

    /// The layout of a guarded memory.
    pub fn layout(&self) -> Option<Layout> {
        self.0.layout
    }

    /// The addresses at which a guest's fault means "out of bounds": the whole reservation with its front guard, or `None` for a memory
    /// that is not guarded.
    pub fn reservation(&self) -> Option<Range<usize>> {
        self.0.layout.map(|_| self.0.addresses.clone())
    }

    /// Accessible bytes. More may come at any time, and none goes.
    pub fn byte_len(&self) -> u64 {
        self.0.extent.len.load(Ordering::SeqCst)
    }

    /// Accessible pages, of the type's page size.
    pub fn pages(&self) -> u64 {
        self.byte_len() / self.0.ty.page_size()
    }

    /// Address of the first byte. Constant.
    pub fn base_ptr(&self) -> *mut u8 {
        self.0.extent.base
    }

    /// Where base and length are, for code that reads them. It lives as long as the memory.
    pub fn extent(&self) -> &Extent {
        &self.0.extent
    }

    /// Whether both are handles of one memory.
    pub fn same(&self, other: &SharedMemory) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// All bytes that are accessible now. Others may change them at any time: to read or write one is up to who can show that it is
    /// no data race.
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        // At most what is reserved.
        let len = self.byte_len() as usize;
        // SAFETY: so many bytes are accessible as long as the memory lives, and never become fewer. References to cells promise
        // nothing about what is in them.
        unsafe { std::slice::from_raw_parts(self.base_ptr().cast(), len) }
    }

    /// Adds `delta` zeroed pages in place and returns how many there were before (`memory.grow`). Other threads see them when they next
    /// read the length.
    ///
    /// # Errors
    ///
    /// Past the maximum, or the host has no memory left. The memory is unchanged then.
    pub fn grow(&self, delta: u64) -> Result<u64, GrowError> {
        let Inner {
            extent,
            ty,
            base_offset,
            space,
            ..
        } = &*self.0;
        let mut space = space.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.pages();
        let pages = ty.grown(before, delta)?;
        // Not more than the maximum, for which there is room.
        let len = (pages * ty.page_size()) as usize;
        if let Space::Reserved {
            pages: reservation,
            open,
        } = &mut *space
        {
            let needed = len.next_multiple_of(host_page_size());
            if needed > *open {
                let (end, added) = (base_offset + *open, needed - *open);
                let opened = reservation.protect(end, added, Protection::ReadWrite);
                if let Err(error) = opened {
                    let _ = reservation.protect(end, added, Protection::None);
                    return Err(GrowError::HostMemory {
                        bytes: added as u64,
                        source: match error {
                            MemoryError::Protect { source, .. } => Some(source),
                            _ => None,
                        },
                    });
                }
                *open = needed;
            }
        }
        extent.len.store(len as u64, Ordering::SeqCst);
        Ok(before)
    }

    /// Copies from the memory into all of `buffer`.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then `buffer` is unchanged.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(offset, buffer.len() as u64)?;
        // SAFETY: the bytes are inside, and accessed as this type promises.
        unsafe { bytes::read(from, buffer) };
        Ok(())
    }

    /// Copies all of `bytes` into the memory.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then nothing was written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(offset, bytes.len() as u64)?;
        // SAFETY: as in `read`.
        unsafe { bytes::write(to, bytes) };
        Ok(())
    }

    /// Sets `len` bytes to `byte` (`memory.fill`).
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then nothing was written.
    pub fn fill(&self, offset: u64, len: u64, byte: u8) -> Result<(), OutOfBounds> {
        let to = self.at(offset, len)?;
        // SAFETY: as in `read`.
        unsafe { bytes::fill(to, len as usize, byte) };
        Ok(())
    }

    /// Copies `len` bytes within the memory as if through a buffer (`memory.copy`).
    ///
    /// # Errors
    ///
    /// One of the ranges is not inside the memory; then nothing was written.
    pub fn copy_within(&self, dst: u64, src: u64, len: u64) -> Result<(), OutOfBounds> {
        let (from, to) = (self.at(src, len)?, self.at(dst, len)?);
        // SAFETY: as in `read`.
        unsafe { bytes::copy(from, to, len as usize) };
        Ok(())
    }

    /// Copies `len` bytes to another memory (`memory.copy` between two memories).
    ///
    /// # Errors
    ///
    /// One of the ranges is not inside its memory; then nothing was written.
    pub fn copy_to(
        &self,
        src: u64,
        other: &SharedMemory,
        dst: u64,
        len: u64,
    ) -> Result<(), OutOfBounds> {
        let (from, to) = (self.at(src, len)?, other.at(dst, len)?);
        // SAFETY: as in `read`, of both.
        unsafe { bytes::copy(from, to, len as usize) };
        Ok(())
    }

    /// The address of `offset .. offset + len`, if that lies in the memory.
    fn at(&self, offset: u64, len: u64) -> Result<*mut u8, OutOfBounds> {
        let range = OutOfBounds::check(offset, len, self.byte_len())?;
        // SAFETY: at most the length, so inside of what is reserved.
        Ok(unsafe { self.base_ptr().add(range.start) })
    }

    /// The address of an atomic access.
    fn atomic(&self, address: u64, width: u32) -> Result<*mut u8, AtomicError> {
        if !address.is_multiple_of(width.into()) {
            return Err(AtomicError::Unaligned { address, width });
        }
        Ok(self.at(address, width.into())?)
    }

    /// Wakes threads that wait at an address, at most so many (`memory.atomic.notify`). Answers how many.
    ///
    /// # Errors
    ///
    /// There are no four bytes there, or the address is no multiple of four.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32, AtomicError> {
        self.atomic(address, 4)?;
        Ok(self.0.queues.wake(address, count))
    }

    /// Waits at an address until woken, if the value there is what is expected (`memory.atomic.wait32`); without a time-out for ever.
    ///
    /// # Errors
    ///
    /// There are no four bytes there, or the address is no multiple of four.
    pub fn atomic_wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, AtomicError> {
        self.wait_forever(address, Expected::U32(expected), timeout)
    }

    /// The same for a value of 64 bits (`memory.atomic.wait64`).
    ///
    /// # Errors
    ///
    /// There are no eight bytes there, or the address is no multiple of eight.
    pub fn atomic_wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, AtomicError> {
        self.wait_forever(address, Expected::U64(expected), timeout)
    }

    fn wait_forever(
        &self,
        address: u64,
        expected: Expected,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, AtomicError> {
        let waiter = Arc::new(Waiter::new());
        let result = self.wait(address, expected, timeout, &waiter, None)?;
        // Nobody else has the waiter.
        Ok(result.unwrap_or(WaitResult::TimedOut))
    }

    /// Waits as [`atomic_wait32`](Self::atomic_wait32) does, and ends with `None` when the waiter is told to stop, or the ticks do not go on.
    ///
    /// # Errors
    ///
    /// The bytes are not inside the memory, or the address is no multiple of their number.
    pub fn wait(
        &self,
        address: u64,
        expected: Expected,
        timeout: Option<Duration>,
        waiter: &Arc<Waiter>,
        ticks: Option<Ticks<'_>>,
    ) -> Result<Option<WaitResult>, AtomicError> {
        let at = self.atomic(address, expected.width())?;
        // What is too far off to be told is never.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // SAFETY: the bytes are inside of a memory that this handle keeps, aligned, and accessed as this type promises.
        let is_expected = || unsafe {
            match expected {
                Expected::U32(value) => {
                    let found = AtomicU32::from_ptr(at.cast()).load(Ordering::SeqCst);
                    u32::from_le(found) == value
                }
                Expected::U64(value) => {
                    let found = AtomicU64::from_ptr(at.cast()).load(Ordering::SeqCst);
                    u64::from_le(found) == value
                }
            }
        };
        Ok((self.0.queues).wait(address, is_expected, until, waiter, ticks))
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("ty", &self.0.ty)
            .field("layout", &self.0.layout)
            .field("bytes", &self.byte_len())
            .finish_non_exhaustive()
    }
}

/// Checks the type. Specification of the proposal: "Spec Changes", "Linear memory": a shared memory has a maximum.
fn validate(ty: &MemoryType) -> Result<(), MemoryError> {
    ty.validate()?;
    if ty.maximum.is_none() {
        return Err(crate::InvalidMemoryType::SharedWithoutMaximum.into());
    }
    Ok(())
}
