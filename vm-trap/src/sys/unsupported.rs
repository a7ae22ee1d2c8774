//! Platforms without support: everything says so.

use std::ffi::{c_int, c_void};

use crate::{
    AltStackError, InstallError, InterruptError, NotFirst, Standing, Unavailable, UninstallError,
};

/// What the kernel says about a signal: `siginfo_t` where there is one.
#[cfg(unix)]
pub type SigInfo = libc::siginfo_t;
/// What the kernel says about a signal: `siginfo_t` where there is one.
#[cfg(not(unix))]
pub type SigInfo = c_void;

pub(crate) fn availability() -> Result<(), Unavailable> {
    if cfg!(miri) {
        return Err(Unavailable::Miri);
    }
    Err(Unavailable::Platform {
        arch: std::env::consts::ARCH,
        os: std::env::consts::OS,
    })
}

pub(crate) fn install() -> Result<(), InstallError> {
    Ok(availability()?)
}

pub(crate) fn standing() -> Standing {
    Standing::NotInstalled
}

pub(crate) fn ensure_first() -> Result<(), NotFirst> {
    Err(NotFirst::NotInstalled)
}

pub(crate) fn uninstall() -> Result<(), UninstallError> {
    Err(UninstallError::NotInstalled)
}

/// # Safety
///
/// None is needed; the signature is that of the platforms with support.
pub(crate) unsafe fn try_handle(_: c_int, _: *mut SigInfo, _: *mut c_void) -> bool {
    false
}

/// No signal is waited for here.
pub(crate) fn unblock() {}

/// No thread needs an alternate signal stack here.
pub(crate) enum AltStack {}

impl AltStack {
    pub(crate) fn ensure() -> Result<Option<AltStack>, AltStackError> {
        Ok(None)
    }
}

/// There is nothing to send here.
pub(crate) const INTERRUPT_SIGNAL: c_int = 0;

/// Nobody is sent a signal here.
pub(crate) type Thread = ();

pub(crate) fn choose(_: c_int, _: bool) -> Result<(), InterruptError> {
    Ok(availability()?)
}

pub(crate) fn this_thread() -> Thread {}

pub(crate) fn notify((): Thread) {}

pub(crate) fn unblock_notifications() -> bool {
    true
}
