//! Calls from the host into guest code, and how they end.

use std::panic::resume_unwind;

use vm_translate::FuncType;
use vm_translate::ir::FRAME_HEADER;
use vm_trap::{TrapCode, native_stack};

use crate::context::{
    FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, FuncObject, HostCode, Runtime, STATUS_HOST, Word,
};
use crate::machine::{
    Frame, Host, HostError, Machine, Pending, Stop, Suspended, Suspension, World,
};
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
    /// A reference that the machine does not know, or of another type, as parameter or as a host function's result.
    #[error("value {index} is not a reference of its type to something of this machine")]
    UnknownReference {
        /// Its index among the parameters or results.
        index: usize,
    },
    /// A run that cannot go on here.
    #[error(
        "the call cannot go on here: it is one of another machine, or began when less of the stack was in use; \
         resume it where it was begun"
    )]
    Resume,
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
            call_on(Machine::erased(machine), world, func, slots, None).map(drop)
        }
    }

    /// The same, but where `keep` says so, the run can go on later: where a host function that guest code called returns an error, and
    /// where there is too little fuel. So it can at deadlines at which the host asks for it ([`Deadline::Suspend`](crate::Deadline::Suspend)).
    /// Answers nothing if it has returned.
    ///
    /// Runs inside of this one, of host functions', are not suspended with it: they have ended.
    ///
    /// # Errors
    ///
    /// As for [`Machine::call`].
    ///
    /// # Panics
    ///
    /// As for [`Machine::call`].
    pub fn call_resumable(
        &mut self,
        func: FuncId,
        slots: &mut [Raw],
        keep: &dyn Fn(&World, Stop<'_>) -> bool,
    ) -> Result<Option<(Suspension, Suspended)>, CallError> {
        let machine = std::ptr::from_mut(self);
        // SAFETY: as in `call`.
        unsafe {
            let world = &raw mut (*machine).world;
            call_on(Machine::erased(machine), world, func, slots, Some(keep))
        }
    }

    /// Goes on with a run. If it has stopped in a host function, `results` are that function's; `slots` and the answer are as
    /// for [`Machine::call_resumable`].
    ///
    /// # Errors
    ///
    /// As for [`Machine::call`]; and [`InvalidCall::Resume`] if the run is one of another machine, or one that began when less of the
    /// value stack was in use than now, in the middle of another one.
    ///
    /// # Panics
    ///
    /// As for [`Machine::call`].
    pub fn resume(
        &mut self,
        suspended: Suspended,
        results: &[Raw],
        slots: &mut [Raw],
        keep: &dyn Fn(&World, Stop<'_>) -> bool,
    ) -> Result<Option<(Suspension, Suspended)>, CallError> {
        let machine = std::ptr::from_mut(self);
        // SAFETY: as in `call`.
        unsafe {
            let world = &raw mut (*machine).world;
            let machine = Machine::erased(machine);
            resume_on(machine, world, suspended, results, slots, keep)
        }
    }
}

impl<H: Host> Machine<H> {
    /// Goes on with a run that has stopped in a host function as if that had returned this error: throws the exception that the
    /// machine [has been given](World::throw) if it is one that [throws](Host::throws), and else ends the run.
    ///
    /// # Errors
    ///
    /// As for [`Machine::resume`].
    ///
    /// # Panics
    ///
    /// As for [`Machine::call`].
    pub fn resume_with_error(
        &mut self,
        suspended: Suspended,
        error: HostError,
        slots: &mut [Raw],
        keep: &dyn Fn(&World, Stop<'_>) -> bool,
    ) -> Result<Option<(Suspension, Suspended)>, CallError> {
        if !H::throws(&error) || !self.has_thrown() || suspended.host_type().is_none() {
            return Err(self.end(suspended, error));
        }
        let machine = std::ptr::from_mut(self);
        // SAFETY: as in `call`.
        unsafe {
            let world = &raw mut (*machine).world;
            let machine = Machine::erased(machine);
            let before = &mut *world;
            if !suspended.fits(before) {
                return Err(InvalidCall::Resume.into());
            }
            let func = suspended.func();
            let ty = std::ptr::from_ref(before.functions[func.index()].ty.ty());
            // The machine keeps its functions' types, wherever it has the functions.
            let slots = slots_of(&*ty, slots)?;
            let start = Start::Throw(&suspended, error);
            run_on(machine, world, func, start, slots, Some(keep))
        }
    }
}

impl<H> Machine<H> {
    /// Ends a run that has stopped in a host function as if that had returned this error. Answers what comes out of the
    /// call.
    pub fn end(&mut self, suspended: Suspended, error: HostError) -> CallError {
        let world = &mut self.world;
        let mut frames = Vec::new();
        if suspended.fits(world) && suspended.slots() <= world.free_slots() {
            let (runtime, first) = (world.runtime.as_ptr(), world.stack_top);
            // SAFETY: the run is one of this machine, nothing runs, and there is room for it above what is in use. The place
            // where it would go on belongs to the call that is just before.
            frames = unsafe {
                suspended.restore(runtime, first, &[]);
                (*runtime).exit_ip = (*runtime).exit_ip.wrapping_sub(1);
                world.backtrace()
            };
        }
        CallError::Host { error, frames }
    }
}

/// Where a run that stops is one that can go on; nothing if it never is.
type Keep<'a> = Option<&'a dyn Fn(&World, Stop<'_>) -> bool>;

/// What a run begins with.
enum Start<'a> {
    Call(*const FuncObject),
    /// With what is in the slots of the host function's results.
    Resume(&'a Suspended, &'a [Word]),
    /// With an error of the host function.
    Throw(&'a Suspended, HostError),
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
    keep: Keep<'_>,
) -> Result<Option<(Suspension, Suspended)>, CallError> {
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
    let slots = slots_of(ty, slots)?;
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
        return match admitted {
            Ok(()) => Ok(None),
            Err(index) => Err(InvalidCall::UnknownReference { index }.into()),
        };
    }
    // SAFETY: the caller's promise; the function is a guest's.
    unsafe { run_on(machine, world, func, Start::Call(object), slots, keep) }
}

/// The part of [`Machine::resume`] that is the same for all hosts.
///
/// # Safety
///
/// As for [`call_on`].
unsafe fn resume_on(
    machine: *mut (),
    world: *mut World,
    suspended: Suspended,
    results: &[Raw],
    slots: &mut [Raw],
    keep: &dyn Fn(&World, Stop<'_>) -> bool,
) -> Result<Option<(Suspension, Suspended)>, CallError> {
    // SAFETY: the caller's promise. The reference is not used any more once something runs.
    let before = unsafe { &mut *world };
    if !suspended.fits(before) {
        return Err(InvalidCall::Resume.into());
    }
    let func = suspended.func();
    let ty = std::ptr::from_ref(before.functions[func.index()].ty.ty());
    // SAFETY: the machine keeps its functions' types, wherever it has the functions.
    let slots = slots_of(unsafe { &*ty }, slots)?;
    let mut words = Vec::new();
    if let Some(ty) = suspended.host_type() {
        let expected = ty.results().iter().map(|ty| ty.slots() as usize).sum();
        let got = results.len();
        let Some(results) = results.get(..expected) else {
            let ty = ty.ty().clone();
            return Err(InvalidCall::Slots { ty, expected, got }.into());
        };
        let mut admitted = results.to_vec();
        before
            .admit(ty.results(), &mut admitted)
            .map_err(|index| InvalidCall::UnknownReference { index })?;
        words.extend(admitted.iter().map(|raw| raw.0));
    }
    // SAFETY: the caller's promise; the run is one of this machine.
    unsafe {
        let start = Start::Resume(&suspended, &words);
        run_on(machine, world, func, start, slots, Some(keep))
    }
}

/// As many of the slots as a function of this type needs.
fn slots_of<'a>(ty: &FuncType, slots: &'a mut [Raw]) -> Result<&'a mut [Raw], InvalidCall> {
    let (expected, got) = (ty.slots() as usize, slots.len());
    slots.get_mut(..expected).ok_or_else(|| {
        let ty = ty.clone();
        InvalidCall::Slots { ty, expected, got }
    })
}

/// Runs guest code from its beginning, or from where it has stopped, to its end or to where it stops. The slots are as many as
/// those of the function that the host has called.
///
/// # Safety
///
/// As for [`call_on`]. What it starts with is of this machine: a guest's function, for which there are parameters in
/// the slots, or a run that fits it.
unsafe fn run_on(
    machine: *mut (),
    world: *mut World,
    func: FuncId,
    start: Start<'_>,
    slots: &mut [Raw],
    keep: Keep<'_>,
) -> Result<Option<(Suspension, Suspended)>, CallError> {
    let count = slots.len();
    let here = std::ptr::from_ref(&count).addr();
    // SAFETY: the caller's promise. The reference is not used any more once something runs.
    let before = unsafe { &mut *world };
    let outer_native_stack = before.native_stack;
    let first = before.stack_top;
    let needed = match &start {
        Start::Call(_) => FRAME_HEADER as usize + count,
        Start::Resume(suspended, _) | Start::Throw(suspended, _) => suspended.slots(),
    };
    if stack_is_used_up(outer_native_stack, here) || before.free_slots() < needed {
        return Err(CallError::Trap(Trap {
            code: TrapCode::StackOverflow,
            frames: Vec::new(),
        }));
    }
    let is_outermost = outer_native_stack == 0;
    if is_outermost {
        before.native_stack = here;
        before.runs_have_ended();
    }
    let outer_thread = (before.is_interruptible).then(|| before.interrupt.enter());
    let outer_resumable = std::mem::replace(&mut before.is_resumable, keep.is_some());
    let runtime = before.runtime.as_ptr();
    let executor = before.executor;
    let inside;
    // SAFETY: the frame's header and `count` slots, or the frames of a run that has stopped, are inside the value stack, above
    // everything in use. The runtime lives as long as the machine, which what runs now reaches through it.
    let status = unsafe {
        let values = first.add(FRAME_HEADER as usize).cast::<Raw>();
        match &start {
            Start::Call(_) => {
                first.add(FRAME_RETURN).write(0);
                first.add(FRAME_CALLER).write(0);
                first.add(FRAME_CONTEXT).write(0);
                values.copy_from_nonoverlapping(slots.as_ptr(), count);
            }
            Start::Resume(suspended, results) => suspended.restore(runtime, first, results),
            Start::Throw(suspended, _) => {
                suspended.restore(runtime, first, &[]);
                before.at_call_before();
            }
        }
        let calls_left = (*runtime).calls_left;
        if let Start::Resume(suspended, _) | Start::Throw(suspended, _) = &start {
            // It had room for them where it began.
            (*runtime).calls_left = calls_left.saturating_sub(suspended.calls());
        }
        let outer = ((*runtime).machine, (*runtime).world);
        ((*runtime).machine, (*runtime).world) = (machine, world.cast());
        let mut status = match start {
            Start::Call(object) => executor.run(runtime, object, first),
            Start::Resume(..) => executor.resume(runtime),
            Start::Throw(_, error) => end_run(runtime, Pending::Error(error)),
        };
        while (*world).catches(status) {
            status = executor.resume(runtime);
        }
        ((*runtime).machine, (*runtime).world) = outer;
        inside = calls_left.saturating_sub((*runtime).calls_left);
        // A run that has ended in the middle has left its calls in another way.
        (*runtime).calls_left = calls_left;
        if status == 0 {
            slots.as_mut_ptr().copy_from_nonoverlapping(values, count);
        }
        status
    };
    // SAFETY: the run is over.
    let after = unsafe { &mut *world };
    after.native_stack = outer_native_stack;
    after.is_resumable = outer_resumable;
    match outer_thread {
        Some(outer) => after.interrupt.leave(outer),
        // It has become interruptible in the middle, see `World::interrupt`.
        None if after.is_interruptible && is_outermost => after.interrupt.leave(None),
        None => {}
    }
    if status == 0 {
        return Ok(None);
    }
    // SAFETY: the run failed, so the executor has set the runtime's exit fields, and its frames are still there.
    let suspended =
        keep.and_then(|keep| unsafe { after.suspend(status, func, first, inside, keep) });
    // SAFETY: the runtime lives as long as the machine.
    unsafe { (*runtime).host_code = std::ptr::null() };
    if suspended.is_some() {
        return Ok(suspended);
    }
    // SAFETY: as above.
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
    pub(super) fn free_slots(&self) -> usize {
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
        world.admit(code.ty.results(), words)
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
