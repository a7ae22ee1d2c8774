//! `cargo xtask bench`: how fast programs run in each mode and on other engines.
//!
//! Every contestant runs every program in a process of its own. Passes are interleaved (A B C A B C), so
//! that a change in the machine's load meets all contestants alike; figures are medians, shown with the
//! least and the greatest. With wasmi installed below `target` (`--install-peers`) it is the first
//! contestant without being named. WASI programs are run by the `palisade` command and by the peers' commands,
//! and measured by the user CPU seconds of the process, start-up and translation included, short ones by the
//! mean of many processes; CoreMark by its own score with the process's CPU time as its clock.

mod chart;
mod clock;
mod contestant;
pub(crate) mod costs;
pub(crate) mod figures;
mod peers;
mod statistics;
mod suite;
mod summary;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};

use self::clock::{Clock, CpuTime};
use self::contestant::{Contestant, Figure};
use self::statistics::Sample;
use self::table::{Group, Row, Table};
use crate::mode::Modes;
use crate::programs::{self, Program};
use crate::published;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Also run the programs below this folder: WASI commands, and CoreMark as a bare module
    #[arg(long)]
    dir: Option<PathBuf>,

    /// The mode to run them in
    #[arg(long, value_enum, default_value_t = Modes::All)]
    mode: Modes,

    /// Also run them on another engine: COMMAND is started with `{}` replaced by the file. The first
    /// peer is what ratios are formed with, wasmi if it is installed; without one it is the first mode.
    /// CoreMark and the figures need more than command lines have, so a peer named `wasmi` is linked for
    /// them (feature `peers`)
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    peers: Vec<String>,

    /// First install wasmi below `target`, where later runs find it
    #[arg(long)]
    install_peers: bool,

    /// Do not use the wasmi below `target`
    #[arg(long, conflicts_with = "install_peers")]
    no_installed_peers: bool,

    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,

    /// A checkout of the public suite wasmi-labs/wasmi-benchmarks, with its submodule, for `--only suite`
    #[arg(long, value_name = "DIR")]
    suite: Option<PathBuf>,

    /// Also draw the programs' speed as a chart into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// The CPU time that programs are measured by
    #[arg(long, value_enum, default_value_t = CpuTime::User)]
    time: CpuTime,

    /// How many times each program is run by each contestant
    #[arg(long, default_value_t = 3)]
    passes: usize,

    /// Run only programs whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

/// A part of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    Programs,
    /// Programs that people run, from public registries: see `programs/published`. Only if it is asked for
    Published,
    Figures,
    /// What modules cost that are made to cost much. Only if it is asked for
    Costs,
    /// What programs take longer if they consume fuel, and if they look at epochs: in one mode, by default the first, and only if
    /// it is asked for
    Metering,
    /// The cases of `--suite`. Only if it is asked for
    Suite,
}

