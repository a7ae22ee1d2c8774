//! Clocks: `clock_res_get`, `clock_time_get`, and waiting for a time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::abi::ClockId;
use crate::errno::Errno;

/// The clocks of one guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// Where the monotonic clock starts. Only differences mean anything to a
    /// guest, and the time since the host's boot is none of its business.
    origin: Instant,
}

impl Clocks {
    pub(crate) fn new() -> Clocks {
        Clocks {
            origin: Instant::now(),
        }
    }

    /// The time of a clock in nanoseconds.
    pub(crate) fn now(&self, clock: ClockId) -> Result<u64, Errno> {
        match clock {
            ClockId::Realtime => Ok(since_epoch(SystemTime::now())),
            ClockId::Monotonic => nanoseconds(self.origin.elapsed()),
            ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => cpu::time(clock),
        }
    }

    /// The smallest step of a clock in nanoseconds, never 0.
    pub(crate) fn resolution(&self, clock: ClockId) -> Result<u64, Errno> {
        cpu::resolution(clock)
    }

    /// How long to wait until a clock shows `time` (absolute) or has moved on
    /// by it.
    pub(crate) fn until(
        &self,
        clock: ClockId,
        time: u64,
        absolute: bool,
    ) -> Result<Duration, Errno> {
        match clock {
            ClockId::Realtime | ClockId::Monotonic => {
                let wait = if absolute {
                    time.saturating_sub(self.now(clock)?)
                } else {
                    time
                };
                Ok(Duration::from_nanos(wait))
            }
            // A sleeping guest uses no processor time: it would never wake.
            ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => Err(Errno::NotSup),
        }
    }
}

/// A point in time as preview 1 counts it; before 1970 is 0.
pub(crate) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| nanoseconds(since).ok())
        .unwrap_or(0)
}

fn nanoseconds(duration: Duration) -> Result<u64, Errno> {
    u64::try_from(duration.as_nanos()).map_err(|_| Errno::Overflow)
}

#[cfg(unix)]
mod cpu {
    use super::{ClockId, Duration, Errno, nanoseconds};
    use rustix::time::{ClockId as Host, Timespec, clock_getres, clock_gettime};

    fn host(clock: ClockId) -> Host {
        match clock {
            ClockId::Realtime => Host::Realtime,
            ClockId::Monotonic => Host::Monotonic,
            ClockId::ProcessCpuTime => Host::ProcessCPUTime,
            ClockId::ThreadCpuTime => Host::ThreadCPUTime,
        }
    }

    fn duration(time: Timespec) -> Result<u64, Errno> {
        nanoseconds(Duration::try_from(time).map_err(|_| Errno::Overflow)?)
    }

    pub(super) fn time(clock: ClockId) -> Result<u64, Errno> {
        duration(clock_gettime(host(clock)))
    }

    pub(super) fn resolution(clock: ClockId) -> Result<u64, Errno> {
        duration(clock_getres(host(clock))).map(|step| step.max(1))
    }
}

#[cfg(not(unix))]
mod cpu {
    use super::{ClockId, Errno};

    pub(super) fn time(_clock: ClockId) -> Result<u64, Errno> {
        Err(Errno::NotSup)
    }

    // The unit in which Windows keeps time.
    pub(super) fn resolution(clock: ClockId) -> Result<u64, Errno> {
        match clock {
            ClockId::Realtime | ClockId::Monotonic => Ok(100),
            ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => Err(Errno::NotSup),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_starts_at_zero_and_moves_on() {
        let clocks = Clocks::new();
        let first = clocks.now(ClockId::Monotonic).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let second = clocks.now(ClockId::Monotonic).unwrap();
        assert!(first < 60_000_000_000, "{first}");
        assert!(second >= first + 2_000_000, "{first} {second}");
    }

    #[test]
    fn the_real_clock_is_the_hosts() {
        let before = since_epoch(SystemTime::now());
        let guest = Clocks::new().now(ClockId::Realtime).unwrap();
        let after = since_epoch(SystemTime::now());
        assert!((before..=after).contains(&guest));
    }

    #[test]
    fn a_past_time_needs_no_wait() {
        let clocks = Clocks::new();
        assert_eq!(clocks.until(ClockId::Realtime, 1, true), Ok(Duration::ZERO));
        assert_eq!(
            clocks.until(ClockId::Monotonic, 5, false),
            Ok(Duration::from_nanos(5))
        );
        assert_eq!(
            clocks.until(ClockId::ProcessCpuTime, 5, false),
            Err(Errno::NotSup)
        );
    }

    #[test]
    #[cfg(unix)]
    fn every_clock_has_a_time_and_a_resolution() {
        let clocks = Clocks::new();
        for id in 0..4 {
            let clock = ClockId::from_guest(id).unwrap();
            assert!(clocks.now(clock).is_ok(), "{clock:?}");
            assert!(clocks.resolution(clock).unwrap() >= 1, "{clock:?}");
        }
        assert_eq!(ClockId::from_guest(4), Err(Errno::Inval));
    }
}
