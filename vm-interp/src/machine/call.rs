//! Calls from the host into guest code, and how they end.

use std::panic::resume_unwind;

use vm_translate::FuncType;
use vm_translate::ir::FRAME_HEADER;
use vm_trap::{TrapCode, native_stack};

use crate::context::{
    FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, HostCode, Runtime, STATUS_HOST, Word,
};
use crate::machine::{Frame, HostError, Machine, Pending, World};
use crate::value::{FuncId, Raw};

/// A trap, and where it happened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}")]
pub struct Trap {
    /// Why.
    pub code: TrapCode,
    /// The functions that were running, innermost first, back to the innermost call from the host;
    /// at most [`MAX_FRAMES`](crate::MAX_FRAMES).
    pub frames: Vec<Frame>,
}

/// Why a call did not return.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The guest trapped.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// A host function returned an error, or a function could not be translated.
    #[error("{error}")]
    Host {
        /// The error.
        error: HostError,
        /// As in [`Trap::frames`].
        frames: Vec<Frame>,
    },
    /// The call itself was wrong. Nothing ran.
    #[error(transparent)]
    Invalid(#[from] InvalidCall),
}

/// What is wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCall {
    /// The machine does not have the function.
    #[error("the machine has no function {func}: is it one of another machine?")]
    UnknownFunction {
        /// The function's number.
        func: u32,
    },
    /// Fewer slots than parameters or results take.
    #[error("a call of a function of type {ty} needs {expected} slots, and {got} were given")]
    Slots {
        /// The function's type.
        ty: FuncType,
        /// How many it needs.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// A reference that the machine does not know, as parameter or as a host function's result.
    #[error("value {index} is not a reference to a function of this machine")]
    UnknownReference {
        /// Its index among the parameters or results.
        index: usize,
    },
}

/// Bytes of the native stack that have to be left on a thread for guest code to be run: 192 KiB, or half of the
/// thread's stack if that is less. A guest that makes its host call it again and again runs into this, not
/// into the end of the native stack, which would end the process; so a host function may use about as much before it
/// calls a guest or returns.
pub const NATIVE_STACK_RESERVE_BYTES: usize = 192 << 10;

/// Bytes of the native stack that nested runs of one machine may use where nobody knows how much there is.
const UNKNOWN_STACK_BYTES: usize = 1 << 20;

/// Whether the thread's native stack is too far used for one more run. `outermost` is where it was when the machine's
/// outermost run started, or 0.
fn stack_is_used_up(outermost: usize, here: usize) -> bool {
    match native_stack::remaining() {
        Some(bytes) if bytes >= NATIVE_STACK_RESERVE_BYTES => false,
        Some(bytes) => {
            let all = native_stack::bounds().map_or(0, |bounds| bounds.len());
            bytes < all / 2
        }
        None => outermost != 0 && outermost.abs_diff(here) > UNKNOWN_STACK_BYTES,
    }
}

impl<H> Machine<H> {
    /// Calls a function of the machine.
    ///
    /// `slots` hold the parameters, and afterwards the results. There must be as many as the longer of
    /// the two lists takes (a vector takes two); more are left alone. When the call fails, what they hold
    /// is unspecified.
    ///
    /// Host functions may call this again, on the machine that they are lent: each such run uses the
    /// value stack above what is in use.
    ///
    /// # Errors
    ///
    /// If the guest traps or a host function returns an error; then what guest code did so far stays
    /// done, and the machine can be used on. If the value stack is exhausted, also by nested calls, or if
    /// the thread's native stack has less than [`NATIVE_STACK_RESERVE_BYTES`] left, that is a trap.
    ///
    /// # Panics
    ///
    /// If a host function panics: the guest's run ends as with an error, then the panic continues here.
    pub fn call(&mut self, func: FuncId, slots: &mut [Raw]) -> Result<(), CallError> {
        let machine = std::ptr::from_mut(self);
        // SAFETY: this borrows the machine exclusively until the run has ended, and the borrow is not
        // used except through these pointers.
        unsafe {
            let world = &raw mut (*machine).world;
            call_on(Machine::erased(machine), world, func, slots)
        }
    }
}

