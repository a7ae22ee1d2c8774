//! What bounds how long a guest runs: fuel, and deadlines in epochs.
//!
//! Both are numbers of the [`Runtime`], where handlers reach them. Code changes and compares them only if it was
//! made so, see [`CodeOptions`](crate::CodeOptions).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_trap::TrapCode;

use crate::context::{Context, Runtime, STATUS_SUSPENDED};
use crate::machine::World;
use crate::machine::host::Deadline;
use crate::machine::runtime::ask;

/// An epoch that never ends, for machines that nobody has given one.
pub(super) static NO_EPOCH: AtomicU64 = AtomicU64::new(0);

impl World {
    /// How much fuel is left for code that consumes it; 0 at first.
    pub fn fuel(&self) -> u64 {
        // SAFETY: the runtime lives as long as the world. Handlers change it only while a run has the world.
        unsafe { (*self.runtime.as_ptr()).fuel }
    }

    /// Says how much fuel there is from now on, also for runs that are going on.
    pub fn set_fuel(&mut self, fuel: u64) {
        // SAFETY: as above.
        unsafe { (*self.runtime.as_ptr()).fuel = fuel }
    }

    /// Says how many calls of guest functions may be inside of each other, where code counts them: one more ends the run with
    /// [`TrapCode::StackOverflow`]. Those of a run in the middle of another count on; the number is the same in every executor and tier. To be called
    /// when nothing runs.
    pub fn set_max_call_depth(&mut self, calls: u32) {
        // SAFETY: as above.
        unsafe { (*self.runtime.as_ptr()).calls_left = calls.into() }
    }

    /// Fuel that has been set aside: nobody consumes it before [`World::take_fuel_reserve`].
    pub fn fuel_reserve(&self) -> u64 {
        self.fuel_reserve
    }

    /// Sets fuel aside, besides what there is.
    pub fn set_fuel_reserve(&mut self, fuel: u64) {
        self.fuel_reserve = fuel;
    }

    /// Takes fuel out of the reserve, so that there is `fuel` to consume, if both together are as much.
    pub fn take_fuel_reserve(&mut self, fuel: u64) {
        let all = self.fuel().saturating_add(self.fuel_reserve);
        let fuel = fuel.min(all);
        self.set_fuel(fuel);
        self.fuel_reserve = all - fuel;
    }

    /// Says what counts epochs for this machine: whoever has the counter adds to it, on any thread. Until then they stand still.
    pub fn set_epoch(&mut self, epoch: Arc<AtomicU64>) {
        let runtime = self.runtime.as_ptr();
        // SAFETY: as above; the world keeps the counter as long as the pointer is there.
        unsafe { (*runtime).epoch = Arc::as_ptr(&epoch) };
        self.epoch = Some(epoch);
    }

    /// Sets the deadline so many epochs from now: when it comes, the host is asked
    /// ([`Host::epoch_deadline`](crate::Host::epoch_deadline)). Until this is called, there is none.
    pub fn set_epoch_deadline(&mut self, epochs: u64) {
        let runtime = self.runtime.as_ptr();
        // SAFETY: as above.
        unsafe { set_deadline(runtime, epochs) }
    }

    /// Takes fuel for what a bulk operation is about to do, if code consumes it.
    pub(super) fn consume_fuel(&mut self, instance: usize, bytes: u64) -> Result<(), TrapCode> {
        let Some(costs) = &self.instances[instance].code.options().fuel else {
            return Ok(());
        };
        let required = costs.bytes(bytes);
        let Some(left) = self.fuel().checked_sub(required) else {
            self.fuel_required = required;
            return Err(TrapCode::OutOfFuel);
        };
        self.set_fuel(left);
        Ok(())
    }
}

/// # Safety
///
/// The runtime is that of a machine that is alive.
unsafe fn set_deadline(runtime: *mut Runtime, epochs: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        let now = (*(*runtime).epoch).load(Ordering::Relaxed);
        (*runtime).epoch_deadline = now.saturating_add(epochs);
    }
}

/// Whether the deadline has come.
///
/// # Safety
///
/// The context is that of the instance that runs.
#[inline(always)]
pub(crate) unsafe fn is_epoch_over(context: *mut Context) -> bool {
    // SAFETY: the caller's promise; the machine keeps the counter.
    unsafe {
        let runtime = (*context).runtime;
        (*(*runtime).epoch).load(Ordering::Relaxed) >= (*runtime).epoch_deadline
    }
}

/// Asks the host what to do when the deadline has come. Answers a status.
///
/// # Safety
///
/// Called in a run, with the context of the instance that runs, and no reference to the machine is in use.
#[cold]
pub(crate) unsafe extern "C" fn epoch_deadline(context: *mut Context) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        match ask(context, |host, machine| (host.epoch_deadline)(machine)) {
            Ok(Deadline::Continue(epochs)) => {
                set_deadline((*context).runtime, epochs);
                0
            }
            Ok(Deadline::Suspend(epochs)) => {
                let runtime = (*context).runtime;
                set_deadline(runtime, epochs);
                let world = World::from_erased((*runtime).world);
                if (*world).is_resumable {
                    STATUS_SUSPENDED
                } else {
                    0
                }
            }
            Ok(Deadline::End) => TrapCode::Interrupt.as_u8().into(),
            Err(status) => status,
        }
    }
}
