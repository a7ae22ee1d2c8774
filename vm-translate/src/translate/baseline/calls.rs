//! Calls and rare operations: what takes its operands from consecutive slots.

use crate::FuncType;
use crate::ir::{FRAME_HEADER, Root, RuntimeOp, Slot};
use crate::op::Ty;

use super::sink::BaselineSink;
use super::values::{Entry, Value};
use super::{Baseline, Outcome};

impl<K: BaselineSink> Baseline<'_, K> {
    /// Translates `call`.
    pub(super) fn call(&mut self, func: u32) -> Outcome {
        let module = self.module;
        let ty = module.func_type(func);
        let Some(base) = self.arguments(ty, None) else {
            return Outcome::Unsupported;
        };
        self.plain(if func < module.imported_funcs() {
            Root::CallImport { func, base }
        } else {
            Root::Call { func, base }
        });
        self.push_slots(base + FRAME_HEADER, ty.results());
        Outcome::More
    }

    /// Translates `call_indirect`.
    pub(super) fn call_indirect(&mut self, table: u32, ty: u32) -> Outcome {
        if self.module.tables()[table as usize].table64 {
            return Outcome::Unsupported;
        }
        let func_type = &self.module.types()[ty as usize];
        let mut index = self.pop();
        let Some(base) = self.arguments(func_type, Some(&mut index)) else {
            return Outcome::Unsupported;
        };
        let root = Root::CallIndirect { table, ty, base };
        self.emit(root, &mut [index]);
        self.push_slots(base + FRAME_HEADER, func_type.results());
        Outcome::More
    }

    /// Puts the arguments of a call into the callee's frame, and returns where that starts. An operand that
    /// stood above them goes where it outlives that. Nothing if there are vectors.
    fn arguments(&mut self, ty: &FuncType, above: Option<&mut Entry>) -> Option<Slot> {
        let params = ty.params().len();
        if ty.param_slots() as usize != params || ty.result_slots() as usize != ty.results().len() {
            return None;
        }
        let first = self.stack.len() - params;
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
        Some(base)
    }

    /// Translates an operation on a memory.
    pub(super) fn of_memory(&mut self, op: RuntimeOp, memory: u32) -> Outcome {
        if self.module.memories()[memory as usize].memory64 {
            return Outcome::Unsupported;
        }
        let (operands, result) = match op {
            RuntimeOp::MemorySize => (0, true),
            RuntimeOp::MemoryGrow => (1, true),
            _ => (3, false),
        };
        let first = self.stack.len() - operands;
        let base = self.next_home(first);
        self.copy_down(first, base);
        self.truncate(first);
        let imm = match op {
            RuntimeOp::MemoryCopy => [memory, memory],
            _ => [memory, 0],
        };
        self.plain(Root::Runtime { op, base, imm });
        self.slots = self.slots.max(base + 1);
        if result {
            self.push(Value::Home, Ty::I32);
        }
        Outcome::More
    }
}
