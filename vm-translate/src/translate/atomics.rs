//! Atomic instructions. To what is pending each is as a call: whatever may trap or reads memory is done before, and nothing
//! that comes later is done earlier.

use wasmparser::MemArg;

use crate::Module;
use crate::atomic::AtomicOp;
use crate::ir::Root;

use super::Translator;
use super::calls::CHANGED_BY_CALLS;
use super::operators::{Unchecked, memory};
use super::runtime::{Reach, reach};

/// The instruction on the slots from one on.
pub(super) fn root(
    op: AtomicOp,
    access: Option<MemArg>,
    base: u32,
    module: &Module,
    unchecked: Unchecked<'_>,
) -> Root {
    let (memory, offset) = access.map_or((0, 0), |access| (memory(access), access.offset));
    Root::Atomic {
        op,
        memory,
        offset,
        base,
        unchecked: op.kind().is_access()
            && unchecked.is(offset, op.width())
            && reach(module, unchecked, memory, offset, op.width()) == Reach::Direct,
    }
}

impl Translator<'_> {
    /// Translates an atomic instruction.
    pub(super) fn atomic(&mut self, op: AtomicOp, access: Option<MemArg>) {
        let address = usize::from(access.is_some());
        let (first, base) = self.slot_operands(address + op.params().len(), 0);
        self.out.slots = self.out.slots.max(base + 1);
        let root = root(op, access, base, self.module, self.unchecked);
        self.emit_plain(root);
        self.stack.truncate(first);
        self.check_unaffected(CHANGED_BY_CALLS, base);
        if let Some(ty) = op.result() {
            self.push_slot(base, ty);
        }
    }
}
