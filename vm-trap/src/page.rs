//! The unit of the memory-management unit.

/// Size of a page in bytes.
pub(crate) fn bytes() -> usize {
    // SAFETY: only asks.
    let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // POSIX knows no failure here; 64 KiB is a multiple of every page size.
    usize::try_from(answer).unwrap_or(64 * 1024)
}
