//! Function objects at addresses that never change, and the question whether an address is one.

use std::ptr::NonNull;

use crate::context::FuncObject;

/// Objects in the first chunk. Each further chunk is twice as large as the one before.
const FIRST: usize = 64;

/// All function objects of a machine, numbered from 0.
#[derive(Default)]
pub(crate) struct FuncArena {
    /// Chunk `n` has room for `FIRST << n` objects; all but the last are full.
    chunks: Vec<NonNull<FuncObject>>,
    len: usize,
}

impl FuncArena {
    /// Adds an object, and returns the address that it keeps.
    pub(crate) fn add(&mut self, object: FuncObject) -> NonNull<FuncObject> {
        let (chunk, index) = place(self.len);
        if chunk == self.chunks.len() {
            let room: Box<[std::mem::MaybeUninit<FuncObject>]> =
                Box::new_uninit_slice(FIRST << chunk);
            let start = Box::into_raw(room).cast::<FuncObject>();
            // SAFETY: a box is never null.
            self.chunks.push(unsafe { NonNull::new_unchecked(start) });
        }
        // SAFETY: `place` answers an index below the chunk's capacity.
        let address = unsafe { self.chunks[chunk].add(index) };
        // SAFETY: in bounds, and not used so far, so nobody else points there.
        unsafe { address.write(object) };
        self.len += 1;
        address
    }

    /// The object at an address, if there is one exactly there.
    pub(crate) fn find(&self, address: u64) -> Option<NonNull<FuncObject>> {
        let address = usize::try_from(address).ok()?;
        for (n, chunk) in self.chunks.iter().enumerate() {
            let before = FIRST * ((1 << n) - 1);
            let used = (self.len - before).min(FIRST << n);
            let Some(bytes) = address.checked_sub(chunk.as_ptr().addr()) else {
                continue;
            };
            let index = bytes / size_of::<FuncObject>();
            if bytes.is_multiple_of(size_of::<FuncObject>()) && index < used {
                // SAFETY: below the number of objects in the chunk.
                return Some(unsafe { chunk.add(index) });
            }
        }
        None
    }
}

/// The chunk and the index in it of the object with this number.
fn place(number: usize) -> (usize, usize) {
    let chunk = (number / FIRST + 1).ilog2() as usize;
    (chunk, number - FIRST * ((1 << chunk) - 1))
}

impl Drop for FuncArena {
    fn drop(&mut self) {
        for (n, chunk) in self.chunks.iter().enumerate() {
            let room = std::ptr::slice_from_raw_parts_mut(
                chunk.as_ptr().cast::<std::mem::MaybeUninit<FuncObject>>(),
                FIRST << n,
            );
            // SAFETY: made from a box of this length in `add`. Objects need no drop.
            drop(unsafe { Box::from_raw(room) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_the_chunks_one_after_the_other() {
        let mut expected = (0, 0);
        for number in 0..1000 {
            assert_eq!(place(number), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn finds_exactly_the_objects() {
        let mut arena = FuncArena::default();
        let objects: Vec<_> = (0..200)
            .map(|id| {
                arena.add(FuncObject {
                    entry: std::ptr::null_mut::<u8>().into(),
                    context: std::ptr::null_mut(),
                    type_id: 0,
                    index: 0,
                    id,
                })
            })
            .collect();
        for object in &objects {
            let address = object.as_ptr().addr() as u64;
            assert_eq!(arena.find(address), Some(*object));
            for near in [address - 1, address + 1, address + 8] {
                assert_eq!(arena.find(near), None);
            }
        }
        let after = objects[199].as_ptr().addr() + size_of::<FuncObject>();
        assert_eq!(arena.find(after as u64), None);
        assert_eq!(arena.find(0), None);
        assert_eq!(arena.find(u64::MAX), None);
    }
}
