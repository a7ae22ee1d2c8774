//! `cargo xtask train`: chooses the shapes of the direct executor's default table.
//!
//! Runs the programs of `programs/corpus`, which the benchmark does not report, counts what they
//! do, and writes the shapes that save the most dispatches to `vm-interp/shapes/trained.shapes`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use clap::Args;
use vm_engine::{Engine, Linker, Module, Store};
use vm_interp::shapes::REGISTERS;
use vm_profile::{Budget, Line, LineUse, Program, ShapeTable, dispatches, line_uses, train};
use vm_translate::{Binary, Features};
use vm_wasi::pipe::MemoryOutputPipe;
use vm_wasi::{Clock, ClockId, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::guest::Kind;
use crate::mode::Mode;
use crate::programs;
use crate::published::{self, Use};

/// Options of `cargo xtask train`.
#[derive(Args)]
pub(crate) struct Options {
    /// Train on the programs below this folder
    #[arg(long)]
    dir: Option<PathBuf>,

    /// Train nothing: say how many dispatches the programs would need with these shapes, besides
    /// those that are always there, in percent of what they need without
    #[arg(long, value_name = "FILE")]
    evaluate: Option<PathBuf>,

    /// Leave every so manieth program out, and only report what the shapes do for it
    #[arg(long, value_name = "N")]
    hold_out: Option<usize>,

    /// Train on published programs too: those of `programs/published/list.toml` that are for training
    #[arg(long)]
    published: bool,

    /// Train nothing: say of each line of the shapes that are always there how many shapes it has, how many of them the
    /// programs use, and for how much of their dispatches
    #[arg(long)]
    lines: bool,

    /// The shapes that are always there, if not those of `vm-interp/shapes/base.shapes`
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// Where to write the table
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The most shapes to add to those that are always there
    #[arg(long, default_value_t = 25_000)]
    shapes: u64,

    /// The least share of all dispatches that a line has to save, in percent
    #[arg(long, default_value_t = 0.0003)]
    least_share: f64,

    /// The most operators of a shape
    #[arg(long, default_value_t = 4)]
    operators: usize,

    /// The most roots of a shape
    #[arg(long, default_value_t = 3)]
    roots: usize,
}
/// More than any program prints.
const OUTPUT_BYTES: usize = 1 << 20;

/// What a published program counts beside one of the corpus: there are few of them, and they are what people run.
const PUBLISHED_WEIGHT: f64 = 8.0;

/// Trains and writes the table.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = options.dir.clone();
    let folder = folder.unwrap_or_else(|| programs::in_tree_folder().join("corpus"));
    let output = options.output.clone();
    let output = output.unwrap_or_else(|| root.join("vm-interp/shapes/trained.shapes"));

    let base = options.base.clone();
    let base = base.unwrap_or_else(|| root.join("vm-interp/shapes/base.shapes"));
    let base = fs::read_to_string(&base).with_context(|| format!("reading {}", base.display()))?;
    let mut corpus = Vec::new();
    let mut held_out = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for program in programs::below(&folder, "")? {
        if program.kind != Kind::Wasi {
            continue;
        }
        // Builds of one program are left out together.
        let source = programs::source(&program.name).to_owned();
        if names.last() != Some(&source) {
            names.push(source);
        }
        eprintln!("running {}", program.name);
        let guest = Guest {
            module: program.file,
            arguments: Vec::new(),
            directories: Vec::new(),
            prints: String::new(),
        };
        let run = guest.profile();
        let run = run.with_context(|| format!("running {}", program.name))?;
        let out = options
            .hold_out
            .is_some_and(|n| n > 0 && names.len().is_multiple_of(n));
        if out || options.evaluate.is_some() {
            held_out.push((program.name, run));
        } else {
            corpus.push((run.with_guards(false), Program::CHECKED_WEIGHT));
            corpus.push((run, 1.0));
        }
    }
    if options.published {
        for program in published::list()? {
            if (program.purpose == Use::Test) != options.evaluate.is_some() {
                continue;
            }
            eprintln!("running {}", program.name);
            let guest = Guest {
                module: program.module()?,
                directories: program.directories()?,
                arguments: program.arguments,
                prints: program.prints,
            };
            let run = guest.profile();
            let run = run.with_context(|| format!("running {}", program.name))?;
            if options.evaluate.is_some() {
                held_out.push((program.name, run));
            } else {
                corpus.push((
                    run.with_guards(false),
                    PUBLISHED_WEIGHT * Program::CHECKED_WEIGHT,
                ));
                corpus.push((run, PUBLISHED_WEIGHT));
            }
        }
    }
    if options.lines {
        for LineUse {
            text,
            shapes,
            used,
            share,
        } in line_uses(&corpus, &base, REGISTERS)?
        {
            println!("{shapes:6} {used:6} {:8.4} %  {text}", 100.0 * share);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &options.evaluate {
        let text = fs::read_to_string(file)?;
        let table = ShapeTable::read(&format!("{text}\n{base}"), REGISTERS)?;
        report(&held_out, &table, &base)?;
        return Ok(ExitCode::SUCCESS);
    }
    let budget = Budget {
        shapes: options.shapes,
        least_share: options.least_share / 100.0,
        operators: options.operators,
        roots: options.roots,
    };
    let mut table = ShapeTable::read(&base, REGISTERS)?;
    let always = table.len();
    let lines = train(&corpus, &mut table, budget, |progress| {
        eprintln!(
            "{:6} shapes, {:5} lines: {:.1} % of the dispatches",
            progress.shapes,
            progress.lines,
            100.0 * progress.dispatches
        );
    });
    eprintln!("{always} shapes always there, {} in all", table.len());
    report(&held_out, &table, &base)?;
    fs::write(&output, text(&lines)).with_context(|| format!("writing {}", output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what the shapes do for programs.
fn report(programs: &[(String, Program)], table: &ShapeTable, base: &str) -> Result<()> {
    let base = ShapeTable::read(base, REGISTERS)?;
    let mut logarithms = 0.0;
    for (name, program) in programs {
        let ratio = dispatches(program, table) as f64 / dispatches(program, &base) as f64;
        logarithms += ratio.ln();
        println!("{name:24} {:5.1} %", 100.0 * ratio);
    }
    let mean = (logarithms / programs.len().max(1) as f64).exp();
    println!(
        "{:24} {:5.1} %, {} shapes",
        "geometric mean",
        100.0 * mean,
        table.len()
    );
    Ok(())
}

fn text(lines: &[Line]) -> String {
    let mut text = String::from(
        "# Chosen by `cargo xtask train`; do not edit. Each line is followed by the share of all\n\
         # dispatches that it saved when it was chosen, in percent: the mean over the corpus.\n",
    );
    for line in lines {
        let _ = writeln!(text, "{} # {:.3}", line.text, 100.0 * line.share);
    }
    text
}

/// Bytes that are the same each time, in the place of random ones.
fn not_random(bytes: &mut [u8]) {
    for (n, byte) in (0u32..).zip(bytes) {
        *byte = n.wrapping_mul(151) as u8;
    }
}

/// A clock that moves on by a microsecond whenever it is read: the same times in every run.
#[derive(Default)]
struct Readings(u32);

impl Clock for Readings {
    fn now(&mut self) -> Duration {
        self.0 += 1;
        Duration::from_micros(self.0.into())
    }

    fn wait(&mut self, _: Duration) -> Duration {
        Duration::ZERO
    }
}

/// A program to be run for its profile.
struct Guest {
    module: PathBuf,
    /// Without its own name.
    arguments: Vec<String>,
    /// Of the host, each with its name in the guest.
    directories: Vec<(PathBuf, String)>,
    /// What its output contains.
    prints: String,
}

impl Guest {
    /// Runs it and counts what it does.
    fn profile(&self) -> Result<Program> {
        let bytes = Binary::from(fs::read(&self.module)?);
        let mut config = Mode::DirectGuarded.config();
        config.profile(true);
        let engine = Engine::new(&config)?;
        let module = Module::from_binary(&engine, &bytes)?;
        let mut linker: Linker<WasiCtx> = Linker::new(&engine);
        vm_wasi::add_to_linker(&mut linker, |context| context)?;
        // The same run each time, so that the same programs give the same table.
        let mut context = WasiCtxBuilder::new();
        context
            .random(not_random)
            .clock(ClockId::Realtime, Readings::default())
            .clock(ClockId::Monotonic, Readings::default())
            .clock(ClockId::ProcessCpuTime, Readings::default())
            .clock(ClockId::ThreadCpuTime, Readings::default());
        let stdout = MemoryOutputPipe::new(OUTPUT_BYTES);
        context
            .arg("program")
            .args(&self.arguments)
            .stdout(stdout.clone());
        for (directory, guest) in &self.directories {
            let directory = Dir::open_ambient_dir(directory, ambient_authority())?;
            context.preopened_dir(directory, guest);
        }
        let mut store = Store::new(&engine, context.build()?);
        let instance = linker.instantiate(&mut store, &module)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        if let Err(error) = start.call(&mut store, ())
            && error.downcast_ref::<I32Exit>() != Some(&I32Exit(0))
        {
            return Err(error.into());
        }
        let printed = stdout.contents();
        ensure!(
            String::from_utf8_lossy(&printed).contains(&self.prints),
            "it does not print `{}`",
            self.prints
        );
        let parsed = vm_translate::Module::new(bytes, &Features::default())?;
        Ok(Program::new(Arc::new(parsed), true, &module.profile()?))
    }
}
