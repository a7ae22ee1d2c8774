//! Linux, Android, Apple systems and FreeBSD.

use std::ptr::NonNull;

use super::{Request, admit};
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
    admit(Request::Reserve)?;
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

/// Unmaps a reservation, or a part of it.
///
/// # Safety
///
/// The range lies in a live reservation, and nothing uses it any more.
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
    admit(Request::Protect)?;
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
/// As for [`protect`] with no access. The range is anonymous memory.
pub(crate) unsafe fn decommit(address: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // Outside Linux dropping pages is only a hint, so the range is mapped anew.
    if cfg!(not(any(target_os = "linux", target_os = "android"))) {
        // SAFETY: the caller's guarantee is the same.
        return unsafe { remap(address, len, Protection::None) };
    }
    // Protection first: if it fails (it may have to split a mapping), nothing has been lost. A
    // MAP_FIXED remapping would do both at once, but may fail after the old mapping is gone and
    // leave a hole that another thread's mapping falls into.
    // SAFETY: the caller's guarantee is the same.
    unsafe {
        protect(address, len, Protection::None)?;
        discard(address, len)
    }
}

/// Drops what has been written to a range. It then reads as what its mapping began with: zeroes, or
/// an image. Protection stays.
///
/// # Safety
///
/// The range lies in a live reservation, and no reference exists to its bytes. Outside Linux it is
/// readable and writable anonymous memory.
pub(crate) unsafe fn discard(address: NonNull<u8>, len: usize) -> Result<(), OsError> {
    if cfg!(not(any(target_os = "linux", target_os = "android"))) {
        // SAFETY: the caller's guarantee is the same.
        return unsafe { remap(address, len, Protection::ReadWrite) };
    }
    admit(Request::Discard)?;
    // SAFETY: the range is ours and private: MADV_DONTNEED drops its pages, and later accesses see
    // zeroes, or the file's contents (madvise(2)). No reference to it exists, by the caller's
    // guarantee.
    match unsafe { libc::madvise(address.as_ptr().cast(), len, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(OsError::last()),
    }
}

/// Puts zeroed anonymous memory in place of what a range is mapped to.
///
/// If this fails, the range may be unmapped: see [`is_mapped`].
///
/// # Safety
///
/// The range lies in a live reservation, and no reference exists to its bytes.
pub(crate) unsafe fn remap(
    address: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), OsError> {
    admit(Request::Remap)?;
    let access = match protection {
        Protection::None => libc::PROT_NONE,
        Protection::Read => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    };
    // SAFETY: MAP_FIXED replaces exactly the caller's own range, to which no reference exists.
    let mapped = unsafe {
        libc::mmap(
            address.as_ptr().cast(),
            len,
            access,
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

/// Makes a range that is accessible throughout larger, with zeroed pages behind, and moves it to where there
/// is room for that: its pages, not what is in them. If this fails, nothing has changed.
///
/// # Safety
///
/// The range is a part of a live reservation whose pages behind `len` are not accessible, and no reference
/// exists to its bytes. Afterwards it does not belong to that any more: it is gone if it has been moved.
pub(crate) unsafe fn enlarge(
    address: NonNull<u8>,
    len: usize,
    new_len: usize,
) -> Result<NonNull<u8>, OsError> {
    admit(Request::Remap)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: the caller owns the range and answers for what is done with the old addresses; the kernel
        // chooses the new ones where nothing is mapped.
        let moved =
            unsafe { libc::mremap(address.as_ptr().cast(), len, new_len, libc::MREMAP_MAYMOVE) };
        if moved == libc::MAP_FAILED {
            return Err(OsError::last());
        }
        NonNull::new(moved.cast::<u8>()).ok_or(OsError::new(libc::ENOMEM))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (address, len, new_len);
        Err(OsError::UNSUPPORTED)
    }
}

/// Whether every page of a range is mapped to something.
pub(crate) fn is_mapped(address: NonNull<u8>, len: usize) -> bool {
    // SAFETY: on anonymous and on private mappings this writes nothing back; it only fails where
    // there is no mapping (msync(2)).
    unsafe { libc::msync(address.as_ptr().cast(), len, libc::MS_ASYNC) == 0 }
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
