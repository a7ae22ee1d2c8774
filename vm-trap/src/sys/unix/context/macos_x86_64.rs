use crate::GPR_COUNT;

/// The context of the thread that was interrupted.
pub(in super::super) struct MachineContext(*mut libc::__darwin_x86_thread_state64);

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
        unsafe { (*self.0).__rip as usize }
    }

    pub(in super::super) fn set_pc(&mut self, pc: usize) {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).__rip = pc as u64 }
    }

    pub(in super::super) fn gpr(&self) -> [u64; GPR_COUNT] {
        // SAFETY: `new` was promised a live context.
        let s = unsafe { &*self.0 };
        // In the order of `crate::gpr`.
        [
            s.__rax, s.__rcx, s.__rdx, s.__rbx, s.__rsp, s.__rbp, s.__rsi, s.__rdi, s.__r8, s.__r9,
            s.__r10, s.__r11, s.__r12, s.__r13, s.__r14, s.__r15,
        ]
    }
}
