//! How the tables of shapes and trees are laid out. The generator and the lookup share this file.
//!
//! They are read at places that have nothing to do with each other, several times for each
//! instruction that is translated, so what counts is how many cache lines and pages a lookup
//! touches: mostly one.

/// How many keys there are in a line of the table, which is a cache line.
pub(crate) const KEYS: usize = 3;

/// Above this bit of a stored key is half of the bits that say which roots come next.
pub(crate) const NEXT_BIT: u32 = 120;

/// The bits of a stored key that are the key's.
pub(crate) const KEY: u128 = (1 << NEXT_BIT) - 1;

/// Lines at the end of the table that no key belongs to: where full ones go on.
pub(crate) const SPARE_LINES: usize = 16;

/// The line that a key belongs to, in a table of so many, fewer than 2³².
pub(crate) fn line(key: u128, lines: usize) -> usize {
    place(mix(key), lines - SPARE_LINES)
}

/// The word that a tree's bits are in, in a set of so many, fewer than 2³², and these bits.
pub(crate) fn tree(key: u128, words: usize) -> (usize, u64) {
    let mixed = mix(key);
    let bit = |nth: u32| 1 << (mixed >> (6 * nth) & 63);
    (place(mixed, words), bit(0) | bit(1) | bit(2))
}

/// A number of so many, told from the upper half of a hash.
fn place(mixed: u64, count: usize) -> usize {
    (((mixed >> 32) * count as u64) >> 32) as usize
}

fn mix(key: u128) -> u64 {
    // Fibonacci hashing of both halves; ten-bit symbols differ in few bits.
    let mixed =
        (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}
