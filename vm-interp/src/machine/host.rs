//! The host's side of a machine.

use std::any::TypeId;
use std::error::Error;
use std::marker::PhantomData;

use vm_memory::GrowError;

use crate::machine::{EntityError, InvalidCall, Machine};
use crate::value::{InstanceId, Raw};

/// An error of a host function. It ends the guest's run and comes out of
/// [`call`](crate::call) unchanged.
pub type HostError = Box<dyn Error + Send + Sync>;

/// What owns a machine and provides its host functions.
pub trait Host: 'static {
    /// The machine: the same one for as long as a [`call`](crate::call) runs.
    ///
    /// Must not panic. A host that answers with another machine while a call runs (because it
    /// replaced the machine, say) cannot be returned to: the process is then ended.
    fn machine(&mut self) -> &mut Machine;

    /// Calls a host function that was added with [`Machine::add_host_func`]. A host with none needs
    /// not implement this.
    ///
    /// `host` is the number it was added with, `caller` the instance that calls (nothing when it is
    /// called by [`call`](crate::call) directly). `slots` hold the parameters, and afterwards must
    /// hold the results; there are as many as the longer of the two lists takes. The host may call guest
    /// functions in turn.
    ///
    /// # Errors
    ///
    /// Any error, and a panic too, ends the run; see [`call`](crate::call).
    fn call_host(
        &mut self,
        host: u32,
        caller: Option<InstanceId>,
        slots: &mut [Raw],
    ) -> Result<(), HostError> {
        let _ = (caller, slots);
        Err(InvalidCall::UnknownNumber { number: host }.into())
    }

    /// Whether the guest may grow a memory from `current` to `desired` bytes. If not, growth fails
    /// as if the host had no memory left. `maximum` is what the memory's type allows, in bytes.
    ///
    /// # Errors
    ///
    /// In this and the other three questions: any error, and a panic too, ends the run, as in
    /// [`Host::call_host`].
    fn memory_growing(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        let _ = (current, desired, maximum);
        Ok(true)
    }

    /// A memory of the guest's could not grow: past its maximum, or the host had no memory left. The
    /// guest is told so, unless this is an error.
    fn memory_grow_failed(&mut self, error: GrowError) -> Result<(), HostError> {
        let _ = error;
        Ok(())
    }

    /// Whether the guest may grow a table from `current` to `desired` elements. If not, growth
    /// fails as if the host had no memory left.
    fn table_growing(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        let _ = (current, desired, maximum);
        Ok(true)
    }

    /// A table of the guest's could not grow. The guest is told so, unless this is an error.
    fn table_grow_failed(&mut self, error: EntityError) -> Result<(), HostError> {
        let _ = error;
        Ok(())
    }
}

/// A host whose type has been forgotten, for the time of a run.
#[derive(Clone, Copy)]
pub(crate) struct HostPointer {
    data: *mut (),
    functions: &'static HostFunctions,
}

type Growing = unsafe fn(*mut (), u64, u64, Option<u64>) -> Result<bool, HostError>;

type CallHost = unsafe fn(*mut (), u32, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>;

/// The methods of a [`Host`]. All require the pointer that their `HostPointer` was made from,
/// still valid and not borrowed otherwise.
struct HostFunctions {
    /// The host's type.
    ty: TypeId,
    machine: unsafe fn(*mut ()) -> *mut Machine,
    call: CallHost,
    memory_growing: Growing,
    memory_grow_failed: unsafe fn(*mut (), GrowError) -> Result<(), HostError>,
    table_growing: Growing,
    table_grow_failed: unsafe fn(*mut (), EntityError) -> Result<(), HostError>,
}

struct Functions<H>(PhantomData<H>);

impl<H: Host> Functions<H> {
    const TABLE: &'static HostFunctions = &HostFunctions {
        ty: TypeId::of::<H>(),
        machine: |data| {
            // SAFETY: here and below, `data` was made from a `&mut H` in `HostPointer::new`, and the
            // caller promises that it is still valid and not borrowed.
            unsafe { (*data.cast::<H>()).machine() }
        },
        // SAFETY: see above.
        call: |data, host, caller, slots| unsafe {
            (*data.cast::<H>()).call_host(host, caller, slots)
        },
        // SAFETY: see above.
        memory_growing: |data, current, desired, maximum| unsafe {
            (*data.cast::<H>()).memory_growing(current, desired, maximum)
        },
        // SAFETY: see above.
        memory_grow_failed: |data, error| unsafe { (*data.cast::<H>()).memory_grow_failed(error) },
        // SAFETY: see above.
        table_growing: |data, current, desired, maximum| unsafe {
            (*data.cast::<H>()).table_growing(current, desired, maximum)
        },
        // SAFETY: see above.
        table_grow_failed: |data, error| unsafe { (*data.cast::<H>()).table_grow_failed(error) },
    };
}

impl HostPointer {
    pub(crate) fn new<H: Host>(host: &mut H) -> HostPointer {
        HostPointer {
            data: std::ptr::from_mut(host).cast(),
            functions: Functions::<H>::TABLE,
        }
    }

    /// The host, if it is of this type.
    #[inline]
    pub(crate) fn downcast<H: Host>(self) -> Option<*mut H> {
        (self.functions.ty == TypeId::of::<H>()).then_some(self.data.cast())
    }

    /// [`Host::machine`].
    ///
    /// # Safety
    ///
    /// The host is alive and not borrowed, here and in the other methods.
    pub(crate) unsafe fn machine(self) -> *mut Machine {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.machine)(self.data) }
    }

    /// [`Host::call_host`].
    ///
    /// # Safety
    ///
    /// As for [`machine`](Self::machine).
    pub(crate) unsafe fn call(
        self,
        host: u32,
        caller: Option<InstanceId>,
        slots: &mut [Raw],
    ) -> Result<(), HostError> {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.call)(self.data, host, caller, slots) }
    }

    /// [`Host::memory_growing`].
    ///
    /// # Safety
    ///
    /// As for [`machine`](Self::machine).
    pub(crate) unsafe fn memory_growing(
        self,
        from: u64,
        to: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.memory_growing)(self.data, from, to, maximum) }
    }

    /// [`Host::memory_grow_failed`].
    ///
    /// # Safety
    ///
    /// As for [`machine`](Self::machine).
    pub(crate) unsafe fn memory_grow_failed(self, error: GrowError) -> Result<(), HostError> {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.memory_grow_failed)(self.data, error) }
    }

    /// [`Host::table_growing`].
    ///
    /// # Safety
    ///
    /// As for [`machine`](Self::machine).
    pub(crate) unsafe fn table_growing(
        self,
        from: u64,
        to: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.table_growing)(self.data, from, to, maximum) }
    }

    /// [`Host::table_grow_failed`].
    ///
    /// # Safety
    ///
    /// As for [`machine`](Self::machine).
    pub(crate) unsafe fn table_grow_failed(self, error: EntityError) -> Result<(), HostError> {
        // SAFETY: the caller's promise.
        unsafe { (self.functions.table_grow_failed)(self.data, error) }
    }
}
