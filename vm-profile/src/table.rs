//! A shape table that can grow while it is being chosen.

use std::collections::{HashMap, HashSet};

use vm_translate::shape::table::{self, RootShape, Shape, TableError, Tree};
use vm_translate::shape::{Found, Next, Symbol};
use vm_translate::{Registers, ShapeKey, Shapes};

/// A set of shapes, as translation asks for it.
#[derive(Clone, Debug)]
pub struct ShapeTable {
    registers: Registers,
    /// Of each shape, whether another one starts with it.
    shapes: HashMap<ShapeKey, bool>,
    trees: HashSet<ShapeKey>,
}

impl ShapeTable {
    /// Reads a table's text, see [`vm_translate::shape::table`].
    ///
    /// # Errors
    ///
    /// The first line that is not in the notation.
    pub fn read(text: &str, registers: Registers) -> Result<ShapeTable, TableError> {
        let mut table = ShapeTable {
            registers,
            shapes: HashMap::new(),
            trees: HashSet::new(),
        };
        for shape in table::read(text, registers)? {
            table.insert(&shape);
        }
        Ok(table)
    }

    /// How many shapes it has.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Adds a shape. Returns whether it is new and fits a key.
    pub(crate) fn insert(&mut self, shape: &Shape) -> bool {
        let Some(key) = shape.key() else {
            return false;
        };
        for start in shape.starts() {
            if let Some(start) = start.key() {
                self.shapes.insert(start, true);
            }
        }
        for tree in shape.roots.iter().flat_map(|root| &root.trees) {
            self.insert_trees(tree);
        }
        let new = !self.shapes.contains_key(&key);
        self.shapes.entry(key).or_insert(false);
        new
    }

    fn insert_trees(&mut self, tree: &Tree) {
        if let Tree::Op(_, operands) = tree {
            self.trees.extend(tree.key());
            operands.iter().for_each(|tree| self.insert_trees(tree));
        }
    }

    /// The shapes that have to be there before translation and encoding can find this one: its
    /// starts, and each of its roots alone; then itself. Only those that are not there yet.
    pub(crate) fn missing(&self, shape: &Shape) -> Vec<Shape> {
        let count = shape.roots.len();
        let starts = (1..=count).map(|roots| &shape.roots[..roots]);
        let alone = shape.roots.iter().map(std::slice::from_ref);
        let mut missing: Vec<Shape> = Vec::new();
        for roots in alone.chain(starts) {
            let shape = Shape {
                roots: roots.to_vec(),
            };
            let there = shape.key().is_some_and(|key| self.contains(key));
            if !there && !is_never_alone(roots) && !missing.contains(&shape) {
                missing.push(shape);
            }
        }
        missing
    }

    pub(crate) fn find(&self, key: ShapeKey) -> Option<Found> {
        let extends = *self.shapes.get(&key)?;
        let next = if extends { Next::ALL } else { Next::NONE };
        Some(Found { handler: 0, next })
    }

    pub(crate) fn registers(&self) -> Registers {
        self.registers
    }
}

/// Roots that no table may have alone: their trees are always leaves, or they have none.
fn is_never_alone(roots: &[RootShape]) -> bool {
    let [RootShape { root, trees }] = roots else {
        return false;
    };
    let takes_leaves = matches!(root, Symbol::CallIndirect | Symbol::CallRef);
    match trees[..] {
        [] => true,
        [Tree::Op(..)] => takes_leaves,
        _ => false,
    }
}

impl Shapes for ShapeTable {
    fn contains(&self, key: ShapeKey) -> bool {
        self.shapes.contains_key(&key) || key.slots_operator().is_some()
    }

    fn grows(&self, tree: ShapeKey) -> bool {
        self.trees.contains(&tree)
    }

    fn registers(&self) -> Registers {
        self.registers
    }

    fn keeps_heads(&self) -> bool {
        true
    }
}
