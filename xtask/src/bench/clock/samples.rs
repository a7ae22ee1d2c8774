//! User CPU time by samples of the kernel's performance events.
//!
//! Source: `perf_event_open(2)`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use perf_event::data::Record;
use perf_event::events::Software;
use perf_event::{Builder, Sampler};

/// Pages of a buffer for samples. One takes 8 bytes, so there is room for some 3 s of them.
const PAGES: usize = 16;

/// Looks from time to time whether the processes that the calling thread has started meanwhile are in user mode,
/// from their first instruction on.
pub(super) struct Samples {
    period: Duration,
    /// One for each processor that they may run on.
    samplers: Vec<Sampler>,
}

impl Samples {
    /// Looks each time that a process has run for another `period`.
    ///
    /// # Errors
    ///
    /// The host does not have performance events, or does not allow them.
    pub(super) fn start(period: Duration) -> Result<Samples> {
        let usable = sched_getaffinity(Pid::from_raw(0))
            .context("asking which processors there are to run on")?;
        let samplers = (0..CpuSet::count())
            .filter(|cpu| usable.is_set(*cpu).unwrap_or(false))
            .map(|cpu| {
                Builder::new(Software::TASK_CLOCK)
                    .observe_self()
                    .one_cpu(cpu)
                    .inherit(true)
                    .enable_on_exec(true)
                    .exclude_kernel(true)
                    .exclude_hv(true)
                    .sample_period(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX))
                    .build()?
                    .sampled(PAGES)
            })
            .collect::<Result<Vec<Sampler>, _>>()
            .context(
                "perf_event_open (user-mode samples of one's own processes need \
                 /proc/sys/kernel/perf_event_paranoid at 2 or below)",
            )?;
        Ok(Samples { period, samplers })
    }

    /// How long the processes were in user mode.
    ///
    /// # Errors
    ///
    /// The kernel had to leave out samples.
    pub(super) fn user_time(mut self) -> Result<Duration> {
        let mut count = 0;
        for sampler in &mut self.samplers {
            while let Some(record) = sampler.next_record() {
                match record.parse_record().context("reading a sample")? {
                    Record::Sample(_) => count += 1,
                    other => bail!("the kernel left out samples: {other:?}"),
                }
            }
        }
        Ok(self.period * count)
    }
}
