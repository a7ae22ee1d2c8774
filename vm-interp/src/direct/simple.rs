//! Shapes of one operator at most, over slots, vectors in slots and constants: those of baseline code.
//!
//! There are few of them and each is wanted for the first time soon, so they stand in a table of their own, which
//! takes fewer cache lines than the one with all shapes.

use vm_translate::ir::{Node, Place, Root};
use vm_translate::shape::Symbol;

use super::SIMPLE_PLACES;
use super::hash::{self, LEAF_BITS};

/// A place of the table, as the build script writes it.
#[repr(C)]
struct Stored {
    /// The shape's key: see [`hash::simple_key`]. 0 if the place is free.
    key: u32,
    /// How far its handler is from [`super::run::palisade_enter`].
    handler: u32,
}

unsafe extern "C" {
    safe static palisade_simple: [Stored; SIMPLE_PLACES];
}

/// What there is for a simple shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simple {
    handler: u32,
    /// The numbers of its leaves, the first lowest.
    leaves: u32,
}

impl Simple {
    /// For [`super::shapes::address`].
    pub(super) fn handler(self) -> u32 {
        self.handler
    }

    /// How many bytes each leaf's operand has.
    #[inline]
    pub(super) fn leaf_bytes(self) -> impl Iterator<Item = u8> {
        let mut leaves = self.leaves;
        std::iter::repeat_with(move || {
            let leaf = leaves as u16 & ((1 << LEAF_BITS) - 1);
            leaves >>= LEAF_BITS;
            if leaf == Symbol::Const64.number() {
                8
            } else {
                4
            }
        })
    }
}

/// What there is for an instruction.
#[inline(always)]
pub(super) fn find(root: &Root, nodes: &[Node]) -> Option<Simple> {
    let (op, leaves) = match nodes {
        [Node::Op(op, _), leaves @ ..] => (Some(op), leaves),
        leaves => (None, leaves),
    };
    let mut numbers = 0;
    for (n, leaf) in leaves.iter().enumerate() {
        let symbol = match *leaf {
            // Which it is, the operator or the root tells.
            Node::Place(Place::Slot(_) | Place::Vector(_)) => Symbol::Slot,
            Node::Const(bits) => {
                let types = op.map_or(root.operands(), |op| op.params());
                Symbol::constant(bits, types[n])
            }
            _ => return None,
        };
        numbers |= u32::from(symbol.number()) << (n as u32 * LEAF_BITS);
    }
    let op = op.map_or(0, |op| Symbol::Op(*op).number());
    look_up(hash::simple_key(Symbol::root_number(root)?, op, numbers))
}

#[inline]
fn look_up(key: u32) -> Option<Simple> {
    let first = hash::simple_place(key, SIMPLE_PLACES);
    for stored in &palisade_simple[first..] {
        if stored.key == key {
            return Some(Simple {
                handler: stored.handler,
                leaves: hash::simple_leaves(key),
            });
        }
        if stored.key == 0 {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{hash, shapes};
    use super::look_up;

    #[test]
    fn the_simple_ones_of_all_shapes_are_found() {
        let mut simple = 0;
        for (shape, handler) in shapes::all() {
            let Some(key) = hash::simple_key_of(shape) else {
                continue;
            };
            assert_eq!(
                look_up(key).map(|found| found.handler()),
                Some(handler),
                "{shape:?}"
            );
            simple += 1;
        }
        assert!(simple > 500, "{simple}");
    }
}
