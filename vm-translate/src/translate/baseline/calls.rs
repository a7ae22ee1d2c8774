//! Calls and rare operations: what takes its operands from consecutive slots.

use crate::FuncType;
use crate::ir::{FRAME_HEADER, Root, Slot, TAIL_ADAPTER};
use crate::op::{Op, StoreOp};

use super::super::runtime::{Operation, before_indirect};
use super::Baseline;
use super::sink::BaselineSink;
use super::values::{Entry, Value};

impl<K: BaselineSink> Baseline<'_, K> {
    /// Translates `call`.
    pub(super) fn call(&mut self, func: u32) {
        let module = self.module;
        let ty = module.func_type(func);
        let base = self.arguments(ty, None);
        let root = if func < module.imported_funcs() {
            Root::CallImport { func, base }
        } else {
            Root::Call { func, base }
        };
        self.plain(root);
        self.has_called(&root);
        self.push_slots(base + FRAME_HEADER, ty.results());
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
        let mut top = self.pop();
        let base = self.arguments(ty, Some(&mut top));
        let root = root(base);
        self.emit(root, &mut [top]);
        self.has_called(&root);
        self.push_slots(base + FRAME_HEADER, ty.results());
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
        let base = self.tail_arguments(ty, 0);
        self.plain(if func < module.imported_funcs() {
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
        self.return_call_by_top(ty, |base, args| Root::ReturnCallIndirect {
            table,
            ty,
            base,
            args,
        });
    }

    /// Translates `return_call_ref`.
    pub(super) fn return_call_ref(&mut self, ty: u32) {
        self.return_call_by_top(ty, |base, args| Root::ReturnCallRef { ty, base, args });
    }

    /// Returns what a function of a type returns that is called by what is at the top of the stack: above the arguments.
    fn return_call_by_top(&mut self, ty: u32, root: impl FnOnce(Slot, Slot) -> Root) {
        let ty = &self.module.types()[ty as usize];
        let base = self.tail_arguments(ty, 1);
        self.plain(root(base, ty.param_slots()));
        self.unreachable = Some(0);
    }

    /// Puts the arguments of a tail call, and so many operands above them, into adjacent slots, and sees to it that
    /// they fit into the frame after they have been moved.
    fn tail_arguments(&mut self, ty: &FuncType, above: usize) -> Slot {
        let first = self.stack.len() - ty.params().len() - above;
        let base = self.next_home(first);
        self.put_arguments(first, base + FRAME_HEADER);
        let moved = TAIL_ADAPTER + FRAME_HEADER + ty.slots();
        let end = base + FRAME_HEADER + ty.param_slots() + above as Slot;
        self.slots = self.slots.max(end).max(moved);
        self.leave_call();
        base
    }

    /// Puts the arguments of a call into the callee's frame, and returns where that starts. An operand that
    /// stood above them goes where it outlives that.
    fn arguments(&mut self, ty: &FuncType, above: Option<&mut Entry>) -> Slot {
        let first = self.stack.len() - ty.params().len();
        self.settle_for_site(first);
        let base = self.next_home(first);
        let target = base + FRAME_HEADER;
        let end = target + ty.slots();
        self.slots = self.slots.max(end);
        if let Some(above) = above
            && !matches!(above.value, Value::Local(_))
        {
            // Above all homes.
            let slot = end.max(above.home);
            self.put(*above, slot);
            (above.value, above.home) = (Value::Home, slot);
        }
        self.put_arguments(first, target);
        self.truncate(first);
        base
    }

    /// Puts so many operands into adjacent slots and takes them off the stack. Returns the first slot.
    pub(super) fn slot_operands(&mut self, operands: usize) -> Slot {
        let first = self.stack.len() - operands;
        let base = self.next_home(first);
        self.copy_down(first, base);
        self.truncate(first);
        base
    }

    /// Translates an operation that the executor calls a function for.
    pub(super) fn runtime(&mut self, operation: &Operation) {
        let Operation {
            op, imm, results, ..
        } = *operation;
        if op.takes_fuel() {
            self.can_stop_in_bulk(operation.operands);
        }
        let base = self.slot_operands(operation.operands);
        self.plain(Root::Runtime { op, base, imm });
        self.slots = self.slots.max(base + (results.len() as Slot).max(1));
        for ty in results {
            self.push(Value::Home, *ty);
        }
    }

    /// Translates a load by a memory's cell.
    pub(super) fn memory_load(&mut self, op: Op, memory: u32, offset: u64) {
        let base = self.slot_operands(1);
        self.plain(Root::MemoryLoad {
            op,
            memory,
            offset,
            base,
        });
        let ty = op.result();
        self.slots = self.slots.max(base + ty.slots());
        self.push(Value::Home, ty);
    }

    /// Translates a store by a memory's cell.
    pub(super) fn memory_store(&mut self, op: StoreOp, memory: u32, offset: u64) {
        let base = self.slot_operands(2);
        self.plain(Root::MemoryStore {
            op,
            memory,
            offset,
            base,
        });
    }
}
