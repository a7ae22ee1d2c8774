//! What a model has: loom's locks, and a clock that stands still until a test sets it.
//!
//! Loom's condition variables know no time: a wait with a time-out waits for ever. Whoever sets the clock wakes those who sleep by it, so when they
//! wake is one of the orders that loom tries.

use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
pub(in crate::shared) use loom::sync::{Condvar, Mutex, MutexGuard};

loom::lazy_static! {
    static ref NOW: AtomicU64 = AtomicU64::new(0);
}

/// Nanoseconds from the beginning of the model's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::shared) struct Instant(pub(in crate::shared) u64);

impl Instant {
    pub(in crate::shared) fn now() -> Instant {
        Instant(NOW.load(Ordering::SeqCst))
    }

    /// Makes it that time. Those who sleep until then are not woken by that alone.
    pub(in crate::shared) fn set(self) {
        NOW.store(self.0, Ordering::SeqCst);
    }

    pub(in crate::shared) fn checked_add(self, time: Duration) -> Option<Instant> {
        let time = u64::try_from(time.as_nanos()).ok()?;
        self.0.checked_add(time).map(Instant)
    }

    pub(in crate::shared) fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
