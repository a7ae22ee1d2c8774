//! Accesses to memories by their cell: those that are not memory 0, and those that threads share.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use vm_translate::{Effect, Op, StoreOp};
use vm_trap::TrapCode;

use crate::context::{MemoryCell, Word};
use crate::semantics;

/// The bytes of an access, if they are inside the memory.
///
/// # Safety
///
/// The cell is that of a memory of the machine that runs.
pub(super) unsafe fn place(
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
            (Some(start), Some(end)) if end <= (*cell).len.load(Ordering::Relaxed) => {
                Ok((*cell).base.add(start as usize))
            }
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
    let (op, width) = load_of(op);
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

/// Loads from a memory that threads share: atomically where the address is aligned, else byte by byte.
///
/// # Safety
///
/// As for [`place`].
pub(super) unsafe fn load_shared(
    cell: *const MemoryCell,
    op: u32,
    index: Word,
    offset: u64,
) -> Result<Word, TrapCode> {
    let (op, width) = load_of(op);
    // SAFETY: the caller's promise. Whoever else accesses the bytes at this time does so atomically too: all that this executor
    // and hosts do with a shared memory is atomic.
    let bits = unsafe {
        let from = place(cell, index, offset, width)?;
        match width {
            2 if aligned(from, width) => {
                let bits = AtomicU16::from_ptr(from.cast()).load(Ordering::Relaxed);
                u16::from_le(bits).into()
            }
            4 if aligned(from, width) => {
                let bits = AtomicU32::from_ptr(from.cast()).load(Ordering::Relaxed);
                u32::from_le(bits).into()
            }
            8 if aligned(from, width) => {
                u64::from_le(AtomicU64::from_ptr(from.cast()).load(Ordering::Relaxed))
            }
            _ => {
                let mut bytes = [0; 8];
                for (n, byte) in bytes[..width as usize].iter_mut().enumerate() {
                    *byte = AtomicU8::from_ptr(from.add(n)).load(Ordering::Relaxed);
                }
                u64::from_le_bytes(bytes)
            }
        }
    };
    semantics::eval(op, bits, 0, 0)
}

/// Stores to a memory that threads share, in the same way.
///
/// # Safety
///
/// As for [`place`].
pub(super) unsafe fn store_shared(
    cell: *const MemoryCell,
    op: u32,
    index: Word,
    offset: u64,
    value: Word,
) -> Result<(), TrapCode> {
    let width = StoreOp::ALL[op as usize].width();
    // SAFETY: as in `load_shared`.
    unsafe {
        let to = place(cell, index, offset, width)?;
        match width {
            2 if aligned(to, width) => {
                AtomicU16::from_ptr(to.cast()).store((value as u16).to_le(), Ordering::Relaxed);
            }
            4 if aligned(to, width) => {
                AtomicU32::from_ptr(to.cast()).store((value as u32).to_le(), Ordering::Relaxed);
            }
            8 if aligned(to, width) => {
                AtomicU64::from_ptr(to.cast()).store(value.to_le(), Ordering::Relaxed);
            }
            _ => {
                for (n, byte) in value.to_le_bytes()[..width as usize].iter().enumerate() {
                    AtomicU8::from_ptr(to.add(n)).store(*byte, Ordering::Relaxed);
                }
            }
        }
    }
    Ok(())
}

/// The load of this number, and how many bytes it reads.
fn load_of(op: u32) -> (Op, u32) {
    let op = Op::ALL[op as usize];
    let Effect::Load { width, .. } = op.effect() else {
        unreachable!("the encoder writes loads only: {op}")
    };
    (op, width)
}

fn aligned(at: *const u8, width: u32) -> bool {
    at.addr().is_multiple_of(width as usize)
}
