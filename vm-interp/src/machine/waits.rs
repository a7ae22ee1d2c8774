//! Waiting at places in memory, and waking who does. Specification: <https://github.com/WebAssembly/threads>.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use vm_memory::{AtomicError, Expected, SharedMemory, Ticks, WaitResult, Waiter};
use vm_translate::{AtomicKind, AtomicOp};
use vm_trap::TrapCode;

use crate::context::{Context, STATUS_SUSPENDED, WaitFn, Word};
use crate::machine::metering::{epoch_deadline, is_epoch_over};
use crate::machine::runtime::{Scope, operand, range};

/// How often a guest that waits looks whether its deadline in epochs has come, of which nobody tells it.
const EPOCHS_EVERY: Duration = Duration::from_millis(5);

/// The function of an instruction that waits or wakes.
///
/// # Safety
///
/// As for [`RUNTIME`](super::RUNTIME).
///
/// # Panics
///
/// If it is another.
pub(crate) fn wait_function(op: AtomicOp) -> WaitFn {
    match (op.kind(), op.width()) {
        (AtomicKind::Notify, _) => notify,
        (AtomicKind::Wait, 4) => wait32,
        (AtomicKind::Wait, _) => wait64,
        _ => unreachable!("{op} does not wait"),
    }
}

fn trap(code: TrapCode) -> u32 {
    code.as_u8().into()
}

/// Where an instruction waits or wakes that looks at so many bytes: the index in a slot and the offset, without wrapping.
fn address(index: Word, [low, high]: [u32; 2], width: u64) -> Result<u64, TrapCode> {
    let offset = u64::from(low) | u64::from(high) << 32;
    // A sum that wraps around has the low bits of one that does not.
    let address = index.wrapping_add(offset);
    if !address.is_multiple_of(width) {
        return Err(TrapCode::UnalignedAtomic);
    }
    match address < offset {
        true => Err(TrapCode::MemoryOutOfBounds),
        false => Ok(address),
    }
}

fn code(error: AtomicError) -> TrapCode {
    match error {
        AtomicError::OutOfBounds(_) => TrapCode::MemoryOutOfBounds,
        AtomicError::Unaligned { .. } => TrapCode::UnalignedAtomic,
    }
}

unsafe extern "C" fn notify(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    offset_1: u32,
    offset_2: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let (index, count) = (operand(slots, 0), operand(slots, 1) as u32);
        let scope = Scope::new(context);
        let linear = &scope.world.memories[scope.memory_id(memory).index()].linear;
        let woken = address(index, [offset_1, offset_2], 4).and_then(|address| {
            match linear.shared() {
                Some(memory) => memory.atomic_notify(address, count).map_err(code),
                // Nobody waits at a memory that is not shared.
                None => match range(address, 4, linear.byte_len()) {
                    Some(_) => Ok(0),
                    None => Err(TrapCode::MemoryOutOfBounds),
                },
            }
        });
        match woken {
            Ok(woken) => slots.write(woken.into()),
            Err(code) => return trap(code),
        }
    }
    0
}

unsafe extern "C" fn wait32(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    offset_1: u32,
    offset_2: u32,
) -> u32 {
    // SAFETY: the caller keeps the promises of `RUNTIME`.
    unsafe {
        let expected = Expected::U32(operand(slots, 1) as u32);
        wait(context, slots, memory, [offset_1, offset_2], expected)
    }
}

unsafe extern "C" fn wait64(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    offset_1: u32,
    offset_2: u32,
) -> u32 {
    // SAFETY: as above.
    unsafe {
        let expected = Expected::U64(operand(slots, 1));
        wait(context, slots, memory, [offset_1, offset_2], expected)
    }
}

/// # Safety
///
/// As for [`RUNTIME`](super::RUNTIME).
unsafe fn wait(
    context: *mut Context,
    slots: *mut Word,
    memory: u32,
    offset: [u32; 2],
    expected: Expected,
) -> u32 {
    // SAFETY: the caller's promise; the scope ends before anybody waits, or is asked.
    unsafe {
        let (index, timeout) = (operand(slots, 0), operand(slots, 2).cast_signed());
        let shared: SharedMemory = {
            let scope = Scope::new(context);
            let linear = &scope.world.memories[scope.memory_id(memory).index()].linear;
            match linear.shared() {
                Some(shared) => shared.clone(),
                None => return trap(TrapCode::ExpectedSharedMemory),
            }
        };
        // A negative one is none.
        let timeout = u64::try_from(timeout).ok().map(Duration::from_nanos);
        let result = match address(index, offset, expected.width().into()) {
            Ok(address) => wait_at(context, &shared, address, expected, timeout),
            Err(code) => Err(trap(code)),
        };
        match result {
            Ok(result) => slots.write(result as u64),
            Err(status) => return status,
        }
    }
    0
}

/// Waits until it is over, or the run is to end: then the answer is the status with which.
///
/// # Safety
///
/// As for [`RUNTIME`](super::RUNTIME), and no reference to the machine is in use.
unsafe fn wait_at(
    context: *mut Context,
    memory: &SharedMemory,
    address: u64,
    expected: Expected,
    timeout: Option<Duration>,
) -> Result<WaitResult, u32> {
    // SAFETY: the caller's promise; the reference to the machine ends with the block.
    let (interrupt, has_epochs, has_sites) = unsafe {
        let scope = Scope::new(context);
        let options = scope.world.instances[scope.instance].code.options();
        let interrupt = scope.world.interruption().clone();
        (interrupt, options.epochs, options.sites)
    };
    let waiter = Arc::new(Waiter::new());
    let outer = interrupt.set_waker(Some(Waker::from(Arc::clone(&waiter))));
    let mut status = trap(TrapCode::Interrupt);
    let mut epochs = || {
        // SAFETY: the caller's promise, and no reference to the machine is in use.
        unsafe {
            if !is_epoch_over(context) {
                return true;
            }
            match epoch_deadline(context) {
                0 => true,
                // A wait is no place whose values anybody has written down.
                STATUS_SUSPENDED if has_sites => true,
                other => {
                    status = other;
                    false
                }
            }
        }
    };
    let ticks = has_epochs.then_some(Ticks {
        every: EPOCHS_EVERY,
        goes_on: &mut epochs,
    });
    // Who asks from now on wakes the waiter; who has asked before is seen here.
    let result = match interrupt.is_pending() {
        true => Ok(None),
        false => memory.wait(address, expected, timeout, &waiter, ticks),
    };
    interrupt.set_waker(outer);
    match result {
        Ok(Some(result)) => Ok(result),
        Ok(None) => Err(status),
        Err(error) => Err(trap(code(error))),
    }
}
