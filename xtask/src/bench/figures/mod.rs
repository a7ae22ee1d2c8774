//! Figures beside the programs' speed: start-up, translation, size of code, memory, single operations.
//!
//! They are measured in child processes too, one for each contestant and [`Part`], in every pass. What
//! is timed here is timed by the thread's CPU clock, except where several threads work.

pub(super) mod large;
pub(super) mod palisade;
mod part;
pub(super) mod subject;
#[cfg(feature = "peers")]
mod wasmi;

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use self::palisade::Palisade;
use self::part::Part;
use self::subject::Subject;
use super::contestant::Contestant;
use super::statistics::Sample;
use super::table::Row;
use crate::mode::Modes;
use crate::programs;

/// Something measured: what a child prints it as, and how the table shows it.
struct Figure {
    id: &'static str,
    label: &'static str,
    unit: &'static str,
    /// Whether more is better.
    rate: bool,
}

const fn figure(id: &'static str, label: &'static str, unit: &'static str) -> Figure {
    Figure {
        id,
        label,
        unit,
        rate: false,
    }
}

const FIGURES: &[Figure] = &[
    figure("small-lazy", "start-up of a small module, lazy", "µs"),
    figure("small-eager", "start-up of a small module, eager", "µs"),
    figure("large-lazy", "start-up of a large module, lazy", "ms"),
    figure("large-eager", "start-up of a large module, eager", "ms"),
    figure("large-eager-wall", "the same by the wall clock", "ms"),
    figure(
        "large-parallel-wall",
        "start-up of a large module, parallel eager, wall clock",
        "ms",
    ),
    Figure {
        id: "translation",
        label: "translation: bytes by what eager takes longer than lazy",
        unit: "MB/s",
        rate: true,
    },
    figure(
        "code-large",
        "threaded code for a byte of the large module's functions",
        "B",
    ),
    figure(
        "code-programs",
        "threaded code for a byte of the in-tree programs' functions",
        "B",
    ),
    figure(
        "peak-lazy",
        "peak memory with the large module, lazy",
        "MiB",
    ),
    figure(
        "peak-eager",
        "peak memory with the large module, eager",
        "MiB",
    ),
    figure("instantiate", "store and instance, made and dropped", "µs"),
    figure(
        "instantiate-pooled",
        "store and instance, made and dropped, from a pool",
        "µs",
    ),
    figure("enter", "typed call into the guest and back", "ns"),
    figure("host", "typed call of the host and back", "ns"),
    figure("direct", "direct call and return", "ns"),
    figure("indirect", "`call_indirect` and return", "ns"),
    figure("fib", "`fib(27)`: 832,039 calls", "ms"),
    figure("trap", "trap: enter, access out of bounds, return", "ns"),
    figure(
        "interrupt",
        "from the interrupt of an endless loop to the end of its call, wall clock",
        "µs",
    ),
];

/// Options of the hidden command that measures figures.
#[derive(Args)]
pub(crate) struct Options {
    /// The mode to measure; without one it is the linked wasmi (feature `peers`)
    #[arg(long, value_enum)]
    mode: Option<Modes>,

    #[arg(value_enum)]
    part: Part,
}

/// Measures, and prints one line `ID VALUE` for each figure.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let subject = subject(options.mode)?;
    for (id, value) in part::measure(options.part, &*subject)? {
        println!("{id} {value}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Palisade in a mode, or the linked wasmi.
pub(super) fn subject(mode: Option<Modes>) -> Result<Box<dyn Subject>> {
    match mode.map(Modes::list).as_deref() {
        Some([mode]) => Ok(Box::new(Palisade(*mode))),
        Some(_) => bail!("one mode is measured at a time"),
        None => linked_wasmi(),
    }
}

#[cfg(feature = "peers")]
fn linked_wasmi() -> Result<Box<dyn Subject>> {
    Ok(Box::new(wasmi::Wasmi))
}

#[cfg(not(feature = "peers"))]
fn linked_wasmi() -> Result<Box<dyn Subject>> {
    bail!("no peer is linked: build xtask with `--features peers`, or name a mode")
}

/// The rows of the table. Says on stderr what it does, and sets `failed` if one of Palisade's modes
/// cannot be measured.
pub(super) fn measure(contestants: &[Contestant], passes: usize, failed: &mut bool) -> Vec<Row> {
    let mut lines: Vec<Vec<(String, f64)>> = vec![Vec::new(); contestants.len()];
    for pass in 1..=passes {
        for part in Part::value_variants() {
            eprintln!("pass {pass} of {passes}: figures, {part}");
            for (contestant, lines) in contestants.iter().zip(&mut lines) {
                let Some(result) = child(contestant, *part) else {
                    continue;
                };
                match result {
                    Ok(more) => lines.extend(more),
                    Err(error) => {
                        *failed |= matches!(contestant, Contestant::Mode { .. });
                        eprintln!("  {}: {error:#}", contestant.name());
                    }
                }
            }
        }
    }
    let row = |figure: &Figure| Row {
        program: figure.label.to_owned(),
        unit: figure.unit,
        rate: figure.rate,
        samples: lines
            .iter()
            .map(|lines| {
                let own = lines.iter().filter(|(id, _)| id == figure.id);
                Sample::of(own.map(|(_, value)| *value).collect())
            })
            .collect(),
        note: None,
    };
    let rows = FIGURES.iter().map(row);
    rows.filter(|row| row.samples.iter().any(Option::is_some))
        .collect()
}

/// One child's figures; `None` if the contestant is a command, which cannot be asked.
fn child(contestant: &Contestant, part: Part) -> Option<Result<Vec<(String, f64)>>> {
    let mode = match contestant {
        Contestant::Mode { mode, .. } | Contestant::Metered { mode, .. } => Some(*mode),
        Contestant::Peer { name, .. } if name == "wasmi" && cfg!(feature = "peers") => None,
        Contestant::Peer { .. } => return None,
    };
    let run = || {
        let mut command = Command::new(env::current_exe().context("finding this program")?);
        command.args(["figures", &part.to_string()]);
        if let Some(mode) = mode {
            command.args(["--mode", mode.name()]);
        }
        let parse = |line: &str| -> Option<(String, f64)> {
            let (id, value) = line.split_once(' ')?;
            Some((id.to_owned(), value.parse().ok()?))
        };
        let output = programs::output(&mut command)?;
        let lines = output
            .lines()
            .map(|line| parse(line).with_context(|| format!("{line:?} is no figure")));
        lines.collect()
    };
    Some(run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;

    #[test]
    fn every_figure_is_measured_in_every_mode_under_an_id_of_its_own() {
        for (n, figure) in FIGURES.iter().enumerate() {
            assert!(FIGURES[..n].iter().all(|other| other.id != figure.id));
        }
        for mode in Mode::ALL {
            // A host may not have a mode; `cargo xtask bench` says so.
            if mode.engine().is_err() {
                continue;
            }
            for part in Part::value_variants() {
                let measured = part::measure(*part, &Palisade(mode)).expect("figures");
                for (id, value) in measured {
                    assert!(FIGURES.iter().any(|figure| figure.id == id), "{id}");
                    assert!(value.is_finite(), "{id}: {value}");
                }
            }
        }
    }
}
