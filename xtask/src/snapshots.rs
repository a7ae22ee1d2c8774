//! `cargo xtask snapshots`: programs that have been suspended at random points go on in another process and in another mode, to
//! the same end.
//!
//! Each suspension is two processes: the first runs a program for a random amount of fuel and writes the snapshot to a file,
//! the second restores it in another mode and runs the program to its end. What both have printed together is what the program prints,
//! and what both have consumed is what it consumes (`programs/digests.txt`, `xtask/fuel.txt`).
//!
//! What the host keeps of a WASI program besides is its arguments and its streams, which the second process has too: the in-tree programs open nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;
use vm_engine::{Linker, Module, Snapshot, Store, TypedResumableCall};
use vm_wasi::{I32Exit, WasiCtx};

use crate::mode::{Mode, Modes};
use crate::{fuel, guest, programs};

/// Options of `cargo xtask snapshots`.
#[derive(Args)]
pub(crate) struct Options {
    /// How often programs are suspended, all of them together
    #[arg(long, default_value_t = 1000)]
    count: u64,

    /// What the random choices begin with
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Only programs whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

/// Options of the hidden command that runs a part of a program.
#[derive(Args)]
pub(crate) struct PartOptions {
    #[arg(long, value_enum)]
    mode: Modes,

    /// The snapshot to go on from
    #[arg(long)]
    from: Option<PathBuf>,

    /// Stop after this much fuel
    #[arg(long, requires = "to")]
    fuel: Option<u64>,

    /// Where the snapshot goes
    #[arg(long)]
    to: Option<PathBuf>,

    file: PathBuf,
}

/// A program that runs for one round.
struct Program {
    name: String,
    file: PathBuf,
    digest: String,
    fuel: u64,
}

/// A suspension.
struct Case<'a> {
    program: &'a Program,
    from: Mode,
    to: Mode,
    fuel: u64,
}

/// Random numbers: xorshift64*, see <https://doi.org/10.1145/2845077>.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}

