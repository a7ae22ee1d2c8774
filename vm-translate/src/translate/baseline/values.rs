//! The operand stack, and instructions over what is on it.
//!
//! An entry has a home: the slot above that of the entry below it, or where a call has left it, further up.

use crate::ValType;
use crate::ir::{Node, Place, Root, Slot};
use crate::op::{Op, Ty};

use super::Baseline;
use super::last::{Leaves, Nodes};
use super::sink::BaselineSink;

/// The most entries above those that are settled: they are looked through whenever a local is set.
const MOST_PENDING: usize = 32;

/// A value on the operand stack. A vector has two slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// The slot that it goes to, or is in.
    pub(super) home: Slot,
    pub(super) ty: Ty,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// What its home holds.
    Home,
    /// What a local holds, given by its slot.
    Local(Slot),
    Const(u64),
}

impl Entry {
    /// None in particular.
    pub(super) const NONE: Entry = Entry {
        value: Value::Home,
        home: 0,
        ty: Ty::I64,
    };

    /// What a leaf stands for that is a slot or a constant.
    pub(super) fn of_leaf(node: Node) -> Entry {
        let value = match node {
            Node::Const(bits) => Value::Const(bits),
            Node::Place(Place::Slot(slot)) => Value::Local(slot),
            Node::Place(Place::Vector(slot)) => {
                return Entry {
                    value: Value::Local(slot),
                    ty: Ty::V128,
                    ..Entry::NONE
                };
            }
            Node::Place(_) | Node::Op(..) => Value::Home,
        };
        Entry {
            value,
            ..Entry::NONE
        }
    }

    /// One past the slots of its home.
    #[inline]
    pub(super) fn end(&self) -> Slot {
        self.home + self.ty.slots()
    }

    fn slot(self) -> Option<Slot> {
        match self.value {
            Value::Home => Some(self.home),
            Value::Local(slot) => Some(slot),
            Value::Const(_) => None,
        }
    }

    #[inline]
    pub(super) fn node(self) -> Node {
        match self.value {
            Value::Const(bits) => Node::Const(bits),
            Value::Local(slot) => Node::Place(Place::in_slots(slot, self.ty)),
            Value::Home => Node::Place(Place::in_slots(self.home, self.ty)),
        }
    }
}

