//! Builds without guard pages: bounded memory and plain stacks only.

use std::ptr::NonNull;

use crate::{OsError, Protection};

pub(crate) const PLATFORM_GAP: Option<&str> = Some(if cfg!(miri) {
    // Nor does it interpret the system calls that ask for it.
    "Miri does not model page protection"
} else if cfg!(windows) {
    "guard pages are not implemented for Windows yet"
} else {
    "this crate has no guard pages for this platform"
});

/// Only a unit for rounding where the host is not asked: nothing is protected.
pub(crate) fn page_size() -> usize {
    #[cfg(all(windows, not(miri)))]
    return region::page::size();
    #[cfg(not(all(windows, not(miri))))]
    return 4096;
}

pub(crate) fn reserve(_len: usize) -> Result<NonNull<u8>, OsError> {
    Err(OsError::UNSUPPORTED)
}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn release(_base: NonNull<u8>, _len: usize) {}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn protect(
    _address: NonNull<u8>,
    _len: usize,
    _protection: Protection,
) -> Result<(), OsError> {
    Err(OsError::UNSUPPORTED)
}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn decommit(_address: NonNull<u8>, _len: usize) -> Result<(), OsError> {
    Err(OsError::UNSUPPORTED)
}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn discard(_address: NonNull<u8>, _len: usize) -> Result<(), OsError> {
    Err(OsError::UNSUPPORTED)
}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn remap(
    _address: NonNull<u8>,
    _len: usize,
    _protection: Protection,
) -> Result<(), OsError> {
    Err(OsError::UNSUPPORTED)
}

/// # Safety
///
/// Cannot be called: it takes what [`reserve`] never returns.
pub(crate) unsafe fn enlarge(
    _address: NonNull<u8>,
    _len: usize,
    _new_len: usize,
) -> Result<NonNull<u8>, OsError> {
    Err(OsError::UNSUPPORTED)
}

pub(crate) fn is_mapped(_address: NonNull<u8>, _len: usize) -> bool {
    false
}

pub(crate) fn address_space_limit() -> Option<u64> {
    None
}

pub(crate) fn data_limit() -> Option<u64> {
    None
}
