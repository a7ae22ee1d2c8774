//! Computing pending trees when their time has come.

use crate::ValType;
use crate::ir::{Node, Place, Root, Slot};
use crate::op::{Op, Ty};

use super::Translator;
use super::expr::{self, Effects, Expr, Term};

impl Translator<'_> {
    /// Emits what puts the value of an entry into a place, and before it whatever older entry
    /// would have to trap first. The entry then is that place.
    pub(super) fn emit_entry(&mut self, index: usize, place: Place) {
        self.copy_entry(index, place);
        self.stack.set_leaf(index, place, self.offset);
    }

    /// The same, but the entry stays what it is.
    pub(super) fn copy_entry(&mut self, index: usize, place: Place) {
        if self.stack.leaf(index) == Some(Node::Place(place)) {
            return;
        }
        self.lower_entries(Root::Set(place), index..index + 1);
    }

    /// Emits `root` on the values of some adjacent entries, which stay on the stack.
    pub(super) fn lower_entries(&mut self, root: Root, entries: std::ops::Range<usize>) {
        let index = entries.start;
        if entries.len() == 1 {
            // The usual case needs no copy.
            self.before_trap(index);
            if self.offers(&root, self.stack.terms(index)) {
                self.out.whole(root, self.stack.terms(index), self.offset);
                return;
            }
        }
        let mut expr = Expr::new();
        for index in entries.clone() {
            expr.extend(self.stack.terms(index));
        }
        self.lower_with(root, expr, entries);
    }

    /// Emits `root` on `expr`, which is made of some entries of the stack.
    pub(super) fn lower_with(&mut self, root: Root, expr: Expr, entries: std::ops::Range<usize>) {
        if expr.terms().iter().any(Term::may_trap) {
            self.compute(Effects::TRAPS, entries.start);
        }
        if self.offers(&root, expr.terms()) {
            self.out.whole(root, expr.terms(), self.offset);
            return;
        }
        self.scratch = self.stack.end().max(self.reserved);
        let live = self.stack.temps_except(entries);
        self.lower(root, expr, live);
    }

    /// Computes an entry into a temporary register if there is one, or else into its home.
    pub(super) fn materialise(&mut self, index: usize) {
        self.before_trap(index);
        let place = self.place_of(index);
        self.emit_entry(index, place);
    }

    /// If an entry may trap, computes the older ones that have to trap first. That takes
    /// temporary registers, so it comes before one is chosen for the entry.
    pub(super) fn before_trap(&mut self, index: usize) {
        if self.stack.entry(index).effects.any_of(Effects::TRAPS) {
            self.compute(Effects::TRAPS, index);
        }
    }

    /// Where [`Translator::materialise`] would put an entry.
    pub(super) fn place_of(&self, index: usize) -> Place {
        let entry = self.stack.entry(index);
        let busy = self.stack.temps_except(index..index + 1);
        self.place_for(self.stack.terms(index), entry.ty, entry.home, busy)
    }

    /// Computes an entry into its home.
    pub(super) fn store_home(&mut self, index: usize) {
        self.emit_entry(index, self.stack.home(index));
    }

    /// Computes, oldest first, the entries below `end` that have any of the effects. They go to
    /// temporary registers as long as there are some.
    pub(super) fn compute(&mut self, effects: Effects, end: usize) {
        for index in self.stack.window().start..end {
            if self.stack.entry(index).effects.any_of(effects) {
                self.materialise(index);
            }
        }
    }

    /// Computes, oldest first, the entries below `end` that depend on what a call changes, or
    /// that would have to trap before it, and puts them where it does not reach.
    pub(super) fn compute_for_call(&mut self, end: usize) {
        let effects = Effects::TRAPS | Effects::GLOBAL | Effects::TEMP;
        for index in self.stack.window().start..end {
            if self.stack.entry(index).effects.any_of(effects) {
                self.store_home(index);
            }
        }
    }

    /// Puts all entries below `end` into their homes, except constants.
    pub(super) fn settle(&mut self, end: usize) {
        for index in self.stack.window().start..end {
            if !self.stack.is_const(index) {
                self.store_home(index);
            }
        }
        self.stack.settled(end);
    }

    /// Computes what is pending below `end` and reads a local that is about to change.
    pub(super) fn before_set(&mut self, local: Place, end: usize) {
        for index in self.stack.window().start..end {
            if self.stack.reads(index, local) {
                self.materialise(index);
            }
        }
    }

    /// Pushes a tree, and keeps the number of pending entries bounded.
    pub(super) fn push(&mut self, ty: Ty, terms: &[Term]) {
        self.stack.push(ty, terms);
        if let Some(index) = self.stack.overdue() {
            self.settle(index + 1);
        }
    }

    /// Pushes a value that stands in a slot.
    pub(super) fn push_slot(&mut self, slot: Slot, ty: Ty) {
        self.stack.push_slot(slot, ty, self.offset);
        if let Some(index) = self.stack.overdue() {
            self.settle(index + 1);
        }
    }

    /// Pushes values that stand in consecutive slots.
    pub(super) fn push_slots(&mut self, base: Slot, types: &[ValType]) {
        let mut slot = base;
        for ty in types {
            self.push_slot(slot, ty.ty());
            slot += ty.slots();
        }
    }

    /// Replaces the operands of an operator at the top of the stack by its result, pending as far
    /// as the shapes know such a tree.
    pub(super) fn apply(&mut self, op: Op, immediate: u64) {
        self.apply_ordered(op, immediate, &[0, 1, 2][..op.params().len()]);
    }

    /// The same for an operator that takes its operands in another order. Where the order
    /// differs from that on the stack, at most one operand may trap.
    pub(super) fn apply_ordered(&mut self, op: Op, immediate: u64, order: &[usize]) {
        let count = order.len();
        let first = self.stack.len() - count;
        let head = Term {
            node: Node::Op(op, immediate),
            offset: self.offset,
        };
        if (first..first + count).all(|index| self.stack.leaf(index).is_some()) {
            // An operator over leaves always can be pending: emission knows how to make it fit.
            let mut terms = [head; 4];
            for (term, operand) in terms[1..].iter_mut().zip(order) {
                *term = self.stack.terms(first + operand)[0];
            }
            self.stack.truncate(first);
            self.push(op.result(), &terms[..1 + count]);
            return;
        }
        let tree = |this: &Self, leaves: &dyn Fn(usize) -> bool| -> Option<Expr> {
            let mut expr = Expr::new();
            expr.push(head);
            for index in order.iter().map(|operand| first + operand) {
                if leaves(index) {
                    expr.push(Term::place(this.place_of(index), this.offset));
                } else if expr.terms().len() + this.stack.terms(index).len() <= Expr::MAX_TREE {
                    expr.extend(this.stack.terms(index));
                } else {
                    return None;
                }
            }
            Some(expr)
        };
        let is_tree = |this: &Self, index: usize| this.stack.leaf(index).is_none();
        let fits = |this: &Self, expr: &Option<Expr>| {
            expr.as_ref()
                .is_some_and(|expr| this.may_pend(expr.terms()))
        };
        while (first..first + count).any(|index| is_tree(self, index)) {
            if fits(self, &tree(self, &|_| false)) {
                break;
            }
            // Compute one operand whose absence makes the rest a shape, or else the first.
            let mut operands = (first..first + count).filter(|index| is_tree(self, *index));
            let best = operands.clone().find(|index| {
                let traps = |index: usize| self.stack.entry(index).effects.any_of(Effects::TRAPS);
                let in_order = !traps(*index) || !(first..*index).any(traps);
                in_order && fits(self, &tree(self, &|other| other == *index))
            });
            if let Some(index) = best.or(operands.next()) {
                self.materialise(index);
            }
        }
        if let Some(expr) = tree(self, &|_| false) {
            self.stack.truncate(first);
            self.push(op.result(), expr.terms());
        }
    }

    /// Whether a tree may be kept pending: whether some shape has it whole.
    fn may_pend(&self, terms: &[Term]) -> bool {
        let Some(op) = terms[0].op() else {
            return true;
        };
        expr::tree_key(terms, op.result()).is_some_and(|key| self.shapes.grows(key))
    }
}
