//! Operands of 64 bits, which take two words.

/// The words of an operand: in the order in which one load of 64 bits finds them on this host.
pub(super) fn words(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ]
}

/// The operand that stands in two words.
///
/// # Safety
///
/// Both can be read.
#[inline(always)]
pub(super) unsafe fn read(words: *const u32) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { words.cast::<u64>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 1 << 32, u64::MAX, 0x0123_4567_89ab_cdef] {
            // Behind a word of something else, so that it is not aligned.
            let [first, second] = words(value);
            let code = [7, first, second, 7];
            // SAFETY: two words behind the first.
            assert_eq!(unsafe { read(code[1..].as_ptr()) }, value);
        }
    }
}
