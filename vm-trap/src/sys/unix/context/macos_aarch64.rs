use crate::GPR_COUNT;

/// The context of the thread that was interrupted.
pub(in super::super) struct MachineContext(*mut libc::__darwin_arm_thread_state64);

impl MachineContext {
    /// # Safety
    ///
    /// `context` is the third argument of a running signal handler of this
    /// thread, and the handler does not return while the value is used.
    pub(in super::super) unsafe fn new(context: *mut libc::c_void) -> MachineContext {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise; the kernel always gives a thread state.
        MachineContext(unsafe { &raw mut (*(*context).uc_mcontext).__ss })
    }

    pub(in super::super) fn pc(&self) -> usize {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).__pc as usize }
    }

    pub(in super::super) fn set_pc(&mut self, pc: usize) {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).__pc = pc as u64 }
    }

    pub(in super::super) fn gpr(&self) -> [u64; GPR_COUNT] {
        // SAFETY: `new` was promised a live context.
        let state = unsafe { &*self.0 };
        let mut gpr = [0; GPR_COUNT];
        gpr[..29].copy_from_slice(&state.__x);
        gpr[crate::gpr::FP] = state.__fp;
        gpr[crate::gpr::LR] = state.__lr;
        gpr[crate::gpr::SP] = state.__sp;
        gpr
    }
}
