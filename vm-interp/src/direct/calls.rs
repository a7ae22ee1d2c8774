//! What handlers call besides the machine's own functions.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use vm_translate::ir::{FRAME_HEADER, TAIL_ADAPTER};
use vm_translate::{Op, Ty};

use super::code::{Entry, Inner};
use super::fixed::Fixed;
use super::fixed_handler;
use crate::context::{Context, FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, FuncObject, Word};
use crate::executor::Back;
use crate::machine;
use crate::semantics;

/// Translates the function whose stub is at `stub` and answers its first cell; null if it cannot be
/// translated. If that is the best code that it will have, whoever called the stub calls it from now
/// on.
///
/// # Safety
///
/// Called by the stub's handler: `frame` is the callee's, with its header filled in; `object` is
/// the stub's own address if a call cell of the module called it; if a tail call's cell did, one
/// more than the address of the word in it that is the callee; else the callee's object.
pub(super) unsafe extern "C" fn resolve(
    context: *mut Context,
    frame: *mut Word,
    stub: *const u64,
    object: *const FuncObject,
) -> *const u8 {
    // SAFETY: a stub is made of three words, the second of which is the address of the module's
    // code; both live as long as the instance that runs.
    let (inner, func) = unsafe {
        let inner = std::ptr::with_exposed_provenance::<Inner>(stub.add(1).read() as usize);
        (&*inner, stub.add(2).read() as u32)
    };
    match inner.called(func) {
        Ok(Entry {
            cell: entry,
            settled,
        }) => {
            let entry_cell = std::ptr::with_exposed_provenance_mut::<u8>(entry as usize);
            if !settled {
                // The next call counts too.
            } else if object.addr() == stub.addr() {
                // SAFETY: a call cell has written its successor into the frame's header.
                unsafe {
                    let after = frame.add(FRAME_RETURN).cast::<*const u8>().read();
                    Inner::patch(after, entry);
                }
            } else if object.addr() & 1 != 0 {
                let target = object.cast::<u8>().wrapping_sub(1).cast();
                // SAFETY: the handler of the tail call has made the address from its cell's.
                unsafe { Inner::patch_target(target, entry) };
            } else {
                // SAFETY: the caller's promise; objects live as long as the machine.
                unsafe { (*object).entry.store(entry_cell, Ordering::Release) };
            }
            entry_cell
        }
        Err(error) => {
            // SAFETY: called in a run, and nobody holds the machine.
            unsafe { machine::fail((*context).runtime, error.into()) };
            std::ptr::null()
        }
    }
}

/// Where a tail call goes on.
#[repr(C)]
pub(super) struct TailCall {
    frame: *mut Word,
    object: *const FuncObject,
}

/// Prepares a tail call that changes the context: moves the arguments, and answers the callee's
/// frame and the callee.
///
/// If what returns from `frame` takes the context back, the callee takes the frame's place.
/// Otherwise the frame becomes an adapter that does so, below the callee's. The adapter serves
/// all tail calls that follow, so that there is never more than one for a call that is none.
///
/// # Safety
///
/// Called by the handlers of tail calls through an object: `cell` is theirs, `frame` the frame to
/// be replaced, `object` the callee.
pub(super) unsafe extern "C" fn tail_call(
    context: *mut Context,
    frame: *mut Word,
    cell: *const u32,
    object: *const FuncObject,
) -> TailCall {
    static RESTORING: LazyLock<[u64; 3]> =
        LazyLock::new(|| [Fixed::Restore, Fixed::Adapter, Fixed::Exit].map(fixed_handler));
    // SAFETY: the cell's operands from the third on are those of `Encoder::tail_operands`. The
    // frame has a header, which says where to return: to a cell, whose first word is a handler.
    // Translation has made room in the frame for an adapter and the callee's header, arguments
    // and results.
    unsafe {
        let (first, args, results) = (
            cell.add(4).read() as usize,
            cell.add(5).read() as usize,
            cell.add(6).read(),
        );
        let back = frame.add(FRAME_RETURN).cast::<*const u64>().read().read();
        let restores = RESTORING.contains(&back);
        let callee = if restores {
            frame
        } else {
            frame.add(TAIL_ADAPTER as usize)
        };
        let from = frame.byte_add(first);
        callee.add(FRAME_HEADER as usize).copy_from(from, args);
        if !restores {
            let adapter = super::run::adapter();
            frame
                .add(FRAME_CONTEXT)
                .cast::<*mut Context>()
                .write(context);
            frame.add(FRAME_HEADER as usize).write(results.into());
            callee.add(FRAME_RETURN).cast::<*const u64>().write(adapter);
            callee.add(FRAME_CALLER).cast::<*mut Word>().write(frame);
            // For backtraces.
            callee
                .add(FRAME_CONTEXT)
                .cast::<*mut Context>()
                .write(context);
        }
        TailCall {
            frame: callee,
            object,
        }
    }
}

