//! The one decision: is this fault the guest's?

use crate::activation::Activation;
use crate::fault::{Fault, GPR_COUNT};
use crate::{TrapCode, sites, thread};

/// A fault of the guest: what happened, in which activation.
pub(crate) struct GuestFault {
    activation: *const Activation,
    fault: Fault,
}

/// A fault is the guest's if the instruction is an access site, the thread's
/// innermost activation is armed, and the address lies in one of its regions,
/// of a class on which that site may fault. `None` otherwise.
///
/// The order is not for speed: only a thread whose pc is guest text is known to
/// have touched the thread-local that comes next.
///
/// # Safety
///
/// To be called on the thread that faulted, while it is stopped at `pc`.
pub(crate) unsafe fn decide(
    pc: usize,
    address: usize,
    gpr: impl FnOnce() -> [u64; GPR_COUNT],
) -> Option<GuestFault> {
    let classes = sites::classes_at(pc);
    if classes == 0 {
        return None;
    }
    let activation = thread::innermost();
    // SAFETY: the innermost activation is borrowed by the `Scope` that made it
    // so, and this thread is stopped within that scope.
    let innermost = unsafe { activation.as_ref() }?;
    if !innermost.is_armed() {
        return None;
    }
    // SAFETY: whoever called `enter` promised that the set is valid and not
    // being edited while the activation is armed.
    let regions = unsafe { innermost.regions().as_ref() }?;
    let class = regions.find(address)?.class;
    if classes & class.bit() == 0 {
        return None;
    }
    Some(GuestFault {
        activation,
        fault: Fault {
            code: class.trap_code(),
            pc,
            address,
            gpr: gpr(),
        },
    })
}

/// Whether a thread that is told to look may stop its guest here: if it is in text that was registered for
/// it, and its innermost activation is armed and has been asked to end.
///
/// # Safety
///
/// To be called on the thread that is stopped at `pc`.
pub(crate) unsafe fn decide_interrupt(
    pc: usize,
    gpr: impl FnOnce() -> [u64; GPR_COUNT],
) -> Option<GuestFault> {
    // As above: other threads, which may get the signal too, have no thread-local of ours.
    if sites::classes_at(pc) & sites::INTERRUPTIBLE == 0 {
        return None;
    }
    let activation = thread::innermost();
    // SAFETY: as in `decide`.
    let innermost = unsafe { activation.as_ref() }?;
    if !innermost.is_armed() || !innermost.is_asked_to_end() {
        return None;
    }
    Some(GuestFault {
        activation,
        fault: Fault {
            code: TrapCode::Interrupt,
            pc,
            address: 0,
            gpr: gpr(),
        },
    })
}

impl GuestFault {
    /// Notes the fault in the activation, disarms it, and returns the address
    /// at which the thread must continue.
    ///
    /// # Safety
    ///
    /// As for [`decide`], in the same signal.
    pub(crate) unsafe fn commit(self) -> usize {
        // SAFETY: as in `decide`.
        let activation = unsafe { &*self.activation };
        activation.trap(self.fault);
        activation.landing_pad()
    }
}
