//! Calls: from the host into guest code, and from guest code to host functions.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use vm_translate::FuncType;
use vm_translate::ir::FRAME_HEADER;
use vm_trap::TrapCode;

use crate::code::Threading;
use crate::context::{
    Context, FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, HostCode, Runtime, STATUS_HOST, Word,
};
use crate::machine::host::HostPointer;
use crate::machine::{Frame, Host, HostError, Machine, Pending};
use crate::value::{FuncId, InstanceId, Raw};

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
    /// The host has no function of this number: [`Host::call_host`] is not implemented.
    #[error("the host has no functions that are called by number, and number {number} was called")]
    UnknownNumber {
        /// The number that the function was added with.
        number: u32,
    },
    /// A [`HostClosure`](crate::HostClosure) for hosts of another type.
    #[error("a host function was called that takes a host of type {expected}, by another host")]
    WrongHost {
        /// The name of the type that it takes.
        expected: &'static str,
    },
    /// A reference that the machine does not know, as parameter or as a host function's result.
    #[error("value {index} is not a reference to a function of this machine")]
    UnknownReference {
        /// Its index among the parameters or results.
        index: usize,
    },
}

/// Bytes of the native stack that nested runs of one machine may use, host functions between them
/// included: 1 MiB. A guest that makes its host call it again and again runs into this, not into the
/// end of the native stack, which would end the process.
pub const MAX_NATIVE_STACK_BYTES: usize = 1 << 20;

/// Calls a function of the host's machine.
///
/// `slots` hold the parameters, and afterwards the results. There must be as many as the longer of
/// the two lists takes (a vector takes two); more are left alone. When the call fails, what they hold is unspecified.
///
/// Host functions may call this again, on the machine they are called from: each such run uses the
/// value stack above what is in use.
///
/// # Errors
///
/// If the guest traps or a host function returns an error; then what guest code did so far stays
/// done, and the machine can be used on. If the value stack is exhausted, also by nested calls, or if
/// nested calls use more than [`MAX_NATIVE_STACK_BYTES`], that is a trap.
///
/// # Panics
///
/// If a host function panics: the guest's run ends as with an error, then the panic continues here.
pub fn call<H: Host>(host: &mut H, func: FuncId, slots: &mut [Raw]) -> Result<(), CallError> {
    let host = HostPointer::new(host);
    // SAFETY: `host` is borrowed exclusively for as long as this function runs, and the borrow is
    // not used except through the pointer.
    unsafe { call_on(host, func, slots) }
}

