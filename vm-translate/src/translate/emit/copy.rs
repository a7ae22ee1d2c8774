//! Copies of trees, to be taken apart.
//!
//! Nothing but emission has copies, and only while the entries of the stack that they are copies of are
//! still there: as long as these are, no register and no slot that they read is given to anything else.

use std::ops::Range;

use crate::ir::{Node, Place, Root};
use crate::op::Ty;
use crate::shape::{ShapeKey, Symbol, Symbols};

use super::super::expr::{Term, subtree_end, types};

/// A few trees, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Expr {
    terms: [Term; Expr::CAPACITY],
    /// The numbers of their symbols, where they have been given.
    symbols: [u16; Expr::CAPACITY],
    len: usize,
}

impl Expr {
    /// The most nodes of one tree: with a root they fill a shape key.
    pub(super) const MAX_TREE: usize = Symbols::MAX as usize;
    /// A store has two trees.
    pub(super) const CAPACITY: usize = 2 * Expr::MAX_TREE;

    pub(super) fn new() -> Expr {
        let filler = Term {
            node: Node::Const(0),
            offset: 0,
        };
        Expr {
            terms: [filler; Expr::CAPACITY],
            symbols: [0; Expr::CAPACITY],
            len: 0,
        }
    }

    pub(super) fn leaf(place: Place, offset: u32) -> Expr {
        let mut expr = Expr::new();
        expr.terms[0] = Term::place(place, offset);
        expr.symbols[0] = Symbol::place_number(place);
        expr.len = 1;
        expr
    }

    /// Adds a tree without symbols.
    fn extend(&mut self, terms: &[Term]) {
        self.terms[self.len..][..terms.len()].copy_from_slice(terms);
        self.len += terms.len();
    }

    /// Adds a tree that is read as `wanted`, with its symbols.
    pub(super) fn add(&mut self, terms: &[Term], symbols: Symbols, wanted: Ty) {
        let numbers = &mut self.symbols[self.len..][..terms.len()];
        match symbols.key() {
            Some(key) => {
                for (number, symbol) in numbers.iter_mut().zip(key.numbers()) {
                    *number = symbol;
                }
            }
            None => types(&[wanted], terms, |at, term, ty| {
                numbers[at] = Symbol::node(&term.node, ty).number();
            }),
        }
        self.extend(terms);
    }

    /// The key of a root with these trees.
    pub(super) fn key(&self, root: &Root) -> Option<ShapeKey> {
        let symbol = Symbol::root_number(root)?;
        if let ([term], [wanted]) = (self.terms(), root.operands()) {
            // What reads a leaf depends on the root.
            return Symbols::one(Symbol::node(&term.node, *wanted)).below(symbol);
        }
        self.symbols(0..self.len).below(symbol)
    }

    /// The symbols of a part.
    pub(super) fn symbols(&self, part: Range<usize>) -> Symbols {
        Symbols::of_numbers(&self.symbols[part])
    }

    /// The symbols of all, with a leaf in the place of a part.
    pub(super) fn symbols_with(&self, part: Range<usize>, place: Place) -> Symbols {
        let mut symbols = self.symbols(0..part.start);
        symbols.append(Symbols::place(place));
        symbols.append(self.symbols(part.end..self.len));
        symbols
    }

    pub(super) fn terms(&self) -> &[Term] {
        &self.terms[..self.len]
    }

    /// The tree at `at`, as an expression of its own.
    pub(super) fn subtree(&self, at: usize) -> Expr {
        let mut expr = Expr::new();
        let end = subtree_end(self.terms(), at);
        expr.extend(&self.terms[at..end]);
        expr.symbols[..end - at].copy_from_slice(&self.symbols[at..end]);
        expr
    }

    /// Puts a leaf where the tree at `at` is.
    pub(super) fn replace(&mut self, at: usize, place: Place) {
        let end = subtree_end(self.terms(), at);
        self.terms[at] = Term::place(place, self.terms[at].offset);
        self.terms.copy_within(end..self.len, at + 1);
        self.symbols[at] = Symbol::place_number(place);
        self.symbols.copy_within(end..self.len, at + 1);
        self.len -= end - at - 1;
    }
}
