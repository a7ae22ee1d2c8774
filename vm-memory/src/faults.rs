//! Hosts that refuse, for tests: the n-th request that this crate makes of the host fails.
//!
//! Only with the feature `fault-injection`, which is for the tests of this crate and of those that
//! build on it: nothing that is released should turn it on, and it is not subject to the promises of
//! semantic versioning.
//!
//! Faults are injected into the requests of one thread, at the boundary to the operating system: a
//! request that is to fail is not made.
//!
//! ```
//! use vm_memory::{LinearMemory, MemoryType, faults::FailingHost};
//!
//! let host = FailingHost::nth(1);
//! assert!(LinearMemory::new_bounded(&MemoryType::new(1, None)).is_err());
//! assert!(host.failed().is_some());
//! drop(host);
//! assert!(LinearMemory::new_bounded(&MemoryType::new(1, None)).is_ok());
//! ```

use std::cell::Cell;
use std::marker::PhantomData;

use crate::OsError;

/// A kind of request that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// Address space (`mmap` of an inaccessible mapping).
    Reserve,
    /// Another protection (`mprotect`).
    Protect,
    /// Dropping pages (`madvise`).
    Discard,
    /// Another mapping in place of one that is there (`mmap` with `MAP_FIXED`).
    Remap,
    /// A file in memory for an image, or its contents.
    Image,
    /// Heap, for bounded memory and plain stacks.
    Allocate,
}

#[derive(Clone, Copy)]
struct Plan {
    /// Requests since the plan was made.
    count: u64,
    /// The first that fails, counted from 1; none if 0.
    first: u64,
    /// The last that fails.
    last: u64,
    failed: Option<Request>,
}

const NONE: Plan = Plan {
    count: 0,
    first: 0,
    last: 0,
    failed: None,
};

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(NONE) };
}

/// While this lives, requests of its thread fail as planned. One at a time in a thread: a second one
/// replaces the first.
#[derive(Debug)]
#[must_use = "the host works again when this is dropped"]
pub struct FailingHost {
    /// The plan is that of one thread.
    _thread: PhantomData<*const ()>,
}

impl FailingHost {
    /// The `n`-th request from now on fails, counted from 1, and no other. None if `n` is 0: then
    /// requests are only counted.
    pub fn nth(n: u64) -> FailingHost {
        FailingHost::plan(n, n)
    }

    /// The `n`-th request from now on fails, counted from 1, and all after it.
    pub fn from_nth(n: u64) -> FailingHost {
        FailingHost::plan(n, u64::MAX)
    }

    fn plan(first: u64, last: u64) -> FailingHost {
        PLAN.set(Plan {
            first,
            last,
            ..NONE
        });
        FailingHost {
            _thread: PhantomData,
        }
    }

    /// How many requests there have been.
    pub fn requests(&self) -> u64 {
        PLAN.get().count
    }

    /// The first request that has been made to fail.
    pub fn failed(&self) -> Option<Request> {
        PLAN.get().failed
    }
}

impl Drop for FailingHost {
    fn drop(&mut self) {
        PLAN.set(NONE);
    }
}

/// Asks whether a request may be made.
pub(crate) fn admit(request: Request) -> Result<(), OsError> {
    let mut plan = PLAN.get();
    plan.count += 1;
    let fails = plan.first != 0 && (plan.first..=plan.last).contains(&plan.count);
    if fails && plan.failed.is_none() {
        plan.failed = Some(request);
    }
    PLAN.set(plan);
    if fails { Err(REFUSED) } else { Ok(()) }
}

/// What Linux answers when memory, address space or mappings run out.
const REFUSED: OsError = {
    #[cfg(unix)]
    let code = libc::ENOMEM;
    #[cfg(not(unix))]
    let code = 0;
    OsError::new(code)
};
