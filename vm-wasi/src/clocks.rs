//! Clocks: the host's, or the embedder's own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::errno::Errno;

/// A clock of the embedder's, in place of one of the host's. See
/// [`WasiCtxBuilder::clock`](crate::WasiCtxBuilder::clock).
pub trait Clock: Send {
    /// The time since the clock's zero, which for [`ClockId::Realtime`] is 1970. What guests see is counted in
    /// nanoseconds in 64 bits; more is the largest of these.
    fn now(&mut self) -> Duration;

    /// The smallest step. By default a nanosecond.
    fn resolution(&mut self) -> Duration {
        Duration::from_nanos(1)
    }

    /// The guest waits until the clock has moved on by `duration`. Returns how long the host shall wait for that,
    /// which by default is as long.
    ///
    /// A clock that moves on by itself then, and returns zero, makes a guest that only waits for time run without
    /// waiting, always with the same times. The wait may end sooner, if something else happens that the guest waits
    /// for, and may be asked for again.
    fn wait(&mut self, duration: Duration) -> Duration {
        duration
    }
}

/// Which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockId {
    /// The time of day, since 1970.
    Realtime,
    /// The time since some moment, never set.
    Monotonic,
    /// The processor's time that the process has used.
    ProcessCpuTime,
    /// The processor's time that the thread has used.
    ThreadCpuTime,
}

impl ClockId {
    pub(crate) fn from_guest(id: u32) -> Result<ClockId, Errno> {
        match id {
            0 => Ok(ClockId::Realtime),
            1 => Ok(ClockId::Monotonic),
            2 => Ok(ClockId::ProcessCpuTime),
            3 => Ok(ClockId::ThreadCpuTime),
            _ => Err(Errno::Inval),
        }
    }
}

/// A clock that moves on when a guest waits for it, or when it is told to, and never by itself. Clones are the same
/// clock.
///
/// ```
/// use std::time::Duration;
/// use vm_wasi::{ClockId, VirtualClock, WasiCtxBuilder};
///
/// let clock = VirtualClock::new(Duration::from_secs(1_000_000_000));
/// let ctx = WasiCtxBuilder::new()
///     .clock(ClockId::Realtime, clock.clone())
///     .clock(ClockId::Monotonic, clock.clone())
///     .build()?;
/// // A guest that sleeps for an hour does not keep anybody waiting, and now() is an hour later.
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Duration::from_secs(1_000_000_001));
/// # Ok::<(), vm_wasi::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<Mutex<Duration>>);

impl VirtualClock {
    /// A clock that shows that time.
    pub fn new(now: Duration) -> VirtualClock {
        VirtualClock(Arc::new(Mutex::new(now)))
    }

    /// The time that it shows.
    pub fn now(&self) -> Duration {
        *self.lock()
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        *now = now.saturating_add(by);
    }

    // A duration is whole whenever the lock is free.
    fn lock(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&mut self) -> Duration {
        VirtualClock::now(self)
    }

    fn wait(&mut self, duration: Duration) -> Duration {
        self.advance(duration);
        Duration::ZERO
    }
}

impl Default for Clocks {
    fn default() -> Clocks {
        Clocks::new()
    }
}

/// The clocks of one guest.
pub(crate) struct Clocks {
    /// Where the host's monotonic clock starts. Only differences mean anything to a
    /// guest, and the time since the host's boot is none of its business.
    origin: Instant,
    /// The embedder's, by identifier.
    own: [Option<Box<dyn Clock>>; 4],
}

/// What a clock shows, for the guest that waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    id: ClockId,
    /// Not moved when the host's time of day is set.
    steady: bool,
    /// In nanoseconds.
    deadline: u64,
}

impl Clocks {
    pub(crate) fn new() -> Clocks {
        Clocks {
            origin: Instant::now(),
            own: [const { None }; 4],
        }
    }

    pub(crate) fn set(&mut self, id: ClockId, clock: Box<dyn Clock>) {
        self.own[id as usize] = Some(clock);
    }

    /// The time of a clock in nanoseconds.
    pub(crate) fn now(&mut self, id: ClockId) -> Result<u64, Errno> {
        if let Some(clock) = &mut self.own[id as usize] {
            return Ok(nanoseconds(clock.now()));
        }
        match id {
            ClockId::Realtime => Ok(since_epoch(SystemTime::now())),
            ClockId::Monotonic => Ok(self.steady()),
            ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => cpu::time(id),
        }
    }

    /// The smallest step of a clock in nanoseconds, never 0.
    pub(crate) fn resolution(&mut self, id: ClockId) -> Result<u64, Errno> {
        match &mut self.own[id as usize] {
            Some(clock) => Ok(nanoseconds(clock.resolution()).max(1)),
            None => cpu::resolution(id),
        }
    }

