//! What is known to differ from Wasmtime, and is meant to. Everything that is not listed here is a finding.
//!
//! Besides, calls that cannot be compared are not made (`functions.rs`): those whose answers no two runs share (clocks,
//! randomness), that wait, or that end the guest; lists of buffers of which more than one is not empty, of which
//! Wasmtime does the first only; writes of nothing to files, after which it is at the end of one that is appended to,
//! where POSIX wants no other result than 0; flags and numbers that there are not, at which it traps; clocks of
//! processor time, `O_SYNC` and its kin, and `fd_allocate`, which it does not have.

use super::functions::Call;

/// A known difference.
pub(super) struct Known {
    /// Its name in the counts.
    pub(super) reason: &'static str,
    /// Whether both guests still have the same descriptors and files afterwards.
    pub(super) goes_on: bool,
}

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const FBIG: i32 = 22;
const ILSEQ: i32 = 25;
const INTR: i32 = 27;
const INVAL: i32 = 28;
const ISDIR: i32 = 31;
const LOOP: i32 = 32;
const NOENT: i32 = 44;
const NOTDIR: i32 = 54;
const NOTSUP: i32 = 58;
/// Of a link that leads out of the directory.
const PERM: i32 = 63;
const SPIPE: i32 = 70;

/// The difference between two errnos of a call, if it is a known one; Wasmtime's is nothing if it trapped.
pub(super) fn known(call: &Call, theirs: Option<i32>, ours: i32) -> Option<Known> {
    let same_state = |reason| {
        Some(Known {
            reason,
            goes_on: true,
        })
    };
    let Some(theirs) = theirs else {
        // It traps at buffers, lists of them and paths outside of memory, and where a result would not be aligned. That
        // may be when everything else has been done.
        return match ours == SUCCESS && !call.is_unaligned() {
            true => None,
            false => Some(Known {
                reason: "known: Wasmtime traps at a pointer",
                goes_on: call.only_asks(),
            }),
        };
    };
    let name = call.function.name;
    let both_fail = theirs != SUCCESS && ours != SUCCESS;
    match (theirs, ours) {
        // POSIX has a name for what is wrong with the descriptor, or with another argument.
        (BADF, ISDIR | NOTDIR | SPIPE | INVAL | NOTSUP) => {
            same_state("known: BADF instead of the kind")
        }
        // Several arguments are wrong, and they are not looked at in the same order.
        (FAULT | ILSEQ, _) | (_, FAULT | ILSEQ) if both_fail => {
            same_state("known: order of errors")
        }
        _ if both_fail && ["path_link", "path_rename", "path_symlink"].contains(&name) => {
            same_state("known: order of errors")
        }
        (INVAL, _) if both_fail && name == "path_filestat_set_times" => {
            same_state("known: order of errors")
        }
        (SPIPE, INVAL) | (INVAL, BADF) if ["fd_pread", "fd_pwrite"].contains(&name) => {
            same_state("known: order of errors")
        }
        (INVAL | FBIG, BADF) if name == "fd_filestat_set_size" => {
            same_state("known: order of errors")
        }
        (NOTDIR, BADF) if name == "fd_prestat_dir_name" => same_state("known: NOTDIR for BADF"),
        // `O_DIRECTORY` on a link that is not followed: NOTDIR on Linux.
        (LOOP, NOTDIR) if name == "path_open" => {
            same_state("known: LOOP of a link that is no directory")
        }
        // A slash behind the name: POSIX removes, or looks at, what is a directory.
        _ if name == "path_remove_directory" && call.path().ends_with(b"/") => Some(Known {
            reason: "known: slashes",
            goes_on: both_fail,
        }),
        (SUCCESS, NOTDIR | NOENT | PERM)
            if name == "path_filestat_get" && call.path().ends_with(b"/") =>
        {
            same_state("known: slashes")
        }
        // Nothing was to be read.
        (INTR, _) if name == "fd_read" => same_state("known: INTR of an empty read"),
        // These do nothing that shows, and we do it for directories and streams as well.
        (BADF, SUCCESS)
            if [
                "fd_advise",
                "fd_datasync",
                "fd_filestat_set_times",
                "fd_sync",
            ]
            .contains(&name) =>
        {
            same_state("known: BADF of what is no file")
        }
        (BADF, SUCCESS) if name == "fd_fdstat_set_flags" => Some(Known {
            reason: "known: BADF of what is no file",
            goes_on: call.int(1) == 0,
        }),
        // Positions and lengths that the host's numbers cannot say; a file that is appended to is written all the same.
        (SUCCESS, INVAL)
            if ["fd_advise", "fd_pread", "fd_pwrite", "fd_seek", "fd_write"].contains(&name) =>
        {
            Some(Known {
                reason: "known: positions of 64 bits",
                goes_on: name == "fd_advise" || name == "fd_pread",
            })
        }
        // Wasmtime looks at the part of a buffer that it uses.
        (SUCCESS, FAULT)
            if ["fd_read", "fd_readdir", "fd_pread", "fd_write", "fd_pwrite"].contains(&name) =>
        {
            Some(Known {
                reason: "known: the rest of a buffer",
                goes_on: name != "fd_read",
            })
        }
        // What was opened without the right to read, or to write, is not read, or written.
        (SUCCESS, BADF)
            if [
                "fd_read",
                "fd_pread",
                "fd_write",
                "fd_pwrite",
                "fd_filestat_set_size",
            ]
            .contains(&name) =>
        {
            Some(Known {
                reason: "known: rights",
                goes_on: false,
            })
        }
        _ => None,
    }
}

