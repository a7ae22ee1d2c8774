//! Accesses to memories by their cell: those that are not memory 0.

use vm_translate::{Effect, Op, StoreOp};
use vm_trap::TrapCode;

use crate::context::{MemoryCell, Word};
use crate::semantics;

/// The bytes of an access, if they are inside the memory.
///
/// # Safety
///
/// The cell is that of a memory of the machine that runs.
unsafe fn place(
    cell: *const MemoryCell,
    index: Word,
    offset: u64,
    width: u32,
) -> Result<*mut u8, TrapCode> {
    // SAFETY: the caller's promise: cells live as long as the machine, and say where bytes are.
    unsafe {
        let start = index.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(width.into()));
        match (start, end) {
            (Some(start), Some(end)) if end <= (*cell).len => Ok((*cell).base.add(start as usize)),
            _ => Err(TrapCode::MemoryOutOfBounds),
        }
    }
}

/// Loads, with the operator of this number.
///
/// # Safety
///
/// As for [`place`].
pub(super) unsafe fn load(
    cell: *const MemoryCell,
    op: u32,
    index: Word,
    offset: u64,
) -> Result<Word, TrapCode> {
    let op = Op::ALL[op as usize];
    let Effect::Load { width, .. } = op.effect() else {
        unreachable!("the encoder writes loads only: {op}")
    };
    let mut bytes = [0; 8];
    // SAFETY: the caller's promise; a load reads at most 8 bytes.
    unsafe {
        let from = place(cell, index, offset, width)?;
        from.copy_to_nonoverlapping(bytes.as_mut_ptr(), width as usize);
    }
    semantics::eval(op, u64::from_le_bytes(bytes), 0, 0)
}

/// Stores, with the operator of this number.
///
/// # Safety
///
/// As for [`place`].
pub(super) unsafe fn store(
    cell: *const MemoryCell,
    op: u32,
    index: Word,
    offset: u64,
    value: Word,
) -> Result<(), TrapCode> {
    let width = StoreOp::ALL[op as usize].width();
    let bytes = value.to_le_bytes();
    // SAFETY: the caller's promise; a store writes at most 8 bytes.
    unsafe {
        let to = place(cell, index, offset, width)?;
        to.copy_from_nonoverlapping(bytes.as_ptr(), width as usize);
    }
    Ok(())
}
