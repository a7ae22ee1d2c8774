//! The host's side of a machine: what it decides while guests run.

use std::error::Error;
use std::marker::PhantomData;

use vm_memory::GrowError;

use crate::machine::{EntityError, Machine, ThrownException};

/// An error of a host function. It ends the guest's run and comes out of
/// [`Machine::call`] unchanged.
pub type HostError = Box<dyn Error + Send + Sync>;

/// What a machine belongs to: what its host functions work on, and who decides about growth.
///
/// The questions are asked in the middle of a run. A host that is asked has only itself, not the
/// machine: what it has to know of that, it is told.
pub trait Host: 'static {
    /// Whether the guest may grow a memory from `current` to `desired` bytes. If not, growth fails
    /// as if the host had no memory left. `maximum` is what the memory's type allows, in bytes.
    ///
    /// # Errors
    ///
    /// In this and the other questions: any error, and a panic too, ends the run, as in a
    /// [`HostClosure`](crate::HostClosure).
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

    /// Whether an error of a host function throws an exception into the guest that has called it, which [`World::throw`](crate::World::throw) has been
    /// given: whether it is a [`ThrownException`](crate::ThrownException), or has come of one.
    fn throws(error: &HostError) -> bool {
        ThrownException::is(&**error)
    }

    /// The deadline has come that [`World::set_epoch_deadline`](crate::World::set_epoch_deadline) has set.
    fn epoch_deadline(&mut self) -> Result<Deadline, HostError> {
        Ok(Deadline::End)
    }
}

/// What happens when a deadline in epochs has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The run ends with [`TrapCode::Interrupt`](crate::TrapCode::Interrupt).
    End,
    /// It goes on; the next deadline is so many epochs from now.
    Continue(u64),
    /// The same, but first it stops, if it is one that can go on later
    /// ([`Machine::call_resumable`](crate::Machine::call_resumable)).
    Suspend(u64),
}

/// A host with nothing of its own, which allows all growth.
impl Host for () {}

/// The methods of a [`Host`] whose type has been forgotten. All take the machine, as
/// [`Machine::erased`] has made it, whose host nobody else uses meanwhile.
pub(crate) struct Questions {
    pub(crate) memory_growing: Growing,
    pub(crate) memory_grow_failed: unsafe fn(*mut (), GrowError) -> Result<(), HostError>,
    pub(crate) table_growing: Growing,
    pub(crate) table_grow_failed: unsafe fn(*mut (), EntityError) -> Result<(), HostError>,
    pub(crate) throws: fn(&HostError) -> bool,
    pub(crate) epoch_deadline: unsafe fn(*mut ()) -> Result<Deadline, HostError>,
}

type Growing = unsafe fn(*mut (), u64, u64, Option<u64>) -> Result<bool, HostError>;

struct Of<H>(PhantomData<H>);

impl<H: Host> Of<H> {
    /// # Safety
    ///
    /// The pointer is what [`Machine::erased`] made of a machine whose host is an `H`, and nobody else uses
    /// that host as long as the answer is used.
    unsafe fn host<'a>(machine: *mut ()) -> &'a mut H {
        // SAFETY: the caller's promise.
        unsafe { &mut (*Machine::<H>::from_erased(machine)).host }
    }

    const QUESTIONS: &'static Questions = &Questions {
        // SAFETY: here and below: what `Questions` says, and a machine has those of its host's type.
        memory_growing: |machine, current, desired, maximum| unsafe {
            Self::host(machine).memory_growing(current, desired, maximum)
        },
        // SAFETY: see above.
        memory_grow_failed: |machine, error| unsafe {
            Self::host(machine).memory_grow_failed(error)
        },
        // SAFETY: see above.
        table_growing: |machine, current, desired, maximum| unsafe {
            Self::host(machine).table_growing(current, desired, maximum)
        },
        // SAFETY: see above.
        table_grow_failed: |machine, error| unsafe { Self::host(machine).table_grow_failed(error) },
        throws: H::throws,
        // SAFETY: see above.
        epoch_deadline: |machine| unsafe { Self::host(machine).epoch_deadline() },
    };
}

impl Questions {
    pub(crate) fn of<H: Host>() -> &'static Questions {
        Of::<H>::QUESTIONS
    }
}
