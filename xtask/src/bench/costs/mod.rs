//! What modules cost that are made to cost much: CPU time and memory beside another engine's.
//!
//! Every module is small for what it asks for. Whoever runs code of strangers pays for it, so it should cost in
//! proportion to its size, or be refused. Each is written to a file by a process of its own, and loaded and run by one
//! for each contestant, whose time and greatest resident memory the kernel tells (`wait4`). A process that takes
//! more than [`MOST_SECONDS`] or [`MOST_MEMORY`] is ended.

mod case;
mod modules;
mod report;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, setrlimit};
use wait4::Wait4 as _;

use self::case::Case;
use self::report::{Cost, Report, Row};
use super::clock::CpuTime;
use super::figures;
use super::statistics::Sample;
use crate::mode::{Mode, Modes};

/// The CPU time that a process may take.
const MOST_SECONDS: u64 = 120;

/// The memory that a process may use, without what is only reserved.
const MOST_MEMORY: u64 = 8 << 30;

const WASMI: &str = "wasmi";

/// Options of the hidden command that does one case.
#[derive(Args)]
pub(crate) struct Options {
    /// Write the case's module to the file, instead of loading it from there
    #[arg(long)]
    write: bool,

    /// The mode to measure; without one it is the linked wasmi (feature `peers`)
    #[arg(long, value_enum)]
    mode: Option<Modes>,

    #[arg(value_enum)]
    case: Case,

    file: PathBuf,
}

/// Writes a module, or does with it what is to be measured.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { case, file, .. } = options;
    if options.write {
        fs::write(file, case.module(1))?;
        return Ok(ExitCode::SUCCESS);
    }
    let subject = figures::subject(options.mode)?;
    let module = fs::read(file)?;
    setrlimit(Resource::RLIMIT_CPU, MOST_SECONDS, MOST_SECONDS)?;
    #[cfg(target_os = "linux")]
    setrlimit(Resource::RLIMIT_DATA, MOST_MEMORY, MOST_MEMORY)?;
    case.run(&module, &*subject)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures the cases that have `filter` in their names, in these modes, and on wasmi if it is linked. Says on stderr
/// what it does, and sets `failed` if one of Palisade's modes fails.
pub(super) fn measure(
    modes: &[Mode],
    filter: &str,
    time: CpuTime,
    passes: usize,
    failed: &mut bool,
) -> Result<Report> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let wasmi = cfg!(feature = "peers").then_some(None);
    let measured: Vec<Option<Mode>> = (wasmi.into_iter())
        .chain(modes.iter().copied().map(Some))
        .collect();
    let mut rows = Vec::new();
    for case in Case::value_variants() {
        let name = name(*case);
        if !name.contains(filter) {
            continue;
        }
        let file = folder.path().join(&name);
        let status = command(*case, &file)?.arg("--write").status()?;
        ensure!(status.success(), "writing {name} ends with {status}");
        let mut samples = vec![Vec::new(); measured.len()];
        for pass in 1..=passes {
            eprintln!("pass {pass} of {passes}: {name}");
            for (mode, samples) in measured.iter().zip(&mut samples) {
                if pass > 1 && samples.is_empty() {
                    continue;
                }
                match child(*mode, *case, &file, time) {
                    Ok(cost) => samples.push(cost),
                    Err(error) => {
                        *failed |= mode.is_some();
                        samples.clear();
                        eprintln!("  {}: {error:#}", mode.map_or(WASMI, Mode::name));
                    }
                }
            }
        }
        rows.push(Row {
            label: case.label(),
            bytes: fs::metadata(&file)?.len(),
            costs: samples.iter().map(|samples| median(samples)).collect(),
        });
        fs::remove_file(&file)?;
    }
    ensure!(!rows.is_empty(), "no case has {filter:?} in its name");
    Ok(Report {
        contestants: measured
            .iter()
            .map(|mode| mode.map_or(WASMI, Mode::name))
            .collect(),
        rows,
        passes,
    })
}

fn name(case: Case) -> String {
    let value = case.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn median(costs: &[Cost]) -> Option<Cost> {
    let of = |what: fn(&Cost) -> f64| Sample::of(costs.iter().map(what).collect());
    Some(Cost {
        seconds: of(|cost| cost.seconds)?.median,
        mebibytes: of(|cost| cost.mebibytes)?.median,
    })
}

/// The hidden command for a case.
fn command(case: Case, file: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.arg("cost").arg(name(case)).arg(file);
    Ok(command)
}

/// What a case costs a contestant.
fn child(mode: Option<Mode>, case: Case, file: &Path, time: CpuTime) -> Result<Cost> {
    let mut command = command(case, file)?;
    if let Some(mode) = mode {
        command.args(["--mode", mode.name()]);
    }
    let used = command.spawn()?.wait4()?;
    if !used.status.success() {
        bail!("ends with {}", used.status);
    }
    let seconds = match time {
        CpuTime::User => used.rusage.utime,
        CpuTime::All => used.rusage.utime + used.rusage.stime,
    };
    Ok(Cost {
        seconds: seconds.as_secs_f64(),
        mebibytes: used.rusage.maxrss as f64 / 1024.0 / 1024.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::palisade::Palisade;
    use crate::mode::Mode;

    #[test]
    fn every_case_is_what_it_says_in_every_mode() {
        for case in Case::value_variants() {
            let module = case.module(1000);
            for mode in Mode::ALL {
                // A host may not have a mode; `cargo xtask bench` says so.
                if mode.engine().is_ok() {
                    let done = case.run(&module, &Palisade(mode));
                    done.unwrap_or_else(|error| panic!("{case:?} in {}: {error:#}", mode.name()));
                }
            }
        }
    }
}
