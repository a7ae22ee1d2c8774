//! Atomic accesses, all of them sequentially consistent.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use vm_translate::{AtomicKind, AtomicOp};
use vm_trap::TrapCode;

use super::access::place;
use crate::context::{MemoryCell, Word};

/// Does the access with this number: its address stands at `slots`, its other operands behind, and its result replaces the
/// address.
///
/// # Safety
///
/// As for [`place`]; the slots are those of the instruction.
pub(super) unsafe fn access(
    cell: *const MemoryCell,
    op: u32,
    slots: *mut Word,
    offset: u64,
) -> Result<(), TrapCode> {
    let op = AtomicOp::ALL[op as usize];
    let (kind, width) = (op.kind(), op.width());
    // SAFETY: the caller's promise: an instruction has as many slots as operands.
    unsafe {
        // A sum that wraps around has the low bits of one that does not.
        let start = slots.read().wrapping_add(offset);
        if !start.is_multiple_of(width.into()) {
            return Err(TrapCode::UnalignedAtomic);
        }
        if start < offset {
            return Err(TrapCode::MemoryOutOfBounds);
        }
        let place = place(cell, start, 0, width)?;
        let mut operands = [0; 2];
        for (n, _) in op.params().iter().enumerate() {
            operands[n] = slots.add(1 + n).read();
        }
        let found = match width {
            1 => change_u8(op, place, operands),
            2 => change_u16(op, place, operands),
            4 => change_u32(op, place, operands),
            _ => change_u64(op, place, operands),
        };
        if kind != AtomicKind::Store {
            slots.write(found);
        }
    }
    Ok(())
}

macro_rules! change {
    ($($name:ident $ty:ty, $atomic:ty;)*) => {$(
        /// Does the access, and answers what was there.
        ///
        /// # Safety
        ///
        /// The bytes are inside of a memory, and aligned: memories begin at multiples of 8.
        unsafe fn $name(op: AtomicOp, place: *mut u8, operands: [Word; 2]) -> Word {
            // SAFETY: the caller's promise. Whoever else accesses these bytes at this time does so atomically or in
            // assembly: only those of shared memories are accessed by others.
            let cell = unsafe { <$atomic>::from_ptr(place.cast()) };
            let found = match op.kind() {
                AtomicKind::Load => cell.load(Ordering::SeqCst),
                AtomicKind::Store => {
                    let value = op.apply(0, operands) as $ty;
                    cell.store(value.to_le(), Ordering::SeqCst);
                    return 0;
                }
                _ => {
                    let mut found = cell.load(Ordering::SeqCst);
                    loop {
                        let new = op.apply(<$ty>::from_le(found).into(), operands) as $ty;
                        let exchanged = cell.compare_exchange_weak(
                            found,
                            new.to_le(),
                            Ordering::SeqCst,
                            Ordering::SeqCst,
                        );
                        match exchanged {
                            Ok(_) => break found,
                            Err(now) => found = now,
                        }
                    }
                }
            };
            <$ty>::from_le(found).into()
        }
    )*};
}

change! {
    change_u8 u8, AtomicU8;
    change_u16 u16, AtomicU16;
    change_u32 u32, AtomicU32;
    change_u64 u64, AtomicU64;
}
