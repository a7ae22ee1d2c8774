//! Which instructions share a cell.

use std::ops::Range;

use crate::Function;
use crate::ir::{Inst, Node, Root};
use crate::op::Effect;

use super::ShapeKey;

/// What an executor has for a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The executor's number for it.
    pub handler: usize,
    /// Whether there is a shape that starts with this one and has more roots.
    pub extends: bool,
}

/// How an instruction can end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traps {
    /// It cannot.
    Never,
    /// By faults only: so many of its accesses rely on the memory's guard, in program order.
    ByFault(u32),
    /// In another way: it compares and jumps, or is a call.
    Otherwise,
}

impl Traps {
    /// How two instructions in one cell end a run, or nothing if nobody could tell which did.
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

    /// Whether an instruction can be reached other than from the one before it.
    pub fn is_labelled(&self, inst: usize) -> bool {
        self.labelled[inst]
    }

    /// The shape of these instructions together, if they have one.
    pub fn key(&self, insts: Range<usize>) -> Option<ShapeKey> {
        let insts = &self.function.insts()[insts];
        insts.iter().try_fold(ShapeKey::new(), |key, inst| {
            key.then(inst.key).filter(|longer| *longer != key)
        })
    }

    /// How many instructions from `first` on one cell does, and the executor's number for what it
    /// does. Nothing if the executor has no shape even for the first alone.
    ///
    /// Nothing branches into a cell, and if more than one of its instructions may trap, they do so
    /// by faults only: a fault has an address of its own, which tells whose it is.
    pub fn at(
        &self,
        first: usize,
        find: impl Fn(ShapeKey) -> Option<Found>,
    ) -> Option<(Range<usize>, usize)> {
        let insts = self.function.insts();
        let mut keys = insts[first].key;
        let mut found = find(keys)?;
        let mut end = first + 1;
        if !found.extends {
            // Most do not, and how they trap does not matter.
            return Some((first..end, found.handler));
        }
        let mut traps = traps(&insts[first], self.function.nodes(&insts[first]));
        while found.extends && end < insts.len() && !self.labelled[end] {
            let next = &insts[end];
            // What has no shape has an empty key, which adds nothing.
            let longer = keys.then(next.key).filter(|longer| *longer != keys);
            let both = traps.and(self::traps(next, self.function.nodes(next)));
            let (Some(longer), Some(both)) = (longer, both) else {
                break;
            };
            let Some(more) = find(longer) else {
                break;
            };
            (keys, found, traps, end) = (longer, more, both, end + 1);
        }
        Some((first..end, found.handler))
    }
}

/// How an instruction with these trees can end a run.
pub fn traps(inst: &Inst, nodes: &[Node]) -> Traps {
    let root = match inst.root {
        Root::Store { op, .. } if op.unchecked() => Traps::ByFault(1),
        Root::Store { .. } | Root::CallIndirect { .. } => Traps::Otherwise,
        _ => Traps::Never,
    };
    nodes.iter().fold(root, |traps, node| {
        let Node::Op(op, _) = node else {
            return traps;
        };
        match (op.effect(), traps) {
            (Effect::Pure | Effect::Global, traps) => traps,
            (
                Effect::Load {
                    unchecked: true, ..
                },
                Traps::Never,
            ) => Traps::ByFault(1),
            (
                Effect::Load {
                    unchecked: true, ..
                },
                Traps::ByFault(n),
            ) => Traps::ByFault(n + 1),
            _ => Traps::Otherwise,
        }
    })
}
