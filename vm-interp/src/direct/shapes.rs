//! Which shapes there are, and the number of each one's handler.

use vm_translate::shape::{Found, Next, ShapeKey, Shapes};

use vm_translate::shape::Registers;

use super::{FIXED, SHAPE_BITS, TREE_BITS, hash};
use crate::shapes::REGISTERS;

/// Keys grouped by hash bucket, as the build script writes them.
struct HashTable {
    keys: &'static [u8],
    buckets: &'static [u8],
    bits: u32,
}

macro_rules! table {
    ($name:literal, $bits:expr) => {
        HashTable {
            keys: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".keys")),
            buckets: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".buckets")),
            bits: $bits,
        }
    };
}

static SHAPES: HashTable = table!("shapes", SHAPE_BITS);
static TREES: HashTable = table!("trees", TREE_BITS);

/// Above this bit of a stored key is which roots come next in longer shapes that start with this
/// one.
const NEXT_BIT: u32 = 120;

/// The bits of a stored key that are the key's.
const KEY: u128 = (1 << NEXT_BIT) - 1;

impl HashTable {
    /// The place of a key, and what is stored there.
    fn find(&self, key: ShapeKey) -> Option<(usize, u128)> {
        let bucket = hash::bucket(key.bits(), self.bits);
        let (buckets, _) = self.buckets.as_chunks();
        let (keys, _) = self.keys.as_chunks();
        let [start, end] = [bucket, bucket + 1].map(|n| u32::from_le_bytes(buckets[n]) as usize);
        for (n, stored) in (start..).zip(&keys[start..end]) {
            let stored = u128::from_le_bytes(*stored);
            if stored & KEY == key.bits() {
                return Some((n, stored));
            }
        }
        None
    }
}

/// The shape's handler.
pub(super) fn find(key: ShapeKey) -> Option<Found> {
    SHAPES.find(key).map(|(n, stored)| Found {
        handler: (FIXED + n) as u32,
        next: Next::from_bits((stored >> NEXT_BIT) as u8),
    })
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
        TREES.find(tree).is_some()
    }

    fn registers(&self) -> Registers {
        REGISTERS
    }
}

/// Every shape of the table, and the number of its handler.
#[cfg(test)]
pub(super) fn keys() -> impl Iterator<Item = (usize, ShapeKey)> {
    let (keys, _) = SHAPES.keys.as_chunks();
    keys.iter().enumerate().map(|(n, stored)| {
        let key = ShapeKey::from_bits(u128::from_le_bytes(*stored) & KEY);
        (FIXED + n, key)
    })
}
