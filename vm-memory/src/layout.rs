//! The geometry of a guarded memory, and the one predicate for accesses without a check.

use crate::{LayoutError, host_page_size};

/// The widest single access of a guest, in bytes (`v128`).
pub const MAX_ACCESS_BYTES: u32 = 16;

/// Every address that a 32-bit index alone can form.
const INDEX_SPAN: u64 = 1 << 32;

/// Where a guarded memory lies in its reservation.
///
/// ```text
/// | front guard | memory ......... 4 GiB | guard: guard_bytes, a host page |
/// ^ reservation ^ base
/// ```
///
/// The memory may grow to 4 GiB, the reach of a 32-bit index. Behind it the guard catches index plus
/// constant offset: how large it is decides which offsets need no check, which
/// [`unchecked`](Layout::unchecked) answers. Whoever translates accesses and whoever reserves
/// memories must use the same layout.
///
/// The front guard catches addresses just below the base, which no correct translation forms: it is
/// there for mistakes in address arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    guard_bytes: u64,
    front_guard_bytes: u64,
}

impl Layout {
    /// 4 GiB of index, 4 GiB of offset and the widest access: contains every access to a memory
    /// with 32-bit indices, so none needs a check. Reserves a little over 8 GiB.
    pub const FULL: Layout = Layout {
        guard_bytes: INDEX_SPAN + MAX_ACCESS_BYTES as u64,
        front_guard_bytes: 0,
    };

    /// 4 GiB of index and a chosen guard, for hosts with little address space: accesses with larger
    /// constant offsets than the guard need a check.
    ///
    /// # Errors
    ///
    /// [`LayoutError::GuardTooLarge`] if the guard is larger than that of [`Layout::FULL`].
    pub const fn with_guard(guard_bytes: u64) -> Result<Layout, LayoutError> {
        if guard_bytes > Layout::FULL.guard_bytes {
            return Err(LayoutError::GuardTooLarge { guard_bytes });
        }
        Ok(Layout {
            guard_bytes,
            front_guard_bytes: 0,
        })
    }

    /// The same layout with a front guard of at least `bytes`, at most 4 GiB.
    ///
    /// Without this there is one host page. 2 GiB catch an index that was sign-extended by mistake.
    pub const fn with_front_guard(self, bytes: u32) -> Layout {
        Layout {
            front_guard_bytes: bytes as u64,
            ..self
        }
    }

    /// Bytes behind the first 4 GiB that every host promises to keep inaccessible.
    pub const fn guard_bytes(&self) -> u64 {
        self.guard_bytes
    }

    /// Bytes between the start of the reservation and the memory's base: whole host pages, at least
    /// one.
    pub fn base_offset(&self) -> u64 {
        round_up(self.front_guard_bytes.max(1))
    }

    /// Bytes of address space that one memory of this layout reserves: whole host pages.
    pub fn reservation_bytes(&self) -> u64 {
        self.base_offset() + round_up(INDEX_SPAN + self.guard_bytes) + host_page_size() as u64
    }

    /// Whether an access of `width` bytes at `index + offset` stays in the reservation for *every*
    /// 32-bit unsigned `index`, so that it either hits the memory or faults.
    ///
    /// Does not depend on the host, so translated code may move between hosts. Accesses to memories
    /// that are not [guardable](crate::MemoryType::guardable) always need a check; this does not
    /// know them.
    pub const fn unchecked(&self, offset: u64, width: u32) -> bool {
        // The last index is INDEX_SPAN - 1, and INDEX_SPAN + guard_bytes are reserved from the base.
        match offset.checked_add(width as u64) {
            Some(end) => end <= self.guard_bytes + 1,
            None => false,
        }
    }
}

impl Default for Layout {
    /// [`Layout::FULL`].
    fn default() -> Layout {
        Layout::FULL
    }
}

fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(host_page_size() as u64)
}
