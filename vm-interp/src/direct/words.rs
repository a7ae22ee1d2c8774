//! The words that cells are written into.

/// Words, written from the first on.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    /// How many bytes have been written: a multiple of 4.
    at: usize,
}

/// How many bytes are added where there is no more room.
const MORE: usize = 1024;

/// The room for a cell that is written with [`Words::cell`], whose last number starts 8 bytes before its end at
/// the latest.
const CELL_BYTES: usize = 64;

/// Takes the numbers of one cell. To look for room once takes less time than to do that for each of them.
pub(super) struct Cell<'a> {
    bytes: &'a mut [u8; CELL_BYTES],
    at: usize,
    /// Where the next cell goes to.
    next: &'a mut usize,
}

impl Cell<'_> {
    /// Writes a number's lower bytes, as [`Words::put_bytes`].
    #[inline(always)]
    pub(super) fn put(&mut self, number: u64, bytes: u8) {
        self.bytes[self.at..][..8].copy_from_slice(&number.to_ne_bytes());
        self.at += usize::from(bytes);
    }

    /// The cell is complete.
    #[inline(always)]
    pub(super) fn end(mut self) {
        // Nothing behind the last number.
        self.put(0, 0);
        *self.next += self.at.next_multiple_of(8);
    }
}

impl Words {
    /// Begins again, with room for so many words to begin with.
    pub(super) fn clear(&mut self, room: usize) {
        self.at = 0;
        if self.bytes.len() < room * 8 {
            // To make it longer would copy what is no longer needed.
            self.bytes = vec![0; (room * 8).max(2 * self.bytes.len())];
        }
    }

    /// Where the next number goes to, in bytes.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many words have been written. Call [`Words::pad`] before.
    pub(super) fn len(&self) -> usize {
        self.at / 8
    }

    /// What has been written. Call [`Words::pad`] before.
    pub(super) fn written(&self) -> impl ExactSizeIterator<Item = u64> {
        let words = self.bytes[..self.at].as_chunks().0.iter();
        words.map(|word| u64::from_ne_bytes(*word))
    }

    /// Writes a number's lower bytes: none, 4 or all 8 of them.
    ///
    /// Which of these it is differs from operand to operand as if by chance, so it takes no branch:
    /// what comes next overwrites what is too much.
    #[inline]
    pub(super) fn put_bytes(&mut self, number: u64, bytes: u8) {
        if self.bytes.len() < self.at + 8 {
            self.grow();
        }
        // All processors with an executor of their own are little-endian.
        self.bytes[self.at..][..8].copy_from_slice(&number.to_ne_bytes());
        self.at += usize::from(bytes);
    }

    /// Writes 8 bytes.
    #[inline]
    pub(super) fn put(&mut self, word: u64) {
        self.put_bytes(word, 8);
    }

    /// Writes 4 bytes.
    #[inline]
    pub(super) fn put32(&mut self, half: u32) {
        self.put_bytes(half.into(), 4);
    }

    /// Begins a cell at the start of a word.
    #[inline(always)]
    pub(super) fn cell(&mut self) -> Option<Cell<'_>> {
        if self.bytes.len() < self.at + CELL_BYTES {
            self.grow();
        }
        let bytes = self.bytes[self.at..].first_chunk_mut()?;
        let next = &mut self.at;
        Some(Cell { bytes, at: 0, next })
    }

    /// Goes on at the start of a word.
    #[inline]
    pub(super) fn pad(&mut self) {
        self.put_bytes(0, 0);
        self.at = self.at.next_multiple_of(8);
    }

    /// Changes a word that has been written.
    pub(super) fn fill(&mut self, at: usize, word: u64) {
        self.bytes[at..][..8].copy_from_slice(&word.to_ne_bytes());
    }

    #[cold]
    fn grow(&mut self) {
        self.bytes.resize(self.bytes.len() * 2 + MORE, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CELL_BYTES, Words};

    /// The most numbers of a cell, whatever their sizes.
    const MOST_NUMBERS: usize = CELL_BYTES / 8 - 1;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u64, u8),
        Pad,
        Cell(Vec<(u64, u8)>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let put = || (any::<u64>(), prop::sample::select(vec![0, 4, 8]));
        prop_oneof![
            4 => put().prop_map(|(number, bytes)| Step::Put(number, bytes)),
            1 => Just(Step::Pad),
            2 => prop::collection::vec(put(), 0..=MOST_NUMBERS).prop_map(Step::Cell),
        ]
    }

    proptest! {
        #[test]
        fn only_the_bytes_that_are_asked_for_are_written(
            functions in prop::collection::vec((0..4_usize, prop::collection::vec(step(), 0..400)), 1..4),
        ) {
            let mut words = Words::default();
            // In memory that has been used before.
            for (room, steps) in functions {
                words.clear(room);
                let mut model: Vec<u8> = Vec::new();
                for step in steps {
                    match step {
                        Step::Put(number, bytes) => {
                            words.put_bytes(number, bytes);
                            model.extend_from_slice(&number.to_le_bytes()[..bytes.into()]);
                        }
                        Step::Pad => {
                            words.pad();
                            model.resize(model.len().next_multiple_of(8), 0);
                        }
                        Step::Cell(numbers) => {
                            words.pad();
                            model.resize(model.len().next_multiple_of(8), 0);
                            let mut cell = words.cell().expect("room");
                            for (number, bytes) in numbers {
                                cell.put(number, bytes);
                                model.extend_from_slice(&number.to_le_bytes()[..bytes.into()]);
                            }
                            cell.end();
                            model.resize(model.len().next_multiple_of(8), 0);
                        }
                    }
                    prop_assert_eq!(words.at(), model.len());
                }
                words.pad();
                model.resize(model.len().next_multiple_of(8), 0);
                let written: Vec<u8> = words.written().flat_map(u64::to_le_bytes).collect();
                prop_assert_eq!(&written, &model);
                prop_assert_eq!(words.len() * 8, model.len());
            }
        }
    }
}
