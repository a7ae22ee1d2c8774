//! Which limit of the host made a request for memory fail, and what its owner can do about it.

use std::fs;
use std::io::{self, Read};

use crate::{MemoryError, sys};

/// The limit that explains why the host refused address space or memory.
///
/// Found by looking at the host after the refusal, so it is a finding, not a certainty: the
/// [`Unknown`](HostLimit::Unknown) variant is the honest answer when nothing explains it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostLimit {
    /// `RLIMIT_AS`, the limit on a process's address space (`ulimit -v` in a shell).
    #[error(
        "the limit on this process's address space (RLIMIT_AS, `ulimit -v`) is {limit} bytes; \
         raise it, choose a smaller layout, or use bounded memory with checked accesses"
    )]
    AddressSpace {
        /// The soft limit in bytes.
        limit: u64,
    },
    /// `RLIMIT_DATA`, the limit on a process's private writable memory (`ulimit -d` in a shell).
    #[error(
        "the limit on this process's writable memory (RLIMIT_DATA, `ulimit -d`) is {limit} bytes; \
         raise it, or use less memory"
    )]
    Data {
        /// The soft limit in bytes.
        limit: u64,
    },
    /// Linux's strict accounting of promised memory (`vm.overcommit_memory` = 2).
    #[error(
        "the host counts every promised page (vm.overcommit_memory = 2) and its commit limit is \
         reached; set it to 0 or 1, raise vm.overcommit_ratio, or use less memory"
    )]
    Overcommit,
    /// Linux's limit on the mappings of one process (`vm.max_map_count`).
    #[error(
        "this process has {in_use} mappings and may have {limit} (vm.max_map_count), and a \
         guarded memory needs up to four; raise the limit, or keep fewer memories alive"
    )]
    Mappings {
        /// Mappings at the time of the refusal.
        in_use: u64,
        /// How many the host allows.
        limit: u64,
    },
    /// The request is larger than what the host gives a process to address.
    #[error(
        "a process has at most {limit} bytes of address space on this host; ask for fewer slots, \
         or choose a smaller layout"
    )]
    AddressSpan {
        /// Bytes that user programs can address.
        limit: u64,
    },
    /// The request is larger than what this host's pointers can address.
    #[error(
        "{}-bit addresses cannot hold it; use bounded memory with checked accesses",
        usize::BITS
    )]
    AddressWidth,
    /// No limit known to this crate explains the refusal.
    #[error(
        "the operating system refused it and no known limit explains why (a container or sandbox \
         policy may); use bounded memory with checked accesses"
    )]
    Unknown,
}

/// Which kind of request was refused: the limits that can explain it differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Address space without access.
    Reserve,
    /// Access to address space that is already reserved.
    Commit,
}

/// Looks for the limit that a refused request for `bytes` ran into.
///
/// Reads a few files of `/proc` where they exist; too slow for a path that a guest can call often.
pub(crate) fn explain(request: Request, bytes: u64) -> HostLimit {
    let usage = Usage::read();
    if request == Request::Reserve
        && let Some(limit) = sys::address_space_limit()
        && exceeds(usage.as_ref().map(|usage| usage.total), bytes, limit)
    {
        return HostLimit::AddressSpace { limit };
    }
    if request == Request::Reserve
        && exceeds(usage.as_ref().map(|usage| usage.total), bytes, USER_SPAN)
    {
        return HostLimit::AddressSpan { limit: USER_SPAN };
    }
    if request == Request::Commit
        && let Some(limit) = sys::data_limit()
        && exceeds(usage.as_ref().map(|usage| usage.data), bytes, limit)
    {
        return HostLimit::Data { limit };
    }
    // A protection change can split one mapping into three, so it fails just below the limit.
    if let Some((in_use, limit)) = mappings()
        && in_use + 3 > limit
    {
        return HostLimit::Mappings { in_use, limit };
    }
    if request == Request::Commit && read_number("/proc/sys/vm/overcommit_memory") == Some(2) {
        return HostLimit::Overcommit;
    }
    HostLimit::Unknown
}

/// Addresses that a user program has at most, where this is known: of x86-64 with four levels of
/// page tables and of aarch64 with 48 bits, as Linux gives them without being asked for more.
const USER_SPAN: u64 = if cfg!(target_arch = "x86_64") {
    1 << 47
} else if cfg!(target_arch = "aarch64") {
    1 << 48
} else {
    u64::MAX
};

/// How many mappings this process has, and how many it may have, where the host tells.
fn mappings() -> Option<(u64, u64)> {
    let limit = read_number("/proc/sys/vm/max_map_count")?;
    Some((count_lines("/proc/self/maps").unwrap_or(0), limit))
}

/// Whether the host allows as many mappings as slots of a pool take when all are in use.
pub(crate) fn check_mappings(slots: u32, each: u64) -> Result<(), MemoryError> {
    let needed = u64::from(slots) * each;
    match mappings() {
        Some((in_use, limit)) if in_use.saturating_add(needed) > limit => {
            Err(MemoryError::PoolMappings {
                slots,
                needed,
                in_use,
                limit,
            })
        }
        _ => Ok(()),
    }
}

/// Whether `in_use + bytes` goes over the limit; without knowledge of the use, any limit may be it.
fn exceeds(in_use: Option<u64>, bytes: u64, limit: u64) -> bool {
    in_use.is_none_or(|in_use| in_use.saturating_add(bytes) > limit)
}

/// What this process uses of the limits, in bytes (`/proc/self/statm`, proc_pid_statm(5)).
struct Usage {
    total: u64,
    data: u64,
}

impl Usage {
    fn read() -> Option<Usage> {
        let text = fs::read_to_string("/proc/self/statm").ok()?;
        let page = sys::page_size() as u64;
        let mut fields = text
            .split_ascii_whitespace()
            .map(|field| field.parse::<u64>().ok().and_then(|n| n.checked_mul(page)));
        Some(Usage {
            total: fields.next()??,
            data: fields.nth(4)??,
        })
    }
}

/// Counts lines without allocating: a process that is out of mappings may be out of heap as well.
fn count_lines(path: &str) -> Option<u64> {
    let mut file = fs::File::open(path).ok()?;
    let mut buffer = [0; 4096];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(lines),
            Ok(len) => lines += buffer[..len].iter().filter(|byte| **byte == b'\n').count() as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_what_is_in_use() {
        assert!(exceeds(Some(60), 50, 100));
        assert!(!exceeds(Some(50), 50, 100));
        assert!(exceeds(Some(1), u64::MAX, u64::MAX - 1));
        assert!(exceeds(None, 1, 100));
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn the_process_knows_its_own_size() {
        let usage = Usage::read().unwrap();
        assert!(usage.data > 0 && usage.total > usage.data);
    }
}