/// The part of [`call`] that is the same for all hosts.
///
/// # Safety
///
/// The host is alive and not borrowed.
unsafe fn call_on(host: HostPointer, func: FuncId, slots: &mut [Raw]) -> Result<(), CallError> {
    // SAFETY: the caller's promise.
    let address = unsafe { host.machine() };
    // SAFETY: the host has just lent its machine, and is not asked for it again while this reference
    // is in use.
    let machine = unsafe { &mut *address };
    let serial = machine.serial;
    let Some(function) = machine.functions.get(func.index()) else {
        return Err(InvalidCall::UnknownFunction { func: func.0 }.into());
    };
    let object = function.object.as_ptr();
    let host_body = function.host.as_ref().map(|host| host.body().clone());
    // SAFETY: the registry never frees a type, and this function holds the machine or ends the
    // process.
    let ty: &FuncType = unsafe { &*Arc::as_ptr(&function.ty) };
    let (params, results) = (ty.params(), ty.results());
    let count = ty.slots() as usize;
    let got = slots.len();
    let Some(slots) = slots.get_mut(..count) else {
        let (ty, expected) = (ty.clone(), count);
        return Err(InvalidCall::Slots { ty, expected, got }.into());
    };
    machine
        .admit(params, slots)
        .map_err(|index| InvalidCall::UnknownReference { index })?;

    if let Some(body) = host_body {
        // SAFETY: the host is alive; the reference to its machine is not used again.
        let outcome = unsafe { body.call(host, slots) };
        // SAFETY: as above.
        let machine = unsafe { &*same_machine(host, serial) };
        return match outcome {
            Ok(()) => Ok(machine
                .admit(results, slots)
                .map_err(|index| InvalidCall::UnknownReference { index })?),
            Err(error) => Err(CallError::Host {
                error,
                frames: Vec::new(),
            }),
        };
    }

    let here = std::ptr::from_ref(&serial).addr();
    let outer_native_stack = machine.native_stack;
    let frame = machine.stack_top;
    let free = (machine.stack.limit().addr() - frame.addr()) / size_of::<Word>();
    let too_deep =
        outer_native_stack != 0 && outer_native_stack.abs_diff(here) > MAX_NATIVE_STACK_BYTES;
    if too_deep || free < FRAME_HEADER as usize + count {
        return Err(CallError::Trap(Trap {
            code: TrapCode::StackOverflow,
            frames: Vec::new(),
        }));
    }
    let runtime = machine.runtime.as_ptr();
    let threading = machine.config.threading;
    let outer_host = machine.host.replace(host);
    if outer_native_stack == 0 {
        machine.native_stack = here;
    }
    // SAFETY: the frame's header and `count` slots are inside the value stack, above everything in
    // use. The runtime lives as long as the machine. The reference to the machine is not used again:
    // what runs now reaches it through `address` or through the host.
    let status = unsafe {
        frame.add(FRAME_RETURN).write(0);
        frame.add(FRAME_CALLER).write(0);
        frame.add(FRAME_CONTEXT).write(0);
        let values = frame.add(FRAME_HEADER as usize).cast::<Raw>();
        values.copy_from_nonoverlapping(slots.as_ptr(), count);
        (*runtime).machine = address;
        let status = match threading {
            Threading::Token => crate::token::run(runtime, object, frame),
            #[cfg(palisade_direct)]
            Threading::Direct => crate::direct::run(runtime, object, frame),
            // Without the executor there is no code that a machine could run.
            #[cfg(not(palisade_direct))]
            Threading::Direct => unreachable!("direct code on a build without it"),
        };
        if status == 0 {
            slots.as_mut_ptr().copy_from_nonoverlapping(values, count);
        }
        status
    };
    // SAFETY: the host is alive and not borrowed, now that the run is over.
    let machine = unsafe { &mut *same_machine(host, serial) };
    machine.host = outer_host;
    machine.native_stack = outer_native_stack;
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the run failed, so the executor has set the runtime's exit fields.
    let frames = unsafe { machine.backtrace() };
    match (status, machine.pending.take()) {
        (STATUS_HOST, Some(Pending::Error(error))) => Err(CallError::Host { error, frames }),
        (STATUS_HOST, Some(Pending::Panic(payload))) => resume_unwind(payload),
        (status, _) => {
            let code = u8::try_from(status).ok().and_then(TrapCode::from_u8);
            let code = code.expect("executors answer with trap codes");
            Err(CallError::Trap(Trap { code, frames }))
        }
    }
}

/// The host's machine, after the host had control.
///
/// If it is another machine now, the frames that the guest would continue in are gone, or in use by
/// someone else. There is nothing to return to, so the process ends.
///
/// # Safety
///
/// The host is alive and not borrowed.
unsafe fn same_machine(host: HostPointer, serial: u64) -> *mut Machine {
    // SAFETY: the caller's promise.
    let machine = unsafe { host.machine() };
    // SAFETY: the host has just lent it.
    match unsafe { same_serial(machine, serial) } {
        Ok(()) => machine,
        Err(moved) => moved.abort(),
    }
}

/// The host has another machine than before.
pub(crate) struct MovedMachine;

impl MovedMachine {
    #[cold]
    pub(crate) fn abort(self) -> ! {
        eprintln!("Host::machine answered with another machine while a call was running");
        std::process::abort()
    }
}

/// Whether a machine is that with this number.
///
/// # Safety
///
/// The machine is alive.
pub(crate) unsafe fn same_serial(machine: *const Machine, serial: u64) -> Result<(), MovedMachine> {
    // SAFETY: the caller's promise.
    if unsafe { (*machine).serial } == serial {
        Ok(())
    } else {
        Err(MovedMachine)
    }
}

