//! How much of the native stack the current thread has left.
//!
//! Who calls guests from hosts from guests needs a bound that holds on every thread: of 64 KiB and of
//! 64 MiB, with a stack of its own or with the process's. One figure for all is too much for the small
//! ones, where running over the end ends the process, and too little for the large ones.
//!
//! ```
//! use vm_trap::native_stack;
//!
//! /// Goes as deep as the thread can, whatever its stack.
//! fn descend(depth: u32) -> u32 {
//!     match native_stack::remaining() {
//!         Some(bytes) if bytes >= 32 * 1024 => std::hint::black_box(descend(depth + 1)),
//!         // Less than that, or not known, which is no reason to go on for ever.
//!         _ => depth,
//!     }
//! }
//! assert_eq!(descend(0) > 0, native_stack::remaining().is_some());
//! ```
//!
//! The answer is an address minus another, a few nanoseconds after the first question of a thread. That
//! one asks the system: some microseconds, and on the main thread under glibc some tens, for it reads
//! `/proc/self/maps`.

use std::cell::Cell;
use std::ops::Range;

#[cfg(all(not(miri), any(target_os = "linux", target_os = "android")))]
#[path = "linux.rs"]
mod imp;

#[cfg(all(not(miri), target_os = "macos"))]
#[path = "macos.rs"]
mod imp;

#[cfg(any(
    miri,
    not(any(target_os = "linux", target_os = "android", target_os = "macos"))
))]
#[path = "unknown.rs"]
mod imp;

/// What is known of a thread's stack. Empty bounds, which hold no stack pointer, until the system has
/// been asked, and for ever if it has no answer.
#[derive(Clone, Copy)]
struct Known {
    low: usize,
    len: usize,
    asked: bool,
}

thread_local! {
    /// Constant initialiser and no destructor: it is there as long as the thread is.
    static KNOWN: Cell<Known> = const { Cell::new(Known { low: 0, len: 0, asked: false }) };
}

/// How many bytes the current thread can still use of its native stack, below the caller's frame; `None`
/// if that is not known.
///
/// It is not known on a stack that is not the thread's own: that of a coroutine, or an alternate signal
/// stack. Nor is it where the system has no answer (other systems than Linux, Android and macOS, or
/// under Miri). Callers then need a bound of another kind, as the depth of recursion.
///
/// The guard below the stack is not counted. The stack of a process's main thread grows when it is used;
/// all that it may grow to counts as left, by `RLIMIT_STACK` and by what else is mapped below, both as
/// they are at the thread's first question. A host that lowers the limit later, or that runs out of
/// memory when the stack grows (`RLIMIT_AS`, a container's limit), has less than it is told.
#[inline]
pub fn remaining() -> Option<usize> {
    let here = stack_pointer();
    let known = KNOWN.get();
    let left = here.wrapping_sub(known.low);
    if left < known.len {
        return Some(left);
    }
    if known.asked {
        return None;
    }
    ask(here).map(|bounds| here - bounds.start)
}

/// The native stack of the current thread, from the lowest address that it can use to one past the
/// highest; `None` if the caller runs on another stack, or if it is not known: see [`remaining`].
pub fn bounds() -> Option<Range<usize>> {
    remaining()?;
    let Known { low, len, .. } = KNOWN.get();
    Some(low..low + len)
}

/// Asks the system, and says what it answers if `here` is on that stack.
#[cold]
fn ask(here: usize) -> Option<Range<usize>> {
    let bounds = imp::bounds().unwrap_or(0..0);
    KNOWN.set(Known {
        low: bounds.start,
        len: bounds.len(),
        asked: true,
    });
    bounds.contains(&here).then_some(bounds)
}

/// The stack pointer. Not the address of a local variable, which is on another stack in a build with the
/// address sanitizer.
#[inline(always)]
fn stack_pointer() -> usize {
    #[cfg(not(miri))]
    {
        let here: usize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: copies a register.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: copies a register.
        unsafe {
            std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
        }
        #[cfg(target_arch = "s390x")]
        // SAFETY: copies a register.
        unsafe {
            std::arch::asm!("lgr {}, %r15", out(reg) here, options(nomem, nostack, preserves_flags));
        }
        #[cfg(target_arch = "riscv64")]
        // SAFETY: copies a register.
        unsafe {
            std::arch::asm!("mv {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
        }
        #[cfg(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "s390x",
            target_arch = "riscv64"
        ))]
        return here;
    }
    #[allow(
        unreachable_code,
        reason = "on processors whose register is not named above"
    )]
    {
        let local = 0u8;
        std::hint::black_box(&raw const local).addr()
    }
}
