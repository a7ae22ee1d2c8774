//! Runs that stop in the middle and go on later.
//!
//! A guest has a stack of its own, and no native frame lies between a run's beginning and its innermost function. So
//! what a run has to go on with is a piece of the value stack, a few registers, and three addresses in code and contexts, which
//! live as long as the machine. [`Suspended`] has them, away from the stack: what runs meanwhile finds the stack as it was
//! before.
//!
//! A frame knows its caller's by address. Where a run goes on lower on the stack than it began, these are moved with the frames.

use vm_translate::RegisteredType;
use vm_trap::TrapCode;

use crate::context::{
    Context, FRAME_CALLER, HostCode, REGISTERS, Runtime, STATUS_HOST, STATUS_SUSPENDED, Word,
};
use crate::machine::exceptions::Exception;
use crate::machine::host::HostError;
use crate::machine::{Pending, World};
use crate::value::FuncId;

/// A run that has stopped, and can go on: [`Machine::resume`](crate::Machine::resume). To drop it ends the run; nothing of the guest's is
/// undone.
pub struct Suspended {
    /// If it has stopped in a host function, that function's type.
    pub(super) host_type: Option<RegisteredType>,
    /// Of which machine.
    pub(super) machine: u64,
    /// The function that the host has called.
    pub(super) func: FuncId,
    /// The frames, from the first one's header to the end of what is in use.
    pub(super) frames: Box<[Word]>,
    /// The address of the first frame, when it was on the stack.
    pub(super) base: usize,
    /// The address of the innermost frame; 0 if the run has but to end.
    pub(super) frame: usize,
    /// Where a host function's results are to be, as an index of `frames`.
    pub(super) results: usize,
    pub(super) ip: *const u8,
    pub(super) context: *mut Context,
    pub(super) registers: [Word; REGISTERS],
    /// How many calls are inside of each other, if they count.
    pub(super) calls: u64,
    /// The exceptions that the frames refer to.
    pub(super) _exceptions: Vec<Exception>,
}

// SAFETY: the pointers are only used by the machine, which has been asked whether it is the one, and lend nothing of a thread's.
unsafe impl Send for Suspended {}
// SAFETY: through a shared reference no pointer can be reached.
unsafe impl Sync for Suspended {}

/// Where a run stops: whether it is then to be one that can go on is up to whoever has begun it.
#[derive(Debug)]
pub enum Stop<'a> {
    /// In a host function, which has returned an error.
    Host(&'a HostError),
    /// For want of fuel: it needs so much to go on.
    OutOfFuel {
        /// How much.
        required: u64,
    },
}

/// Why a run has stopped that can go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Suspension {
    /// A host function has returned this error. The run goes on with other results in place of those of the host function.
    Host(HostError),
    /// There is too little fuel. Nothing has been taken of it.
    OutOfFuel {
        /// How much it needs to go on.
        required: u64,
    },
    /// The deadline in epochs has come, and the host wants to do something else first
    /// ([`Deadline::Suspend`](crate::Deadline::Suspend)).
    Epoch,
}

impl Suspended {
    /// The function that the host has called.
    pub fn func(&self) -> FuncId {
        self.func
    }

    /// If the run has stopped in a host function, that function's type: its results are needed to go on.
    pub fn host_type(&self) -> Option<&RegisteredType> {
        self.host_type.as_ref()
    }

    /// How many calls are inside of each other.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Slots of the value stack that it needs to go on.
    pub(super) fn slots(&self) -> usize {
        self.frames.len()
    }

    /// Whether it is a run of this machine, and could have begun at this place of its stack as it has at its own: the room that
    /// frames above need has been checked from there.
    pub(super) fn fits(&self, world: &World) -> bool {
        self.machine == world.id && world.stack_top.addr() <= self.base
    }

