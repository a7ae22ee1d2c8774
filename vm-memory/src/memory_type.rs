//! Memory types: sizes in pages, and what they mean in bytes.

use crate::{GrowError, InvalidMemoryType, NotGuardable, host_page_size};

/// Bytes in a page of an ordinary WebAssembly memory (core specification, §4.2.8 "Memory instances").
pub const WASM_PAGE_SIZE: u64 = 65536;

/// What a module declares about a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    /// Pages at the start.
    pub minimum: u64,
    /// Pages that it may never exceed. May be larger than what is possible: then growth fails earlier.
    pub maximum: Option<u64>,
    /// Logarithm of the page size: 16, or 0 with the custom-page-sizes proposal.
    pub page_size_log2: u8,
    /// Whether indices have 64 bits instead of 32.
    pub memory64: bool,
}

impl MemoryType {
    /// An ordinary memory: 32-bit indices, pages of 65536 bytes. Sizes in pages.
    pub const fn new(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            minimum,
            maximum,
            page_size_log2: 16,
            memory64: false,
        }
    }

    /// Bytes in a page of this memory.
    ///
    /// For an invalid exponent (64 or more) the largest power of two; [`validate`](Self::validate)
    /// refuses it.
    pub const fn page_size(&self) -> u64 {
        let log2 = self.page_size_log2 as u32;
        if log2 < 64 { 1 << log2 } else { 1 << 63 }
    }

    /// Pages that this memory may have: the declared maximum, or what the index type can address if
    /// that is less.
    pub fn limit_pages(&self) -> u64 {
        let index_limit = self.index_limit_pages();
        self.maximum
            .map_or(index_limit, |maximum| maximum.min(index_limit))
    }

    /// Pages that the index type can address, saturated.
    fn index_limit_pages(&self) -> u64 {
        let span: u128 = if self.memory64 { 1 << 64 } else { 1 << 32 };
        u64::try_from(span / u128::from(self.page_size())).unwrap_or(u64::MAX)
    }

    /// Bytes in `pages` pages, or `None` if a `u64` cannot hold them.
    pub fn bytes(&self, pages: u64) -> Option<u64> {
        pages.checked_mul(self.page_size())
    }

    /// Checks the type by the rules of the core specification (§3.2 "Memory types").
    ///
    /// # Errors
    ///
    /// What contradicts itself; a validated module contains no such type.
    pub fn validate(&self) -> Result<(), InvalidMemoryType> {
        if !matches!(self.page_size_log2, 0 | 16) {
            return Err(InvalidMemoryType::PageSize {
                log2: self.page_size_log2,
            });
        }
        if let Some(maximum) = self.maximum
            && self.minimum > maximum
        {
            return Err(InvalidMemoryType::MinimumPastMaximum {
                minimum: self.minimum,
                maximum,
            });
        }
        let limit = self.index_limit_pages();
        if self.minimum > limit {
            return Err(InvalidMemoryType::MinimumPastIndex {
                minimum: self.minimum,
                limit,
            });
        }
        Ok(())
    }

    /// Whether guard pages can check this memory's bounds on a host with pages of this size.
    ///
    /// Those with 64-bit indices only if they have 4 GiB at most, and then for indices whose upper half whoever accesses the memory has found to
    /// be zero. The one place that decides it: engines ask before they choose a kind of memory, translators
    /// before they leave a check out.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn guardable(&self) -> Result<(), NotGuardable> {
        if self.memory64
            && self
                .bytes(self.limit_pages())
                .is_none_or(|most| most > 1 << 32)
        {
            return Err(NotGuardable::Memory64);
        }
        let host = host_page_size() as u64;
        if !self.page_size().is_multiple_of(host) {
            return Err(NotGuardable::PageSize {
                page_size: self.page_size(),
                host,
            });
        }
        Ok(())
    }
}

impl MemoryType {
    /// The size in pages after growth from `pages` by `delta`, if this type allows it.
    pub(crate) fn grown(&self, pages: u64, delta: u64) -> Result<u64, GrowError> {
        let limit = self.limit_pages();
        pages
            .checked_add(delta)
            .filter(|grown| *grown <= limit)
            .ok_or(GrowError::PastMaximum {
                pages,
                delta,
                limit,
            })
    }
}
