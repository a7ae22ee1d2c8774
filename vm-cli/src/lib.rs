#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cli;
mod explore;
mod host;
mod imports;
mod invoke;
mod limits;
mod output;
mod profile;
mod run;
mod strategy;
mod threads;
mod timer;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::output::Failure;

/// The command itself, with the arguments of this process: what it prints goes
/// to the standard streams, and what it returns is the status to end with.
///
/// Where the process has a stack of less than 8 MiB, it runs on a thread with one.
pub fn main() -> ExitCode {
    host::with_enough_stack(run_command)
}

fn run_command() -> ExitCode {
    if let Err(failure) = host::require_memory(host::START, "start") {
        return failure.report();
    }
    let args = cli::with_run(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Explore(args) => explore::explore(&args),
        Command::Profile(args) => profile::profile(&args),
        Command::Strategy => strategy::strategy(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Help and version go to standard output; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody is left to hear that it could not be printed.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => Failure::usage(output::first_paragraph(&error.render().to_string())).report(),
    }
}
