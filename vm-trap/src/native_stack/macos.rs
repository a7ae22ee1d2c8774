//! macOS tells, by calls of its own.

use std::ops::Range;

pub(super) fn bounds() -> Option<Range<usize>> {
    // SAFETY: both only ask, of this thread.
    let (high, len) = unsafe {
        let this = libc::pthread_self();
        (
            libc::pthread_get_stackaddr_np(this) as usize,
            libc::pthread_get_stacksize_np(this),
        )
    };
    Some(high.checked_sub(len)?..high)
}
