//! Computing pending trees when their time has come.

use std::ops::Range;

use crate::ValType;
use crate::ir::{Node, Place, Root, Slot};
use crate::op::{Op, Ty};
use crate::shape::{Symbol, Symbols};

use super::Translator;
use super::calls::CHANGED_BY_CALLS;
use super::emit::Shape;
use super::expr::{Effects, Facts, Term};
use super::stack::{Local, Stack, WINDOW};

/// How many entries at the top builds with debug assertions look through after each instruction.
const MOST_CHECKED: usize = 256;

impl Translator<'_> {
    /// Emits what puts the value of an entry into a place, and before it whatever older entry
    /// would have to trap first. The entry then is that place.
    pub(super) fn emit_entry(&mut self, index: usize, place: Place) {
        self.copy_entry(index, place);
        self.stack.set_leaf(index, place, self.offset);
    }

    /// The same, but the entry stays what it is.
    pub(super) fn copy_entry(&mut self, index: usize, place: Place) {
        if self.stack.is_at(index, place) {
            return;
        }
        let wanted = match place {
            Place::Float(_) => Ty::F64,
            Place::Vector(_) => Ty::V128,
            Place::Slot(_) | Place::Int(_) => Ty::I64,
        };
        let symbol = Symbol::set_number(place);
        self.lower_entry(Root::Set(place), symbol, wanted, index);
    }

    /// Emits a root, the number of whose symbol is given, on the value of an entry, which stays on the
    /// stack. The root reads it as `wanted`.
    #[inline]
    fn lower_entry(&mut self, root: Root, symbol: u16, wanted: Ty, index: usize) {
        let may_trap = self.stack.entry(index).effects.any_of(Effects::TRAPS);
        if may_trap {
            self.compute(Effects::TRAPS, index);
        }
        if let Some(key) = self.stack.symbols(index, wanted).below(symbol)
            && let Some(found) = self.shapes.find(key)
        {
            // The usual case needs no copy.
            let shape = Shape {
                key,
                found,
                may_trap,
            };
            let terms = self.stack.terms(index);
            self.out.whole(root, terms, shape, self.offset);
            self.check_undisturbed(1, index..index + 1);
            return;
        }
        self.lower_copy(root, index..index + 1);
    }

    /// Emits `root` on the values of some adjacent entries, which stay on the stack.
    pub(super) fn lower_entries(&mut self, root: Root, entries: Range<usize>) {
        let symbol = Symbol::root_number(&root);
        if let Some(symbol) = symbol
            && let [wanted] = *root.operands()
        {
            return self.lower_entry(root, symbol, wanted, entries.start);
        }
        let may_trap =
            (entries.clone()).any(|index| self.stack.entry(index).effects.any_of(Effects::TRAPS));
        if may_trap {
            self.compute(Effects::TRAPS, entries.start);
        }
        let key = symbol.and_then(|symbol| {
            let mut symbols = Symbols::default();
            for (index, ty) in entries.clone().zip(root.operands()) {
                symbols.append(self.stack.symbols(index, *ty));
            }
            symbols.below(symbol)
        });
        if let Some(key) = key
            && let Some(terms) = self.stack.adjacent_terms(entries.clone())
            && let Some(found) = self.shapes.find(key)
        {
            // The usual case needs no copy.
            let shape = Shape {
                key,
                found,
                may_trap,
            };
            self.out.whole(root, terms, shape, self.offset);
            return;
        }
        self.lower_copy(root, entries);
    }

    /// Asserts that of all entries only those `used` read what the last instructions have set.
    #[inline]
    pub(super) fn check_undisturbed(&self, insts: usize, used: Range<usize>) {
        if !cfg!(debug_assertions) {
            return;
        }
        let first = self.out.insts.len() - insts;
        let entries = (0..self.stack.len()).rev().take(MOST_CHECKED);
        let others =
            entries.filter(|index| !used.contains(index) && !self.given_up.contains(index));
        for index in others {
            for inst in &self.out.insts[first..] {
                let Root::Set(place) = inst.root else {
                    continue;
                };
                assert!(
                    !self.stack.reads_place(index, place),
                    "{place} is set while entry {index} of the stack still reads it, at {:#x}",
                    self.offset
                );
            }
        }
    }

    /// Asserts that no entry depends on what a call, a store or the like has just changed: that none has these
    /// effects, or reads slots from `end` up.
    pub(super) fn check_unaffected(&self, effects: Effects, end: Slot) {
        debug_assert!(
            (self.stack.window().rev().take(MOST_CHECKED)).all(|index| !self
                .stack
                .entry(index)
                .effects
                .any_of(effects)
                && !self.stack.reads_slots(index, end..Slot::MAX)),
            "an entry of the stack depends on what changes at {:#x}",
            self.offset
        );
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
        // What a root that sets a register reads.
        let read = if entry.ty.is_float() {
            Ty::F64
        } else {
            Ty::I64
        };
        self.place_for(self.stack.symbols(index, read), entry.ty, entry.home, busy)
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

    /// Computes, oldest first, those of some entries that depend on what a call changes, or that would have
    /// to trap before it, and puts them where it does not reach.
    pub(super) fn compute_for_call(&mut self, entries: Range<usize>) {
        for index in self.stack.window().start.max(entries.start)..entries.end {
            if self.stack.entry(index).effects.any_of(CHANGED_BY_CALLS) {
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
    pub(super) fn before_set(&mut self, local: Local, end: usize) {
        for index in self.stack.window().start..end {
            if self.stack.reads(index, local) {
                self.materialise(index);
            }
        }
    }

    /// Pushes a leaf, and keeps the number of pending entries bounded.
    #[inline]
    pub(super) fn push_leaf(&mut self, ty: Ty, leaf: Term) {
        self.stack.push_leaf(ty, leaf);
        self.settle_overdue();
    }

    /// Pushes a local. The same holds for it.
    #[inline]
    pub(super) fn push_local(&mut self, local: Local) {
        self.stack.push_local(local, self.offset);
        self.settle_overdue();
    }

    /// Pushes a constant. The same holds for it.
    #[inline]
    pub(super) fn push_const(&mut self, ty: Ty, leaf: Term) {
        self.stack.push_const(ty, leaf);
        self.settle_overdue();
    }

    #[inline]
    fn settle_overdue(&mut self) {
        if let Some(count) = self.stack.overdue() {
            self.settle(count);
        }
    }

    /// Pushes a value that stands in a slot.
    pub(super) fn push_slot(&mut self, slot: Slot, ty: Ty) {
        self.stack.push_slot(slot, ty, self.offset);
        self.settle_overdue();
    }

    /// Pushes values that stand in consecutive slots.
    pub(super) fn push_slots(&mut self, base: Slot, types: &[ValType]) {
        if types.len() > WINDOW {
            return self.push_many(base, types);
        }
        let mut slot = base;
        for ty in types {
            self.push_slot(slot, ty.ty());
            slot += ty.slots();
        }
    }

    /// Replaces the operands of an operator at the top of the stack by its result, pending as far
    /// as the shapes know such a tree.
    pub(super) fn apply(&mut self, op: Op, immediate: u64) {
        let facts = Facts::of(op);
        if let 1 | 2 = facts.arity {
            let (symbols, trees) = self.stack.operator_symbols(op, facts);
            let head = Term {
                node: Node::Op(op, immediate),
                offset: self.offset,
            };
            // An operator over leaves always can be pending: emission knows how to make it fit.
            if !trees || self.may_pend(symbols) {
                self.stack.apply_last(facts, head, symbols);
                return self.settle_overdue();
            }
            // Of two trees one has to be chosen; a single one has to be computed.
            let top = self.stack.len() - 1;
            let only = match (facts.arity, self.stack.is_tree(top)) {
                (1, _) => Some(top),
                (_, true) => (!self.stack.is_tree(top - 1)).then_some(top),
                (_, false) => Some(top - 1),
            };
            if let Some(index) = only.filter(|index| self.stack.is_tree(*index)) {
                self.materialise(index);
                let (symbols, _) = self.stack.operator_symbols(op, facts);
                self.stack.apply_last(facts, head, symbols);
                return self.settle_overdue();
            }
        }
        self.apply_ordered(op, immediate, &[0, 1, 2][..op.params().len()]);
    }

    /// The same for an operator that takes its operands in another order. Where the order
    /// differs from that on the stack, at most one operand may trap.
    pub(super) fn apply_ordered(&mut self, op: Op, immediate: u64, order: &[usize]) {
        let count = order.len();
        let first = self.stack.len() - count;
        let mut whole = self.tree(op, order, None);
        // An operator over leaves always can be pending: emission knows how to make it fit.
        while (first..first + count).any(|index| self.stack.is_tree(index)) {
            if self.may_pend(whole) {
                break;
            }
            let index = self.operand_to_compute(op, order);
            self.materialise(index);
            whole = self.tree(op, order, None);
        }
        let head = Term {
            node: Node::Op(op, immediate),
            offset: self.offset,
        };
        self.stack.apply(first, op, head, order, whole);
        self.settle_overdue();
    }

    /// Applies an operator with one operand to the entry below the top, which stays on the stack meanwhile.
    pub(super) fn apply_below_top(&mut self, op: Op, immediate: u64) {
        let facts = Facts::of(op);
        let index = self.stack.len() - 2;
        let symbols = |stack: &Stack| Symbols::unary(op, stack.symbols(index, facts.params[0]));
        if self.stack.is_tree(index) && !self.may_pend(symbols(&self.stack)) {
            self.materialise(index);
        }
        let head = Term {
            node: Node::Op(op, immediate),
            offset: self.offset,
        };
        let symbols = symbols(&self.stack);
        self.stack.apply_below_top(facts, head, symbols);
    }

    /// The symbols of an operator over the entries at the top of the stack, with a leaf in the
    /// place of the operand `absent`.
    fn tree(&self, op: Op, order: &[usize], absent: Option<usize>) -> Symbols {
        let first = self.stack.len() - order.len();
        let mut symbols = Symbols::one(Symbol::Op(op));
        for (operand, ty) in order.iter().zip(op.params()) {
            let index = first + operand;
            if absent == Some(index) {
                symbols.append(Symbols::place(self.place_of(index)));
            } else {
                symbols.append(self.stack.symbols(index, *ty));
            }
        }
        symbols
    }

    /// Of the operands of an operator, one whose absence makes the rest a shape, or else the
    /// first that is no leaf.
    fn operand_to_compute(&self, op: Op, order: &[usize]) -> usize {
        let first = self.stack.len() - order.len();
        let mut fallback = None;
        let mut older_traps = false;
        for index in first..self.stack.len() {
            let traps = self.stack.entry(index).effects.any_of(Effects::TRAPS);
            if self.stack.is_tree(index) {
                let in_order = !traps || !older_traps;
                if in_order && self.may_pend(self.tree(op, order, Some(index))) {
                    return index;
                }
                fallback = fallback.or(Some(index));
            }
            older_traps |= traps;
        }
        fallback.unwrap_or(first)
    }

    /// Whether a tree may be kept pending: whether some shape has it whole.
    fn may_pend(&self, tree: Symbols) -> bool {
        tree.key().is_some_and(|key| self.shapes.grows(key))
    }
}
