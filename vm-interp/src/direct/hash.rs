//! The hash of shape keys. The generator and the lookup share this file.

/// The bucket of a key among `1 << bits`.
pub(crate) fn bucket(key: u128, bits: u32) -> usize {
    // Fibonacci hashing of both halves; ten-bit symbols differ in few bits.
    let mixed =
        (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> (64 - bits)) as usize
}
