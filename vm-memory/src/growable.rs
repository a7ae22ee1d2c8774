//! Zeroed bytes that grow. What nobody has touched costs no memory, and growing touches and copies nothing.
//!
//! Few bytes are on the heap: mapping pages takes longer than clearing them. From [`MAPPED_BYTES`] on they are
//! pages of the host's, with room reserved behind them, in which they grow without moving. Where so much
//! address space cannot be had, or is used up, the host moves the pages without touching them (`mremap`,
//! Linux). Where there is none of this, bytes are copied to twice the room.

use std::ptr::NonNull;

use crate::heap::HeapBytes;
use crate::sys::{self, PLATFORM_GAP};
use crate::{OsError, Protection, host_page_size};

/// From this size on, bytes are pages of their own: more is copied in no growth, and allocators that use
/// memory again write zeroes to all of it.
pub(crate) const MAPPED_BYTES: usize = 256 << 10;

/// Room that is reserved unless the bytes may not grow so far: all that a 32-bit index reaches.
const ROOM: u64 = 1 << 32;

/// At most so much is made accessible in advance when bytes grow, so that many small steps are few requests.
const AHEAD: usize = 16 << 20;

/// The host has refused; what it said, if it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) Option<OsError>);

/// Owned bytes, zero unless written, that are accessed through their raw base pointer only.
///
/// Bytes behind the length, if there are any, are zero: nobody knows of them before it has grown over them.
#[derive(Debug)]
pub(crate) struct Growable {
    place: Place,
    len: usize,
}

#[derive(Debug)]
enum Place {
    Heap(HeapBytes),
    Mapped(Mapping),
}

impl Growable {
    /// `len` bytes, aligned to 8, that will not grow over `limit`.
    pub(crate) fn zeroed(len: usize, limit: u64) -> Result<Growable, Refused> {
        let place = match Mapping::new(len, limit, len) {
            Some(mapping) => Place::Mapped(mapping),
            None => Place::Heap(HeapBytes::zeroed(len).map_err(|_| Refused(None))?),
        };
        Ok(Growable { place, len })
    }

    /// Adds zeroed bytes up to a length that is not less than the present one, and not over `limit`. The base
    /// may move. If the host refuses, nothing has changed.
    pub(crate) fn grow(&mut self, len: usize, limit: u64) -> Result<(), Refused> {
        let grown = match &mut self.place {
            Place::Heap(heap) if len <= heap.len() => Ok(()),
            Place::Mapped(mapping) => mapping.grow(len, limit),
            Place::Heap(_) => Err(Refused(None)),
        };
        if let Err(refused) = grown {
            self.move_to(len, limit).map_err(|()| refused)?;
        }
        self.len = len;
        Ok(())
    }

    /// Copies the bytes to where there is room for `len`.
    fn move_to(&mut self, len: usize, limit: u64) -> Result<(), ()> {
        // Twice the size makes the copying linear in the final size. If that much cannot be had, the exact
        // size may.
        let generous = twice(self.len, len, limit);
        let place = match Mapping::new(len, limit, generous) {
            Some(mapping) => Place::Mapped(mapping),
            None => {
                let heap = HeapBytes::zeroed(generous).or_else(|_| HeapBytes::zeroed(len));
                Place::Heap(heap.map_err(|_| ())?)
            }
        };
        // SAFETY: `self.len` bytes are accessible at the old base (invariant of the type), and at least
        // `len`, which is more, at the new one; the two places do not overlap.
        unsafe { place.base().copy_from_nonoverlapping(self.base(), self.len) };
        self.place = place;
        Ok(())
    }

    /// Address of the first byte, aligned to 8; dangling if there are none.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.place.base()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Place {
    fn base(&self) -> NonNull<u8> {
        match self {
            Place::Heap(heap) => heap.base(),
            Place::Mapped(mapping) => mapping.base,
        }
    }
}

/// Pages of the host's: accessible ones, then reserved ones.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    /// Bytes from the base that are accessible: whole pages, at least one.
    accessible: usize,
    /// Bytes from the base that are mapped, the accessible ones among them: whole pages.
    mapped: usize,
}

