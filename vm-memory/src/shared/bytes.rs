//! Copies of bytes that other threads may access at the same time.
//!
//! Each byte is read and written atomically, eight of them at once where they are aligned. No order is kept: whoever needs one
//! synchronises. What another thread writes at the same time is seen in part, as the specification has it for its bulk operations.
//!
//! Rust's memory model has no name yet for what happens when threads access the same bytes by atomic accesses of different widths at the
//! same time; hardware does, and compilers translate relaxed accesses to its plain ones.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// How many bytes are copied through a buffer at once.
const BUFFER: usize = 1 << 10;

/// # Safety
///
/// The byte is in a mapping that lives on, and whoever else accesses it does so atomically, or in assembly.
unsafe fn byte<'a>(at: *mut u8) -> &'a AtomicU8 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU8::from_ptr(at) }
}

/// # Safety
///
/// As for [`byte`], of eight, the first of which is aligned to as many.
unsafe fn word<'a>(at: *mut u8) -> &'a AtomicU64 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(at.cast()) }
}

/// So many bytes come before the first that is aligned.
fn head(at: *mut u8, len: usize) -> usize {
    at.align_offset(WORD).min(len)
}

/// Reads bytes.
///
/// # Safety
///
/// There are as many from `from` on, and whoever else accesses them at this time does so atomically, or in assembly.
pub(super) unsafe fn read(from: *mut u8, to: &mut [u8]) {
    let (head, rest) = to.split_at_mut(head(from, to.len()));
    let (words, tail) = rest.as_chunks_mut::<WORD>();
    let mut at = from;
    // SAFETY: the caller's promise, for all of it.
    unsafe {
        for to in head {
            *to = byte(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
        for to in words {
            *to = word(at).load(Ordering::Relaxed).to_ne_bytes();
            at = at.add(WORD);
        }
        for to in tail {
            *to = byte(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

/// Writes bytes.
///
/// # Safety
///
/// As for [`read`], of `to`.
pub(super) unsafe fn write(to: *mut u8, from: &[u8]) {
    let (head, rest) = from.split_at(head(to, from.len()));
    let (words, tail) = rest.as_chunks::<WORD>();
    let mut at = to;
    // SAFETY: the caller's promise, for all of it.
    unsafe {
        for from in head {
            byte(at).store(*from, Ordering::Relaxed);
            at = at.add(1);
        }
        for from in words {
            word(at).store(u64::from_ne_bytes(*from), Ordering::Relaxed);
            at = at.add(WORD);
        }
        for from in tail {
            byte(at).store(*from, Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

/// Makes all of `len` bytes the same.
///
/// # Safety
///
/// As for [`read`], of `to`.
pub(super) unsafe fn fill(to: *mut u8, len: usize, value: u8) {
    let bytes = [value; BUFFER];
    let mut done = 0;
    while done < len {
        let next = BUFFER.min(len - done);
        // SAFETY: the caller's promise: `done + next` is at most `len`.
        unsafe { write(to.add(done), &bytes[..next]) };
        done += next;
    }
}

/// Copies bytes to where they may overlap.
///
/// # Safety
///
/// As for [`read`], of both.
pub(super) unsafe fn copy(from: *mut u8, to: *mut u8, len: usize) {
    let mut buffer = [0; BUFFER];
    let backwards = to.addr() > from.addr();
    let mut done = 0;
    while done < len {
        let next = BUFFER.min(len - done);
        let at = if backwards { len - done - next } else { done };
        // SAFETY: the caller's promise: `at + next` is at most `len`.
        unsafe {
            read(from.add(at), &mut buffer[..next]);
            write(to.add(at), &buffer[..next]);
        }
        done += next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes whose address is a multiple of eight.
    fn aligned(bytes: &[u8]) -> Vec<u64> {
        let mut words = vec![0_u64; bytes.len() / WORD];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(WORD)) {
            *word = u64::from_ne_bytes(bytes.try_into().unwrap());
        }
        words
    }

    #[test]
    fn copies_do_what_those_of_slices_do() {
        const LEN: usize = 4096;
        let bytes: Vec<u8> = (0..LEN).map(|n| (n * 7 + n / 256) as u8).collect();
        let lens = [0, 1, 7, 8, 9, 23, 1023, 1024, 1025, 2500];
        for len in lens {
            for from in [0, 1, 5, 8, 700] {
                for to in [0, 2, 8, 13, 704, 1400] {
                    let mut words = aligned(&bytes);
                    let base = words.as_mut_ptr().cast::<u8>();
                    let mut expected = bytes.clone();
                    expected.copy_within(from..from + len, to);
                    let mut read_back = vec![0; LEN];
                    // SAFETY: all of it is inside, and nobody else is here.
                    unsafe {
                        copy(base.add(from), base.add(to), len);
                        read(base, &mut read_back);
                    }
                    assert!(read_back == expected, "{len} bytes from {from} to {to}");
                    expected[to..to + len].fill(0x5a);
                    // SAFETY: as above.
                    unsafe {
                        fill(base.add(to), len, 0x5a);
                        read(base.add(from), &mut read_back[from..]);
                    }
                    assert!(read_back[from..] == expected[from..], "{len} bytes at {to}");
                }
            }
        }
    }
}
