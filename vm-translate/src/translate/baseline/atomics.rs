//! Atomic instructions.

use wasmparser::MemArg;

use crate::atomic::AtomicOp;

use super::super::atomics::root;
use super::Baseline;
use super::sink::BaselineSink;
use super::values::Value;

impl<K: BaselineSink> Baseline<'_, K> {
    /// Translates an atomic instruction.
    pub(super) fn atomic(&mut self, op: AtomicOp, access: Option<MemArg>) {
        let operands = usize::from(access.is_some()) + op.params().len();
        let base = self.slot_operands(operands);
        let root = root(op, access, base, self.module, self.unchecked);
        self.plain(root);
        self.slots = self.slots.max(base + 1);
        if let Some(ty) = op.result() {
            self.push(Value::Home, ty);
        }
    }
}