// SAFETY: the mapping is owned alone, and no mapping is bound to a thread.
unsafe impl Send for Mapping {}
// SAFETY: shared references only read the address and the lengths.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Pages for `len` bytes that will not grow over `limit`, with room for all that may come, else for
    /// `generous` bytes, else for no more. `None` if the bytes belong on the heap, or the host refuses.
    fn new(len: usize, limit: u64, generous: usize) -> Option<Mapping> {
        if PLATFORM_GAP.is_some() || len < MAPPED_BYTES {
            return None;
        }
        let accessible = whole_pages(len)?;
        // Who limits the address space of a process has other uses for it.
        let all = match sys::address_space_limit() {
            None => usize::try_from(limit.min(ROOM)).ok(),
            Some(_) => None,
        };
        let rooms = [all, Some(generous), Some(len)];
        let (base, mapped) = rooms.into_iter().flatten().find_map(|bytes| {
            let bytes = whole_pages(bytes.max(len))?;
            Some((sys::reserve(bytes).ok()?, bytes))
        })?;
        let mut mapping = Mapping {
            base,
            accessible: 0,
            mapped,
        };
        mapping.open(accessible).ok()?;
        Some(mapping)
    }

    /// Makes the pages of `len` bytes accessible, where they are or, where the host can do that, elsewhere.
    fn grow(&mut self, len: usize, limit: u64) -> Result<(), Refused> {
        if len <= self.accessible {
            return Ok(());
        }
        let needed = whole_pages(len).ok_or(Refused(None))?;
        let grown = if needed <= self.mapped {
            let ahead = needed
                + (self.accessible / 2)
                    .min(AHEAD)
                    .next_multiple_of(host_page_size());
            let opened = self.open(ahead.min(self.mapped));
            opened.or_else(|_| self.open(needed))
        } else {
            let generous = whole_pages(twice(self.accessible, len, limit)).unwrap_or(needed);
            let moved = self.enlarge(generous);
            moved.or_else(|_| self.enlarge(needed))
        };
        grown.map_err(|error| Refused(Some(error)))
    }

    /// Makes the first `bytes` bytes accessible, whole pages that are mapped.
    fn open(&mut self, bytes: usize) -> Result<(), OsError> {
        // SAFETY: not more than are mapped, so inside the mapping or one past its end.
        let end = unsafe { self.base.add(self.accessible) };
        let added = bytes - self.accessible;
        // SAFETY: whole pages of our own mapping, and nobody has a reference to what is not yet accessible.
        let opened = unsafe { sys::protect(end, added, Protection::ReadWrite) };
        match opened {
            Ok(()) => self.accessible = bytes,
            Err(_) => {
                // Linux changes all of a range like this one or nothing; other hosts promise no such thing.
                // SAFETY: as above.
                let _ = unsafe { sys::protect(end, added, Protection::None) };
            }
        }
        opened
    }

    /// Maps `bytes` bytes, whole pages, in place of the present ones, and all of them accessible.
    fn enlarge(&mut self, bytes: usize) -> Result<(), OsError> {
        // SAFETY: our own pages, of one kind, which nobody borrows: growing takes the owner exclusively.
        let moved = unsafe { sys::enlarge(self.base, self.accessible, bytes)? };
        if self.accessible < self.mapped {
            // SAFETY: the rest of the mapping, which is ours, and which nobody uses.
            unsafe {
                let rest = self.base.add(self.accessible);
                sys::release(rest, self.mapped - self.accessible);
            }
        }
        self.base = moved;
        self.accessible = bytes;
        self.mapped = bytes;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { sys::release(self.base, self.mapped) };
    }
}

/// Twice as much as there is, if that is enough for `len` and not too much for `limit`.
fn twice(present: usize, len: usize, limit: u64) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    present.saturating_mul(2).min(limit).max(len)
}

/// The bytes of as many host pages as hold `len`, if one object can have so many.
fn whole_pages(len: usize) -> Option<usize> {
    let bytes = len.checked_next_multiple_of(host_page_size())?;
    isize::try_from(bytes).is_ok().then_some(bytes)
}
