//! Atomic instructions of the only thread.

use vm_translate::{AtomicKind, AtomicOp};

use super::operators::name;
use super::{Generator, Type};

impl Generator {
    /// An atomic access with this result, or what wakes nobody.
    pub(super) fn atomic(&mut self, ty: Type, depth: usize) {
        let gives = |op: &AtomicOp| {
            let kind = op.kind();
            op.result().map(name) == Some(ty) && (kind.is_access() || kind == AtomicKind::Notify)
        };
        let fitting: Vec<AtomicOp> = AtomicOp::ALL.iter().copied().filter(gives).collect();
        let op = self.random.of(&fitting);
        self.place_and_operands(op, depth);
        self.stack.push(ty);
    }

    /// An atomic store, a fence, or now and then a wait, which traps.
    pub(super) fn atomic_store(&mut self) {
        match self.random.below(20) {
            0 => self.line("atomic.fence"),
            1 if self.random.chance(self.wild) => {
                self.place_and_operands(AtomicOp::MemoryAtomicWait32, 1);
                self.line("drop");
            }
            _ => {
                let stores = |op: &AtomicOp| op.kind() == AtomicKind::Store;
                let stores: Vec<AtomicOp> = AtomicOp::ALL.iter().copied().filter(stores).collect();
                let op = self.random.of(&stores);
                self.place_and_operands(op, 2);
            }
        }
    }

    /// The instruction with all that it takes, in no way on the stack afterwards. Most of its addresses are aligned.
    fn place_and_operands(&mut self, op: AtomicOp, depth: usize) {
        let memory = self.address(depth);
        let mut offset = self.offset();
        if !self.random.chance(self.wild) {
            let (ty, mask) = if memory == 2 {
                ("i64", -8)
            } else {
                ("i32", -8)
            };
            self.line(&format!("{ty}.const {mask} {ty}.and"));
            offset &= !7;
        }
        for ty in op.params() {
            self.value(name(*ty), depth);
        }
        self.pop(1 + op.params().len());
        self.line(&format!("{op} {memory} offset={offset}"));
    }
}
