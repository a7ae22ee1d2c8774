//! Calls and rare operations: what takes its operands from consecutive slots.

use std::ops::Range;

use crate::ir::{FRAME_HEADER, Place, Root, Slot, TAIL_ADAPTER};
use crate::op::{Op, StoreOp};
use crate::{FuncType, PointKind, ValType};

use super::Translator;
use super::control::in_slots;
use super::expr::Effects;
use super::runtime::{Operation, before_indirect};

/// The effects of trees that give something else after a call than before, or would have to trap before it.
pub(super) const CHANGED_BY_CALLS: Effects = Effects::TRAPS.and(Effects::GLOBAL).and(Effects::TEMP);

impl Translator<'_> {
    /// Translates `call`.
    pub(super) fn call(&mut self, func: u32) {
        let module = self.module;
        let ty = module.func_type(func);
        let base = self.arguments(ty, 0);
        self.emit_plain(if func < module.imported_funcs() {
            Root::CallImport { func, base }
        } else {
            Root::Call { func, base }
        });
        self.push_results(ty, 0, base);
    }

    /// Translates `call_indirect`.
    pub(super) fn call_indirect(&mut self, table: u32, ty: u32) {
        if self.before_indirect(table, ty) {
            return self.call_ref(ty);
        }
        self.call_by_top(ty, |base| Root::CallIndirect { table, ty, base });
    }

    /// Translates `call_ref`.
    pub(super) fn call_ref(&mut self, ty: u32) {
        self.call_by_top(ty, |base| Root::CallRef { ty, base });
    }

    /// Calls a function of a type by what is at the top of the stack.
    fn call_by_top(&mut self, ty: u32, root: impl FnOnce(Slot) -> Root) {
        let ty = &self.module.types()[ty as usize];
        let base = self.arguments(ty, 1);
        self.reserved = base + FRAME_HEADER + ty.slots();
        let index = self.stack.len() - 1;
        self.leaf_operand(index);
        self.lower_entries(root(base), index..index + 1);
        self.reserved = 0;
        self.push_results(ty, 1, base);
    }

    /// Readies the index of a table at the top of the stack, see [`before_indirect`]. Answers whether it is a reference now.
    fn before_indirect(&mut self, table: u32, ty: u32) -> bool {
        let (operations, is_reference) = before_indirect(self.module, table, ty);
        for operation in operations {
            self.runtime(&operation);
        }
        is_reference
    }

    /// Translates `return_call`.
    pub(super) fn return_call(&mut self, func: u32) {
        let module = self.module;
        let ty = module.func_type(func);
        let args = ty.param_slots();
        let base = self.tail_arguments(ty, ty.params());
        self.leave_call();
        self.emit_plain(if func < module.imported_funcs() {
            Root::ReturnCallImport { func, base, args }
        } else {
            Root::ReturnCall { func, base, args }
        });
        self.unreachable = Some(0);
    }

    /// Translates `return_call_indirect`.
    pub(super) fn return_call_indirect(&mut self, table: u32, ty: u32) {
        if self.before_indirect(table, ty) {
            return self.return_call_ref(ty);
        }
        self.return_call_by_top(ty, ValType::I32, |base, args| Root::ReturnCallIndirect {
            table,
            ty,
            base,
            args,
        });
    }

    /// Translates `return_call_ref`.
    pub(super) fn return_call_ref(&mut self, ty: u32) {
        let root = |base, args| Root::ReturnCallRef { ty, base, args };
        self.return_call_by_top(ty, ValType::I64, root);
    }

    /// Returns what a function of a type returns that is called by what is at the top of the stack.
    fn return_call_by_top(&mut self, ty: u32, top: ValType, root: impl FnOnce(Slot, Slot) -> Root) {
        let ty = &self.module.types()[ty as usize];
        // It stands above the arguments.
        let operands: Vec<_> = ty.params().iter().copied().chain([top]).collect();
        let base = self.tail_arguments(ty, &operands);
        self.leave_call();
        self.emit_plain(root(base, ty.param_slots()));
        self.unreachable = Some(0);
    }

    /// Puts the arguments of a tail call, and whatever operands are above them, into adjacent
    /// slots, and sees to it that they fit into the frame after they have been moved.
    fn tail_arguments(&mut self, ty: &FuncType, operands: &[ValType]) -> Slot {
        let base = self.put_arguments(operands, 0);
        let slots: Slot = operands.iter().map(|ty| ty.slots()).sum();
        let end = base + FRAME_HEADER + slots;
        let moved = TAIL_ADAPTER + FRAME_HEADER + ty.slots();
        self.out.slots = self.out.slots.max(end).max(moved);
        base
    }

    /// Makes an entry a leaf, for roots that take nothing else.
    pub(super) fn leaf_operand(&mut self, index: usize) {
        if self.stack.is_tree(index) {
            self.materialise_above(index);
        }
    }

    /// Computes an entry into a temporary register or into a scratch slot: its home may be
    /// among the arguments already.
    fn materialise_above(&mut self, index: usize) {
        self.before_trap(index);
        let home = self.stack.entry(index).home.max(self.reserved);
        // No such operand is a vector.
        let place = match self.place_of(index) {
            Place::Slot(_) => Place::Slot(home),
            register => register,
        };
        self.emit_entry(index, place);
    }

    /// Puts the arguments of a call into the callee's frame, and returns where that starts. Above
    /// the arguments there are `above` more operands on the stack.
    fn arguments(&mut self, ty: &FuncType, above: usize) -> Slot {
        let base = self.put_arguments(ty.params(), above);
        self.out.slots = self.out.slots.max(base + FRAME_HEADER + ty.slots());
        base
    }

    fn put_arguments(&mut self, types: &[ValType], above: usize) -> Slot {
        let last = self.stack.len() - above;
        let first = last - types.len();
        let slots: Slot = types.iter().map(|ty| ty.slots()).sum();
        self.compute_for_call(0..first);
        self.settle_for_site(first);
        let base = self.stack.end_below(first);
        let target = base + FRAME_HEADER;
        // Arguments are put down first to last. Where one would fall on a slot that a later
        // operand still needs, the whole frame goes above all of them.
        let ends = (in_slots(target, types))
            .filter_map(|place| place.slots().map(|slots| slots.start))
            .chain(std::iter::repeat(target + slots));
        let clashes = (first..self.stack.len())
            .zip(ends)
            .any(|(index, end)| self.stack.reads_slots(index, target..end));
        if self.are_many(types.len()) {
            let target = target..target + slots;
            self.put_many_arguments(first..last, target, clashes);
            return base;
        }
        let base = match clashes {
            true => self.stack.end().max(target) - FRAME_HEADER,
            false => base,
        };
        let target = base + FRAME_HEADER;
        self.reserved = target + slots;
        for (index, place) in (first..last).zip(in_slots(target, types)) {
            self.emit_argument(index, place);
        }
        self.reserved = 0;
        base
    }

    /// The same for many. If one would fall on what a later one still needs, they are put side by side first: then a
    /// single instruction copies them, even if that overlaps. A frame that went above all of them, again for each call,
    /// would make the caller's huge.
    fn put_many_arguments(&mut self, arguments: Range<usize>, target: Range<Slot>, clashes: bool) {
        self.reserved = target.end;
        if clashes {
            let base = self.stack.end_below(arguments.start);
            self.settle_at(arguments.clone(), base);
            // What stands above them gives way: an element's index.
            for index in arguments.end..self.stack.len() {
                if self.stack.reads_slots(index, target.clone()) {
                    self.emit_entry(index, Place::Slot(target.end));
                }
            }
        }
        self.emit_entries(arguments, target.start);
        self.reserved = 0;
    }

    /// Puts an operand where a callee or a rare operation expects it. Older ones are there
    /// already, so that nothing is left to trap before it.
    fn emit_argument(&mut self, index: usize, place: Place) {
        self.emit_entry(index, place);
    }

    /// Replaces the operands of a call by its results.
    fn push_results(&mut self, ty: &FuncType, above: usize, base: Slot) {
        let len = self.stack.len() - ty.params().len() - above;
        self.stack.truncate(len);
        self.check_unaffected(CHANGED_BY_CALLS, base);
        self.has_called();
        self.push_slots(base + FRAME_HEADER, ty.results());
    }

    /// Translates an operation that the executor calls a function for.
    pub(super) fn runtime(&mut self, operation: &Operation) {
        let Operation {
            op,
            imm,
            operands,
            results,
        } = *operation;
        if op.takes_fuel() {
            self.settle_for_site(self.stack.len() - operands);
        }
        let (first, base) = self.slot_operands(operands, 0);
        if op.takes_fuel() && self.additions.fuel.is_some() {
            self.note_site(PointKind::Bulk);
        }
        self.out.slots = self.out.slots.max(base + (results.len() as Slot).max(1));
        self.emit_plain(Root::Runtime { op, base, imm });
        self.stack.truncate(first);
        self.check_unaffected(CHANGED_BY_CALLS, base);
        for (slot, ty) in (base..).zip(results) {
            self.push_slot(slot, *ty);
        }
    }

    /// Puts so many operands into adjacent slots, and what is below and the operands `above` them where they
    /// outlive a call. Returns the index of the first and its slot.
    pub(super) fn slot_operands(&mut self, operands: usize, above: usize) -> (usize, Slot) {
        let last = self.stack.len() - above;
        let first = last - operands;
        self.compute_for_call(0..first);
        self.compute_for_call(last..last + above);
        let base = self.stack.end_below(first);
        // No operand's home is below where it goes to, so none falls on a later one.
        let mut slot = base;
        for index in first..last {
            let ty = self.stack.entry(index).ty;
            self.emit_argument(index, Place::in_slots(slot, ty));
            slot += ty.slots();
        }
        (first, base)
    }

    /// Translates a load by a memory's cell. Above the address there are `above` more operands on the stack, none
    /// of which may trap.
    pub(super) fn memory_load(&mut self, op: Op, memory: u32, offset: u64, above: usize) {
        let (address, base) = self.slot_operands(1, above);
        self.emit_plain(Root::MemoryLoad {
            op,
            memory,
            offset,
            base,
        });
        let ty = op.result();
        self.out.slots = self.out.slots.max(base + ty.slots());
        self.stack.set_slot(address, base, ty, self.offset);
    }

    /// Translates a store by a memory's cell.
    pub(super) fn memory_store(&mut self, op: StoreOp, memory: u32, offset: u64) {
        let (first, base) = self.slot_operands(2, 0);
        self.emit_plain(Root::MemoryStore {
            op,
            memory,
            offset,
            base,
        });
        self.stack.truncate(first);
        self.check_unaffected(Effects::TRAPS, base);
    }

    /// Translates a store to memory 0.
    pub(super) fn store(&mut self, root: Root) {
        let first = self.stack.len() - 2;
        self.compute(Effects::TRAPS, first);
        self.lower_entries(root, first..first + 2);
        self.stack.truncate(first);
        self.check_unaffected(Effects::TRAPS, Slot::MAX);
    }
}
