//! The instruction that is held back.
//!
//! It sets a slot, or branches. What is only set in order to be copied need not be: the copy's slot is set at
//! once. What is only a condition is computed by the branch. And a branch to what comes next is left out.

use crate::ir::{FRAME_HEADER, Label, Node, Place, Root, Slot};
use crate::op::{Op, Ty};

use super::Baseline;
use super::sink::BaselineSink;
use super::values::Entry;

/// The most operands of an instruction.
pub(super) const MOST_LEAVES: usize = 3;

/// The most nodes: an operator besides.
const MOST_NODES: usize = MOST_LEAVES + 1;

/// An instruction's nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes {
    nodes: [Node; MOST_NODES],
    count: usize,
}

impl Nodes {
    pub(super) const NONE: Nodes = Nodes {
        nodes: [Node::Const(0); MOST_NODES],
        count: 0,
    };

    /// An operator over leaves, or leaves alone.
    #[inline]
    pub(super) fn fill(&mut self, operator: Option<(Op, u64)>, leaves: &[Entry]) {
        self.count = 0;
        if let Some((op, immediate)) = operator {
            self.push(Node::Op(op, immediate));
        }
        for leaf in leaves {
            self.push(leaf.node());
        }
    }

    #[inline(always)]
    fn push(&mut self, node: Node) {
        self.nodes[self.count] = node;
        self.count += 1;
    }

    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[Node] {
        &self.nodes[..self.count]
    }
}

/// An instruction that sets a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set<F> {
    pub(super) slot: Slot,
    /// As far as places tell types apart.
    pub(super) ty: Ty,
    pub(super) nodes: Nodes,
    pub(super) found: Option<F>,
    pub(super) offset: u32,
}

/// What comes last, if the sink has not got it yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last<F> {
    kind: Kind,
    set: Set<F>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Nothing,
    Set,
    /// With its offset in the module.
    Br(Label, u32),
}

impl<F> Last<F> {
    pub(super) const NOTHING: Last<F> = Last {
        kind: Kind::Nothing,
        set: Set {
            slot: 0,
            ty: Ty::I64,
            nodes: Nodes::NONE,
            found: None,
            offset: 0,
        },
    };
}

/// The operands of an instruction.
pub(super) enum Leaves<'a> {
    /// Those on the stack from this one up.
    From(usize),
    One(&'a Entry),
}

impl<K: BaselineSink> Baseline<'_, K> {
    /// Gives the sink what is held back.
    #[inline]
    pub(super) fn flush(&mut self) {
        let Last { kind, set } = &self.last;
        match *kind {
            Kind::Nothing => return,
            Kind::Set => {
                let root = Root::Set(Place::in_slots(set.slot, set.ty));
                (self.sink).inst(&root, set.nodes.as_slice(), set.found, set.offset);
            }
            Kind::Br(label, offset) => self.sink.plain(&Root::Br(label), offset),
        }
        self.last.kind = Kind::Nothing;
        self.insts += 1;
    }

    /// Looks for an instruction that sets a slot to an operator over leaves, or to a leaf, for
    /// [`Baseline::hold`]. Answers whether the executor has something for it.
    #[inline(always)]
    pub(super) fn prepare(&mut self, operator: Option<(Op, u64)>, leaves: Leaves<'_>) -> bool {
        self.flush();
        let leaves = match leaves {
            Leaves::From(first) => &self.stack[first..],
            Leaves::One(leaf) => std::slice::from_ref(leaf),
        };
        let set = &mut self.last.set;
        set.nodes.fill(operator, leaves);
        set.ty = match operator {
            Some((op, _)) => op.result(),
            None => leaves[0].ty,
        };
        // All slots are the same to the sink.
        let root = Root::Set(Place::in_slots(0, set.ty));
        set.found = (self.sink).find(&root, set.nodes.as_slice());
        set.found.is_some()
    }

    /// The instruction that has been prepared comes next, with this slot.
    #[inline(always)]
    pub(super) fn hold(&mut self, slot: Slot) {
        self.slots = self.slots.max(slot + self.last.set.ty.slots());
        self.last.kind = Kind::Set;
        self.last.set.slot = slot;
        self.last.set.offset = self.offset;
    }

    /// Gives an instruction back that has been taken.
    pub(super) fn set_again(&mut self, set: Set<K::Found>) {
        self.flush();
        self.last.kind = Kind::Set;
        self.last.set = set;
    }

    /// An instruction comes next that cannot be held back.
    #[inline]
    pub(super) fn inst(&mut self, root: &Root, nodes: &Nodes, found: Option<K::Found>) {
        self.flush();
        self.insts += 1;
        (self.sink).inst(root, nodes.as_slice(), found, self.offset);
    }

    /// One without nodes comes next.
    pub(super) fn plain(&mut self, root: Root) {
        self.flush();
        self.insts += 1;
        self.sink.plain(&root, self.offset);
    }

    /// A branch comes next.
    pub(super) fn branch(&mut self, label: Label) {
        self.flush();
        self.last.kind = Kind::Br(label, self.offset);
    }

    /// The function is left next.
    pub(super) fn leave_call(&mut self) {
        if self.additions.call_depth {
            self.plain(Root::LeaveCall);
        }
    }

    /// A return comes next.
    pub(super) fn return_(&mut self) {
        self.leave_call();
        let Last { kind, set } = &self.last;
        if let (Kind::Set, FRAME_HEADER, [value]) = (*kind, set.slot, set.nodes.as_slice())
            && self.sink.return_value(value, set.offset)
        {
            self.last.kind = Kind::Nothing;
            self.insts += 1;
            return;
        }
        self.plain(Root::Return);
    }

    /// Makes the last instruction, if it sets this slot and nothing branches behind it, set another one.
    #[inline]
    pub(super) fn retarget(&mut self, slot: Slot, to: Slot) -> bool {
        let Last { kind, set } = &mut self.last;
        let sets = matches!(kind, Kind::Set) && set.slot == slot;
        if sets {
            set.slot = to;
            self.slots = self.slots.max(to + set.ty.slots());
        }
        sets
    }

    /// Takes the last instruction back, if it sets this slot and nothing branches behind it.
    pub(super) fn take_set(&mut self, slot: Slot) -> Option<Set<K::Found>> {
        let Last { kind, set } = &mut self.last;
        let sets = matches!(kind, Kind::Set) && set.slot == slot;
        sets.then(|| {
            *kind = Kind::Nothing;
            *set
        })
    }

    /// Binds a label here.
    pub(super) fn bind(&mut self, label: Label) {
        match self.last.kind {
            Kind::Br(to, _) if to == label => self.last.kind = Kind::Nothing,
            _ => self.flush(),
        }
        self.labels.bind(label, self.sink.position());
    }

    /// The position of what comes next.
    pub(super) fn here(&mut self) -> u32 {
        self.flush();
        self.sink.position()
    }
}
