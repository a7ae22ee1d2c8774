//! How the tables of shapes and trees are laid out. The generator and the lookup share this file.
//!
//! They are read at places that have nothing to do with each other, several times for each
//! instruction that is translated, so what counts is how many cache lines and pages a lookup
//! touches: mostly one.

use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};

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

/// Bits of a leaf's number in the key of a simple shape: slots and constants have the lowest.
pub(crate) const LEAF_BITS: u32 = 2;

/// The most leaves of a simple shape.
const SIMPLE_LEAVES: u32 = 3;

const SYMBOL_BITS: u32 = 10;

/// The key of a shape of one root and one operator at most over slots and constants: by the numbers of the
/// symbols of the root, of the operator if there is one, and of the leaves, the first lowest. Never 0.
#[inline]
pub(crate) fn simple_key(root: u16, op: u16, leaves: u32) -> u32 {
    u32::from(root) << (SIMPLE_LEAVES * LEAF_BITS)
        | u32::from(op) << (SIMPLE_LEAVES * LEAF_BITS + SYMBOL_BITS)
        | leaves
}

/// The numbers of the leaves in such a key.
#[inline]
#[allow(dead_code, reason = "the generator reads no keys")]
pub(crate) fn simple_leaves(key: u32) -> u32 {
    key & ((1 << (SIMPLE_LEAVES * LEAF_BITS)) - 1)
}

/// The key of a shape if it is a simple one, without registers. A vector counts as a slot: which it is, the operator
/// or the root tells.
#[allow(dead_code, reason = "for the generator and for tests")]
pub(crate) fn simple_key_of(shape: ShapeKey) -> Option<u32> {
    let mut symbols = shape.iter().peekable();
    let root = symbols.next()?;
    if let Symbol::Set(SetSymbol::Int(_) | SetSymbol::Float(_)) = root {
        return None;
    }
    let op = symbols.next_if(|symbol| matches!(symbol, Symbol::Op(_)));
    let mut leaves = 0;
    for (n, symbol) in (0..).zip(symbols) {
        let leaf = match symbol {
            Symbol::Slot | Symbol::Vector => Symbol::Slot,
            Symbol::Const32 | Symbol::Const64 => symbol,
            _ => return None,
        };
        if n == SIMPLE_LEAVES {
            return None;
        }
        leaves |= u32::from(leaf.number()) << (n * LEAF_BITS);
    }
    Some(simple_key(
        root.number(),
        op.map_or(0, Symbol::number),
        leaves,
    ))
}

/// The place from which on to look for a simple shape, in a table of so many.
#[inline]
pub(crate) fn simple_place(key: u32, places: usize) -> usize {
    place(
        u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        places - SPARE_PLACES,
    )
}

/// Places at the end of the table of simple shapes that none belongs to: where others go on.
pub(crate) const SPARE_PLACES: usize = 64;
