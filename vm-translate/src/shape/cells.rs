//! Which instructions share a cell.

use std::ops::Range;

use crate::Function;
use crate::ir::{Inst, Node, Root};
use crate::op::{Effect, Op};

use super::{SetSymbol, ShapeKey, Symbol};

/// What an executor has for a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The executor's number for it.
    pub handler: u32,
    /// Which roots come next in shapes that start with this one and have more.
    pub next: Next,
}

impl Found {
    /// Nobody has asked for the number yet.
    pub const UNKNOWN: Found = Found {
        handler: u32::MAX,
        next: Next::ALL,
    };
    /// The executor has no number for it, but can do it otherwise.
    pub const OTHERWISE: Found = Found {
        handler: u32::MAX - 1,
        next: Next::NONE,
    };

    /// The same for an instruction that is to have a cell of its own.
    pub(crate) fn alone(self) -> Found {
        Found {
            next: Next::NONE,
            ..self
        }
    }
}

/// A set of shapes of one root. Several shapes look the same to it: that one is in the set says
/// only that it is worth a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next(u16);

impl Next {
    /// No shape.
    pub const NONE: Next = Next(0);
    /// Any shape.
    pub const ALL: Next = Next(u16::MAX);

    /// The set of one shape, given by its key.
    #[inline]
    pub fn of(key: ShapeKey) -> Next {
        // There are many operators: some share a class.
        let some = |classes: u16| match key.operator() {
            Some(op) => 1 + op as u16 % (classes - 1),
            None => 0,
        };
        let class = match key.first() {
            Some(Symbol::Set(SetSymbol::Int(_))) => some(6),
            Some(Symbol::Set(_)) => 6 + some(4),
            Some(Symbol::Store(_)) => 10 + some(2),
            Some(root) if root.is_conditional() => 12 + some(2),
            Some(root) if root.ends_cell() => 14,
            _ => 15,
        };
        Next(1 << class)
    }

    /// The shapes of both.
    pub const fn and(self, other: Next) -> Next {
        Next(self.0 | other.0)
    }

    /// Whether the sets may have a shape in common.
    #[inline]
    pub const fn meets(self, other: Next) -> bool {
        self.0 & other.0 != 0
    }

    /// The set as sixteen bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits.
    pub const fn from_bits(bits: u16) -> Next {
        Next(bits)
    }
}

/// How an instruction can end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traps {
    /// It cannot.
    Never,
    /// By faults only: so many of its accesses rely on the memory's guard.
    ByFault(u16),
    /// At so many places, at one of them at least in another way: it compares and jumps, or is a call.
    Otherwise(u16),
}

impl Traps {
    /// At how many places it can.
    #[inline]
    pub const fn count(self) -> u16 {
        match self {
            Traps::Never => 0,
            Traps::ByFault(count) | Traps::Otherwise(count) => count,
        }
    }

    /// How a root can by itself.
    #[inline]
    pub(crate) fn of_root(root: &Root) -> Traps {
        match root {
            Root::Store { op, .. } if op.unchecked() => Traps::ByFault(1),
            Root::Store { .. } | Root::CallIndirect { .. } | Root::CallRef { .. } => {
                Traps::Otherwise(1)
            }
            _ => Traps::Never,
        }
    }

    /// With an operator besides.
    #[inline]
    pub(crate) fn with_operator(self, op: Op) -> Traps {
        let count = self.count() + 1;
        match (op.effect(), self) {
            (Effect::Pure | Effect::Global, traps) => traps,
            (
                Effect::Load {
                    unchecked: true, ..
                },
                Traps::Never | Traps::ByFault(_),
            ) => Traps::ByFault(count),
            _ => Traps::Otherwise(count),
        }
    }

    /// How two instructions in one cell end a run, or nothing if they are not to share one.
    pub fn and(self, next: Traps) -> Option<Traps> {
        match (self, next) {
            (Traps::Never, other) | (other, Traps::Never) => Some(other),
            (Traps::ByFault(a), Traps::ByFault(b)) => Some(Traps::ByFault(a + b)),
            _ => None,
        }
    }
}

/// The instructions of a function, as cells.
#[derive(Debug)]
pub struct Cells<'a> {
    function: &'a Function,
    /// Whether a label stands before an instruction.
    labelled: Vec<bool>,
}

impl<'a> Cells<'a> {
    /// Looks at a function.
    pub fn new(function: &'a Function) -> Cells<'a> {
        let mut labelled = vec![false; function.insts().len() + 1];
        for label in function.labels() {
            labelled[*label as usize] = true;
        }
        Cells { function, labelled }
    }

    /// The same, but no cell goes on behind a branch: all of it runs as often as it starts.
    pub fn of_blocks(function: &'a Function) -> Cells<'a> {
        let mut cells = Cells::new(function);
        for (next, inst) in (1..).zip(function.insts()) {
            cells.labelled[next] |= inst.root.branches();
        }
        cells
    }

    /// Whether an instruction can be reached other than from the one before it.
    pub fn is_labelled(&self, inst: usize) -> bool {
        self.labelled[inst]
    }

    /// The shape of these instructions together, if they have one.
    pub fn key(&self, insts: Range<usize>) -> Option<ShapeKey> {
        insts.into_iter().try_fold(ShapeKey::new(), |key, inst| {
            key.then(self.key_of(inst)).filter(|longer| *longer != key)
        })
    }

    /// The shape of one instruction, which has no symbols if there is none.
    fn key_of(&self, inst: usize) -> ShapeKey {
        let inst = &self.function.insts()[inst];
        match inst.root {
            Root::Return if self.function.saved_floats() == 0 => {
                let symbol = Symbol::returning(self.function.saved_ints());
                let key = symbol.and_then(|symbol| ShapeKey::new().with(symbol));
                key.unwrap_or_default()
            }
            _ => inst.key,
        }
    }

    /// How many instructions from `first` on one cell does, and the executor's number for what it
    /// does. Nothing if the executor has no shape even for the first alone.
    ///
    /// Nothing branches into a cell, and if more than one of its instructions may trap, they do so
    /// by faults only.
    pub fn at(
        &self,
        first: usize,
        find: impl Fn(ShapeKey) -> Option<Found>,
    ) -> Option<(Range<usize>, u32)> {
        let insts = self.function.insts();
        let mut keys = insts[first].key;
        if insts[first].root.operands().is_empty() {
            // It has a cell of its own, or ends another's.
            return None;
        }
        let mut found = match insts[first].found {
            Found::UNKNOWN => find(keys)?,
            found => found,
        };
        let mut end = first + 1;
        let mut traps = insts[first].traps;
        while found.next != Next::NONE && end < insts.len() && !self.labelled[end] {
            let next = &insts[end];
            let key = self.key_of(end);
            if !found.next.meets(Next::of(key)) {
                break;
            }
            // What has no shape has an empty key, which adds nothing.
            let longer = keys.then(key).filter(|longer| *longer != keys);
            let (Some(longer), Some(both)) = (longer, traps.and(next.traps)) else {
                break;
            };
            let Some(more) = find(longer) else {
                break;
            };
            (keys, found, traps, end) = (longer, more, both, end + 1);
        }
        (found != Found::OTHERWISE).then_some((first..end, found.handler))
    }
}

/// How an instruction with these trees can end a run.
pub fn traps(inst: &Inst, nodes: &[Node]) -> Traps {
    let operators = nodes.iter().filter_map(|node| match node {
        Node::Op(op, _) => Some(*op),
        _ => None,
    });
    operators.fold(Traps::of_root(&inst.root), Traps::with_operator)
}
