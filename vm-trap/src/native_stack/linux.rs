//! Linux: the C library knows the stacks that it has made, and guesses at the process's own.
//!
//! That one, the main thread's, is a mapping of the kernel's that grows downwards when it is touched: to
//! `RLIMIT_STACK` bytes below its end at most, and not nearer than a gap to what is mapped below it.
//!
//! - glibc answers what the limit allows, cut off where the next mapping below ends. It does not know the
//!   gap, and has no answer at all without `/proc`.
//! - musl and Android answer how far the stack has grown so far, or likewise.
//!
//! So what is missing is added here: the end of the process's stack is where the kernel has put the
//! program's name.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::page;

/// What the kernel keeps free below a stack that grows: 256 pages of 4 KiB, unless it was started with
/// another `stack_guard_gap`. (It counts pages; where they are larger, so is the gap.)
const GAP_PAGES: usize = 256;

/// The most that the main thread's stack is believed to have where nobody can say what is mapped below
/// it: the limit that the kernel gives a process by default.
const USUAL_LIMIT: usize = 8 << 20;

/// At most so much lies between the end of the process's stack and where a C library says that it ends:
/// arguments and environment (6 MiB, `bprm_stack_limits` in the kernel's `fs/exec.c`). Other stacks are
/// mapped no nearer than 128 MiB (`mmap_base`).
const ARGUMENTS: usize = 6 << 20;

pub(super) fn bounds() -> Option<Range<usize>> {
    let told = ask_library();
    let is_first = is_first_thread();
    match (told, process_stack_end()) {
        (Some(told), Some(end)) if is_first && told.end <= end && end - told.end <= ARGUMENTS => {
            Some(main_stack(Some(told), end))
        }
        // Only the process's own stack is one that the library may not know.
        (None, Some(end)) if is_first => Some(main_stack(None, end)),
        (told, _) => told,
    }
}

/// The stack of the main thread, which ends at `end`.
fn main_stack(told: Option<Range<usize>>, end: usize) -> Range<usize> {
    let page = page::bytes();
    let limit = stack_limit();
    // What is page-aligned below the limit could not be used to its end.
    let by_limit = limit.map_or(0, |limit| end.saturating_sub(limit).next_multiple_of(page));
    let low = match told {
        Some(told) if cfg!(target_env = "gnu") => {
            // Where the next mapping ends, or the same limit.
            let by_mapping = told.start > by_limit + page;
            let gap = if by_mapping { GAP_PAGES * page } else { 0 };
            told.start + gap
        }
        _ => by_limit.max(end.saturating_sub(USUAL_LIMIT)),
    };
    low.min(end)..end
}

/// The bounds of this thread's stack as the C library has them, without the guard.
fn ask_library() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: this thread, and a place for the attributes.
    let status = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if status != 0 {
        return None;
    }
    let (mut low, mut len, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes have been written, are read, and are given back once.
    let known = unsafe {
        let known = libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut len) == 0;
        if libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard) != 0 {
            guard = 0;
        }
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        known
    };
    let guard = if counts_guards() { guard } else { 0 };
    let (low, end) = (low as usize, (low as usize).checked_add(len)?);
    (known && len > guard).then_some(low + guard..end)
}

/// Whether the C library counts the guard to the stack: glibc before 2.27 did (its bug 22637).
fn counts_guards() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: answers a constant string.
        let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
        let mut numbers = version
            .to_bytes()
            .split(|byte| *byte == b'.')
            .map(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
        let version = (numbers.next().flatten(), numbers.next().flatten());
        version < (Some(2), Some(27))
    }
    #[cfg(not(target_env = "gnu"))]
    false
}

/// Whether this is the thread that the process began with, or in a child, the one that forked.
fn is_first_thread() -> bool {
    // SAFETY: both only ask.
    unsafe { libc::syscall(libc::SYS_gettid) == libc::c_long::from(libc::getpid()) }
}

/// One past the highest address of the process's own stack: the kernel puts the name of the program
/// there, and nothing else but a word.
fn process_stack_end() -> Option<usize> {
    // SAFETY: only asks.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
    if name == 0 {
        return None;
    }
    let name = std::ptr::with_exposed_provenance(name);
    // SAFETY: the kernel's own string, which it wrote when the program was started.
    let name_bytes = unsafe { CStr::from_ptr(name) }.count_bytes();
    (name.addr() + name_bytes).checked_next_multiple_of(page::bytes())
}

/// `RLIMIT_STACK` in bytes, unless it is infinite.
fn stack_limit() -> Option<usize> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: a place for the answer.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) };
    if status != 0 {
        return Some(USUAL_LIMIT);
    }
    // SAFETY: written by the call.
    let limit = unsafe { limit.assume_init() }.rlim_cur;
    (limit != libc::RLIM_INFINITY).then(|| usize::try_from(limit).unwrap_or(usize::MAX))
}