/// Runs everything and prints the table.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!("warning: xtask, and so Palisade in it, was built without optimisation");
    }
    ensure!(options.passes > 0, "--passes has to be at least 1");
    if options.install_peers {
        peers::install()?;
    }
    if options.only == Some(Part::Suite) {
        return run_suite(options);
    }
    let mut contestants = Vec::new();
    if !options.no_installed_peers
        && let Some(wasmi) = peers::installed()?
    {
        if cfg!(not(feature = "peers")) {
            return peers::run_with_linked_peers();
        }
        contestants.push(wasmi);
    }
    for peer in &options.peers {
        contestants.push(Contestant::peer(peer)?);
    }
    if options.only == Some(Part::Costs) {
        let mut failed = false;
        let report = costs::measure(
            &options.mode.list(),
            &options.filter,
            options.time,
            options.passes,
            &mut failed,
        )?;
        print!("{report}");
        return Ok(exit_code(failed));
    }
    if options.only == Some(Part::Metering) {
        contestants.clear();
        if let Some(mode) = options.mode.list().first() {
            mode.engine()?;
            contestants.extend(Contestant::metered(*mode));
        }
    } else {
        let palisade = peers::palisade()?;
        for mode in options.mode.list() {
            mode.engine()?;
            contestants.push(Contestant::Mode {
                mode,
                palisade: palisade.clone(),
            });
        }
    }

    let mut in_tree = programs::below(&programs::in_tree_folder(), &options.filter)?;
    // What the shape table is trained on says nothing about how well it is trained.
    in_tree.retain(|program| programs::is_measured(&program.name));
    let mut sets = vec![("in-tree".to_owned(), in_tree)];
    if let Some(dir) = &options.dir {
        let name = dir.display().to_string();
        sets.push((name, programs::below(dir, &options.filter)?));
    }
    if options.only == Some(Part::Published) {
        sets = vec![(
            "published".to_owned(),
            published::programs(&options.filter)?,
        )];
    }
    sets.retain(|(_, programs)| !programs.is_empty());
    if options.only == Some(Part::Figures) {
        sets.clear();
    } else if sets.is_empty() {
        bail!("no program has {:?} in its name", options.filter);
    }

    let clock = Clock::new(options.time);
    let mut failed = false;
    let mut groups = Vec::new();
    for (name, programs) in &sets {
        let rows = measure(&contestants, programs, clock, options.passes, &mut failed);
        groups.push(Group {
            name: name.clone(),
            programs: true,
            rows,
        });
    }
    // Who asks for some of the programs is not after the figures.
    let figures = match options.only {
        None => options.filter.is_empty(),
        Some(part) => part == Part::Figures,
    };
    if figures {
        groups.push(Group {
            name: "figures".to_owned(),
            programs: false,
            rows: figures::measure(&contestants, options.passes, &mut failed),
        });
    }
    let table = Table {
        contestants: contestants
            .iter()
            .map(|contestant| contestant.name().to_owned())
            .collect(),
        groups,
        passes: options.passes,
        seconds: clock.name(),
    };
    print!("{table}");
    if let Some(file) = &options.svg {
        chart::write(&table, file)?;
    }
    Ok(exit_code(failed))
}

/// All engines are linked for it, so it needs no command of theirs.
fn run_suite(options: &Options) -> Result<ExitCode> {
    let dir = options
        .suite
        .as_deref()
        .context("--only suite needs --suite DIR")?;
    if !options.no_installed_peers && cfg!(not(feature = "peers")) {
        return peers::run_with_linked_peers();
    }
    let mut failed = false;
    let modes = options.mode.list();
    let table = suite::measure(dir, &modes, &options.filter, options.passes, &mut failed)?;
    print!("{table}");
    if let Some(file) = &options.svg {
        chart::write(&table, file)?;
    }
    Ok(exit_code(failed))
}

fn exit_code(failed: bool) -> ExitCode {
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// One row for each program. Says on stderr what it runs, and sets `failed` if one of Palisade's modes
/// cannot run a program.
fn measure(
    contestants: &[Contestant],
    programs: &[Program],
    clock: Clock,
    passes: usize,
    failed: &mut bool,
) -> Vec<Row> {
    let mut figures: Vec<Vec<Vec<Figure>>> =
        vec![vec![Vec::new(); contestants.len()]; programs.len()];
    let mut notes: Vec<Option<String>> = vec![None; programs.len()];
    for pass in 1..=passes {
        for (program, (figures, note)) in programs.iter().zip(figures.iter_mut().zip(&mut notes)) {
            eprintln!("pass {pass} of {passes}: {}", program.name);
            for (contestant, figures) in contestants.iter().zip(figures) {
                if pass > 1 && figures.is_empty() {
                    continue;
                }
                match contestant.run(program, clock) {
                    Ok(figure) => figures.push(figure),
                    Err(error) => {
                        *failed |= !matches!(contestant, Contestant::Peer { .. });
                        // One that fails now and then has no figure either.
                        figures.clear();
                        let text = format!("{}: {error:#}", contestant.name());
                        eprintln!("  {text}");
                        note.get_or_insert(text);
                    }
                }
            }
        }
    }
    programs
        .iter()
        .zip(figures.into_iter().zip(notes))
        .map(|(program, (figures, note))| Row {
            program: program.name.clone(),
            unit: Figure::unit(program.kind),
            rate: Figure::is_rate(program.kind),
            samples: figures
                .into_iter()
                .map(|figures| Sample::of(figures.into_iter().map(|figure| figure.0).collect()))
                .collect(),
            note,
        })
        .collect()
}
