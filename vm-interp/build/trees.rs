//! The set of trees in shapes: which are worth keeping pending.

use std::collections::HashSet;
use std::fmt::Write as _;

use vm_translate::shape::ShapeKey;
use vm_translate::shape::table::{Shape, Tree};

use crate::hash;
use crate::x86_64::global;

/// How many bits there are for a tree, of which it sets up to three: of trees that are not in the
/// set, about one in two hundred seems to be.
const BITS_PER_TREE: usize = 24;

/// A Bloom filter in words of 64 bits, of which a tree is in one.
pub(crate) struct Trees(Vec<u64>);

impl Trees {
    /// All trees of operators in the shapes, and in their trees.
    pub(crate) fn new<'a>(shapes: impl Iterator<Item = &'a Shape>) -> Trees {
        let mut keys = HashSet::new();
        let roots = shapes.flat_map(|shape| &shape.roots);
        for tree in roots.flat_map(|root| &root.trees) {
            add(tree, &mut keys);
        }
        let mut words = vec![0; keys.len() * BITS_PER_TREE / 64 + 1];
        for key in keys {
            let (word, bits) = hash::tree(key.bits(), words.len());
            words[word] |= bits;
        }
        Trees(words)
    }

    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn write(&self, text: &mut String) {
        text.push_str("\t.p2align 6\n");
        global(text, "palisade_trees");
        for word in &self.0 {
            let _ = writeln!(text, "\t.quad {word}");
        }
    }
}

/// Adds the keys of all trees of operators in a tree.
fn add(tree: &Tree, keys: &mut HashSet<ShapeKey>) {
    if let Tree::Op(_, operands) = tree {
        keys.extend(tree.key());
        operands.iter().for_each(|tree| add(tree, keys));
    }
}
