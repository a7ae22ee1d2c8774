//! The thread's `errno`, which a signal handler must leave as it was.

use std::ffi::c_int;

fn location() -> *mut c_int {
    #[cfg(target_os = "linux")]
    // SAFETY: returns the address of the thread's own variable.
    return unsafe { libc::__errno_location() };
    #[cfg(target_os = "macos")]
    // SAFETY: returns the address of the thread's own variable.
    return unsafe { libc::__error() };
}

/// Runs `f`, and puts `errno` back afterwards.
pub(super) fn preserve<R>(f: impl FnOnce() -> R) -> R {
    let location = location();
    // SAFETY: the C library's `errno` of this thread, valid while it runs.
    let saved = unsafe { location.read() };
    let result = f();
    // SAFETY: as above.
    unsafe { location.write(saved) };
    result
}
