use crate::GPR_COUNT;

/// The context of the thread that was interrupted.
pub(in super::super) struct MachineContext(*mut libc::ucontext_t);

impl MachineContext {
    /// # Safety
    ///
    /// `context` is the third argument of a running signal handler of this
    /// thread, and the handler does not return while the value is used.
    pub(in super::super) unsafe fn new(context: *mut libc::c_void) -> MachineContext {
        MachineContext(context.cast())
    }

    pub(in super::super) fn pc(&self) -> usize {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).uc_mcontext.pc as usize }
    }

    pub(in super::super) fn set_pc(&mut self, pc: usize) {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).uc_mcontext.pc = pc as u64 }
    }

    pub(in super::super) fn gpr(&self) -> [u64; GPR_COUNT] {
        // SAFETY: `new` was promised a live context.
        let (x, sp) = unsafe { ((*self.0).uc_mcontext.regs, (*self.0).uc_mcontext.sp) };
        let mut gpr = [0; GPR_COUNT];
        for (to, from) in gpr.iter_mut().zip(x) {
            *to = from;
        }
        gpr[crate::gpr::SP] = sp;
        gpr
    }
}
