//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::HostLimit;
use crate::layout::Layout;

/// An error number of the operating system (`errno`, or `GetLastError` on Windows).
///
/// Unlike [`io::Error`] it can be copied and compared; it converts into one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OsError(i32);

impl OsError {
    /// No call was made: this platform has none to make.
    #[allow(dead_code, reason = "only on platforms without guard pages")]
    pub(crate) const UNSUPPORTED: OsError = OsError(0);

    #[allow(dead_code, reason = "only on platforms with guard pages")]
    pub(crate) const fn new(code: i32) -> OsError {
        OsError(code)
    }

    #[allow(dead_code, reason = "only on platforms with guard pages")]
    pub(crate) fn last() -> OsError {
        OsError(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// The number itself, as [`io::Error::raw_os_error`] has it.
    pub fn raw_os_error(self) -> i32 {
        self.0
    }
}

impl From<OsError> for io::Error {
    fn from(error: OsError) -> io::Error {
        io::Error::from_raw_os_error(error.0)
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl fmt::Debug for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OsError({}: {self})", self.0)
    }
}

impl std::error::Error for OsError {}

/// Why a reservation, a memory or a stack could not be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// This build has no guard pages for the platform it runs on.
    #[error("{reason}; use bounded memory and plain stacks, whose bounds code checks")]
    Unsupported {
        /// What is missing.
        reason: &'static str,
    },
    /// The host refused to reserve address space.
    #[error("cannot reserve {bytes} bytes of address space: {limit}")]
    Reserve {
        /// How much was asked for.
        bytes: u64,
        /// What explains the refusal.
        limit: HostLimit,
        /// What the operating system said, if it was asked.
        source: Option<OsError>,
    },
    /// The host refused to make reserved address space accessible.
    #[error("cannot commit {bytes} bytes of reserved memory: {limit}")]
    Commit {
        /// How much was asked for.
        bytes: u64,
        /// What explains the refusal.
        limit: HostLimit,
        /// What the operating system said.
        source: OsError,
    },
    /// The host refused to take pages back or to change their protection.
    #[error("cannot change the protection of {bytes} bytes of reserved memory")]
    Protect {
        /// How much was asked for.
        bytes: u64,
        /// What the operating system said.
        source: OsError,
    },
    /// The heap has no room for a bounded memory or a plain stack.
    #[error(
        "cannot allocate {bytes} bytes: the host is out of memory, or a limit of it is reached"
    )]
    Allocate {
        /// How much was asked for.
        bytes: u64,
    },
    /// Every slot of a pool is in use.
    #[error(
        "all {slots} slots of the pool are in use; drop some of what was made from it, or make a \
         pool with more"
    )]
    PoolFull {
        /// How many the pool has.
        slots: u32,
    },
    /// The host allows fewer mappings than a pool of this size needs when all of it is in use.
    #[error(
        "a pool of {slots} slots needs up to {needed} mappings; this process has {in_use} and may \
         have {limit} (vm.max_map_count): raise the limit, or ask for fewer slots"
    )]
    PoolMappings {
        /// Slots of the pool.
        slots: u32,
        /// Mappings that they take.
        needed: u64,
        /// Mappings that the process has now.
        in_use: u64,
        /// How many the host allows.
        limit: u64,
    },
    /// This platform has no initial images.
    #[error("{reason}; write the data to a memory that starts with zeroes")]
    ImageUnsupported {
        /// What is missing.
        reason: &'static str,
    },
    /// The host refused to make an initial image.
    #[error(
        "cannot make an initial image of {bytes} bytes: the host is out of memory or open files, \
         or forbids memory files; write the data to a memory that starts with zeroes"
    )]
    Image {
        /// How large it would be.
        bytes: u64,
        /// What the operating system said.
        source: OsError,
    },
    /// An initial image is larger than the memory.
    #[error("an initial image of {image} bytes does not fit a memory of {memory} bytes")]
    ImageTooLarge {
        /// Bytes that the image covers.
        image: u64,
        /// Bytes of the memory at the start.
        memory: u64,
    },
    /// A range given to a [`Reservation`](crate::Reservation) does not lie in it.
    #[error(
        "the range of {len} bytes at {offset} is not inside the reservation of {reserved} bytes"
    )]
    OutsideReservation {
        /// Start of the range, in bytes from the base.
        offset: usize,
        /// Length of the range in bytes.
        len: usize,
        /// Length of the reservation in bytes.
        reserved: usize,
    },
    /// A range given to a [`Reservation`](crate::Reservation) does not start or end on a host page.
    #[error("the range of {len} bytes at {offset} is not made of whole host pages of {page} bytes")]
    Misaligned {
        /// Start of the range, in bytes from the base.
        offset: usize,
        /// Length of the range in bytes.
        len: usize,
        /// The host's page size in bytes.
        page: usize,
    },
    /// The memory type contradicts itself.
    #[error(transparent)]
    InvalidType(#[from] InvalidMemoryType),
    /// The memory type cannot be bounds-checked by guard pages.
    #[error(transparent)]
    NotGuardable(#[from] NotGuardable),
}

/// A memory type that no validated module has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMemoryType {
    /// A page size that is neither 1 nor 65536 bytes.
    #[error("a page size of 2^{log2} bytes is not valid: pages have 2^0 or 2^16 bytes")]
    PageSize {
        /// The exponent that was given.
        log2: u8,
    },
    /// The minimum is larger than the maximum.
    #[error("the minimum of {minimum} pages is larger than the maximum of {maximum} pages")]
    MinimumPastMaximum {
        /// The minimum in pages.
        minimum: u64,
        /// The maximum in pages.
        maximum: u64,
    },
    /// The minimum is larger than what the index type can address.
    #[error(
        "the minimum of {minimum} pages is larger than the {limit} pages that an index reaches"
    )]
    MinimumPastIndex {
        /// The minimum in pages.
        minimum: u64,
        /// The pages that the index type can address.
        limit: u64,
    },
    /// A memory that threads share has no maximum.
    #[error("a shared memory needs a maximum")]
    SharedWithoutMaximum,
}

