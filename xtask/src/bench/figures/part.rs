//! The measurements themselves, in the parts that each need a process of their own.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use nix::time::{ClockId, clock_gettime};

use super::large;
use super::subject::{Engine, Guest, Subject, Translation};
use crate::bench::statistics::Sample;
use crate::programs;

/// What one child process measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    StartUp,
    Operations,
    /// The peak of a process's memory never falls, so each takes one.
    PeakLazy,
    PeakEager,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::StartUp => "start-up",
            Part::Operations => "operations",
            Part::PeakLazy => "peak-lazy",
            Part::PeakEager => "peak-eager",
        })
    }
}

type Figures = Vec<(&'static str, f64)>;

/// Measures a part. Figures that the subject does not have are left out.
pub(super) fn measure(part: Part, subject: &dyn Subject) -> Result<Figures> {
    match part {
        Part::StartUp => start_up(subject),
        Part::Operations => operations(subject),
        Part::PeakLazy => peak(subject, Translation::Lazy, "peak-lazy"),
        Part::PeakEager => peak(subject, Translation::Eager, "peak-eager"),
    }
}

const SMALL: &str = include_str!("small.wat");

/// How many times less a build without optimisation does: it measures nothing worth knowing, but tests
/// run it.
const SCALE: i32 = if cfg!(debug_assertions) { 100 } else { 1 };

/// See `small.wat`.
fn small() -> Result<Vec<u8>> {
    wat::parse_str(SMALL).context("the small module")
}

fn large() -> Vec<u8> {
    large::module(large::FUNCTIONS / SCALE.cast_unsigned())
}

fn start_up(subject: &dyn Subject) -> Result<Figures> {
    let (small, large) = (small()?, large());
    let lazy = engine(subject, Translation::Lazy)?;
    let eager = engine(subject, Translation::Eager)?;
    let start = |engine: &dyn Engine, module: &[u8], export: &str, repetitions: i32, clock| {
        // The first is warm-up: from then on, what differs is the module.
        drop(engine.start(module, export)?);
        let times = (0..repetitions).map(|_| {
            let begin = now(clock)?;
            let guest = engine.start(module, export)?;
            let time = now(clock)? - begin;
            drop(guest);
            Ok(time.as_secs_f64())
        });
        median(times.collect::<Result<_>>()?)
    };
    let many = (200 / SCALE).max(2);
    let few = if SCALE == 1 { 7 } else { 1 };
    let mut figures = vec![
        (
            "small-lazy",
            1e6 * start(&*lazy, &small, "nothing", many, Clock::Thread)?,
        ),
        (
            "small-eager",
            1e6 * start(&*eager, &small, "nothing", many, Clock::Thread)?,
        ),
    ];
    let large_lazy = start(&*lazy, &large, "run", few, Clock::Thread)?;
    let large_eager = start(&*eager, &large, "run", few, Clock::Thread)?;
    figures.extend([
        ("large-lazy", 1e3 * large_lazy),
        ("large-eager", 1e3 * large_eager),
        (
            "large-eager-wall",
            1e3 * start(&*eager, &large, "run", few, Clock::Wall)?,
        ),
        (
            "translation",
            1e-6 * large.len() as f64 / (large_eager - large_lazy),
        ),
    ]);
    if let Some(parallel) = subject.engine(Translation::ParallelEager)? {
        let seconds = start(&*parallel, &large, "run", few, Clock::Wall)?;
        figures.push(("large-parallel-wall", 1e3 * seconds));
    }
    if let Some((wasm, code)) = eager.code_size(&large)? {
        figures.push(("code-large", code as f64 / wasm as f64));
    }
    if let Some(ratio) = code_of_programs(&*eager)? {
        figures.push(("code-programs", ratio));
    }
    Ok(figures)
}

/// Bytes of code for a byte of the functions of the in-tree programs that are measured.
fn code_of_programs(engine: &dyn Engine) -> Result<Option<f64>> {
    let (mut wasm, mut code) = (0, 0);
    for program in programs::below(&programs::in_tree_folder(), "")? {
        if !programs::is_measured(&program.name) {
            continue;
        }
        let Some(size) = engine.code_size(&fs::read(&program.file)?)? else {
            return Ok(None);
        };
        (wasm, code) = (wasm + size.0, code + size.1);
    }
    Ok(Some(code as f64 / wasm as f64))
}

fn operations(subject: &dyn Subject) -> Result<Figures> {
    let engine = engine(subject, Translation::Lazy)?;
    let mut guest = engine.start(&small()?, "nothing")?;
    let calls = 2_000_000 / SCALE;
    let empty = seconds(&mut *guest, "loop", calls)?;
    let mut each = |export| -> Result<f64> {
        let own = seconds(&mut *guest, export, calls)?;
        Ok(1e9 * (own - empty) / f64::from(calls))
    };
    let mut figures = vec![
        ("host", each("host")?),
        ("direct", each("direct")?),
        ("indirect", each("indirect")?),
    ];
    let fib = if SCALE == 1 { 27 } else { 10 };
    figures.push(("fib", 1e3 * seconds(&mut *guest, "fib", fib)?));
    let entries = 200_000 / SCALE;
    let mut nothing = guest.export("nothing")?;
    let enter = repeated(entries, || {
        ensure!(
            nothing(black_box(7)) == Some(7),
            "`nothing` answers its argument"
        );
        Ok(())
    })?;
    drop(nothing);
    let mut trap = guest.export("trap")?;
    let trapped = repeated(entries / 10, || {
        ensure!(trap(black_box(0)).is_none(), "`trap` traps");
        Ok(())
    })?;
    drop(trap);
    let instances = 2000 / SCALE;
    let instantiate = repeated(instances, || guest.instantiate_again())?;
    if let Some(pooled) = subject.pooled()? {
        let guest = pooled.start(&small()?, "nothing")?;
        let seconds = repeated(instances, || guest.instantiate_again())?;
        figures.push(("instantiate-pooled", 1e6 * seconds));
    }
    let interrupts = (0..(100 / SCALE).max(2)).map(|_| guest.interrupt("spin"));
    let interrupts: Option<Vec<Duration>> = interrupts.collect::<Result<_>>()?;
    if let Some(times) = interrupts {
        let seconds = times.iter().map(Duration::as_secs_f64);
        figures.push(("interrupt", 1e6 * median(seconds.collect())?));
    }
    figures.extend([
        ("enter", 1e9 * enter),
        ("trap", 1e9 * trapped),
        ("instantiate", 1e6 * instantiate),
    ]);
    Ok(figures)
}

/// CPU seconds of one call of an export, once it is warm.
fn seconds(guest: &mut dyn Guest, export: &str, argument: i32) -> Result<f64> {
    let mut export_ = guest.export(export)?;
    export_(1);
    let times = (0..5).map(|_| {
        let begin = now(Clock::Thread)?;
        ensure!(export_(black_box(argument)).is_some(), "{export} traps");
        Ok((now(Clock::Thread)? - begin).as_secs_f64())
    });
    median(times.collect::<Result<_>>()?)
}

/// CPU seconds of one of so many repetitions.
fn repeated(repetitions: i32, mut operation: impl FnMut() -> Result<()>) -> Result<f64> {
    operation()?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let begin = now(Clock::Thread)?;
        for _ in 0..repetitions {
            operation()?;
        }
        let time = now(Clock::Thread)? - begin;
        times.push(time.as_secs_f64() / f64::from(repetitions));
    }
    median(times)
}

