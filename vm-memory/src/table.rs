//! Tables of words, as WebAssembly's tables of references are.

use std::fmt;

use crate::growable::Growable;

/// A table of 64-bit words that grows. Words are zero unless something else is asked for, and those that are
/// zero and not touched take no memory: a table of ten million costs what a small one does, until it is used.
/// Growth by zeroes touches and copies nothing, where the host has pages; a small table is on the heap. (As
/// for [`BoundedMemory`](crate::BoundedMemory).)
///
/// It is a `Vec<u64>` with another way to grow. Guest code may reach the words through
/// [`base_ptr`](Self::base_ptr). Whoever runs it must not let it run while a slice borrowed from the table is
/// alive.
pub struct WordTable {
    bytes: Growable,
    /// Words; always an eighth of the bytes.
    len: usize,
    limit: usize,
}

/// Bytes in a word.
const WORD: usize = size_of::<u64>();

impl WordTable {
    /// A table of `len` words, each of them `init`, that will never have more than `limit`.
    ///
    /// # Errors
    ///
    /// If `len` is over the limit, or the host has not enough memory.
    pub fn new(len: usize, init: u64, limit: usize) -> Result<WordTable, TableError> {
        let bytes = checked_bytes(0, len, limit)?;
        let bytes = Growable::zeroed(bytes, most(limit))
            .map_err(|_| TableError::HostMemory { words: len })?;
        let mut table = WordTable { bytes, len, limit };
        table.set_from(0, init);
        Ok(table)
    }

    /// Adds `delta` words, each of them `init`, and returns how many there were before. The base may move.
    ///
    /// # Errors
    ///
    /// If there would be more than the limit, or the host has not enough memory. The table is unchanged then.
    pub fn grow(&mut self, delta: usize, init: u64) -> Result<usize, TableError> {
        let before = self.len;
        let bytes = checked_bytes(before, delta, self.limit)?;
        self.bytes
            .grow(bytes, most(self.limit))
            .map_err(|_| TableError::HostMemory { words: delta })?;
        self.len = before + delta;
        self.set_from(before, init);
        Ok(before)
    }

    /// Sets new words, which are zero.
    fn set_from(&mut self, first: usize, init: u64) {
        if init != 0 {
            self.as_mut_slice()[first..].fill(init);
        }
    }

    /// Address of the first word; dangling, but aligned, if there are none. Valid until the table grows.
    pub fn base_ptr(&self) -> *mut u64 {
        self.bytes.base().cast::<u64>().as_ptr()
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many words there may be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// All words.
    pub fn as_slice(&self) -> &[u64] {
        // SAFETY: `len` words from the base, which is aligned to 8 and not null, are accessible and initialised
        // (zeroed) for as long as `self` is not changed, in one object of at most `isize::MAX` bytes. Whoever
        // writes through `base_ptr` must not do so during this borrow.
        unsafe { std::slice::from_raw_parts(self.base_ptr(), self.len) }
    }

    /// All words, to write to.
    pub fn as_mut_slice(&mut self) -> &mut [u64] {
        // SAFETY: as in `as_slice`, and `&mut self` makes this borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base_ptr(), self.len) }
    }
}

impl fmt::Debug for WordTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the words, of which there may be millions.
        f.debug_struct("WordTable")
            .field("len", &self.len)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why a table could not be made or did not grow. It is unchanged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// There would be more words than the limit.
    #[error("cannot add {delta} words to a table of {len}: it may have {limit}")]
    PastLimit {
        /// Words before.
        len: usize,
        /// Words that were asked for in addition.
        delta: usize,
        /// Words that the table may have.
        limit: usize,
    },
    /// The host has no memory left, or a limit of it is reached.
    #[error(
        "cannot add {words} words to a table: the host is out of memory, or a limit of it is reached"
    )]
    HostMemory {
        /// Words that were asked for in addition.
        words: usize,
    },
}

/// The bytes of a table of `len` and `delta` words, if it may have so many.
fn checked_bytes(len: usize, delta: usize, limit: usize) -> Result<usize, TableError> {
    let past = TableError::PastLimit { len, delta, limit };
    let words = len.checked_add(delta).ok_or(past)?;
    if words > limit {
        return Err(past);
    }
    let bytes = words.checked_mul(WORD);
    bytes
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or(TableError::HostMemory { words: delta })
}

/// Bytes that a table of so many words may grow to.
fn most(limit: usize) -> u64 {
    (limit as u64).saturating_mul(WORD as u64)
}
