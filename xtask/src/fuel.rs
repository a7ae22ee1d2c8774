//! `cargo xtask fuel`: what programs and scripts consume, the same in every mode, tier and order of translation.
//!
//! `xtask/fuel.txt` has the figures. They are a promise to hosts that charge for fuel: a change of one is a
//! change of the interface, and `--bless` makes it visible.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use vm_engine::Translation;

use crate::guest::{self, How};
use crate::mode::Mode;
use crate::{programs, spec};

/// Options of `cargo xtask fuel`.
#[derive(Args)]
pub(crate) struct Options {
    /// Write down the figures instead of comparing them
    #[arg(long)]
    bless: bool,

    /// Only programs and scripts whose name contains this
    #[arg(default_value = "", conflicts_with = "bless")]
    filter: String,
}

const HEADER: &str = "\
# What programs (for one round) and official scripts (all their invocations together) consume
# in fuel. The same in every mode: `cargo xtask fuel` compares, `cargo xtask fuel --bless` writes.
";

/// What consumes fuel.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Program(String),
    Script(String),
}

impl Subject {
    fn title(&self) -> String {
        match self {
            Subject::Program(name) => format!("program {name}"),
            Subject::Script(name) => format!("script {name}"),
        }
    }

    /// What each of its runs consumes in a mode.
    fn consumed(&self, mode: Mode, how: How) -> Result<Vec<u64>> {
        match self {
            Subject::Program(name) => program(name, mode, how).map(|fuel| vec![fuel]),
            Subject::Script(name) => {
                let mut config = mode.config();
                config.consume_fuel(true);
                if how == How::Eager {
                    config.translation(Translation::Eager);
                }
                spec::fuel(name, mode, config)
            }
        }
    }

    /// What all of its runs consume together, if that is the same in every mode.
    fn total(&self) -> Result<u64> {
        let mut first = None;
        let hows: &[How] = match self {
            Subject::Program(_) => &[How::Lazy, How::Eager, How::InPortions],
            Subject::Script(_) => &[How::Lazy, How::Eager],
        };
        let all = Mode::ALL.into_iter();
        for (mode, how) in all.flat_map(|mode| hows.iter().map(move |how| (mode, *how))) {
            let here = format!("{} ({how:?})", mode.name());
            let consumed = self.consumed(mode, how).with_context(|| here.clone())?;
            let (there, expected) = first.get_or_insert_with(|| (here.clone(), consumed.clone()));
            if *expected != consumed {
                let at = expected.iter().zip(&consumed).position(|(a, b)| a != b);
                let at = at.unwrap_or_else(|| expected.len().min(consumed.len()));
                bail!(
                    "run {at} consumes {:?} in {there} and {:?} in {here}",
                    expected.get(at),
                    consumed.get(at),
                );
            }
        }
        Ok(first.map_or(0, |(_, consumed)| consumed.iter().sum()))
    }
}

/// What a program consumes.
fn program(name: &str, mode: Mode, how: How) -> Result<u64> {
    let file = programs::in_tree_folder().join(name).with_extension("wasm");
    let output = guest::fuel_command(mode, how, &file)?.arg("1").output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ends with {}: {}",
        output.status,
        stderr.trim()
    );
    let fuel = stderr.trim().strip_prefix("fuel ");
    let fuel = fuel.with_context(|| format!("says {stderr:?} and not what it has consumed"))?;
    fuel.parse().with_context(|| format!("fuel in {stderr:?}"))
}

/// Finds out what everything consumes, and compares or writes it down.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let in_tree = programs::below(&programs::in_tree_folder(), "")?;
    let in_tree = in_tree
        .into_iter()
        .map(|program| Subject::Program(program.name));
    let mut subjects: Vec<_> = in_tree
        .chain(spec::names()?.into_iter().map(Subject::Script))
        .collect();
    subjects.retain(|subject| subject.title().contains(&options.filter));
    let totals = totals(&subjects)?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuel.txt");
    let mut failed = 0;
    let mut fail = |title: &str, why: &dyn std::fmt::Display| {
        println!("failed  {title}: {why:#}");
        failed += 1;
    };
    let mut figures = BTreeMap::new();
    for (subject, total) in subjects.iter().zip(totals) {
        match total {
            Ok(total) => _ = figures.insert(subject.title(), total),
            Err(error) => fail(&subject.title(), &format!("{error:#}")),
        }
    }
    let known = if options.bless {
        figures.clone()
    } else {
        read(&file)?
    };
    for (title, total) in &figures {
        match known.get(title) {
            Some(known) if known == total => {}
            Some(known) => fail(
                title,
                &format!("consumes {total}, and it used to be {known}"),
            ),
            None => fail(
                title,
                &format!("consumes {total}, which `--bless` should write down"),
            ),
        }
    }
    println!(
        "{} consume the same in {} modes, eager, lazy and in portions: {} units of fuel; {failed} failed",
        figures.len(),
        Mode::ALL.len(),
        figures.values().sum::<u64>(),
    );
    if options.bless && failed == 0 {
        write(&file, &figures)?;
    }
    Ok(if failed == 0 && !figures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// [`Subject::total`] of each, on all processors.
fn totals(subjects: &[Subject]) -> Result<Vec<Result<u64>>> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let totals = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(subject) = subjects.get(index) else {
                        return;
                    };
                    let total = subject.total();
                    if let Ok(mut totals) = totals.lock() {
                        totals.push((index, total));
                    }
                }
            });
        }
    });
    let mut totals = totals.into_inner()?;
    ensure!(
        totals.len() == subjects.len(),
        "a worker ended before its work"
    );
    totals.sort_by_key(|(index, _)| *index);
    Ok(totals.into_iter().map(|(_, total)| total).collect())
}

/// What programs consume for one round, by their names.
pub(crate) fn programs() -> Result<BTreeMap<String, u64>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuel.txt");
    let program =
        |(title, fuel): (String, u64)| Some((title.strip_prefix("program ")?.into(), fuel));
    Ok(read(&file)?.into_iter().filter_map(program).collect())
}

fn read(file: &PathBuf) -> Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (title, fuel) = line.rsplit_once(' ').context("a line without a figure")?;
            Ok((title.to_owned(), fuel.parse()?))
        })
        .collect()
}

fn write(file: &PathBuf, figures: &BTreeMap<String, u64>) -> Result<()> {
    let mut text = HEADER.to_owned();
    for (title, total) in figures {
        let _ = writeln!(text, "{title} {total}");
    }
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