/// Computes an operator from slots to a slot, as the cell says; answers a status.
///
/// # Safety
///
/// Called by the handler of [`super::fixed::Fixed::Evaluate`]: `cell` is one of its cells, and
/// the slots that it names are in the frame.
pub(super) unsafe extern "C" fn evaluate(frame: *mut Word, cell: *const u32) -> u32 {
    // SAFETY: the cell has a handler's address, the operator's number, four slots and the
    // operator's immediate; a source that is not used is slot 0, which the header has.
    let (op, to, sources, lane) = unsafe {
        let operand = |n: usize| cell.add(2 + n).read();
        let slot = |n: usize| frame.byte_add(operand(n) as usize);
        (operand(0), slot(1), [slot(2), slot(3), slot(4)], operand(5))
    };
    let Some(op) = Op::from_number(op as u16) else {
        unreachable!("the encoder writes operators only")
    };
    // SAFETY: a source has as many slots as the operator's operand; those that are not used have
    // one.
    let word = |n: usize| unsafe { sources[n].read() };
    if op.is_vector() {
        let mut operands = [0; 3];
        for (n, ty) in op.params().iter().enumerate() {
            operands[n] = u128::from(word(n));
            if *ty == Ty::V128 {
                // SAFETY: as above.
                operands[n] |= u128::from(unsafe { sources[n].add(1).read() }) << 64;
            }
        }
        let value = semantics::vectors::eval(op, operands, lane as usize);
        // SAFETY: the destination has as many slots as the operator's result.
        unsafe {
            to.write(value as u64);
            if op.result() == Ty::V128 {
                to.add(1).write((value >> 64) as u64);
            }
        }
        return 0;
    }
    match semantics::eval(op, word(0), word(1), word(2)) {
        Ok(value) => {
            // SAFETY: as above.
            unsafe { to.write(value) };
            0
        }
        Err(code) => code as u32,
    }
}

/// Where a run goes on after the host function that was called at this cell, in this frame: the next cell, and its frame.
///
/// # Safety
///
/// A run has stopped at the cell, with this frame, because a host function returned an error.
pub(super) unsafe fn after_host_call(cell: *const u8, frame: *mut Word) -> (*const u8, *mut Word) {
    // SAFETY: the caller's promise. The cell is that of a call, in the caller's frame, which a `Restore` follows that is
    // not done; or it is the host function's own, in a frame whose header says where to go on.
    unsafe {
        if cell.cast::<u64>().read() == fixed_handler(Fixed::CallImport) {
            return (cell.add(CALL_IMPORT_BYTES + RESTORE_BYTES), frame);
        }
        let back = frame.add(FRAME_RETURN).cast::<*const u8>().read();
        (back, frame.add(FRAME_CALLER).cast::<*mut Word>().read())
    }
}

const CALL_IMPORT_BYTES: usize = 16;
/// Of the cell behind a call that takes the context back.
pub(super) const RESTORE_BYTES: usize = 16;

/// How much fuel the cell takes, if it does.
///
/// # Safety
///
/// A run has stopped at the cell.
pub(super) unsafe fn fuel_required(cell: *const u8) -> Option<u64> {
    // SAFETY: the caller's promise.
    unsafe {
        let consumes = cell.cast::<u64>().read() == fixed_handler(Fixed::ConsumeFuel);
        consumes.then(|| cell.add(8).cast::<u32>().read().into())
    }
}

/// What there is at a cell that a function with this context returns to, in a frame.
///
/// # Safety
///
/// Both are from a header of a frame of a run, whose context this is.
pub(super) unsafe fn goes_back(cell: *const u8, frame: *mut Word, context: *mut Context) -> Back {
    static KINDS: LazyLock<[u64; 3]> =
        LazyLock::new(|| [Fixed::Exit, Fixed::Adapter, Fixed::Restore].map(fixed_handler));
    let [exit, adapter, restore] = *KINDS;
    // SAFETY: the caller's promise: functions return to cells, the first word of which is a handler. A header that says whose
    // context is to be restored has it.
    unsafe {
        let context_in =
            |header: *mut Word| header.add(FRAME_CONTEXT).cast::<*mut Context>().read();
        match cell.cast::<u64>().read() {
            handler if handler == exit => Back::End,
            handler if handler == adapter => Back::Adapter(context_in(frame)),
            handler if handler == restore => {
                let callee = cell.add(8).cast::<u32>().read();
                Back::Frame(context_in(frame.byte_add(callee as usize)))
            }
            _ => Back::Frame(context),
        }
    }
}
