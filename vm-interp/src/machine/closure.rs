//! Host functions: what guest code calls, and what keeps it alive.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use vm_translate::{RefType, RegisteredType, ValType};

use crate::context::{Context, HostCode, Word};
use crate::machine::call::{admit_results, end_run};
use crate::machine::host::{Host, HostError};
use crate::machine::suspend::note_host_call;
use crate::machine::{Machine, Pending};
use crate::value::{InstanceId, Raw};

/// A host function, for machines whose host is an `H`. See [`Machine::add_host_func`].
pub struct HostClosure<H> {
    closure: Arc<dyn Any + Send + Sync>,
    from_guest: CallFromGuest,
    from_host: CallFromHost,
    host: PhantomData<fn(&mut H)>,
}

type CallFromGuest = unsafe extern "C" fn(*mut Context, *const HostCode, *mut Word) -> u32;

/// Calls a closure, of the type that this knows, for the host itself.
pub(crate) type CallFromHost = unsafe fn(*const (), *mut (), &mut [Raw]) -> Result<(), HostError>;

impl<H: Host> HostClosure<H> {
    /// A host function that does what `closure` does.
    ///
    /// The closure gets the machine, the instance that calls (nothing when it is called by
    /// [`Machine::call`] directly), and slots that hold the parameters, and afterwards must hold the results; there
    /// are as many as the longer of the two lists takes. It may call guest functions in turn.
    ///
    /// An error of the closure, and a panic too, ends the run; see [`Machine::call`].
    pub fn new<F>(closure: F) -> HostClosure<H>
    where
        F: Fn(&mut Machine<H>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
            + Send
            + Sync
            + 'static,
    {
        HostClosure {
            closure: Arc::new(closure),
            from_guest: call_from_guest::<H, F>,
            from_host: call_from_host::<H, F>,
            host: PhantomData,
        }
    }
}

impl<H> Clone for HostClosure<H> {
    fn clone(&self) -> Self {
        HostClosure {
            closure: Arc::clone(&self.closure),
            ..*self
        }
    }
}

/// What a machine keeps of a host function.
pub(crate) struct HostFunction {
    code: NonNull<HostCode>,
    /// Keeps alive what the code points to.
    closure: Arc<dyn Any + Send + Sync>,
    from_host: CallFromHost,
}

impl HostFunction {
    /// `cell` is the handler that calls host functions, if the executor has one.
    pub(crate) fn new<H>(cell: u64, ty: &RegisteredType, from: HostClosure<H>) -> HostFunction {
        let code = Box::new(HostCode {
            cell,
            call: from.from_guest,
            closure: Arc::as_ptr(&from.closure).cast(),
            slots: ty.ty().slots(),
            results: to_check(ty.results()),
            ty: ty.clone(),
        });
        HostFunction {
            // SAFETY: a box is never null.
            code: unsafe { NonNull::new_unchecked(Box::into_raw(code)) },
            closure: from.closure,
            from_host: from.from_host,
        }
    }

    pub(crate) fn code(&self) -> *mut u8 {
        self.code.as_ptr().cast()
    }

    /// What calls it for the host: the function, and its first parameter.
    pub(crate) fn body(&self) -> (CallFromHost, *const ()) {
        (self.from_host, Arc::as_ptr(&self.closure).cast())
    }
}

impl Drop for HostFunction {
    fn drop(&mut self) {
        // SAFETY: boxed in `new`, freed only here, with the machine.
        drop(unsafe { Box::from_raw(self.code.as_ptr()) });
    }
}

/// What is to be checked of results of these types.
fn to_check(results: &[ValType]) -> u32 {
    let is_plain = |ty: &ValType| {
        matches!(
            ty,
            ValType::I64 | ValType::F64 | ValType::V128 | ValType::Ref(RefType::EXTERNREF)
        )
    };
    match results {
        [ValType::I32 | ValType::F32] => HostCode::RESULT_OF_32_BITS,
        results if results.iter().all(is_plain) => HostCode::RESULTS_AS_THEY_ARE,
        _ => HostCode::RESULTS_OF_THE_TYPE,
    }
}

/// # Safety
///
/// `closure` points to an `F`; `machine` is what [`Machine::erased`] made of a machine with a host of
/// type `H`, which nobody else uses meanwhile.
unsafe fn call_from_host<H: Host, F>(
    closure: *const (),
    machine: *mut (),
    slots: &mut [Raw],
) -> Result<(), HostError>
where
    F: Fn(&mut Machine<H>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>,
{
    // SAFETY: the caller's promise. The machine keeps the closure, and is not dropped while it is lent.
    unsafe { (*closure.cast::<F>())(&mut *Machine::from_erased(machine), None, slots) }
}

/// Calls a closure for guest code: parameters at `slots`, results there afterwards. Answers a status: 0, or
/// [`STATUS_HOST`](crate::context::STATUS_HOST).
///
/// # Safety
///
/// Called by an executor in a run, with the context of the caller and the code of a host function
/// of the same machine, whose closure is an `F` and whose host is an `H`. As many slots as the function has
/// parameters or results are on the value stack, and nothing above them is in use.
unsafe extern "C" fn call_from_guest<H: Host, F>(
    caller: *mut Context,
    code: *const HostCode,
    slots: *mut Word,
) -> u32
where
    F: Fn(&mut Machine<H>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>,
{
    // SAFETY: contexts and host code live as long as the machine, to which the runtime points all through a
    // run. The run has it exclusively, and uses it through this pointer only.
    let (runtime, machine, instance, count) = unsafe {
        let runtime = (*caller).runtime;
        let machine = Machine::<H>::from_erased((*runtime).machine);
        (
            runtime,
            machine,
            InstanceId((*caller).instance),
            (*code).slots as usize,
        )
    };
    // SAFETY: as above; nothing at or above the slots' end is in use.
    let outer_top =
        unsafe { std::ptr::replace(&raw mut (*machine).world.stack_top, slots.add(count)) };
    // SAFETY: as above.
    let lent = unsafe { (*machine).world.lend(slots, count) };
    // SAFETY: the caller promises so many slots, initialised as all of the value stack is. They are
    // below the top that nested runs start from, and nobody else accesses them meanwhile. The stack is
    // the machine's, which is there as long as it is lent.
    let words = unsafe { std::slice::from_raw_parts_mut(slots.cast::<Raw>(), count) };
    let outcome = {
        // SAFETY: the machine keeps the closure.
        let closure = unsafe { &*(*code).closure.cast::<F>() };
        // SAFETY: the run lends the machine; the reference ends with the call.
        let machine = unsafe { &mut *machine };
        catch_unwind(AssertUnwindSafe(|| closure(machine, Some(instance), words)))
    };
    // SAFETY: the machine has been given back. The words are the closure's no longer.
    unsafe {
        (*machine).world.stack_top = outer_top;
        (*machine).world.give_back(lent);
        match outcome {
            Ok(Ok(())) => {
                let words = std::slice::from_raw_parts_mut(slots.cast::<Raw>(), count);
                admit_results(&*code, runtime, words)
            }
            Ok(Err(error)) => {
                note_host_call(runtime, code, slots);
                end_run(runtime, Pending::Error(error))
            }
            Err(payload) => end_run(runtime, Pending::Panic(payload)),
        }
    }
}
