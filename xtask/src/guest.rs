//! Running one guest program in this process, in one mode or on a linked peer.
//!
//! Commands that compare modes start this as a child process, so that what they measure and what may
//! go wrong are one program's alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI32, Ordering};
use std::{env, process};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use nix::time::{ClockId, clock_gettime};
use vm_engine::{
    Engine, Linker, Module, Store, Translation, TypedFunc, TypedResumableCall, WasmResults,
};
use vm_translate::Features;
use vm_wasi::{I32Exit, WasiCtx, WasiCtxBuilder};

use crate::mode::{Mode, Modes};

/// Options of the hidden command that runs one program.
#[derive(Args)]
pub(crate) struct Options {
    /// The mode to run it in; without one it runs on the linked wasmi (feature `peers`)
    #[arg(long, value_enum)]
    mode: Option<Modes>,

    /// What CoreMark is told for the time
    #[arg(long, value_enum, default_value_t = Clock::Cpu)]
    clock: Clock,

    /// Translate all of it before it runs
    #[arg(long)]
    eager: bool,

    /// Say at the end on standard error how much fuel it has consumed
    #[arg(long)]
    fuel: bool,

    /// Give it its fuel in small portions, so that it stops and goes on all the time
    #[arg(long, requires = "fuel")]
    portions: bool,

    /// Have it look at epochs, which do not end
    #[arg(long)]
    epochs: bool,

    file: PathBuf,

    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What CoreMark is told for the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Clock {
    /// The CPU time of the process, for a score.
    Cpu,
    /// A function of how often it was asked, for a check: the same work in every run, on every machine.
    Counted,
}

impl Clock {
    fn milliseconds(self) -> fn() -> i32 {
        match self {
            Clock::Cpu => cpu_milliseconds,
            Clock::Counted => counted_milliseconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Clock::Cpu => "cpu",
            Clock::Counted => "counted",
        }
    }
}

/// What a program asks of its host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A WASI command, which runs until it exits.
    Wasi,
    /// CoreMark as a bare module: imports `env.clock_ms: () -> i32`, exports `run: () -> f32`, the score.
    CoreMark,
}

impl Kind {
    /// Finds out by the imports.
    pub(crate) fn of(module: &[u8]) -> Result<Kind> {
        let mut features = Features::default();
        features.set("legacy-exceptions", true)?;
        let module = vm_translate::Module::new(module, &features)?;
        let mut imports = module.imports().iter();
        if imports.any(|import| (&*import.module, &*import.name) == ("env", "clock_ms")) {
            return Ok(Kind::CoreMark);
        }
        Ok(Kind::Wasi)
    }
}

/// The command that runs `file` in `mode` in a process of its own.
pub(crate) fn command(mode: Mode, clock: Clock, file: &Path) -> Result<Command> {
    command_with(mode, clock, None, file)
}

/// The same with one more option.
pub(crate) fn command_with(
    mode: Mode,
    clock: Clock,
    option: Option<&str>,
    file: &Path,
) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.args(["guest", "--mode", mode.name(), "--clock", clock.name()]);
    command.args(option).arg(file);
    Ok(command)
}

/// The command that runs `file`, which is CoreMark, on the linked wasmi.
#[cfg(feature = "peers")]
pub(crate) fn wasmi_command(file: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.arg("guest").arg(file);
    Ok(command)
}

impl Options {
    fn engine(&self, mode: Mode) -> Result<Engine> {
        let mut config = mode.config();
        config
            .consume_fuel(self.fuel)
            .epoch_interruption(self.epochs);
        if self.eager {
            config.translation(Translation::Eager);
        }
        mode.engine_with(&config)
    }

    fn store<T>(&self, engine: &Engine, data: T) -> Result<Store<T>> {
        let mut store = Store::try_new(engine, data)?;
        store.set_epoch_deadline(1);
        if self.fuel {
            store.set_fuel(u64::MAX)?;
        }
        Ok(store)
    }

    /// Calls a function of no parameters, and says what it has consumed.
    fn call<T, R: WasmResults>(
        &self,
        store: &mut Store<T>,
        func: TypedFunc<(), R>,
    ) -> Result<vm_engine::Result<R>> {
        if self.portions {
            return in_portions(store, func);
        }
        let result = func.call(&mut *store, ());
        if self.fuel {
            eprintln!("fuel {}", u64::MAX - store.get_fuel()?);
        }
        Ok(result)
    }
}

/// Calls a function, gives it so much fuel that it does a little, and again until it has ended. Says what it has consumed.
fn in_portions<T, R: WasmResults>(
    store: &mut Store<T>,
    func: TypedFunc<(), R>,
) -> Result<vm_engine::Result<R>> {
    let (mut consumed, mut stops) = (u64::MAX - store.get_fuel()?, 0);
    let mut given = 0;
    store.set_fuel(given)?;
    let mut call = func.call_resumable(&mut *store, ());
    let result = loop {
        consumed += given - store.get_fuel()?;
        match call {
            Ok(TypedResumableCall::Finished(result)) => break Ok(result),
            // WASI has programs exit in this way.
            Ok(TypedResumableCall::HostTrap(call)) => break Err(call.into_host_error()),
            Ok(TypedResumableCall::EpochDeadline(_)) => bail!("a deadline has come"),
            Ok(TypedResumableCall::OutOfFuel(stopped)) => {
                stops += 1;
                // Often a piece of straight line; longer later, so that it comes to an end.
                let more = (stops * 7919 % 1000) * (stops / 20_000 * 50);
                given = stopped.required_fuel() + more;
                store.set_fuel(given)?;
                call = stopped.resume(&mut *store);
            }
            Err(error) => break Err(error),
        }
    };
    eprintln!("fuel {consumed}");
    Ok(result)
}

