//! What differs between operating systems, behind one private interface.
//!
//! Every module has the same items:
//!
//! - `PLATFORM_GAP`: why guard pages cannot be had at all, or `None`
//! - `page_size()`
//! - `reserve`, `release`, `protect`, `decommit`
//! - `address_space_limit`, `data_limit`
//!
//! Callers keep to three rules, so that no module has to check them: lengths are not zero, every
//! address and length is a multiple of the page size, and a range lies in one reservation.

#[cfg(all(
    not(miri),
    any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    )
))]
#[path = "unix.rs"]
mod imp;

#[cfg(any(
    miri,
    not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    ))
))]
#[path = "unsupported.rs"]
mod imp;

pub(crate) use imp::*;
