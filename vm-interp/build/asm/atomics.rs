//! Operations of a machine on memory that other threads access at the same time: all of them are sequentially
//! consistent.

use vm_translate::AtomicKind;

use super::{Mem, Reg, Src};

/// The part of [`Assembler`](super::Assembler) that atomic accesses need.
pub(crate) trait AtomicAssembler {
    /// Compares the bits of `a` that are in `mask` with 0.
    fn test_bits(&mut self, a: Reg, mask: u8);
    /// Does what `kind` says with so many bytes at `mem`, aligned to as many, and leaves in [`Reg::S0`] what they were,
    /// zero-extended; after a store, anything. The value is at `value`; what a compare-exchange expects is there, and what it stores
    /// at `replacement`. Changes [`Reg::S2`].
    fn atomic(&mut self, kind: AtomicKind, bytes: u32, mem: Mem, value: Src, replacement: Src);
    fn fence(&mut self);
}
