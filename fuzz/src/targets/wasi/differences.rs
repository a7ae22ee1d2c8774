//! What is known to differ from Wasmtime, and is meant to. Everything that is not listed here is a finding.

use super::functions::Call;

/// Why the errnos of a call may differ, if they may.
pub(super) fn known(call: &Call, theirs: i32, ours: i32) -> Option<&'static str> {
    let _ = (call, theirs, ours);
    None
}

/// Clears in memory what depends on the host: inodes, devices and times of `filestat`, and the entries of listings,
/// whose order is the host's.
pub(super) fn mask(call: &Call, errno: i32, memory: &mut [u8]) {
    if errno != 0 {
        return;
    }
    let mut clear = |from: usize, len: usize| {
        if let Some(bytes) = memory.get_mut(from..from + len) {
            bytes.fill(0);
        }
    };
    let mut filestat = |at: usize| {
        // Device and inode; times of access, modification and change.
        clear(at, 16);
        clear(at + 40, 24);
    };
    match call.function.name {
        "fd_filestat_get" => filestat(call.place(1)),
        "path_filestat_get" => filestat(call.place(3)),
        _ => {}
    }
}