fn median(times: Vec<f64>) -> Result<f64> {
    let sample = Sample::of(times).context("nothing was measured")?;
    Ok(sample.median)
}

fn peak(subject: &dyn Subject, translation: Translation, id: &'static str) -> Result<Figures> {
    let guest = engine(subject, translation)?.start(&large(), "run")?;
    let figures = peak_memory()?.map(|mebibytes| (id, mebibytes));
    drop(guest);
    Ok(figures.into_iter().collect())
}

/// The most memory that this process had at once, in MiB; `None` where the system does not tell.
///
/// Not `ru_maxrss`: Linux lets a process inherit that from the one that started it.
fn peak_memory() -> Result<Option<f64>> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return Ok(None);
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let Some(kibibytes) = kibibytes else {
        return Ok(None);
    };
    Ok(Some(kibibytes.parse::<f64>()? / 1024.0))
}

fn engine(subject: &dyn Subject, translation: Translation) -> Result<Box<dyn Engine>> {
    let engine = subject.engine(translation)?;
    engine.with_context(|| format!("no engine with {translation:?}"))
}

#[derive(Clone, Copy)]
enum Clock {
    /// CPU time of this thread.
    Thread,
    Wall,
}

/// The time since some moment.
fn now(clock: Clock) -> Result<Duration> {
    match clock {
        Clock::Thread => Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into()),
        Clock::Wall => {
            static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
            Ok(START.get_or_init(Instant::now).elapsed())
        }
    }
}