    /// The moment at which a clock shows `time` (absolute), or has moved on by it since it showed `start`.
    pub(crate) fn timer(
        &mut self,
        start: &mut Start,
        id: ClockId,
        time: u64,
        absolute: bool,
    ) -> Result<Timer, Errno> {
        let own = self.own[id as usize].is_some();
        if !own && matches!(id, ClockId::ProcessCpuTime | ClockId::ThreadCpuTime) {
            // A sleeping guest uses no processor time: it would never wake.
            return Err(Errno::NotSup);
        }
        let may_be_set = id == ClockId::Realtime && absolute;
        let steady = !own && !may_be_set;
        let deadline = if absolute {
            time
        } else {
            let start = match &mut start.0[id as usize] {
                Some(start) => *start,
                none => *none.insert(self.read(id, steady)?),
            };
            start.saturating_add(time)
        };
        Ok(Timer {
            id,
            steady,
            deadline,
        })
    }

    /// How long there is to wait for, by the timer's clock.
    pub(crate) fn left(&mut self, timer: &Timer) -> Result<Duration, Errno> {
        let now = self.read(timer.id, timer.steady)?;
        Ok(Duration::from_nanos(timer.deadline.saturating_sub(now)))
    }

    /// How long the host shall wait for a timer; its clock is told.
    pub(crate) fn wait(&mut self, timer: &Timer, left: Duration) -> Duration {
        match &mut self.own[timer.id as usize] {
            Some(clock) => clock.wait(left),
            None => left,
        }
    }

    fn read(&mut self, id: ClockId, steady: bool) -> Result<u64, Errno> {
        if steady {
            Ok(self.steady())
        } else {
            self.now(id)
        }
    }

    fn steady(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }
}

/// What the clocks showed when a wait began, as far as that has been of interest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start([Option<u64>; 4]);

/// A point in time as preview 1 counts it; before 1970 is 0.
pub(crate) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, nanoseconds)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
        Duration::try_from(time)
            .map(nanoseconds)
            .map_err(|_| Errno::Overflow)
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

    fn left(
        clocks: &mut Clocks,
        id: ClockId,
        time: u64,
        absolute: bool,
    ) -> Result<Duration, Errno> {
        let timer = clocks.timer(&mut Start::default(), id, time, absolute)?;
        clocks.left(&timer)
    }

    #[test]
    fn the_monotonic_clock_starts_at_zero_and_moves_on() {
        let mut clocks = Clocks::new();
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
        let mut clocks = Clocks::new();
        assert_eq!(
            left(&mut clocks, ClockId::Realtime, 1, true),
            Ok(Duration::ZERO)
        );
        for id in [ClockId::Realtime, ClockId::Monotonic] {
            let left = left(&mut clocks, id, u64::MAX, false).unwrap();
            assert!(left > Duration::from_secs(1 << 33), "{left:?}");
        }
        assert_eq!(
            left(&mut clocks, ClockId::ProcessCpuTime, 5, false),
            Err(Errno::NotSup)
        );
    }

    #[test]
    #[cfg(unix)]
    fn every_clock_has_a_time_and_a_resolution() {
        let mut clocks = Clocks::new();
        for id in 0..4 {
            let clock = ClockId::from_guest(id).unwrap();
            assert!(clocks.now(clock).is_ok(), "{clock:?}");
            assert!(clocks.resolution(clock).unwrap() >= 1, "{clock:?}");
        }
        assert_eq!(ClockId::from_guest(4), Err(Errno::Inval));
    }

    #[test]
    fn an_embedders_clock_is_asked_and_told() {
        let mut clocks = Clocks::new();
        let own = VirtualClock::new(Duration::from_nanos(100));
        clocks.set(ClockId::ThreadCpuTime, Box::new(own.clone()));
        assert_eq!(clocks.now(ClockId::ThreadCpuTime), Ok(100));
        assert_eq!(clocks.resolution(ClockId::ThreadCpuTime), Ok(1));
        let mut start = Start::default();
        let relative = clocks
            .timer(&mut start, ClockId::ThreadCpuTime, 50, false)
            .unwrap();
        own.advance(Duration::from_nanos(20));
        // Both are relative to the same moment.
        let later = clocks
            .timer(&mut start, ClockId::ThreadCpuTime, 60, false)
            .unwrap();
        let absolute = clocks
            .timer(&mut start, ClockId::ThreadCpuTime, 110, true)
            .unwrap();
        let mut nanoseconds = |timer| clocks.left(&timer).unwrap().as_nanos();
        assert_eq!(
            [relative, later, absolute].map(&mut nanoseconds),
            [30, 40, 0]
        );
        let wait = clocks.left(&relative).unwrap();
        assert_eq!(clocks.wait(&relative, wait), Duration::ZERO);
        assert_eq!(own.now(), Duration::from_nanos(150));
        assert_eq!(clocks.left(&relative), Ok(Duration::ZERO));
    }

    #[test]
    fn times_beyond_what_guests_can_count_are_the_last_one() {
        let mut clocks = Clocks::new();
        clocks.set(
            ClockId::Monotonic,
            Box::new(VirtualClock::new(Duration::MAX)),
        );
        assert_eq!(clocks.now(ClockId::Monotonic), Ok(u64::MAX));
    }
}
