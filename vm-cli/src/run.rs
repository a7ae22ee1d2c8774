//! `palisade run`.

use std::ffi::{OsStr, OsString};
use std::io::Read;
#[cfg(unix)]
use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use vm_engine::{
    Config, Engine, ExternType, FuncType, Instance, LimitError, Linker, Module, Store, Translation,
};
use vm_wasi::cap_std::ambient_authority;
use vm_wasi::cap_std::fs::Dir;
use vm_wasi::{BrokenPipe, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::cli::{RunArgs, Validate, Variable};
use crate::limits::Limits;
use crate::output::{Failure, is_about_code, print, say};
use crate::timer::Timer;
use crate::{host, imports, invoke, threads};

/// The function by which a WASI program starts, and what some linkers call it.
const STARTS: [&str; 2] = ["_start", ""];
/// The function by which a WASI library starts, before any other is called.
const INITIALIZE: &str = "_initialize";

/// What the store of a run holds.
pub(crate) struct State {
    wasi: WasiCtx,
    limits: Limits,
}

impl State {
    /// That of another thread of the guest.
    pub(crate) fn share(&mut self) -> State {
        State {
            wasi: self.wasi.share(),
            limits: self.limits.clone(),
        }
    }

    pub(crate) fn limits(&mut self) -> &mut Limits {
        &mut self.limits
    }
}

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let mut config = args.mode.config();
    config.consume_fuel(args.limits.fuel.is_some());
    config.deterministic(args.deterministic);
    if args.validate == Validate::Lazily {
        config.translation(Translation::LazyAll);
    }
    let (module, guest_args) = prepare(args, &config)?;
    run_module(args, &module, guest_args)
}

/// Makes an engine with these settings and loads the file; also returns the guest's arguments.
pub(crate) fn prepare<'a>(
    args: &'a RunArgs,
    config: &Config,
) -> Result<(Module, &'a [OsString]), Failure> {
    let Some((file, guest_args)) = args.command.split_first() else {
        return Err(Failure::usage("the file to run is missing"));
    };
    let mut config = config.clone();
    if let Some(bytes) = args.limits.max_code {
        config.max_code_bytes(bytes as u64);
    }
    let engine = Engine::new(&config)?;
    if args.verbose {
        say(&format!("palisade: {}", engine.strategy()));
    }
    Ok((load(&engine, file)?, guest_args))
}

/// Runs what has been loaded.
pub(crate) fn run_module(
    args: &RunArgs,
    module: &Module,
    guest_args: &[OsString],
) -> Result<ExitCode, Failure> {
    let engine = module.engine();
    let file = args.command.first().map_or(OsStr::new(""), |file| file);
    let guest_args = guest_args
        .iter()
        .map(|arg| {
            let text = arg.to_str();
            text.ok_or_else(|| Failure::usage(format!("the argument {arg:?} is not UTF-8")))
        })
        .collect::<Result<Vec<&str>, Failure>>()?;

    // Found out before anything of the guest's runs.
    let call = match &args.invoke {
        Some(name) => Call::invoke(module, file, name, &guest_args)?,
        None => Call::start(module, file)?,
    };
    let program_args = if args.invoke.is_some() {
        &[][..]
    } else {
        &guest_args
    };
    let preloaded = imports::load_all(engine, &args.preload)?;
    let needed = host::needed_for(module.binary());
    let state = State {
        wasi: context(args, file, program_args)?,
        limits: Limits::new(&args.limits, needed),
    };

    let mut linker = Linker::new(engine);
    vm_wasi::add_to_linker(&mut linker, |state: &mut State| &mut state.wasi)?;
    let mut store = Store::try_new(engine, state)?;
    store.limiter(|state| state.limits());
    if let Some(fuel) = args.limits.fuel {
        store.set_fuel(fuel)?;
    }
    let _timer = match args.limits.timeout {
        Some(limit) => {
            let timer = Timer::start(store.interrupt_handle()?, limit);
            Some(timer.context("--timeout needs a thread")?)
        }
        None => None,
    };
    if let Some(code) =
        imports::define_all(&mut linker, &mut store, &preloaded, args.unknown_imports)?
    {
        return Ok(code);
    }
    let threads = match args.wasi_threads {
        true => Some(threads::define(args, &mut linker, &mut store, module)?),
        false => None,
    };
    let instance = imports::stand_in(&mut linker, &mut store, module, args.unknown_imports)
        .and_then(|()| linker.instantiate(&mut store, module));
    let instance = match instance {
        Ok(instance) => instance,
        Err(error) => return ended(error, file),
    };
    if args.verbose {
        explain(&instance, &store);
    }
    host::require_memory(needed, "run it")?;
    let result = match &threads {
        Some(threads) => threads.run(&mut store, module, &linker, |store| {
            call.run(module, &instance, store)
        }),
        None => call.run(module, &instance, &mut store),
    };
    if let Some(fuel) = args.limits.fuel.filter(|_| args.verbose) {
        let consumed = fuel.saturating_sub(store.get_fuel()?);
        say(&format!("palisade: {consumed} units of fuel consumed"));
    }
    // The process is about to end, and the system takes everything back at once.
    std::mem::forget((store, linker));
    match result {
        Ok(results) => {
            print(&results)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => ended(error, file),
    }
}

/// Reads and validates a module.
pub(crate) fn load(engine: &Engine, file: &OsStr) -> Result<Module, Failure> {
    let (bytes, shown) = if file == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        (read.map(|_| bytes), "standard input".to_owned())
    } else {
        (std::fs::read(file), format!("`{}`", file.display()))
    };
    let bytes = bytes.with_context(|| format!("cannot read {shown}"))?;
    host::require_memory(host::needed_for(&bytes), "load it")
        .map_err(|failure| failure.context(&shown))?;
    Ok(Module::from_vec(engine, bytes).context(shown)?)
}

