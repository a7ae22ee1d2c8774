//! What a host with signal handlers of its own needs. Shared by the examples.

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{io, mem, ptr};

use libc::siginfo_t;

/// A handler with three arguments, as `SA_SIGINFO` asks for.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// A page that nobody can access until its owner's handler makes it readable.
pub(crate) struct Page(AtomicUsize);

impl Page {
    pub(crate) const fn unmapped() -> Page {
        Page(AtomicUsize::new(0))
    }

    pub(crate) fn map(&self) -> Result<usize, Box<dyn Error>> {
        // SAFETY: a new mapping.
        let page = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            libc::mmap(ptr::null_mut(), page_bytes(), libc::PROT_NONE, flags, -1, 0)
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        self.0.store(page as usize, Relaxed);
        Ok(page as usize)
    }

    /// In a signal handler: makes the page readable if the fault was in it, so
    /// that the instruction succeeds when it runs again.
    pub(crate) fn repair(&self, info: *mut siginfo_t) -> bool {
        // SAFETY: the kernel's.
        let address = unsafe { (*info).si_addr() } as usize;
        let start = self.0.load(Relaxed);
        let is_here = start != 0 && (start..start + page_bytes()).contains(&address);
        if is_here {
            // SAFETY: the host's own page.
            unsafe { libc::mprotect(start as *mut c_void, page_bytes(), libc::PROT_READ) };
        }
        is_here
    }
}

pub(crate) fn page_bytes() -> usize {
    // SAFETY: only asks.
    let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(answer).unwrap_or(4096)
}

/// An access of the host's, which its handler makes succeed.
pub(crate) fn load(address: usize) -> u8 {
    // SAFETY: the page is the host's, and readable by the time this is done.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes without allocating or locking, as a handler must.
pub(crate) fn say(text: &str) {
    // SAFETY: reads the text.
    unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
}

/// In a handler that has no answer: ends the process.
pub(crate) fn give_up() -> ! {
    say("  nobody knows this fault\n");
    // SAFETY: ends the process.
    unsafe { libc::_exit(1) }
}

/// An action with this handler. `SA_ONSTACK` as any handler for `SIGSEGV`
/// should have it: the fault may be an overflow of the native stack.
pub(crate) fn action(handler: Handler) -> libc::sigaction {
    // SAFETY: plain data, for which zero is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action
}

/// Sets the action for `SIGSEGV`, and returns the one before.
pub(crate) fn set(action: &libc::sigaction) -> Result<libc::sigaction, Box<dyn Error>> {
    // SAFETY: the handlers are async-signal-safe.
    unsafe {
        let mut found: libc::sigaction = mem::zeroed();
        match libc::sigaction(libc::SIGSEGV, action, &mut found) {
            0 => Ok(found),
            _ => Err(io::Error::last_os_error().into()),
        }
    }
}
