//! What handlers call besides the machine's own functions.

use std::sync::atomic::Ordering;

use vm_translate::Op;

use super::code::Inner;
use crate::context::{Context, FRAME_RETURN, FuncObject, Word};
use crate::machine;
use crate::semantics;

/// Translates the function whose stub is at `stub`, makes whoever called the stub call the
/// function from now on, and answers its first cell; null if it cannot be translated.
///
/// # Safety
///
/// Called by the stub's handler: `frame` is the callee's, with its header filled in; `object` is
/// the stub's own address if a call cell of the module called it, else the callee's object.
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
    match inner.translated(func) {
        Ok(entry) => {
            let entry_cell = std::ptr::with_exposed_provenance_mut::<u8>(entry as usize);
            if object.addr() == stub.addr() {
                // SAFETY: a call cell has written its successor into the frame's header.
                unsafe {
                    let after = frame.add(FRAME_RETURN).cast::<*const u8>().read();
                    Inner::patch(after, entry);
                }
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

/// Computes an operator from slots to a slot, as the cell says; answers a status.
///
/// # Safety
///
/// Called by the handler of [`super::fixed::Fixed::Evaluate`]: `cell` is one of its cells, and
/// the slots that it names are in the frame.
pub(super) unsafe extern "C" fn evaluate(frame: *mut Word, cell: *const u32) -> u32 {
    // SAFETY: the cell has a handler's address, the operator's number and four slots; a source
    // that is not used is slot 0, which the header has.
    let (op, to, [a, b, c]) = unsafe {
        let operand = |n: usize| cell.add(2 + n).read();
        let slot = |n: usize| frame.byte_add(operand(n) as usize);
        (
            operand(0),
            slot(1),
            [slot(2).read(), slot(3).read(), slot(4).read()],
        )
    };
    let Some(op) = Op::from_number(op as u16) else {
        unreachable!("the encoder writes operators only")
    };
    match semantics::eval(op, a, b, c) {
        Ok(value) => {
            // SAFETY: as above.
            unsafe { to.write(value) };
            0
        }
        Err(code) => code as u32,
    }
}