fn context(args: &RunArgs, file: &OsStr, program_args: &[&str]) -> Result<WasiCtx, Failure> {
    let mut builder = WasiCtxBuilder::new();
    let name = file.to_string_lossy();
    builder
        .inherit_stdio()
        .end_on_broken_pipe(true)
        .arg(args.argv0.as_deref().unwrap_or(&name))
        .args(program_args)
        .envs(&environment(args)?);
    for preopen in &args.dir {
        let dir = Dir::open_ambient_dir(&preopen.host, ambient_authority())
            .with_context(|| format!("cannot open the directory `{}`", preopen.host))?;
        builder.preopened_dir(dir, &preopen.guest);
    }
    #[cfg(unix)]
    for address in &args.tcplisten {
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot listen at `{address}`"))?;
        if args.verbose {
            say(&format!(
                "palisade: listening at {}",
                listener.local_addr()?
            ));
        }
        builder.preopened_socket(listener);
    }
    Ok(builder.build()?)
}

/// The guest's environment.
fn environment(args: &RunArgs) -> Result<Vec<(String, String)>, Failure> {
    let utf8 = |name: OsString, value: OsString| {
        let shown = name.clone();
        let pair = name.into_string().ok().zip(value.into_string().ok());
        pair.ok_or_else(|| {
            anyhow!("the environment variable {shown:?} is not UTF-8: the guest cannot be given it")
        })
    };
    let mut all = Vec::new();
    if args.inherit_env {
        for (name, value) in std::env::vars_os() {
            all.push(utf8(name, value)?);
        }
    }
    for variable in &args.env {
        match variable {
            Variable::Set { name, value } => all.push((name.clone(), value.clone())),
            Variable::Inherit { name } => {
                if let Some(value) = std::env::var_os(name) {
                    all.push(utf8(name.into(), value)?);
                }
            }
        }
    }
    Ok(all)
}

/// If an instance is run in another way than its engine prefers, says so.
fn explain(instance: &Instance, store: &Store<State>) {
    if let Some(note) = instance.bounds_note(store) {
        let bounds = instance.bounds(store);
        say(&format!(
            "palisade: {bounds} bounds checks for this instance: {note}"
        ));
    }
}

