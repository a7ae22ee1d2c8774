//! One run of guest code on one thread.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, compiler_fence};

use crate::fault::Fault;
use crate::region::RegionSet;
use crate::thread;

/// One run of guest code: where a fault lands, which addresses the guest may
/// touch, and, after a fault, what happened.
///
/// It lives on the stack of the function that enters the guest. Activations
/// nest (guest → host function → guest): only the innermost of a thread is
/// asked about a fault, and only while it is armed.
#[repr(C)]
#[derive(Debug)]
pub struct Activation {
    /// 1 while faults of this thread may be the guest's, else 0.
    armed: AtomicU8,
    landing_pad: usize,
    regions: *const RegionSet,
    /// Whether the run has been asked to end; null if it cannot be.
    asked_to_end: *const AtomicBool,
    fault: Cell<Option<Fault>>,
    /// The list of activations is a thread's own.
    _not_send: PhantomData<*const ()>,
}

impl Activation {
    /// Offset in bytes of the armed flag, one byte: assembly may store 0 or 1
    /// there, which is all that [`disarm`](Self::disarm) and
    /// [`arm`](Self::arm) do.
    pub const ARMED_OFFSET: usize = offset_of!(Activation, armed);

    /// A new, disarmed activation.
    ///
    /// `landing_pad` is the address of the code at which the thread continues
    /// after a fault, with all registers but the pc as they were. `regions`
    /// may be null: then no fault is ever the guest's.
    pub const fn new(landing_pad: usize, regions: *const RegionSet) -> Activation {
        Activation {
            armed: AtomicU8::new(0),
            landing_pad,
            regions,
            asked_to_end: std::ptr::null(),
            fault: Cell::new(None),
            _not_send: PhantomData,
        }
    }

    /// The same, for a run that can be asked to end: `asked` is not 0 then, as [`Interrupt::pending`] is.
    ///
    /// [`Interrupt::pending`]: crate::Interrupt::pending
    pub const fn interruptible(self, asked: *const AtomicBool) -> Activation {
        Activation {
            asked_to_end: asked,
            ..self
        }
    }

    /// Makes this activation the innermost of the thread, arms it, and calls
    /// `f`, which enters the guest. Afterwards, and also if `f` unwinds,
    /// everything is as before. What an earlier run left in
    /// [`fault`](Self::fault) is forgotten.
    ///
    /// The first call on a thread that comes after access sites have been
    /// registered makes the thread ready for faults: it unblocks their signals
    /// and gives the thread an alternate signal stack if it has none of
    /// sufficient size; see [`prepare_thread`](crate::prepare_thread).
    ///
    /// # Safety
    ///
    /// While `f` runs and this activation is the innermost and armed:
    ///
    /// - the landing pad is code that may run instead of the rest of any
    ///   registered access site that `f` reaches, with the stack pointer and
    ///   registers of the faulting instruction: it ends the call that entered
    ///   the guest and returns to it as the platform's calling convention asks;
    /// - the region set, if not null, is valid for reads and nobody changes it;
    /// - what tells whether the run has been asked to end is null or valid for reads, and the landing pad may also
    ///   run instead of the rest of any registered interruptible text that `f` reaches;
    /// - the regions belong to this guest: nothing but guest accesses may
    ///   fault on them at a registered access site.
    pub unsafe fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _scope = thread::Scope::push(self);
        self.fault.set(None);
        self.arm();
        f()
    }

    /// Declares that the thread leaves guest code (for a host function, say):
    /// faults are the host's own until [`arm`](Self::arm). One store.
    #[inline]
    pub fn disarm(&self) {
        self.set_armed(false);
    }

    /// Declares that the thread is about to run guest code again. One store.
    #[inline]
    pub fn arm(&self) {
        self.set_armed(true);
    }

    /// Whether faults of this thread may be the guest's.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed) != 0
    }

    /// The flag is read by a signal handler on this same thread, so order
    /// among threads does not matter, but the compiler must not move accesses
    /// across it.
    #[inline]
    pub(crate) fn set_armed(&self, armed: bool) {
        compiler_fence(Ordering::SeqCst);
        self.armed.store(u8::from(armed), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// The fault that ended the run, if one did.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// The fault that ended the run, if one did; it is forgotten.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.take()
    }

    /// Where the thread continues after a fault.
    pub(crate) fn landing_pad(&self) -> usize {
        self.landing_pad
    }

    /// The regions that the guest may touch.
    pub(crate) fn regions(&self) -> *const RegionSet {
        self.regions
    }

    /// Whether the run has been asked to end. Called by the signal handler, as [`trap`](Self::trap) is.
    pub(crate) fn is_asked_to_end(&self) -> bool {
        // SAFETY: null, or valid while the activation is the innermost, by the promise of whoever entered.
        let asked = unsafe { self.asked_to_end.as_ref() };
        asked.is_some_and(|asked| asked.load(Ordering::Relaxed))
    }

    /// Notes the fault and disarms. Called by the signal handler, which runs
    /// on this thread in the middle of [`enter`](Self::enter).
    pub(crate) fn trap(&self, fault: Fault) {
        self.fault.set(Some(fault));
        self.set_armed(false);
    }
}
