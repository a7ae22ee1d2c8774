//! What differs between operating systems, behind one private interface.
//!
//! Every module has the same items:
//!
//! - `PLATFORM_GAP`, `IMAGE_GAP`: why guard pages, and images, cannot be had at all, or `None`
//! - `page_size()`
//! - `reserve`, `release`, `protect`, `decommit`, `discard`, `remap`, `enlarge`, `is_mapped`
//! - `ImageFile` with `new` and `map`
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

#[cfg(all(not(miri), any(target_os = "linux", target_os = "android")))]
#[path = "memfd.rs"]
mod image;

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

#[cfg(any(miri, not(any(target_os = "linux", target_os = "android"))))]
#[path = "no_image.rs"]
mod image;

pub(crate) use image::*;
pub(crate) use imp::*;

/// What a request to the host is counted as when tests let the host refuse.
#[cfg(feature = "fault-injection")]
pub(crate) use crate::faults::{Request, admit};

/// The same names without the feature: every request is made.
#[cfg(not(feature = "fault-injection"))]
mod always {
    use crate::OsError;

    #[allow(dead_code, reason = "which are used depends on the platform")]
    pub(crate) enum Request {
        Reserve,
        Protect,
        Discard,
        Remap,
        Image,
        Allocate,
    }

    #[inline(always)]
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the same signature as with faults"
    )]
    pub(crate) fn admit(_: Request) -> Result<(), OsError> {
        Ok(())
    }
}
#[cfg(not(feature = "fault-injection"))]
pub(crate) use always::{Request, admit};