/// Why guard pages cannot check the bounds of a memory, whatever the host allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotGuardable {
    /// 64-bit indices reach every address, so no reservation contains them; only if the memory's maximum is 4 GiB at most, those that
    /// have an upper half of zero can be told from the others, and the guard does for them.
    #[error(
        "a memory with 64-bit indices that may have more than 4 GiB cannot be guarded: declare a maximum, or use bounded \
         memory with checked accesses"
    )]
    Memory64,
    /// The end of such a memory lies within a host page, where no protection can start.
    #[error(
        "a memory with pages of {page_size} bytes cannot be guarded on a host with pages of {host} \
         bytes: use bounded memory with checked accesses"
    )]
    PageSize {
        /// The memory's page size in bytes.
        page_size: u64,
        /// The host's page size in bytes.
        host: u64,
    },
}

/// A geometry that a [`Layout`] cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The guard is larger than what any access can reach.
    #[error(
        "a guard of {guard_bytes} bytes is of no use: {} bytes contain every possible access",
        Layout::FULL.guard_bytes()
    )]
    GuardTooLarge {
        /// The guard that was asked for, in bytes.
        guard_bytes: u64,
    },
}

/// Why a memory did not grow. It is unchanged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrowError {
    /// The new size would be past the memory's maximum, or past what its index type can address.
    #[error("cannot grow by {delta} pages: the memory has {pages} and may have {limit}")]
    PastMaximum {
        /// Pages before.
        pages: u64,
        /// Pages that were asked for in addition.
        delta: u64,
        /// Pages that the memory may have.
        limit: u64,
    },
    /// The new size is more than this host can address in one object.
    #[error("cannot grow to {bytes} bytes: more than this host can address")]
    AddressSpace {
        /// The new size in bytes (saturated).
        bytes: u64,
    },
    /// The host has no memory left, or a limit of it is reached.
    #[error("cannot grow by {bytes} bytes: the host is out of memory, or a limit of it is reached")]
    HostMemory {
        /// The bytes that were asked for in addition.
        bytes: u64,
        /// What the operating system said, if it was asked.
        source: Option<OsError>,
    },
}

/// An access of the host's that does not lie in the memory. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset} are outside the memory of {size} bytes")]
pub struct OutOfBounds {
    /// Start of the access, in bytes from the start of the memory.
    pub offset: u64,
    /// Length of the access in bytes.
    pub len: u64,
    /// Accessible bytes of the memory.
    pub size: u64,
}

impl OutOfBounds {
    /// The range `offset .. offset + len`, if it lies in a memory of this size.
    #[inline]
    pub(crate) fn check(offset: u64, len: u64, size: u64) -> Result<Range<usize>, OutOfBounds> {
        match offset.checked_add(len) {
            // Both ends are at most `size`, which came from a `usize`.
            Some(end) if end <= size => Ok(offset as usize..end as usize),
            _ => Err(OutOfBounds { offset, len, size }),
        }
    }
}
