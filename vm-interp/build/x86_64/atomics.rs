//! Atomic accesses: AMD64 Architecture Programmer's Manual, volume 2, "Memory System". Aligned loads and stores are atomic;
//! what has the prefix `lock`, and `xchg` with memory, is sequentially consistent with all the others, and so are plain
//! loads if every store is one of these.

use vm_translate::AtomicKind;

use super::{X86_64, mem, name, narrow_name, size_of_bytes};
use crate::asm::*;

impl AtomicAssembler for X86_64 {
    fn test_bits(&mut self, a: Reg, mask: u8) {
        self.line(format_args!("test {}, {mask}", narrow_name(1, a)));
    }

    fn atomic(&mut self, kind: AtomicKind, bytes: u32, m: Mem, value: Src, replacement: Src) {
        let (result, other) = (Reg::S0, Reg::S2);
        let place = format!("{}{}", size_of_bytes(bytes), mem(m));
        let narrow = |reg| narrow_name(bytes, reg);
        let extend = Extend {
            bytes,
            signed: false,
            to: Width::W64,
        };
        if kind == AtomicKind::Load {
            return self.load_extend(extend, result, m);
        }
        let alu = match kind {
            AtomicKind::And => Some(Alu::And),
            AtomicKind::Or => Some(Alu::Or),
            AtomicKind::Xor => Some(Alu::Xor),
            _ => None,
        };
        match kind {
            AtomicKind::Store | AtomicKind::Xchg => {
                self.load(Width::W64, result, value);
                self.line(format_args!("xchg {place}, {}", narrow(result)));
            }
            AtomicKind::Add | AtomicKind::Sub => {
                self.load(Width::W64, result, value);
                if kind == AtomicKind::Sub {
                    self.line(format_args!("neg {}", name(Width::W64, result)));
                }
                self.line(format_args!("lock xadd {place}, {}", narrow(result)));
            }
            AtomicKind::Cmpxchg => {
                self.load(Width::W64, result, value);
                self.load(Width::W64, other, replacement);
                self.line(format_args!("lock cmpxchg {place}, {}", narrow(other)));
            }
            _ => {
                let Some(alu) = alu else {
                    panic!("{kind:?} is not an access")
                };
                let again = self.new_label();
                self.load_extend(extend, result, m);
                self.bind(again);
                self.load(Width::W64, other, Src::Reg(result));
                self.alu(alu, Width::W64, other, value);
                self.line(format_args!("lock cmpxchg {place}, {}", narrow(other)));
                self.jump_if(Cond::Ne, again);
            }
        }
        // What is exchanged leaves the upper bytes of the register as they were, but for the half of 32 bits.
        let low = narrow(result);
        let to = name(Width::W32, result);
        match (kind, bytes) {
            (AtomicKind::Store, _) | (_, 8) => {}
            (_, 4) => self.line(format_args!("mov {to}, {low}")),
            _ => self.line(format_args!("movzx {to}, {low}")),
        }
    }

    fn fence(&mut self) {
        self.line(format_args!("mfence"));
    }
}
