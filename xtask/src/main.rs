//! Palisade's development tasks: spec scripts, benchmarks, checks.
//!
//! Run as `cargo xtask COMMAND`.

mod bench;
mod fuel;
mod guest;
mod imports;
mod mode;
mod programs;
mod published;
mod snapshots;
mod spec;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Palisade's development tasks")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the official WebAssembly test scripts
    Spec(spec::Options),
    /// Compare the speed of the modes with each other and with other engines
    Bench(bench::Options),
    /// Run guest programs in every mode and check what they print
    Programs(programs::Options),
    /// Choose the shapes of the direct executor's handlers by the programs in `programs/corpus`
    Train(train::Options),
    /// Check what programs and scripts consume in fuel: the same in every mode, and what is known
    Fuel(fuel::Options),
    /// Suspend programs at random points and go on with them in another process and another mode
    Snapshots(snapshots::Options),
    /// Show which module of a crate imports which, and fail if any do so in a circle
    Imports(imports::Options),

    /// Run one spec script (started by `spec`)
    #[command(hide = true)]
    SpecScript(spec::ScriptOptions),
    /// Run one guest program (started by `bench` and `programs`)
    #[command(hide = true)]
    Guest(guest::Options),
    /// Run a part of a guest program (started by `snapshots`)
    #[command(hide = true)]
    SnapshotPart(snapshots::PartOptions),
    /// Measure figures of one engine (started by `bench`)
    #[command(hide = true)]
    Figures(bench::figures::Options),
    /// Measure what a module costs one engine (started by `bench`)
    #[command(hide = true)]
    Cost(bench::costs::Options),
}

fn main() -> ExitCode {
    run(&Cli::parse().command).unwrap_or_else(|error| {
        // One line with its causes; a backtrace through these tasks would tell nobody anything.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Spec(options) => spec::run(options),
        Task::Bench(options) => bench::run(options),
        Task::Programs(options) => programs::run(options),
        Task::Train(options) => train::run(options),
        Task::Fuel(options) => fuel::run(options),
        Task::Snapshots(options) => snapshots::run(options),
        Task::SnapshotPart(options) => snapshots::run_part(options),
        Task::Imports(options) => imports::run(options),
        Task::SpecScript(options) => spec::run_script(options),
        Task::Guest(options) => guest::run(options),
        Task::Figures(options) => bench::figures::run(options),
        Task::Cost(options) => bench::costs::run(options),
    }
}
