//! The operand stack, and instructions over what is on it.
//!
//! An entry has a home: the slot above that of the entry below it, or where a call has left it, further up.

use crate::ir::{Node, Place, Root, Slot};
use crate::op::{Op, Ty};
use crate::shape::{Found, ShapeKey, Shapes, Symbol, Symbols};

use crate::ValType;

use super::Baseline;

/// The most entries above those that are settled: they are looked through whenever a local is set.
const MOST_PENDING: usize = 32;

/// The most nodes of an instruction: an operator and three operands.
pub(super) const MOST_NODES: usize = 4;

/// A value on the operand stack.
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
            Node::Place(_) | Node::Op(..) => Value::Home,
        };
        Entry {
            value,
            ..Entry::NONE
        }
    }

    fn slot(self) -> Option<Slot> {
        match self.value {
            Value::Home => Some(self.home),
            Value::Local(slot) => Some(slot),
            Value::Const(_) => None,
        }
    }

    fn node(self) -> Node {
        match self.value {
            Value::Const(bits) => Node::Const(bits),
            Value::Local(slot) => Node::Place(Place::Slot(slot)),
            Value::Home => Node::Place(Place::Slot(self.home)),
        }
    }

    fn symbol(self, wanted: Ty) -> Symbol {
        match self.value {
            Value::Const(bits) => Symbol::constant(bits, wanted),
            Value::Local(_) | Value::Home => Symbol::Slot,
        }
    }
}

/// What the executor has for the shapes looked up last.
#[derive(Debug, Default)]
pub(super) struct Memo(Vec<(ShapeKey, Option<Found>)>);

impl Memo {
    const BITS: u32 = 9;

    #[inline]
    fn find(&mut self, shapes: &dyn Shapes, key: ShapeKey) -> Option<Found> {
        if self.0.is_empty() {
            self.0.resize(1 << Memo::BITS, (ShapeKey::new(), None));
        }
        // The keys have five symbols at most.
        let hash = (key.bits() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let known = &mut self.0[(hash >> (u64::BITS - Memo::BITS)) as usize];
        if known.0 != key {
            *known = (key, shapes.find(key).map(Found::alone));
        }
        known.1
    }
}

impl Baseline<'_> {
    /// The home of an entry with so many below it.
    pub(super) fn next_home(&self, height: usize) -> Slot {
        match height.checked_sub(1) {
            Some(below) => self.stack[below].home + 1,
            None => self.base,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: Value, ty: Ty) {
        if self.stack.len() - self.settled >= MOST_PENDING {
            self.settle(self.stack.len());
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
        for (home, ty) in (first..).zip(types) {
            let (value, ty) = (Value::Home, ty.ty());
            self.stack.push(Entry { value, home, ty });
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
        for index in self.settled..self.stack.len() {
            if self.stack[index].value == Value::Local(local) {
                self.send_home(index);
            }
        }
    }

    /// Puts a value that has just been popped into a slot, where it was computed to if possible.
    #[inline]
    pub(super) fn put(&mut self, entry: Entry, slot: Slot) {
        if entry.value != Value::Home || !self.out.retarget(entry.home, slot) {
            self.copy(entry, slot);
        }
    }

    /// Copies the entries from `first` up into adjacent slots. Theirs are at or above these, so that none is
    /// overwritten before its time.
    pub(super) fn copy_down(&mut self, first: usize, slot: Slot) {
        for (index, slot) in (first..self.stack.len()).zip(slot..) {
            self.copy(self.stack[index], slot);
        }
    }

    pub(super) fn copy(&mut self, entry: Entry, slot: Slot) {
        if entry.slot() == Some(slot) {
            return;
        }
        // Any set of a slot from a leaf is there.
        self.emit(Root::Set(Place::Slot(slot)), None, &mut [entry]);
    }

    /// Emits what has no operands.
    pub(super) fn emit_plain(&mut self, root: Root) {
        let key = Symbol::root_number(&root).and_then(|root| Symbols::default().below(root));
        let (key, found) = match key {
            Some(key) => (key, Found::UNKNOWN),
            None => (ShapeKey::new(), Found::OTHERWISE),
        };
        self.out.plain(root, key, found, &[], self.offset);
    }

    /// Emits what is to be done, with constants in slots if they are in no shape.
    #[inline]
    pub(super) fn emit(&mut self, root: Root, operator: Option<(Op, u64)>, leaves: &mut [Entry]) {
        let (key, found) = loop {
            match self.offered(&root, operator, leaves) {
                Some(offered) => break offered,
                None if self.constants_home(leaves) => {}
                // Over slots everything is there, as `Shapes` says.
                None => break (ShapeKey::new(), Found::UNKNOWN),
            }
        };
        self.emit_whole(root, operator, leaves, key, found);
    }

    /// What the executor has for a root over an operator over leaves, or over leaves alone.
    #[inline]
    pub(super) fn offered(
        &mut self,
        root: &Root,
        operator: Option<(Op, u64)>,
        leaves: &[Entry],
    ) -> Option<(ShapeKey, Found)> {
        let (mut symbols, types) = match operator {
            Some((op, _)) => (Symbols::one(Symbol::Op(op)), op.params()),
            None => (Symbols::default(), root.operands()),
        };
        for (leaf, ty) in leaves.iter().zip(types) {
            symbols.push(leaf.symbol(*ty));
        }
        let key = symbols.below(Symbol::root_number(root)?)?;
        Some((key, self.memo.find(self.shapes, key)?))
    }

    #[inline]
    pub(super) fn emit_whole(
        &mut self,
        root: Root,
        operator: Option<(Op, u64)>,
        leaves: &[Entry],
        key: ShapeKey,
        found: Found,
    ) {
        let mut nodes = [Node::Const(0); MOST_NODES];
        let first = usize::from(operator.is_some());
        if let Some((op, immediate)) = operator {
            nodes[0] = Node::Op(op, immediate);
        }
        for (node, leaf) in nodes[first..].iter_mut().zip(leaves) {
            *node = leaf.node();
        }
        let nodes = &nodes[..first + leaves.len()];
        self.out.plain(root, key, found, nodes, self.offset);
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
            return self.apply(mirrored, 0);
        }
        self.apply(op, 0);
    }

    /// Replaces the operands of an operator by its result.
    #[inline]
    pub(super) fn apply(&mut self, op: Op, immediate: u64) {
        let arity = op.params().len();
        let first = self.stack.len() - arity;
        let mut leaves = [Entry::NONE; MOST_NODES - 1];
        let leaves = &mut leaves[..arity];
        leaves.copy_from_slice(&self.stack[first..]);
        self.truncate(first);
        let home = self.next_home(first);
        let operator = Some((op, immediate));
        self.emit(Root::Set(Place::Slot(home)), operator, leaves);
        self.push(Value::Home, op.result());
    }
}
