//! What differs between operating systems and processors, behind one private
//! interface: `availability`, `install`, `standing`, `ensure_first`, `uninstall`,
//! `try_handle`, `unblock`, `AltStack` and `SigInfo`; for requests to stop `choose`, `INTERRUPT_SIGNAL`, `Thread`,
//! `this_thread`, `notify` and `unblock_notifications`.

#[cfg(all(
    not(miri),
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
))]
#[path = "unix/mod.rs"]
mod imp;

#[cfg(not(all(
    not(miri),
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
#[path = "unsupported.rs"]
mod imp;

pub use imp::SigInfo;
pub(crate) use imp::{
    AltStack, availability, ensure_first, install, standing, try_handle, unblock, uninstall,
};
pub(crate) use imp::{
    INTERRUPT_SIGNAL, Thread, choose, notify, this_thread, unblock_notifications,
};