/// How code is made and fuel is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    Lazy,
    Eager,
    /// Lazily, and in small portions of fuel: the guest stops and goes on all the time.
    InPortions,
}

/// The command that runs `file` and says on standard error how much fuel it has consumed.
pub(crate) fn fuel_command(mode: Mode, how: How, file: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.args([
        "guest",
        "--mode",
        mode.name(),
        "--clock",
        Clock::Counted.name(),
        "--fuel",
    ]);
    match how {
        How::Lazy => {}
        How::Eager => _ = command.arg("--eager"),
        How::InPortions => _ = command.arg("--portions"),
    }
    command.arg(file);
    Ok(command)
}

/// Runs the program and exits as it does.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let file = &options.file;
    let module = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let kind = Kind::of(&module).with_context(|| format!("parsing {}", file.display()))?;
    let modes = options.mode.map(Modes::list);
    match (modes.as_deref(), kind) {
        (Some([mode]), Kind::Wasi) => wasi(*mode, &module, options),
        (Some([mode]), Kind::CoreMark) => coremark(*mode, &module, options),
        (Some(_), _) => bail!("a program runs in one mode at a time"),
        (None, Kind::CoreMark) => wasmi_coremark(&module),
        (None, Kind::Wasi) => bail!("WASI programs run on a peer by its own command line"),
    }
}

fn wasi(mode: Mode, module: &[u8], options: &Options) -> Result<ExitCode> {
    let engine = options.engine(mode)?;
    let module = Module::new(&engine, module)?;
    let mut linker: Linker<WasiCtx> = Linker::new(&engine);
    vm_wasi::add_to_linker(&mut linker, |context| context)?;
    let context = match options.fuel {
        true => determined_context(&options.file, &options.arguments)?,
        false => context(&options.file, &options.arguments).build()?,
    };
    let mut store = options.store(&engine, context)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
    match options.call(&mut store, start)? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => process::exit(*code),
            None => Err(error.into()),
        },
    }
}

/// What a program gets: its streams are this process's.
fn context(file: &Path, arguments: &[String]) -> WasiCtxBuilder {
    let mut context = WasiCtxBuilder::new();
    // Where the program is may not change what it does.
    let name = file.file_name().unwrap_or_default();
    context
        .inherit_stdio()
        .arg(name.to_string_lossy())
        .args(arguments);
    context
}

/// The same, where chance may not change what it does either.
pub(crate) fn determined_context(file: &Path, arguments: &[String]) -> Result<WasiCtx> {
    let mut context = context(file, arguments);
    let mut next = 0_u8;
    context.random(move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_mul(5).wrapping_add(1);
        }
    });
    Ok(context.build()?)
}

fn coremark(mode: Mode, module: &[u8], options: &Options) -> Result<ExitCode> {
    let engine = options.engine(mode)?;
    let module = Module::new(&engine, module)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("env", "clock_ms", options.clock.milliseconds())?;
    let mut store = options.store(&engine, ())?;
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), f32>(&mut store, "run")?;
    println!("{}", options.call(&mut store, run)??);
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "peers")]
fn wasmi_coremark(module: &[u8]) -> Result<ExitCode> {
    let engine = wasmi::Engine::default();
    let module = wasmi::Module::new(&engine, module)?;
    let mut linker: wasmi::Linker<()> = wasmi::Linker::new(&engine);
    linker.func_wrap("env", "clock_ms", cpu_milliseconds)?;
    let mut store = wasmi::Store::new(&engine, ());
    let instance = linker.instantiate_and_start(&mut store, &module)?;
    let run = instance.get_typed_func::<(), f32>(&store, "run")?;
    println!("{}", run.call(&mut store, ())?);
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "peers"))]
fn wasmi_coremark(_module: &[u8]) -> Result<ExitCode> {
    bail!("no peer is linked: build xtask with `--features peers`, or name a mode")
}

/// The CPU time of this process: a score by it is iterations per CPU second, which other load on the
/// machine disturbs less than one by the wall clock.
fn cpu_milliseconds() -> i32 {
    // The clock is there on every Unix that the workspace builds for; CoreMark ends with an error of
    // its own if it stands still.
    let now = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000);
    // CoreMark takes differences, so wrapping after 24 days does no harm.
    now as i32
}

/// A clock that stands still for the first readings, then takes steps of ten seconds.
///
/// CoreMark reads it before and after each of its runs. It runs 10 iterations, then ten times as many
/// until that takes a second, and then so many as should take ten seconds. By this clock these are runs
/// of 10, 100, 1000 and 2000 iterations, the last in ten seconds: a score of 200, if the results of
/// all were right. By a real one the last run is sometimes too short, and CoreMark ends without a score.
fn counted_milliseconds() -> i32 {
    static READINGS: AtomicI32 = AtomicI32::new(0);
    let before = READINGS.fetch_add(1, Ordering::Relaxed);
    10_000 * (before - 4).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        let buffer = wast::parser::ParseBuffer::new(text).expect("the module's tokens");
        let mut module = wast::parser::parse::<wast::Wat<'_>>(&buffer).expect("its grammar");
        Kind::of(&module.encode().expect("its encoding")).expect("its sections")
    }

    #[test]
    fn coremark_is_known_by_its_clock() {
        let clock = r#"(import "env" "clock_ms" (func (result i32)))"#;
        assert_eq!(kind(&format!("(module {clock})")), Kind::CoreMark);
        let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))"#;
        assert_eq!(kind(&format!("(module {exit})")), Kind::Wasi);
    }
}
