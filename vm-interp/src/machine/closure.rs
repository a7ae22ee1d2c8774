//! Host functions: what guest code calls, and what keeps it alive.

use std::any::{Any, type_name};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use vm_translate::{FuncType, ValType};

use crate::context::{Context, HostCode, Word};
use crate::machine::call::{InvalidCall, fail, fail_panicked, host_call, same_serial};
use crate::machine::host::{Host, HostError, HostPointer};
use crate::value::{InstanceId, Raw};

/// A host function that is a closure: guest code calls it without asking the host which function
/// that is. See [`Machine::add_host_closure`](crate::Machine::add_host_closure).
///
/// The closure gets what [`Host::call_host`] gets, and is called for hosts of type `H` only.
pub struct HostClosure<H> {
    closure: Arc<dyn Any + Send + Sync>,
    from_guest: CallFromGuest,
    from_host: CallFromHost,
    host: PhantomData<fn(&mut H)>,
}

type CallFromGuest = unsafe extern "C" fn(*mut Context, *const HostCode, *mut Word) -> u32;

type CallFromHost = unsafe fn(*const (), HostPointer, &mut [Raw]) -> Result<(), HostError>;

impl<H: Host> HostClosure<H> {
    /// A host function that does what `closure` does.
    pub fn new<F>(closure: F) -> HostClosure<H>
    where
        F: Fn(&mut H, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
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
    body: HostBody,
}

/// A host function to be called by the host itself.
#[derive(Clone)]
pub(crate) enum HostBody {
    /// By [`Host::call_host`].
    Number(u32),
    Closure(Arc<dyn Any + Send + Sync>, CallFromHost),
}

impl HostFunction {
    /// The function that the host knows by its number. `cell` is the handler that calls host
    /// functions, if the executor has one.
    pub(crate) fn numbered(cell: u64, ty: &Arc<FuncType>, number: u32) -> HostFunction {
        let code = host_code(cell, ty, host_call, std::ptr::null(), number);
        HostFunction::new(code, HostBody::Number(number))
    }

    pub(crate) fn closure<H>(cell: u64, ty: &Arc<FuncType>, from: HostClosure<H>) -> HostFunction {
        let data = Arc::as_ptr(&from.closure).cast();
        let code = host_code(cell, ty, from.from_guest, data, 0);
        HostFunction::new(code, HostBody::Closure(from.closure, from.from_host))
    }

    fn new(code: HostCode, body: HostBody) -> HostFunction {
        // SAFETY: a box is never null.
        let code = unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(code))) };
        HostFunction { code, body }
    }

    pub(crate) fn code(&self) -> *mut u8 {
        self.code.as_ptr().cast()
    }

    pub(crate) fn body(&self) -> &HostBody {
        &self.body
    }

    /// Lets the closure live for ever.
    pub(crate) fn leak(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.body, HostBody::Number(0)));
    }
}

impl Drop for HostFunction {
    fn drop(&mut self) {
        // SAFETY: boxed in `new`, freed only here, with the machine.
        drop(unsafe { Box::from_raw(self.code.as_ptr()) });
    }
}

fn host_code(
    cell: u64,
    ty: &Arc<FuncType>,
    call: CallFromGuest,
    closure: *const (),
    number: u32,
) -> HostCode {
    let is_plain = |ty: &ValType| {
        matches!(
            ty,
            ValType::I64 | ValType::F64 | ValType::V128 | ValType::ExternRef
        )
    };
    let results = match ty.results() {
        [ValType::I32 | ValType::F32] => HostCode::RESULT_OF_32_BITS,
        results if results.iter().all(is_plain) => HostCode::RESULTS_AS_THEY_ARE,
        _ => HostCode::RESULTS_OF_THE_TYPE,
    };
    HostCode {
        cell,
        call,
        closure,
        ty: Arc::as_ptr(ty),
        slots: ty.slots(),
        results,
        number,
    }
}