    /// Puts the frames on the stack, from `to` on, with the results of the host function if it has stopped in one, and says in
    /// the runtime where to go on.
    ///
    /// # Safety
    ///
    /// The runtime is that of the machine of the run, which nobody else uses. From `to` on there are as many slots as it
    /// needs, all unused, and as many as there were from its first frame on.
    pub(super) unsafe fn restore(&self, runtime: *mut Runtime, to: *mut Word, results: &[Word]) {
        let moved = to.addr().wrapping_sub(self.base);
        let place = |address: usize| match address {
            0 => std::ptr::null_mut(),
            _ => to.with_addr(address.wrapping_add(moved)),
        };
        // SAFETY: the caller's promise. Frames and results are inside of what has been copied, and a frame's header names its
        // caller's frame or none.
        unsafe {
            to.copy_from_nonoverlapping(self.frames.as_ptr(), self.frames.len());
            let slots = to.add(self.results);
            slots.copy_from_nonoverlapping(results.as_ptr(), results.len());
            let mut frame = place(self.frame);
            (*runtime).exit_ip = self.ip;
            (*runtime).exit_frame = frame;
            (*runtime).exit_context = self.context;
            (*runtime).registers = self.registers;
            while !frame.is_null() {
                let header = frame.add(FRAME_CALLER).cast::<*mut Word>();
                frame = place(header.read().addr());
                header.write(frame);
            }
        }
    }
}

impl std::fmt::Debug for Suspended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suspended")
            .field("host_type", &self.host_type)
            .field("slots", &self.frames.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// Takes a run that has just ended with this status off the stack, if it is one that `keep` wants to go on later.
    ///
    /// # Safety
    ///
    /// The run of `func` began at `first`, and is so many calls deep; the executor has set the runtime's fields, and the frames are still on the value
    /// stack.
    pub(super) unsafe fn suspend(
        &mut self,
        status: u32,
        func: FuncId,
        first: *mut Word,
        calls: u64,
        keep: &dyn Fn(&World, Stop<'_>) -> bool,
    ) -> Option<(Suspension, Suspended)> {
        let runtime = self.runtime.as_ptr();
        // SAFETY: the runtime lives as long as the world.
        let (code, slots) = unsafe { ((*runtime).host_code, (*runtime).host_slots) };
        // SAFETY: as above.
        let (mut ip, mut frame, context) = unsafe {
            let runtime = &*runtime;
            (runtime.exit_ip, runtime.exit_frame, runtime.exit_context)
        };
        let (end, why);
        let (mut results, mut host_type) = (0, None);
        if status == STATUS_HOST {
            let error = match self.pending.take() {
                Some(Pending::Error(error))
                    if !code.is_null() && keep(self, Stop::Host(&error)) =>
                {
                    error
                }
                other => {
                    self.pending = other;
                    return None;
                }
            };
            // SAFETY: the code is that of a host function of this machine, which keeps it; the executor has
            // called it from where it has stopped.
            host_type = unsafe {
                (ip, frame) = self.executor.after_host_call(runtime);
                end = slots.add((*code).slots as usize);
                Some((*code).ty.clone())
            };
            results = (slots.addr() - first.addr()) / size_of::<Word>();
            why = Suspension::Host(error);
        } else {
            why = if status == STATUS_SUSPENDED {
                Suspension::Epoch
            } else if status == u32::from(TrapCode::OutOfFuel.as_u8()) {
                // SAFETY: the run has ended for want of fuel.
                let required = unsafe { self.executor.fuel_required(runtime) };
                let required = required.unwrap_or(self.fuel_required);
                if !keep(self, Stop::OutOfFuel { required }) {
                    return None;
                }
                Suspension::OutOfFuel { required }
            } else {
                return None;
            };
            // SAFETY: the context is that of the instance which runs the function that has stopped.
            let instance = unsafe { (*context).instance };
            let code = &self.instances[instance as usize].code;
            let size = code.executor().frame_slots(ip)?;
            // SAFETY: the frame is on the stack, with so many slots.
            end = unsafe { frame.add(size as usize) };
        }
        let slots = (end.addr() - first.addr()) / size_of::<Word>();
        // SAFETY: what is from the first frame to there is part of the value stack, which is initialised.
        let frames = unsafe { std::slice::from_raw_parts(first, slots) };
        let suspended = Suspended {
            host_type,
            machine: self.id,
            func,
            _exceptions: self.exceptions.among(frames),
            frames: frames.into(),
            base: first.addr(),
            frame: frame.addr(),
            results,
            ip,
            context,
            // SAFETY: as above.
            registers: unsafe { (*runtime).registers },
            calls,
        };
        Some((why, suspended))
    }
}

/// Notes where the results of a host function would have to be that has returned an error.
///
/// # Safety
///
/// The runtime is that of the run in which it was called, by an executor, with these slots.
pub(super) unsafe fn note_host_call(
    runtime: *mut Runtime,
    code: *const HostCode,
    slots: *mut Word,
) {
    // SAFETY: the caller's promise.
    unsafe { ((*runtime).host_code, (*runtime).host_slots) = (code, slots) };
}
