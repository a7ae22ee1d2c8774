//! Alternate signal stacks, `sigaltstack(2)`.
//!
//! Guest faults could be handled on the thread's own stack. The alternate one
//! is for the faults that are not ours: with `SA_ONSTACK` and an alternate
//! stack, a handler below ours can report that the native stack overflowed.

use std::{io, mem, ptr};

use crate::{AltStackError, page};

/// Room for handlers below ours, beyond what the kernel saves. A stack that
/// somebody else set up is kept if it has a quarter of this: the Go runtime's
/// 32 KiB are, the 8 KiB of Rust's standard library are not (its handler works
/// on any stack).
const HANDLER_BYTES: usize = 64 * 1024;

/// An alternate signal stack made by us, with a guard page below it. Belongs to
/// the thread that made it.
pub(crate) struct AltStack {
    mapping: *mut libc::c_void,
    mapping_bytes: usize,
    stack: *mut libc::c_void,
}

impl AltStack {
    /// Gives this thread an alternate signal stack. `None` if it has one that
    /// is large enough.
    pub(crate) fn ensure() -> Result<Option<AltStack>, AltStackError> {
        let now = current();
        let is_set = now.ss_flags & libc::SS_DISABLE == 0;
        // While a handler runs on it, it cannot be replaced.
        let in_use = now.ss_flags & libc::SS_ONSTACK != 0;
        if in_use || is_set && now.ss_size >= frame_bytes() + HANDLER_BYTES / 4 {
            return Ok(None);
        }
        AltStack::create().map(Some)
    }

    fn create() -> Result<AltStack, AltStackError> {
        let page = page::bytes();
        let bytes = (frame_bytes() + HANDLER_BYTES).next_multiple_of(page);
        let mapping_bytes = page + bytes;
        let refused = || AltStackError::Map {
            bytes: mapping_bytes,
            source: io::Error::last_os_error(),
        };

        // SAFETY: a new private mapping at an address of the kernel's choice.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapping_bytes,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(refused());
        }
        let alt_stack = AltStack {
            mapping,
            mapping_bytes,
            stack: mapping.wrapping_byte_add(page),
        };
        // SAFETY: all of the new mapping but its lowest page.
        let status =
            unsafe { libc::mprotect(alt_stack.stack, bytes, libc::PROT_READ | libc::PROT_WRITE) };
        if status != 0 {
            return Err(refused());
        }

        // SAFETY: `stack_t` is plain data, for which zero is valid.
        let mut new: libc::stack_t = unsafe { mem::zeroed() };
        new.ss_sp = alt_stack.stack;
        new.ss_size = bytes;
        // SAFETY: the stack is mapped until `drop`, which first takes it away
        // from the thread; both happen on this thread.
        let status = unsafe { libc::sigaltstack(&new, ptr::null_mut()) };
        if status != 0 {
            return Err(AltStackError::Register {
                bytes,
                source: io::Error::last_os_error(),
            });
        }
        Ok(alt_stack)
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        // The one that was there before is not put back: its owner may have
        // freed it by now, as the standard library does before thread-locals
        // are destroyed. If it is not ours any more, it is not ours to disable.
        if current().ss_sp == self.stack {
            // SAFETY: `stack_t` is plain data, for which zero is valid.
            let mut none: libc::stack_t = unsafe { mem::zeroed() };
            none.ss_flags = libc::SS_DISABLE;
            // macOS checks the size even when disabling.
            none.ss_size = libc::SIGSTKSZ;
            // SAFETY: takes our own stack away from the thread.
            let status = unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
            if status != 0 {
                // A handler runs on it right now: better a leak than a hole
                // under its feet.
                return;
            }
        }
        // SAFETY: our own mapping, which no thread uses as a stack any more.
        unsafe { libc::munmap(self.mapping, self.mapping_bytes) };
    }
}

/// The alternate stack of this thread.
fn current() -> libc::stack_t {
    // SAFETY: `stack_t` is plain data, for which zero is valid.
    let mut now: libc::stack_t = unsafe { mem::zeroed() };
    // SAFETY: only asks.
    let status = unsafe { libc::sigaltstack(ptr::null(), &mut now) };
    if status != 0 {
        now.ss_flags = libc::SS_DISABLE;
    }
    now
}

/// What the kernel saves on a signal stack, at most. Depends on the vector
/// registers of the processor, so a constant would be wrong on new ones.
fn frame_bytes() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: only asks.
    let asked = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    #[cfg(not(target_os = "linux"))]
    let asked = 0;
    asked.max(libc::MINSIGSTKSZ)
}