impl HostBody {
    /// Calls it for the host.
    ///
    /// # Safety
    ///
    /// The host is alive and not borrowed.
    pub(crate) unsafe fn call(self, host: HostPointer, slots: &mut [Raw]) -> Result<(), HostError> {
        match self {
            // SAFETY: the caller's promise.
            HostBody::Number(number) => unsafe { host.call(number, None, slots) },
            // SAFETY: also, both come from one `HostClosure`, and this holds the closure.
            HostBody::Closure(closure, call) => unsafe {
                call(Arc::as_ptr(&closure).cast(), host, slots)
            },
        }
    }
}

/// # Safety
///
/// `closure` points to an `F`; the host is alive and not borrowed.
unsafe fn call_from_host<H: Host, F>(
    closure: *const (),
    host: HostPointer,
    slots: &mut [Raw],
) -> Result<(), HostError>
where
    F: Fn(&mut H, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>,
{
    let Some(host) = host.downcast::<H>() else {
        return Err(wrong_host::<H>());
    };
    // SAFETY: the caller's promise.
    unsafe { (*closure.cast::<F>())(&mut *host, None, slots) }
}

#[cold]
fn wrong_host<H>() -> HostError {
    let expected = type_name::<H>();
    InvalidCall::WrongHost { expected }.into()
}

/// [`host_call`] for closures of one type: does the same, with everything known that depends on the
/// types of the host and of the closure.
///
/// # Safety
///
/// As for [`host_call`]. The closure of `code` is an `F`.
unsafe extern "C" fn call_from_guest<H: Host, F>(
    caller: *mut Context,
    code: *const HostCode,
    slots: *mut Word,
) -> u32
where
    F: Fn(&mut H, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>,
{
    // SAFETY: contexts live as long as the machine, which `runtime.machine` points to, see
    // `with_host`. No reference to it is made before the host has control, and none kept.
    let (runtime, machine, instance) = unsafe {
        let runtime = (*caller).runtime;
        (runtime, (*runtime).machine, InstanceId((*caller).instance))
    };
    // SAFETY: as above.
    let Some(host) = (unsafe { (*machine).host }).and_then(HostPointer::downcast::<H>) else {
        // SAFETY: the caller's promise.
        return unsafe { fail(runtime, wrong_host::<H>()) };
    };
    // SAFETY: host code lives as long as the machine.
    let count = unsafe { (*code).slots } as usize;
    // SAFETY: as for the machine above; nothing above the slots is in use.
    let (serial, outer_top) = unsafe {
        let top = slots.add(count);
        let outer = std::ptr::replace(&raw mut (*machine).stack_top, top);
        ((*machine).serial, outer)
    };
    // SAFETY: the caller promises so many slots, initialised as all of the value stack is. They are
    // below the top that nested runs start from, and nobody else accesses them meanwhile.
    let words = unsafe { std::slice::from_raw_parts_mut(slots.cast::<Raw>(), count) };
    let outcome = {
        // SAFETY: the machine holds the closure. A machine that is dropped in the middle of a run
        // leaks its closures.
        let closure = unsafe { &*(*code).closure.cast::<F>() };
        // SAFETY: `call` holds the host of a run and has lent it to the run; nobody else uses it
        // now.
        let host = unsafe { &mut *host };
        catch_unwind(AssertUnwindSafe(|| closure(host, Some(instance), words)))
    };
    // SAFETY: the closure has given the host back. If the machine is still the same, the runtime and
    // the code are.
    unsafe {
        let machine = std::ptr::from_mut((*host).machine());
        if let Err(moved) = same_serial(machine, serial) {
            moved.abort();
        }
        (*machine).stack_top = outer_top;
        (*runtime).machine = machine;
        match outcome {
            Ok(Ok(())) => {
                let words = std::slice::from_raw_parts_mut(slots.cast::<Raw>(), count);
                (*code).admit_results(machine, words)
            }
            Ok(Err(error)) => fail(runtime, error),
            Err(payload) => fail_panicked(runtime, payload),
        }
    }
}
