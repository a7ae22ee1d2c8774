//! Sets of shapes to translate for.

use vm_translate::shape::{SetSymbol, Symbol};
use vm_translate::{Op, Registers, ShapeKey, Shapes, Ty};

/// A shape's symbols, as numbers.
pub fn symbols(key: ShapeKey) -> Vec<u16> {
    (0..key.symbols())
        .map(|n| (key.bits() >> (10 * n)) as u16 & 1023)
        .collect()
}

const SLOT: u16 = 1;
const VECTOR: u16 = 13;
const CALL_REF: u16 = 82;

/// Whether `Shapes` promises a shape to be there.
pub fn promised(key: ShapeKey) -> bool {
    let constant = |n: &u16| *n == 2 || *n == 3;
    let int = |n: &u16| (16..32).contains(n);
    let float = |n: &u16| (32..48).contains(n);
    match symbols(key)[..] {
        // A set of a slot from any leaf, or of a register from one of its kind.
        [11, leaf] if leaf < 160 => true,
        [48..64, leaf] => leaf == SLOT || constant(&leaf) || int(&leaf),
        [64..80, leaf] => leaf == SLOT || constant(&leaf) || float(&leaf),
        // The same of vectors.
        [12, leaf] if leaf < 160 => leaf == VECTOR,
        // A set of a slot, or of two, from an operator over slots.
        [11 | 12, op, ref rest @ ..] => {
            let op = Op::from_number(op - 160).unwrap();
            let wanted = op.params().iter().map(|ty| match ty {
                Ty::V128 => VECTOR,
                _ => SLOT,
            });
            wanted.eq(rest.iter().copied())
        }
        // Stores, sets of globals, branches, indirect calls and calls by references on slots.
        [96..160, SLOT, SLOT | VECTOR] => true,
        [4..=9 | CALL_REF, SLOT] => true,
        [14, VECTOR] => true,
        _ => false,
    }
}

/// Whatever is promised, and of the rest a share, chosen by chance.
#[derive(Clone, Copy, Debug)]
pub struct RandomShapes {
    pub seed: u64,
    /// Out of 100.
    pub share: u64,
    /// The most operators a shape has.
    pub operators: usize,
    pub registers: Registers,
}

impl Shapes for RandomShapes {
    fn contains(&self, key: ShapeKey) -> bool {
        if promised(key) {
            return true;
        }
        let operators = symbols(key).iter().filter(|n| **n >= 160).count();
        let leaf_only = matches!(symbols(key)[0], 8 | 9 | CALL_REF);
        if operators > self.operators || (leaf_only && operators > 0) {
            return false;
        }
        let bits = key.bits();
        let mut hash = self.seed ^ bits as u64 ^ ((bits >> 64) as u64).rotate_left(17);
        for _ in 0..3 {
            hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        (hash >> 33) % 100 < self.share
    }

    fn grows(&self, tree: ShapeKey) -> bool {
        // It does if a slot can be set to it, or a temporary register, or a pinned one.
        let Registers {
            pinned_ints,
            pinned_floats,
            ..
        } = self.registers;
        [
            SetSymbol::Slot,
            SetSymbol::Vector,
            SetSymbol::Int(pinned_ints),
            SetSymbol::Float(pinned_floats),
            SetSymbol::Int(0),
            SetSymbol::Float(0),
        ]
        .into_iter()
        .filter_map(|place| ShapeKey::new().with(Symbol::Set(place))?.then(tree))
        .any(|key| self.contains(key))
    }

    fn registers(&self) -> Registers {
        self.registers
    }

    fn keeps_heads(&self) -> bool {
        self.seed.is_multiple_of(2)
    }

    fn least_copy(&self) -> usize {
        [8, 2, 3, 5][self.seed as usize % 4]
    }
}

/// Every shape of up to two operators, and some registers: what a fast executor might have.
pub const RICH: RandomShapes = RandomShapes {
    seed: 0,
    share: 100,
    operators: 2,
    registers: Registers {
        pinned_ints: 4,
        temp_ints: 1,
        pinned_floats: 2,
        temp_floats: 1,
    },
};