/// The guest came to an end other than by returning.
pub(crate) fn ended(error: vm_engine::Error, file: &OsStr) -> Result<ExitCode, Failure> {
    if error.is::<BrokenPipe>() {
        return Err(Failure::BrokenPipe);
    }
    match error.downcast_ref::<I32Exit>() {
        Some(exit) => Ok(ExitCode::from(exit.process_exit_code())),
        None if error.trap().is_some() || error.backtrace().is_some() => Err(error.into()),
        None if error.is::<LimitError>() => Err(anyhow!(
            "`{}`: {error}: see --max-memory, --max-table-elements, and the limits of the host (`ulimit -a`)",
            file.display()
        )
        .into()),
        None if is_about_code(&error) => {
            Err(anyhow!("`{}`: {error}: see --max-code", file.display()).into())
        }
        None => Err(anyhow!(error)
            .context(format!("`{}`", file.display()))
            .into()),
    }
}

/// What to call once the module is instantiated.
struct Call {
    name: String,
    ty: FuncType,
    params: Vec<vm_engine::Val>,
}

impl Call {
    /// The program itself.
    fn start(module: &Module, file: &OsStr) -> Result<Call, Failure> {
        let shown = file.display();
        let found = STARTS
            .into_iter()
            .find_map(|name| Some((name, module.get_export(name)?.func()?.clone())));
        match found {
            Some((name, ty)) if is_plain(&ty) => Ok(Call {
                name: name.to_owned(),
                ty,
                params: Vec::new(),
            }),
            Some((name, ty)) => Err(anyhow!(
                "`{shown}` is no WASI program: its `{name}` has the type {ty}, but must take and \
                 return nothing"
            )
            .into()),
            None => Err(anyhow!(
                "`{shown}` is no program: it exports no function `_start`; use --invoke NAME to \
                 call a function that it does export: {}",
                exported_functions(module)
            )
            .into()),
        }
    }

    /// An exported function, with arguments from the command line.
    fn invoke(module: &Module, file: &OsStr, name: &str, args: &[&str]) -> Result<Call, Failure> {
        let Some(ExternType::Func(ty)) = module.get_export(name) else {
            let shown = file.display();
            let known = exported_functions(module);
            return Err(
                anyhow!("`{shown}` exports no function `{name}`; it exports: {known}").into(),
            );
        };
        let params = invoke::params(name, &ty, args).map_err(Failure::Usage)?;
        Ok(Call {
            name: name.to_owned(),
            ty,
            params,
        })
    }

    /// Calls it, after the initialisation of a library, and returns its results as text.
    fn run(
        &self,
        module: &Module,
        instance: &Instance,
        store: &mut Store<State>,
    ) -> vm_engine::Result<String> {
        if self.name != STARTS[0] && self.name != INITIALIZE {
            initialize(module, instance, store)?;
        }
        let func = instance.get_func(&mut *store, &self.name).ok_or_else(|| {
            vm_engine::Error::msg(format!("there is no function `{}`", self.name))
        })?;
        let mut results: Vec<_> = self
            .ty
            .results()
            // What they are before is overwritten.
            .map(|_| vm_engine::Val::I32(0))
            .collect();
        func.call(&mut *store, &self.params, &mut results)?;
        Ok(results
            .iter()
            .map(|value| invoke::text(value) + "\n")
            .collect())
    }
}

/// Calls a library's initialisation, if it is one.
pub(crate) fn initialize(
    module: &Module,
    instance: &Instance,
    store: &mut Store<State>,
) -> vm_engine::Result<()> {
    match module.get_export(INITIALIZE) {
        Some(ExternType::Func(ty)) if is_plain(&ty) => {
            let initialize = instance.get_typed_func::<(), ()>(&mut *store, INITIALIZE)?;
            initialize.call(store, ())
        }
        _ => Ok(()),
    }
}

fn is_plain(ty: &FuncType) -> bool {
    ty.params().len() == 0 && ty.results().len() == 0
}

/// The names of a module's functions, for a message.
fn exported_functions(module: &Module) -> String {
    /// A message is no listing.
    const SHOWN: usize = 10;
    let mut names: Vec<String> = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        .map(|export| export.name().escape_debug().to_string())
        .collect();
    let count = names.len();
    if count == 0 {
        return "no function at all".to_owned();
    }
    names.truncate(SHOWN);
    let mut text = names.join(", ");
    if count > SHOWN {
        text.push_str(&format!(" and {} more", count - SHOWN));
    }
    text
}
