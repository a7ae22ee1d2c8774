//! Linux, Android, Apple systems and FreeBSD.

use std::ptr::NonNull;

use crate::{OsError, Protection};

pub(crate) const PLATFORM_GAP: Option<&str> = None;

/// FreeBSD reserves lazily in any case and has no such flag.
#[cfg(not(target_os = "freebsd"))]
const NORESERVE: libc::c_int = libc::MAP_NORESERVE;
#[cfg(target_os = "freebsd")]
const NORESERVE: libc::c_int = 0;

pub(crate) fn page_size() -> usize {
    region::page::size()
}

/// Reserves `len` inaccessible bytes that are not charged against the host's commit limit.
///
/// `region::alloc` maps without `MAP_NORESERVE`: there, making pages writable later is charged
/// against the commit limit, which hosts with strict heuristics refuse long before memory is short.
pub(crate) fn reserve(len: usize) -> Result<NonNull<u8>, OsError> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that
    // exists; the result is checked below.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANON | NORESERVE,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(OsError::last());
    }
    NonNull::new(base.cast::<u8>()).ok_or(OsError::new(libc::ENOMEM))
}

/// Unmaps a whole reservation.
///
/// # Safety
///
/// `base` and `len` are those of one call of [`reserve`], and nothing uses the range any more.
pub(crate) unsafe fn release(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller owns the mapping and gives it up here.
    let result = unsafe { libc::munmap(base.as_ptr().cast(), len) };
    debug_assert_eq!(result, 0, "munmap: {}", OsError::last());
}

/// Changes the protection of a range.
///
/// # Safety
///
/// The range lies in a live reservation, and no reference exists to bytes that lose an access.
pub(crate) unsafe fn protect(
    address: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), OsError> {
    let flags = match protection {
        Protection::None => region::Protection::NONE,
        Protection::Read => region::Protection::READ,
        Protection::ReadWrite => region::Protection::READ_WRITE,
    };
    // SAFETY: the caller owns the range and it is page-aligned, so that the rounding in `region`
    // reaches no other mapping.
    unsafe { region::protect(address.as_ptr(), len, flags) }
        .map_err(|error| OsError::new(error.raw_os_error().unwrap_or(libc::EINVAL)))
}

/// Gives the pages of a range back and makes it inaccessible; they read as zero when next committed.
///
/// # Safety
///
/// As for [`protect`] with no access.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) unsafe fn decommit(address: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // Protection first: if it fails (it may have to split a mapping), nothing has been lost. A
    // MAP_FIXED remapping would do both at once, but may fail after the old mapping is gone and
    // leave a hole that another thread's mapping falls into.
    // SAFETY: the caller's guarantee is the same.
    unsafe { protect(address, len, Protection::None)? };
    // SAFETY: the range is ours, anonymous and private: MADV_DONTNEED drops its pages, and later
    // accesses see zeroes (madvise(2)). No reference to it exists, by the caller's guarantee.
    match unsafe { libc::madvise(address.as_ptr().cast(), len, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(OsError::last()),
    }
}

/// Gives the pages of a range back and makes it inaccessible; they read as zero when next committed.
///
/// Outside Linux `MADV_DONTNEED` is only a hint, so the range is mapped anew.
///
/// # Safety
///
/// As for [`protect`] with no access.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn decommit(address: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: MAP_FIXED replaces exactly the caller's own range, to which no reference exists.
    let mapped = unsafe {
        libc::mmap(
            address.as_ptr().cast(),
            len,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | NORESERVE,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(OsError::last());
    }
    Ok(())
}

/// The soft limit on this process's address space in bytes (`RLIMIT_AS`), if there is one.
pub(crate) fn address_space_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the call to write to.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    finite(result, limit)
}

/// The soft limit on this process's writable private memory in bytes (`RLIMIT_DATA`), if there is one.
pub(crate) fn data_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the call to write to.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_DATA, &mut limit) };
    finite(result, limit)
}

// `rlim_t` is signed on FreeBSD and 32 bits wide on some targets.
#[allow(clippy::unnecessary_cast)]
fn finite(result: libc::c_int, limit: libc::rlimit) -> Option<u64> {
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
}