/// Suspends programs and prints what has not come to the right end, then the sums.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let programs = in_tree(&options.filter)?;
    ensure!(!programs.is_empty(), "no program has such a name");
    let mut random = Random(options.seed.wrapping_mul(2) | 1);
    let cases: Vec<Case<'_>> = (0..options.count)
        .map(|n| {
            let program = &programs[(n % programs.len() as u64) as usize];
            let modes = Mode::ALL.len() as u64;
            let from = random.below(modes);
            // Another one.
            let to = (from + 1 + random.below(modes - 1)) % modes;
            Case {
                program,
                from: Mode::ALL[from as usize],
                to: Mode::ALL[to as usize],
                fuel: random.below(program.fuel),
            }
        })
        .collect();
    let folder = tempfile::tempdir().context("making a folder for snapshots")?;
    let next = AtomicU64::new(0);
    let failed = Mutex::new(0_u64);
    let bytes = AtomicU64::new(0);
    let frames = AtomicU64::new(0);
    thread::scope(|scope| {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(n as usize) else {
                        return;
                    };
                    match case.check(n, &folder) {
                        Ok((size, depth)) => {
                            bytes.fetch_add(size, Ordering::Relaxed);
                            frames.fetch_add(depth, Ordering::Relaxed);
                        }
                        Err(error) => {
                            println!("failed  {n}: {}: {error:#}", case.title());
                            if let Ok(mut failed) = failed.lock() {
                                *failed += 1;
                            }
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner()?;
    let count = cases.len() as u64;
    println!(
        "{count} suspensions of {} programs, restored in another process and another mode: {} came to the same end, {failed} did not; \
         snapshots of {} bytes and {} frames on average",
        programs.len(),
        count - failed,
        bytes.into_inner() / (count - failed).max(1),
        frames.into_inner() / (count - failed).max(1),
    );
    Ok(if failed == 0 && count > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The in-tree programs, with what they print and consume.
fn in_tree(filter: &str) -> Result<Vec<Program>> {
    let digests = programs::digests()?;
    let consumed = fuel::programs()?;
    let modules = programs::below(&programs::in_tree_folder(), filter)?;
    let program = |module: programs::Program| {
        let source = programs::source(&module.name);
        let digest = digests
            .iter()
            .find(|digest| digest.program == source && digest.rounds == 1);
        Ok(Program {
            digest: digest
                .map(|digest| digest.digest.clone())
                .with_context(|| format!("what {source} prints after one round is not known"))?,
            fuel: *consumed
                .get(&module.name)
                .with_context(|| format!("what {} consumes is not known", module.name))?,
            name: module.name,
            file: module.file,
        })
    };
    modules.into_iter().map(program).collect()
}

impl Case<'_> {
    fn title(&self) -> String {
        let (from, to) = (self.from.name(), self.to.name());
        format!("{}, {from}, {to}, {}", self.program.name, self.fuel)
    }

    /// Runs both parts. Answers how many bytes the snapshot has, and how many frames.
    fn check(&self, number: u64, folder: &TempDir) -> Result<(u64, u64)> {
        let file = folder.path().join(number.to_string());
        let Program {
            name,
            file: module,
            digest,
            fuel,
        } = self.program;
        let mut first = part(self.from, module)?;
        first.arg("--fuel").arg(self.fuel.to_string());
        let first = Ran::of(first.arg("--to").arg(&file))
            .with_context(|| format!("the first part of {name}"))?;
        let size = fs::metadata(&file)
            .context("the first part wrote no snapshot")?
            .len();
        let second = Ran::of(part(self.to, module)?.arg("--from").arg(&file))
            .with_context(|| format!("the second part of {name}"))?;
        // A folder that is removed in the end need not grow until then.
        let _ = fs::remove_file(&file);
        let printed = first.printed + &second.printed;
        ensure!(printed.trim() == digest, "prints {printed:?}, not {digest}");
        let consumed = first.consumed + second.consumed;
        ensure!(consumed == *fuel, "consumes {consumed}, not {fuel}");
        Ok((size, first.frames))
    }
}

/// The command that runs a part of a program in a process of its own.
fn part(mode: Mode, file: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command
        .args(["snapshot-part", "--mode", mode.name()])
        .arg(file);
    Ok(command)
}

/// What a part has done.
struct Ran {
    printed: String,
    consumed: u64,
    frames: u64,
}

impl Ran {
    fn of(command: &mut Command) -> Result<Ran> {
        let output = command.output().context("starting it")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            said.trim()
        );
        let figure = |title: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(title));
            let line = line.with_context(|| format!("it says {said:?} and no{title}"))?;
            line.trim()
                .parse()
                .with_context(|| format!("{title}in {said:?}"))
        };
        Ok(Ran {
            printed: String::from_utf8(output.stdout).context("what it prints")?,
            consumed: figure("fuel ")?,
            frames: figure("frames ")?,
        })
    }
}

/// Runs a part of a program: from its beginning or from a snapshot, to its end or to where it stops for want of fuel.
pub(crate) fn run_part(options: &PartOptions) -> Result<ExitCode> {
    let [mode] = options.mode.list()[..] else {
        bail!("a program runs in one mode at a time");
    };
    let mut config = mode.config();
    config.consume_fuel(true).suspended_snapshots(true);
    let engine = mode.engine_with(&config)?;
    let module =
        fs::read(&options.file).with_context(|| format!("reading {}", options.file.display()))?;
    let module = Module::new(&engine, module)?;
    let mut linker: Linker<WasiCtx> = Linker::new(&engine);
    vm_wasi::add_to_linker(&mut linker, |context| context)?;
    let context = guest::determined_context(&options.file, &["1".to_owned()])?;
    let mut store = Store::try_new(&engine, context)?;
    let given = options.fuel.unwrap_or(u64::MAX);
    store.set_fuel(given)?;
    let call = match &options.from {
        None => {
            let instance = linker.instantiate(&mut store, &module)?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            start.call_resumable(&mut store, ())?
        }
        Some(file) => {
            let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            let snapshot = Snapshot::from_bytes(&bytes)?;
            let pre = linker.instantiate_pre(&module)?;
            let (_, call) = pre.restore_typed_call::<()>(&mut store, &snapshot)?;
            let TypedResumableCall::OutOfFuel(call) = call else {
                bail!("it has not stopped for want of fuel");
            };
            call.resume(&mut store)?
        }
    };
    let consumed = given - store.get_fuel()?;
    let mut frames = 0;
    match (call, &options.to) {
        (TypedResumableCall::OutOfFuel(call), Some(file)) => {
            let snapshot = call.snapshot(&store)?;
            frames = snapshot.frames();
            fs::write(file, snapshot.to_bytes())
                .with_context(|| format!("writing {}", file.display()))?;
        }
        (TypedResumableCall::Finished(()), None) => {}
        // WASI has programs exit in this way.
        (TypedResumableCall::HostTrap(call), None) => {
            let error = call.into_host_error();
            match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(0)) => {}
                _ => return Err(error.into()),
            }
        }
        (call, _) => bail!("it ends in another way: {}", kind(&call)),
    }
    eprintln!("fuel {consumed}\nframes {frames}");
    Ok(ExitCode::SUCCESS)
}

fn kind(call: &TypedResumableCall<()>) -> &'static str {
    match call {
        TypedResumableCall::Finished(()) => "it has finished",
        TypedResumableCall::HostTrap(_) => "a host function has failed",
        TypedResumableCall::OutOfFuel(_) => "it has too little fuel",
        TypedResumableCall::EpochDeadline(_) => "a deadline has come",
    }
}
