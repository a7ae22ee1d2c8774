//! How long programs take.
//!
//! Kernels know how long a process ran, but many divide that into user and system time by looking every few
//! milliseconds which of the two it is in (Linux: `CONFIG_TICK_CPU_ACCOUNTING`, every 1 to 10 ms). A process that
//! ends before the first look is said to have been in user mode all the time (`cputime_adjust` in
//! `kernel/sched/cputime.c`), so short programs seem to take longer than they do, the more the shorter they are.
//! Their user time is therefore taken by [samples], where the host allows it.

#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    path = "clock/no_samples.rs"
)]
mod samples;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use self::samples::Samples;

/// A program is run again until its runs together take as much CPU time as this.
const LEAST_TIME: Duration = Duration::from_millis(250);

/// A program that takes less user time than this each time ends after a few of the kernel's looks, or
/// before the first.
const SHORT_TIME: Duration = Duration::from_millis(10);

/// So it is run so many times, which leaves a standard error of some 3 %.
const SHORT_RUNS: u32 = 500;

/// Between two samples: often enough for two or three of them in the shortest program, seldom enough for
/// what a sample costs (20 µs on a virtual machine) to count little.
const PERIOD: Duration = Duration::from_micros(400);

/// The period grows by a microsecond each run, up to so many. Samples are counted from where a program
/// starts, so with the same period in every run they would all see the same few instructions.
const PERIODS: u64 = 200;

/// Which CPU time of a process counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CpuTime {
    /// In user mode.
    User,
    /// In user mode and in the kernel.
    All,
}

/// What measures programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    time: CpuTime,
    samples: bool,
}

impl Clock {
    /// Says on stderr why there are no samples if this host does not allow them.
    pub(crate) fn new(time: CpuTime) -> Clock {
        let samples = time == CpuTime::User
            && Samples::start(PERIOD)
                .inspect_err(|error| {
                    eprintln!(
                        "warning: user times below {SHORT_TIME:?} are not to be relied on, the kernel guesses \
                         them: {error:#}"
                    );
                })
                .is_ok();
        Clock { time, samples }
    }

    /// What the table's seconds are.
    pub(crate) fn name(self) -> &'static str {
        match (self.time, self.samples) {
            (CpuTime::User, true) => "user CPU seconds (of short programs by samples)",
            (CpuTime::User, false) => {
                "user CPU seconds (of short programs as the kernel guesses them)"
            }
            (CpuTime::All, _) => "CPU seconds, user and system",
        }
    }

    /// The seconds that the process takes which `run` starts and waits for: the mean of several.
    pub(crate) fn measure(self, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
        let before = self.of_children()?;
        let mut runs = 0;
        loop {
            run()?;
            runs += 1;
            let spent = self.of_children()? - before;
            if self.time == CpuTime::User && spent / runs < SHORT_TIME {
                return self.measure_short(run);
            }
            if spent >= LEAST_TIME {
                return Ok(spent.as_secs_f64() / f64::from(runs));
            }
        }
    }

    fn measure_short(self, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
        let before = self.of_children()?;
        let mut sampled = Duration::ZERO;
        for index in 0..SHORT_RUNS {
            if !self.samples {
                run()?;
                continue;
            }
            let period = PERIOD + Duration::from_micros(u64::from(index) % PERIODS);
            let samples = Samples::start(period)?;
            run()?;
            sampled += samples.user_time()?;
        }
        let spent = match self.samples {
            true => sampled,
            false => self.of_children()? - before,
        };
        Ok(spent.as_secs_f64() / f64::from(SHORT_RUNS))
    }

    /// What the kernel says of the children that have ended. They run one at a time, so a difference is
    /// one child's.
    fn of_children(self) -> Result<Duration> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
            .context("asking for the CPU time of child processes")?;
        let user = duration(usage.user_time())?;
        Ok(match self.time {
            CpuTime::User => user,
            CpuTime::All => user + duration(usage.system_time())?,
        })
    }
}

fn duration(time: TimeVal) -> Result<Duration> {
    let seconds = u64::try_from(time.tv_sec())?;
    let microseconds = u64::try_from(time.tv_usec())?;
    Ok(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Hosts may refuse them, but not without a word about it.
    fn samples() -> Option<Samples> {
        Samples::start(PERIOD)
            .inspect_err(|error| assert!(format!("{error:#}").contains("perf_event_"), "{error:#}"))
            .ok()
    }

    #[test]
    fn a_busy_process_is_seen_in_user_mode() {
        let Some(samples) = samples() else { return };
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        let status = Command::new("sh").args(["-c", script]).status();
        assert!(status.expect("there is a shell").success());
        assert_ne!(
            samples.user_time().expect("samples can be read"),
            Duration::ZERO
        );
    }

    #[test]
    fn only_processes_started_meanwhile_are_sampled() {
        let Some(samples) = samples() else { return };
        let busy = (0..10_000_000_u64).fold(0, |sum, i| sum ^ std::hint::black_box(i));
        std::hint::black_box(busy);
        assert_eq!(
            samples.user_time().expect("samples can be read"),
            Duration::ZERO
        );
    }
}