impl<K: BaselineSink> Baseline<'_, K> {
    /// The home of an entry with so many below it.
    pub(super) fn next_home(&self, height: usize) -> Slot {
        match height.checked_sub(1) {
            Some(below) => self.stack[below].end(),
            None => self.base,
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: Value, ty: Ty) {
        if self.stack.len() - self.settled >= MOST_PENDING {
            self.settle_all();
        }
        let home = self.next_home(self.stack.len());
        self.stack.push(Entry { value, home, ty });
    }

    /// Pushes values that stand in adjacent slots.
    pub(super) fn push_slots(&mut self, first: Slot, types: &[ValType]) {
        if types.len() > MOST_PENDING {
            self.settle(self.stack.len());
        }
        let below = self.stack.len();
        let mut home = first;
        for ty in types {
            let (value, ty) = (Value::Home, ty.ty());
            self.stack.push(Entry { value, home, ty });
            home += ty.slots();
        }
        if self.settled == below {
            self.settled = self.stack.len();
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Entry {
        let top = self.stack.len() - 1;
        let entry = self.stack[top];
        self.truncate(top);
        entry
    }

    #[inline]
    pub(super) fn truncate(&mut self, height: usize) {
        self.stack.truncate(height);
        self.settled = self.settled.min(height);
        self.noted = self.noted.min(height);
    }

    #[cold]
    fn settle_all(&mut self) {
        self.settle(self.stack.len());
    }

    /// Puts all entries below `height` into their homes.
    pub(super) fn settle(&mut self, height: usize) {
        for index in self.settled..height {
            self.send_home(index);
        }
        self.settled = self.settled.max(height);
    }

    /// Puts an entry into its home.
    pub(super) fn send_home(&mut self, index: usize) {
        let entry = self.stack[index];
        if entry.value != Value::Home {
            self.copy(entry, entry.home);
            self.stack[index].value = Value::Home;
        }
    }

    /// Saves what is on the stack of a local that is about to be set.
    #[inline]
    pub(super) fn before_set(&mut self, local: Slot) {
        debug_assert!(
            (self.stack[..self.settled].iter().rev().take(MOST_PENDING))
                .all(|entry| entry.value == Value::Home),
            "an entry that should be settled is not in its home"
        );
        for index in self.settled..self.stack.len() {
            if self.stack[index].value == Value::Local(local) {
                self.send_home(index);
            }
        }
    }

    /// Puts a value that has just been popped into a slot, where it was computed to if possible.
    #[inline]
    pub(super) fn put(&mut self, entry: Entry, slot: Slot) {
        if entry.value != Value::Home || !self.retarget(entry.home, slot) {
            self.copy(entry, slot);
        }
    }

    pub(super) fn copy(&mut self, entry: Entry, slot: Slot) {
        if entry.slot() == Some(slot) {
            return;
        }
        // From every leaf, as `Shapes` says.
        self.prepare(None, Leaves::One(&entry));
        self.hold(slot);
    }

    /// Emits what is to be done with these operands at once, with constants in slots if the executor has nothing
    /// for these constants.
    pub(super) fn emit(&mut self, root: Root, leaves: &mut [Entry]) {
        let mut nodes = Nodes::NONE;
        let found = loop {
            nodes.fill(None, leaves);
            let found = self.sink.find(&root, nodes.as_slice());
            // Over slots everything is there, as `Shapes` says.
            if found.is_some() || !self.constants_home(leaves) {
                break found;
            }
        };
        self.inst(&root, &nodes, found);
    }

    /// Puts constants into slots. Returns whether there are any.
    pub(super) fn constants_home(&mut self, leaves: &mut [Entry]) -> bool {
        let mut any = false;
        for leaf in leaves {
            if let Value::Const(_) = leaf.value {
                self.copy(*leaf, leaf.home);
                leaf.value = Value::Home;
                any = true;
            }
        }
        any
    }

    /// The same for those on the stack from `first` up.
    fn operands_home(&mut self, first: usize) -> bool {
        let mut any = false;
        for index in first..self.stack.len() {
            if let Value::Const(_) = self.stack[index].value {
                self.send_home(index);
                any = true;
            }
        }
        any
    }

    /// Applies a numeric operator.
    pub(super) fn numeric(&mut self, op: Op) {
        // A constant goes to the right, so that half as many shapes do.
        if let [.., left, right] = &mut self.stack[..]
            && op.params().len() == 2
            && matches!(left.value, Value::Const(_))
            && let Value::Local(_) = right.value
            && let Some(mirrored) = op.mirrored()
        {
            std::mem::swap(&mut left.value, &mut right.value);
            self.apply(mirrored, 0);
        } else {
            self.apply(op, 0);
        }
        self.canonicalize(op);
    }

    /// Makes the NaN that an operator may just have computed the canonical one, if that is asked for.
    pub(super) fn canonicalize(&mut self, op: Op) {
        if self.additions.canonical_nans
            && let Some(canonical) = op.canonical()
        {
            self.apply(canonical, 0);
        }
    }

    /// Replaces the operands of an operator by its result.
    #[inline]
    pub(super) fn apply(&mut self, op: Op, immediate: u64) {
        let first = self.stack.len() - op.params().len();
        while !self.prepare(Some((op, immediate)), Leaves::From(first)) {
            // Over slots everything is there, as `Shapes` says.
            if !self.operands_home(first) {
                break;
            }
        }
        self.truncate(first);
        self.hold(self.next_home(first));
        self.push(Value::Home, op.result());
    }
}