/// Whether the memories may differ as they do: in the number of what was opened. POSIX wants the lowest that is free.
pub(super) fn known_number(call: &Call, theirs: &[u8], ours: &[u8]) -> bool {
    if call.function.name != "path_open" {
        return false;
    }
    let at = call.place(7);
    let (before, after) = (..at, at + 4..);
    theirs.get(before) == ours.get(before) && theirs.get(after.clone()) == ours.get(after)
}

/// Clears in memory what depends on the host or is known to differ: inodes, devices and times, rights, and what lies
/// between fields, which Wasmtime leaves as it is; and brings listings into an order.
pub(super) fn mask(call: &Call, errno: i32, memory: &mut [u8]) {
    if errno != SUCCESS {
        return;
    }
    match call.function.name {
        "fd_filestat_get" => filestat(memory, call.place(1)),
        // With a slash behind it, a link is what it leads to, for POSIX.
        "path_filestat_get" if call.path().ends_with(b"/") => clear(memory, call.place(3), 64),
        "path_filestat_get" => filestat(memory, call.place(3)),
        "fd_fdstat_get" => {
            clear(memory, call.place(1) + 1, 1);
            clear(memory, call.place(1) + 4, 20);
        }
        "fd_prestat_get" => clear(memory, call.place(1) + 1, 3),
        // What comes later in the host's order is not the same.
        "fd_readdir" if call.int(2) != 0 => {
            clear(memory, call.place(1), 4096);
            clear(memory, call.place(3), 4);
        }
        "fd_readdir" => listing(memory, call.place(1), call.place(3)),
        _ => {}
    }
}

fn clear(memory: &mut [u8], from: usize, len: usize) {
    if let Some(bytes) = memory.get_mut(from..from + len) {
        bytes.fill(0);
    }
}

/// Device and inode; times of access, modification and change; the size, which is the host's for directories.
fn filestat(memory: &mut [u8], at: usize) {
    const DIRECTORY: u8 = 3;
    clear(memory, at, 16);
    clear(memory, at + 17, 7);
    clear(memory, at + 40, 24);
    if memory.get(at + 16) == Some(&DIRECTORY) {
        // The number of links as well.
        clear(memory, at + 24, 16);
    }
}

/// Entries, which each begin with the next one's cookie, an inode, the name's length, and a type: in the order of
/// their names, without what is the host's. A listing that is cut off shows what the host lists first, so nothing is
/// left of it.
fn listing(memory: &mut [u8], at: usize, used: usize) {
    const HEADER: usize = 24;
    let word = |memory: &[u8], at: usize| {
        let bytes = memory
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    let len = word(memory, used);
    let mut entries = Vec::new();
    let mut next = at;
    while next + HEADER <= at + len {
        let end = next + HEADER + word(memory, next + 16);
        match memory.get(next + 16..end) {
            Some(entry) if end <= at + len => {
                // The name's length and the type, without what follows that.
                let mut entry = entry.to_vec();
                entry[5..8].fill(0);
                entries.push(entry);
            }
            _ => break,
        }
        next = end;
    }
    let whole = next == at + len;
    clear(memory, at, len);
    if !whole {
        return clear(memory, used, 4);
    }
    entries.sort();
    let sorted = entries.concat();
    memory[at..at + sorted.len()].copy_from_slice(&sorted);
}
