//! What is known about a guest fault.

use crate::TrapCode;

/// How many general registers a [`Fault`] holds.
///
/// 16 on x86-64, in the order of their encoding (rax, rcx, rdx, rbx, rsp, rbp,
/// rsi, rdi, r8 … r15: the constants of [`gpr`]); 32 elsewhere, on aarch64
/// x0 … x30 and then sp.
pub const GPR_COUNT: usize = if cfg!(target_arch = "x86_64") { 16 } else { 32 };

/// Indices of the general registers in [`Fault::gpr`].
#[cfg(target_arch = "x86_64")]
#[allow(missing_docs, reason = "the names are the registers' own")]
pub mod gpr {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
}

/// Indices of the general registers in [`Fault::gpr`]: x0 … x30 have their own
/// numbers.
#[cfg(not(target_arch = "x86_64"))]
pub mod gpr {
    /// The frame pointer, x29.
    pub const FP: usize = 29;
    /// The link register, x30.
    pub const LR: usize = 30;
    /// The stack pointer.
    pub const SP: usize = 31;
}

/// A fault of guest code, as the signal handler found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The trap that it is.
    pub code: TrapCode,
    /// Address of the instruction that faulted.
    pub pc: usize,
    /// The address that could not be accessed.
    pub address: usize,
    /// All general registers at the fault. An executor finds its virtual
    /// instruction pointer and frame here.
    pub gpr: [u64; GPR_COUNT],
}
