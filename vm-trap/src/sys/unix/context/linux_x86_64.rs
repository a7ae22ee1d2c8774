use crate::GPR_COUNT;

/// The context of the thread that was interrupted.
pub(in super::super) struct MachineContext(*mut libc::ucontext_t);

/// The kernel's places for the registers, in the order of [`crate::gpr`].
const PLACES: [libc::c_int; GPR_COUNT] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl MachineContext {
    /// # Safety
    ///
    /// `context` is the third argument of a running signal handler of this
    /// thread, and the handler does not return while the value is used.
    pub(in super::super) unsafe fn new(context: *mut libc::c_void) -> MachineContext {
        MachineContext(context.cast())
    }

    pub(in super::super) fn pc(&self) -> usize {
        self.register(libc::REG_RIP) as usize
    }

    pub(in super::super) fn set_pc(&mut self, pc: usize) {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).uc_mcontext.gregs[libc::REG_RIP as usize] = pc as i64 }
    }

    pub(in super::super) fn gpr(&self) -> [u64; GPR_COUNT] {
        PLACES.map(|place| self.register(place))
    }

    fn register(&self, place: libc::c_int) -> u64 {
        // SAFETY: `new` was promised a live context.
        unsafe { (*self.0).uc_mcontext.gregs[place as usize] as u64 }
    }
}