/// The part of [`Machine::call`] that is the same for all hosts.
///
/// # Safety
///
/// `machine` is what [`Machine::erased`] made of a machine, `world` points to its world, and nobody else uses
/// either as long as this runs.
unsafe fn call_on(
    machine: *mut (),
    world: *mut World,
    func: FuncId,
    slots: &mut [Raw],
) -> Result<(), CallError> {
    // SAFETY: the caller's promise. The reference is not used any more once something runs.
    let before = unsafe { &mut *world };
    let Some(function) = before.functions.get(func.index()) else {
        return Err(InvalidCall::UnknownFunction { func: func.0 }.into());
    };
    let object = function.object.as_ptr();
    let host_body = function.host.as_ref().map(|host| host.body());
    let ty = std::ptr::from_ref(function.ty.ty());
    // SAFETY: the machine keeps its functions' types, wherever it has the functions.
    let ty = unsafe { &*ty };
    let count = ty.slots() as usize;
    let got = slots.len();
    let Some(slots) = slots.get_mut(..count) else {
        let (ty, expected) = (ty.clone(), count);
        return Err(InvalidCall::Slots { ty, expected, got }.into());
    };
    before
        .admit(ty.params(), slots)
        .map_err(|index| InvalidCall::UnknownReference { index })?;

    if let Some((body, closure)) = host_body {
        // SAFETY: the closure is the machine's, which is only lent; the host's type is that of the machine.
        unsafe { body(closure, machine, slots) }.map_err(|error| CallError::Host {
            error,
            frames: Vec::new(),
        })?;
        // SAFETY: the closure has given the machine back.
        let admitted = unsafe { (*world).admit(ty.results(), slots) };
        return Ok(admitted.map_err(|index| InvalidCall::UnknownReference { index })?);
    }

    let here = std::ptr::from_ref(&got).addr();
    let outer_native_stack = before.native_stack;
    let frame = before.stack_top;
    if stack_is_used_up(outer_native_stack, here)
        || before.free_slots() < FRAME_HEADER as usize + count
    {
        return Err(CallError::Trap(Trap {
            code: TrapCode::StackOverflow,
            frames: Vec::new(),
        }));
    }
    let is_outermost = outer_native_stack == 0;
    if is_outermost {
        before.native_stack = here;
    }
    let outer_thread = (before.is_interruptible).then(|| before.interrupt.enter());
    let runtime = before.runtime.as_ptr();
    let executor = before.executor;
    // SAFETY: the frame's header and `count` slots are inside the value stack, above everything in
    // use. The runtime lives as long as the machine, which what runs now reaches through it.
    let status = unsafe {
        frame.add(FRAME_RETURN).write(0);
        frame.add(FRAME_CALLER).write(0);
        frame.add(FRAME_CONTEXT).write(0);
        let values = frame.add(FRAME_HEADER as usize).cast::<Raw>();
        values.copy_from_nonoverlapping(slots.as_ptr(), count);
        let outer = ((*runtime).machine, (*runtime).world);
        ((*runtime).machine, (*runtime).world) = (machine, world.cast());
        let status = executor.run(runtime, object, frame);
        ((*runtime).machine, (*runtime).world) = outer;
        if status == 0 {
            slots.as_mut_ptr().copy_from_nonoverlapping(values, count);
        }
        status
    };
    // SAFETY: the run is over.
    let after = unsafe { &mut *world };
    after.native_stack = outer_native_stack;
    match outer_thread {
        Some(outer) => after.interrupt.leave(outer),
        // It has become interruptible in the middle, see `World::interrupt`.
        None if after.is_interruptible && is_outermost => after.interrupt.leave(None),
        None => {}
    }
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the run failed, so the executor has set the runtime's exit fields.
    let frames = unsafe { after.backtrace() };
    match (status, after.pending.take()) {
        (STATUS_HOST, Some(Pending::Error(error))) => Err(CallError::Host { error, frames }),
        (STATUS_HOST, Some(Pending::Panic(payload))) => resume_unwind(payload),
        (status, _) => {
            let code = u8::try_from(status).ok().and_then(TrapCode::from_u8);
            let code = code.expect("executors answer with trap codes");
            Err(CallError::Trap(Trap { code, frames }))
        }
    }
}

impl World {
    /// Slots of the value stack that are not in use.
    fn free_slots(&self) -> usize {
        self.stack
            .limit()
            .addr()
            .saturating_sub(self.stack_top.addr())
            / size_of::<Word>()
    }
}

/// Ends the run with an error: answers the status to return with.
///
/// # Safety
///
/// Called in a run, by what the executor calls, with the run's runtime; no reference to the machine
/// is in use.
pub(crate) unsafe fn fail(runtime: *mut Runtime, error: HostError) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { end_run(runtime, Pending::Error(error)) }
}

/// Ends the run: answers the status to return with.
///
/// # Safety
///
/// As for [`fail`].
pub(crate) unsafe fn end_run(runtime: *mut Runtime, pending: Pending) -> u32 {
    // SAFETY: the caller's promise; the runtime points to the world all through a run.
    unsafe { (*World::from_erased((*runtime).world)).pending = Some(pending) };
    STATUS_HOST
}

/// Checks what a host function has left in `words`, the slots of its results, and brings it
/// into the form that guest code relies on. Answers a status.
///
/// # Safety
///
/// As for [`fail`]; the code is that of the function.
#[inline]
pub(crate) unsafe fn admit_results(
    code: &HostCode,
    runtime: *mut Runtime,
    words: &mut [Raw],
) -> u32 {
    match code.results {
        HostCode::RESULTS_AS_THEY_ARE => 0,
        HostCode::RESULT_OF_32_BITS => {
            // Only if need be: the compiler would write the upper half alone, and then the guest
            // would wait for two stores when it reads all of the slot.
            if let Some(word) = words.first_mut()
                && word.0 > u64::from(u32::MAX)
            {
                *word = Raw(word.0 & u64::from(u32::MAX));
            }
            0
        }
        // SAFETY: the caller's promise.
        _ => unsafe { admit_each_result(code, runtime, words) },
    }
}

/// # Safety
///
/// As for [`admit_results`].
#[cold]
unsafe fn admit_each_result(code: &HostCode, runtime: *mut Runtime, words: &mut [Raw]) -> u32 {
    // SAFETY: the machine keeps the types of its functions; the rest is the caller's promise.
    let admitted = unsafe {
        let world = &*World::from_erased((*runtime).world);
        world.admit((*code.ty).results(), words)
    };
    match admitted {
        Ok(()) => 0,
        Err(index) => {
            let error = InvalidCall::UnknownReference { index };
            // SAFETY: the caller's promise.
            unsafe { fail(runtime, error.into()) }
        }
    }
}
