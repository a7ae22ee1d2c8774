//! Trees of operators in prefix order, as values to compute with.

use std::ops::Range;

use crate::ir::{Node, Place, Root};
use crate::op::{Effect, Op, Ty};
use crate::shape::{ShapeKey, Symbol, Symbols};

/// A node and the offset in the module of the instruction it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) node: Node,
    pub(super) offset: u32,
}

impl Term {
    pub(super) fn place(place: Place, offset: u32) -> Term {
        Term {
            node: Node::Place(place),
            offset,
        }
    }

    pub(super) fn op(&self) -> Option<Op> {
        match self.node {
            Node::Op(op, _) => Some(op),
            _ => None,
        }
    }

    pub(super) fn may_trap(&self) -> bool {
        self.op()
            .is_some_and(|op| Effects::of_op(op).any_of(Effects::TRAPS))
    }
}

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
    pub(super) fn extend(&mut self, terms: &[Term]) {
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

/// One past the tree that starts at `at`.
pub(super) fn subtree_end(terms: &[Term], at: usize) -> usize {
    let mut wanted = 1;
    let mut end = at;
    while wanted > 0 {
        wanted -= 1;
        wanted += terms[end]
            .op()
            .map_or(0, |op| usize::from(Facts::of(op).arity));
        end += 1;
    }
    end
}

/// The type each node is read as, see [`crate::ir::with_types`].
pub(super) fn types(roots: &[Ty], terms: &[Term], f: impl FnMut(usize, &Term, Ty)) {
    crate::ir::each_typed(terms, |term| &term.node, roots, f);
}

/// The symbols of adjacent trees that are read as these types.
pub(super) fn symbols(wanted: &[Ty], terms: &[Term]) -> Symbols {
    let mut symbols = Symbols::default();
    types(wanted, terms, |_, term, ty| {
        symbols.push(Symbol::node(&term.node, ty))
    });
    symbols
}

/// What translation asks of every operator it meets, side by side in memory.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// The types of its operands; what is beyond their number says nothing.
    pub(super) params: [Ty; 3],
    /// How many operands it has.
    pub(super) arity: u8,
    pub(super) result: Ty,
    pub(super) effects: Effects,
}

static FACTS: [Facts; Op::ALL.len()] = {
    let none = Facts {
        params: [Ty::I64; 3],
        arity: 0,
        result: Ty::I64,
        effects: Effects::NONE,
    };
    let mut all = [none; Op::ALL.len()];
    let mut n = 0;
    while n < all.len() {
        let op = Op::ALL[n];
        let params = op.params();
        let facts = &mut all[op as usize];
        while (facts.arity as usize) < params.len() {
            facts.params[facts.arity as usize] = params[facts.arity as usize];
            facts.arity += 1;
        }
        facts.result = op.result();
        facts.effects = Effects::of_effect(op.effect());
        n += 1;
    }
    all
};

impl Facts {
    #[inline]
    pub(super) fn of(op: Op) -> &'static Facts {
        &FACTS[op as usize]
    }
}

/// What has to be known about a pending tree before something else happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects(u8);

impl Effects {
    pub(super) const NONE: Effects = Effects(0);
    /// It may trap. Reads of memory do.
    pub(super) const TRAPS: Effects = Effects(1);
    /// It reads a global.
    pub(super) const GLOBAL: Effects = Effects(2);
    /// It reads a temporary register.
    pub(super) const TEMP: Effects = Effects(4);

    pub(super) fn any_of(self, other: Effects) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(super) fn of_op(op: Op) -> Effects {
        Facts::of(op).effects
    }

    const fn of_effect(effect: Effect) -> Effects {
        match effect {
            Effect::Pure => Effects::NONE,
            Effect::Traps | Effect::Load { .. } => Effects::TRAPS,
            Effect::Global => Effects::GLOBAL,
        }
    }
}

impl std::ops::BitOr for Effects {
    type Output = Effects;

    fn bitor(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }
}
