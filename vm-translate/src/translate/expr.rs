//! Trees of operators in prefix order.

use crate::ir::{Node, Place};
use crate::op::{Effect, Op, Ty};
use crate::shape::{Symbol, Symbols};

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

    /// Those of both.
    pub(super) const fn and(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }

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
        self.and(other)
    }
}
