//! Which shapes there are, and where the handler of each is.

use vm_translate::shape::{Found, Next, Registers, ShapeKey, Shapes};

use super::hash::{self, KEY, KEYS, NEXT_BIT};
use super::{SHAPE_LINES, TREE_WORDS, run};
use crate::shapes::REGISTERS;

/// A line of the table, as the build script writes it.
#[repr(C, align(64))]
struct Line {
    /// Keys of shapes; free places have one that nothing has.
    keys: [u128; KEYS],
    /// How far each shape's handler is from [`run::palisade_enter`]. 0 if the place is free.
    handlers: [u32; KEYS],
    /// Half of the bits of [`Found::next`]; the others stand above the key's.
    next: [u8; KEYS],
    /// Not 0 if the next line has keys that belong to this one.
    more: u8,
}

unsafe extern "C" {
    safe static palisade_shapes: [Line; SHAPE_LINES];
    /// Which trees shapes have: a Bloom filter, see [`hash::tree`].
    safe static palisade_trees: [u64; TREE_WORDS];
}

/// What there is for a shape, whose [`Found::handler`] is for [`address`].
#[inline]
pub(super) fn find(key: ShapeKey) -> Option<Found> {
    let first = hash::line(key.bits(), SHAPE_LINES);
    for line in &palisade_shapes[first..] {
        for n in 0..KEYS {
            let stored = line.keys[n];
            if stored & KEY == key.bits() {
                let next = [(stored >> NEXT_BIT) as u8, line.next[n]];
                return Some(Found {
                    handler: line.handlers[n],
                    next: Next::from_bits(u16::from_le_bytes(next)),
                });
            }
        }
        if line.more == 0 {
            break;
        }
    }
    None
}

/// The address of a shape's handler.
pub(super) fn address(handler: u32) -> u64 {
    run::text_base() + u64::from(handler)
}

/// The shapes of the table, and those that a call of [`super::calls::evaluate`] covers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DirectShapes;

impl Shapes for DirectShapes {
    fn contains(&self, key: ShapeKey) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: ShapeKey) -> Option<Found> {
        find(key).or_else(|| key.slots_operator().map(|_| Found::OTHERWISE))
    }

    fn grows(&self, tree: ShapeKey) -> bool {
        let (word, bits) = hash::tree(tree.bits(), TREE_WORDS);
        palisade_trees[word] & bits == bits
    }

    fn registers(&self) -> Registers {
        REGISTERS
    }

    fn keeps_heads(&self) -> bool {
        true
    }

    fn wraps_addresses(&self) -> bool {
        true
    }
}

/// Every shape of the table, with its handler.
pub(super) fn all() -> impl Iterator<Item = (ShapeKey, u32)> {
    let entries = |line: &'static Line| line.keys.iter().zip(line.handlers);
    let shapes = palisade_shapes
        .iter()
        .flat_map(entries)
        .filter(|(_, handler)| *handler != 0);
    shapes.map(|(stored, handler)| (ShapeKey::from_bits(stored & KEY), handler))
}
