#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(all(
        not(miri),
        any(target_os = "linux", target_os = "macos"),
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64"
    )),
    allow(
        dead_code,
        reason = "nobody asks for decisions where nothing is caught"
    )
)]

mod activation;
mod code;
mod decide;
mod error;
mod fault;
mod interrupt;
pub mod native_stack;
#[cfg(all(unix, not(miri)))]
mod page;
mod region;
mod sites;
mod sys;
mod thread;

pub use activation::Activation;
pub use code::TrapCode;
pub use error::{
    AltStackError, InstallError, InterruptError, NotFirst, Unavailable, UninstallError,
};
pub use fault::{Fault, GPR_COUNT, gpr};
pub use interrupt::{Interrupt, Thread};
pub use region::{Region, RegionClass, RegionError, RegionSet};
pub use sites::{AccessSites, MAX_SITES, RegisterError, register_interruptible, register_sites};
pub use sys::SigInfo;

use std::ffi::{c_int, c_void};

/// Whether this build of the crate can turn faults into traps here.
///
/// # Errors
///
/// Says why not: only x86-64 and aarch64 under Linux and macOS can, and not
/// under Miri. [`install`] then fails for the same reason, and
/// [`Activation::enter`] runs its closure and recovers nothing.
pub fn availability() -> Result<(), Unavailable> {
    sys::availability()
}

/// Installs handlers for `SIGSEGV` and `SIGBUS` for the whole process, above
/// whatever is there now. Does nothing if they are installed already, also
/// if others have been installed since: see [`ensure_first`].
///
/// A fault that is not a guest's goes to the handler that was there before,
/// with its own arguments, as if this crate were absent. If that was the
/// default action (or "ignore", which does not hold for faults), it is
/// restored and the instruction runs again.
///
/// # Errors
///
/// If the platform has no support, or if `sigaction(2)` fails; then neither
/// handler is installed.
pub fn install() -> Result<(), InstallError> {
    sys::install()
}

/// The signal that stops guests unless another one is chosen: `SIGURG`, which is ignored by default, and which other
/// runtimes use to stop their threads. 0 where there is no support.
pub const DEFAULT_INTERRUPT_SIGNAL: c_int = sys::INTERRUPT_SIGNAL;

/// Installs a handler for the signal that tells a thread to stop its guest, see [`Interrupt`]. Does nothing if that
/// has been done for this signal.
///
/// A signal that no guest can be stopped by goes to the handler that was there before. The handler stays: a request may
/// be on its way at any time.
///
/// # Errors
///
/// If another signal has been chosen before, or `sigaction(2)` refuses this one.
pub fn install_interrupt(signal: c_int) -> Result<(), InterruptError> {
    sys::choose(signal, true)
}

/// The same for hosts that own the signal handlers: chooses the signal that is sent. The host's handler passes it on to
/// [`try_handle`].
///
/// # Errors
///
/// If another signal has been chosen before.
pub fn choose_interrupt(signal: c_int) -> Result<(), InterruptError> {
    sys::choose(signal, false)
}

/// Where our handlers stand among all of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// [`install`] has not been called, or [`uninstall`] has.
    NotInstalled,
    /// A guest's fault comes to ours first.
    First,
    /// It comes to a handler first that was installed after ours, or someone
    /// has restored ours by `signal(2)`, which loses what it needs.
    Behind {
        /// Name of the signal.
        signal: &'static str,
    },
}

/// Where our handlers stand. One system call.
pub fn standing() -> Standing {
    sys::standing()
}

/// Sees to it that a guest's fault comes to our handlers first, if they are
/// installed: puts ours above a handler that was installed after them.
///
/// Such a handler gets what is not a guest's fault as before, as if it had
/// been installed before ours, with its own arguments, mask and kind of stack;
/// what it then passes on to the handler that it found goes on from there. So
/// nothing is lost if it passes on guests' faults, and if it does not, they no
/// longer end the process.
///
/// One system call if ours are first. Whoever makes things that rely on guards
/// calls this then; each thread does at its first [`Activation::enter`]. A
/// host in which handlers are installed at any time, between any two calls of
/// a guest, can call it more often.
///
/// # Errors
///
/// [`NotFirst::NotInstalled`], which is no reason to worry for a host that owns
/// the handlers. [`NotFirst::Overtaken`] if seven different handlers have come
/// above ours already: then there is someone who will not have it so, and if
/// his handler passes nothing on, the next guest fault ends the process.
pub fn ensure_first() -> Result<(), NotFirst> {
    sys::ensure_first()
}

/// Puts back the handlers that [`install`] found.
///
/// To be called before a library that contains this crate is unloaded, when
/// no thread runs guest code any more. A thread that enters a guest while this
/// function runs, or in the destructors of its thread-locals, may be missed;
/// its next guest fault is then a crash, as without a handler.
///
/// # Errors
///
/// If the handlers are not installed; if someone has installed another handler
/// since (removing ours would remove theirs, and they may call ours: take
/// theirs away first); if a thread is inside an activation; or if
/// `sigaction(2)` fails. Nothing has changed then, but that ours no longer
/// stand above theirs: see [`ensure_first`].
pub fn uninstall() -> Result<(), UninstallError> {
    sys::uninstall()
}

/// For hosts that own the signal handlers: decides whether a signal is a
/// guest's fault and, if so, arranges that the thread continues at the landing
/// pad as soon as the host's handler returns. The answer `true` means that the
/// handler must return without further ado; `false` that nothing was changed
/// and the signal is the host's own.
///
/// Needs no [`install`]. Takes no lock, allocates nothing, and leaves `errno`
/// alone. The host's handler must have been installed with `SA_SIGINFO`, and
/// should be with `SA_ONSTACK`.
///
/// # Safety
///
/// To be called only in a signal handler, with the arguments that the kernel
/// gave to it, before anything else has changed the machine context.
pub unsafe fn try_handle(signal: c_int, info: *mut SigInfo, context: *mut c_void) -> bool {
    // SAFETY: the caller's promise is what the platform's function asks for.
    unsafe { sys::try_handle(signal, info, context) }
}

/// Makes the current thread ready for faults, as [`Activation::enter`] does on the first entry of a thread
/// once there are access sites:
///
/// - `SIGSEGV` and `SIGBUS` are unblocked in this thread, and stay so: POSIX does not define what a fault
///   is whose signal is blocked, and Linux ends the process;
/// - our handlers are put first, if they are installed: see [`ensure_first`], which reports a failure;
/// - the thread gets an alternate signal stack, unless it has one that is large enough. It is taken away
///   when the thread ends.
///
/// Call this first to learn of a failure (entering goes on without an alternate stack: the signal handler
/// then runs on the thread's ordinary one), or to keep the system calls out of the first entry. And call it
/// again in a thread that has run guests and has then been given another signal mask: entering does not
/// look again, for a system call at each entry would cost several times what all the rest does.
///
/// # Errors
///
/// If the host refuses the memory, or the stack cannot be registered. The signals are unblocked
/// nevertheless.
pub fn prepare_thread() -> Result<(), AltStackError> {
    thread::prepare()
}
