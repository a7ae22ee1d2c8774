//! The targets without a fuzzer: random bytes from a seed, as many cases as asked for.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use palisade_fuzz::compare::{self, By, Case};
use palisade_fuzz::counts::Counts;
#[cfg(feature = "wasi")]
use palisade_fuzz::csmith;
use palisade_fuzz::drive::{self, Budget, Plan};
#[cfg(feature = "shrink")]
use palisade_fuzz::shrink;
use palisade_fuzz::targets::api::{self, Flaw};
use palisade_fuzz::targets::{self, Finding, Target};

/// Random cases for Palisade, against Wasmtime or a model.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a target on random cases; exits with 1 if there was a finding.
    Run {
        /// The target; all if none is named.
        #[arg(long)]
        target: Vec<String>,
        /// How long each target runs.
        #[arg(long, value_name = "N", conflicts_with = "runs")]
        seconds: Option<u64>,
        /// How many cases each target runs.
        #[arg(long, value_name = "N", default_value_t = 100)]
        runs: u64,
        /// The first case; the next one has the next seed.
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
        /// Where to keep what is needed to look into a finding.
        #[arg(long, value_name = "DIR", default_value = "findings")]
        findings: PathBuf,
        /// After how many findings a target stops.
        #[arg(long, value_name = "N", default_value_t = 20)]
        most: u64,
        /// Also count by mode.
        #[arg(long)]
        verbose: bool,
    },
    /// Run a target on the bytes of a file, as `cargo fuzz` leaves them.
    Input {
        /// The target.
        #[arg(long)]
        target: String,
        /// The file.
        file: PathBuf,
    },
    /// Break the model of the target `api` in every way that it knows, and count the cases until that is noticed;
    /// exits with 1 if it is not.
    Flaws {
        /// How many cases to try.
        #[arg(long, value_name = "N", default_value_t = 300)]
        runs: u64,
        /// The first case.
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
    },
    /// Compare programs of csmith's, compiled to WebAssembly, with themselves as native programs.
    #[cfg(feature = "wasi")]
    Csmith {
        /// How many programs.
        #[arg(long, value_name = "N", default_value_t = 10)]
        programs: u64,
        /// Start no program after so many seconds.
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
        /// The seed of the first one; the next one has the next.
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
        /// The compiler, with targets of WASI and of this host with 32 bits.
        #[arg(long, default_value = "clang-19")]
        clang: String,
        /// Where csmith's headers are.
        #[arg(long, value_name = "DIR", default_value = "/usr/include/csmith")]
        headers: PathBuf,
        /// Where to keep programs that differ.
        #[arg(long, value_name = "DIR", default_value = "findings")]
        findings: PathBuf,
    },
    /// Compare a module, in the binary or the text format, as the target `differential` does.
    Module {
        /// The file.
        file: PathBuf,
        /// The seed of calls and arguments: a finding names it.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Make a module smaller for as long as it still differs, and print it.
    #[cfg(feature = "shrink")]
    Shrink {
        /// The file.
        file: PathBuf,
        /// The seed of calls and arguments.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Where the smaller module goes.
        output: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    let Arguments { command } = Arguments::parse();
    // Wasmtime's guests run on the thread's stack.
    drive::with_stack(|| run(command))
}

fn run(command: Command) -> Result<ExitCode> {
    let found = match command {
        Command::Run {
            target,
            seconds,
            runs,
            seed,
            findings,
            most,
            verbose,
        } => {
            let targets: Vec<&Target> = match target.is_empty() {
                true => targets::ALL.iter().collect(),
                false => target
                    .iter()
                    .map(|name| find(name))
                    .collect::<Result<_>>()?,
            };
            let budget = seconds.map_or(Budget::Runs(runs), Budget::Seconds);
            let plan = Plan {
                budget,
                seed,
                findings,
                most,
                verbose,
            };
            let mut found = 0;
            for target in targets {
                found += drive::run(target, &plan)?;
            }
            found
        }
        Command::Input { target, file } => {
            let target = find(&target)?;
            let data =
                std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            report((target.body)(&data, &mut Counts::new()))
        }
        Command::Flaws { runs, seed } => flaws(runs, seed)?,
        #[cfg(feature = "wasi")]
        Command::Csmith {
            programs,
            seconds,
            seed,
            clang,
            headers,
            findings,
        } => csmith::run(&csmith::Plan {
            seed,
            programs,
            seconds,
            clang,
            headers,
            findings,
        })?,
        Command::Module { file, seed } => {
            let wasm = wat::parse_file(&file)?;
            let mut counts = Counts::new();
            let by = By::of(&wasm);
            let found = compare::differences(&Case { wasm, seed, by }, &mut counts, usize::MAX);
            for difference in &found {
                println!("{difference}");
            }
            println!("{counts}");
            found.len() as u64
        }
        #[cfg(feature = "shrink")]
        Command::Shrink { file, seed, output } => {
            let wasm = shrink::shrink(wat::parse_file(&file)?, seed)?;
            println!("{}", wasmprinter::print_bytes(&wasm)?);
            std::fs::write(&output, wasm)
                .with_context(|| format!("cannot write {}", output.display()))?;
            0
        }
    };
    Ok(ExitCode::from(u8::from(found > 0)))
}

/// How many flaws of the model go unnoticed.
fn flaws(runs: u64, first: u64) -> Result<u64> {
    let target = find("api")?;
    let mut unnoticed = 0;
    for flaw in Flaw::ALL {
        let mut noticed = None;
        for case in 0..runs {
            if api::notices(*flaw, &drive::bytes(target, first + case))? {
                noticed = Some(case + 1);
                break;
            }
        }
        match noticed {
            Some(cases) => println!("{flaw:?}: noticed in case {cases}"),
            None => {
                unnoticed += 1;
                println!("{flaw:?}: not noticed in {runs} cases");
            }
        }
    }
    Ok(unnoticed)
}

fn find(name: &str) -> Result<&'static Target> {
    let Some(target) = targets::find(name) else {
        let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
        bail!(
            "there is no target `{name}`; there are {}",
            names.join(", ")
        );
    };
    Ok(target)
}

fn report(result: Result<(), Finding>) -> u64 {
    match result {
        Ok(()) => 0,
        Err(finding) => {
            println!("{}", finding.text);
            1
        }
    }
}