/// Lets the host act in the middle of a run: `act` may use the host, which has its machine to itself
/// meanwhile. Runs that it starts use the value stack from `top` on.
///
/// Answers what `act` does, and sets the runtime's pointer to the machine anew.
///
/// # Safety
///
/// Called in a run, by what the executor calls, with the run's runtime; no reference to the machine
/// is alive. Nothing at or above `top` on the value stack is in use.
pub(crate) unsafe fn with_host<R>(
    runtime: *mut Runtime,
    top: *mut Word,
    act: impl FnOnce(HostPointer) -> R,
) -> std::thread::Result<R> {
    // SAFETY: `runtime.machine` has been set at the start of the run and after every time that the
    // host had the machine.
    let machine = unsafe { &mut *(*runtime).machine };
    let serial = machine.serial;
    let host = machine.host.expect("a run has a host");
    let outer_top = std::mem::replace(&mut machine.stack_top, top);
    let outcome = catch_unwind(AssertUnwindSafe(|| act(host)));
    // SAFETY: `call` keeps the host of a run alive, and what it lent to `act` has ended. If it is
    // still the same machine, the runtime is the same.
    unsafe {
        let machine = same_machine(host, serial);
        (*machine).stack_top = outer_top;
        (*runtime).machine = machine;
    }
    outcome
}

/// Ends the run with an error: answers the status to return with.
///
/// # Safety
///
/// As for [`with_host`], except that `top` is not there.
pub(crate) unsafe fn fail(runtime: *mut Runtime, error: HostError) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { end_run(runtime, Pending::Error(error)) }
}

/// # Safety
///
/// As for [`fail`].
pub(crate) unsafe fn fail_panicked(
    runtime: *mut Runtime,
    payload: Box<dyn std::any::Any + Send>,
) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { end_run(runtime, Pending::Panic(payload)) }
}

/// # Safety
///
/// As for [`fail`].
unsafe fn end_run(runtime: *mut Runtime, pending: Pending) -> u32 {
    // SAFETY: see `with_host`.
    unsafe { (*(*runtime).machine).pending = Some(pending) };
    STATUS_HOST
}

/// Calls a host function for guest code: parameters at `slots`, results there afterwards.
///
/// Answers a status: 0, or [`STATUS_HOST`].
///
/// # Safety
///
/// Called by an executor in a run, with the context of the caller and the code of a host function
/// of the same machine. As many slots as the function has parameters or results are on the value
/// stack, and nothing above them is in use.
pub(crate) unsafe extern "C" fn host_call(
    caller: *mut Context,
    code: *const HostCode,
    slots: *mut Word,
) -> u32 {
    // SAFETY: contexts and host code live as long as the machine.
    let (runtime, instance, number, count) = unsafe {
        let instance = InstanceId((*caller).instance);
        let count = (*code).slots as usize;
        ((*caller).runtime, instance, (*code).number, count)
    };
    // SAFETY: the caller promises so many slots, initialised as all of the value stack is. They are
    // below the top that nested runs start from, and nobody else accesses them meanwhile.
    let words = unsafe { std::slice::from_raw_parts_mut(slots.cast::<Raw>(), count) };
    // SAFETY: nothing above the slots is in use, and no reference to the machine is alive. The
    // machine's frames stay where they are.
    let outcome = unsafe {
        with_host(runtime, slots.add(count), |host| {
            host.call(number, Some(instance), words)
        })
    };
    // SAFETY: `with_host` has set the pointer anew.
    unsafe {
        match outcome {
            Ok(Ok(())) => (*code).admit_results((*runtime).machine, words),
            Ok(Err(error)) => fail(runtime, error),
            Err(payload) => fail_panicked(runtime, payload),
        }
    }
}

impl HostCode {
    /// Checks what a call has left in `words`, the slots of the function's results, and brings it
    /// into the form that guest code relies on. Answers a status.
    ///
    /// # Safety
    ///
    /// Called in a run of the machine, after the host has had it; no reference to it is alive.
    #[inline]
    pub(crate) unsafe fn admit_results(&self, machine: *mut Machine, words: &mut [Raw]) -> u32 {
        match self.results {
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
            _ => unsafe { self.admit_each_result(machine, words) },
        }
    }

    /// # Safety
    ///
    /// As for [`admit_results`](Self::admit_results).
    #[cold]
    unsafe fn admit_each_result(&self, machine: *mut Machine, words: &mut [Raw]) -> u32 {
        // SAFETY: the registry never frees a type; the machine is the caller's promise.
        let admitted = unsafe { (*machine).admit((*self.ty).results(), words) };
        match admitted {
            Ok(()) => 0,
            Err(index) => {
                let error = InvalidCall::UnknownReference { index };
                // SAFETY: the caller's promise; the machine knows its runtime.
                unsafe { fail((*machine).runtime.as_ptr(), error.into()) }
            }
        }
    }
}
