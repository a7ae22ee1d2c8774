//! `palisade run`.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use vm_engine::{Config, Engine, ExternType, FuncType, Instance, Linker, Module, Store};
use vm_wasi::cap_std::ambient_authority;
use vm_wasi::cap_std::fs::Dir;
use vm_wasi::{I32Exit, WasiCtx, WasiCtxBuilder};

use crate::cli::RunArgs;
use crate::invoke;
use crate::output::{Failure, print, say};

/// The function by which a WASI program starts.
const START: &str = "_start";
/// The function by which a WASI library starts, before any other is called.
const INITIALIZE: &str = "_initialize";

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (module, guest_args) = prepare(args, &args.mode.config())?;
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
    let engine = Engine::new(config)?;
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
    let ctx = context(args, file, program_args)?;

    let mut linker = Linker::new(engine);
    vm_wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let mut store = Store::new(engine, ctx);
    let instance = match linker.instantiate(&mut store, module) {
        Ok(instance) => instance,
        Err(error) => return ended(error, file),
    };
    if args.verbose {
        explain(&instance, &store);
    }
    let result = call.run(&instance, &mut store);
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
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{shown}`"))?;
    Ok(Module::new(engine, bytes).with_context(|| format!("`{shown}`"))?)
}

fn context(args: &RunArgs, file: &OsStr, program_args: &[&str]) -> Result<WasiCtx, Failure> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .inherit_stdio()
        .arg(file.to_string_lossy())
        .args(program_args)
        .envs(&args.env);
    for preopen in &args.dir {
        let dir = Dir::open_ambient_dir(&preopen.host, ambient_authority())
            .with_context(|| format!("cannot open the directory `{}`", preopen.host))?;
        builder.preopened_dir(dir, &preopen.guest);
    }
    Ok(builder.build()?)
}

/// If an instance is run in another way than its engine prefers, says so.
fn explain(instance: &Instance, store: &Store<WasiCtx>) {
    if let Some(note) = instance.bounds_note(store) {
        let bounds = instance.bounds(store);
        say(&format!(
            "palisade: {bounds} bounds checks for this instance: {note}"
        ));
    }
}

/// The guest came to an end other than by returning.
fn ended(error: vm_engine::Error, file: &OsStr) -> Result<ExitCode, Failure> {
    match error.downcast_ref::<I32Exit>() {
        Some(exit) => Ok(ExitCode::from(exit.process_exit_code())),
        None if error.trap().is_some() || error.backtrace().is_some() => Err(error.into()),
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
    /// A library is initialised first.
    initialize: bool,
}

impl Call {
    /// The program itself.
    fn start(module: &Module, file: &OsStr) -> Result<Call, Failure> {
        let shown = file.display();
        match module.get_export(START) {
            Some(ExternType::Func(ty)) if is_plain(&ty) => Ok(Call {
                name: START.to_owned(),
                ty,
                params: Vec::new(),
                initialize: false,
            }),
            Some(ExternType::Func(ty)) => Err(anyhow!(
                "`{shown}` is no WASI program: its `{START}` has the type {ty}, but must take and \
                 return nothing"
            )
            .into()),
            _ => Err(anyhow!(
                "`{shown}` is no program: it exports no function `{START}`; use --invoke NAME to \
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
        let initialize = name != INITIALIZE
            && matches!(module.get_export(INITIALIZE), Some(ExternType::Func(ty)) if is_plain(&ty));
        Ok(Call {
            name: name.to_owned(),
            ty,
            params,
            initialize,
        })
    }

    /// Calls it, and returns its results as text.
    fn run(&self, instance: &Instance, store: &mut Store<WasiCtx>) -> vm_engine::Result<String> {
        if self.initialize {
            instance
                .get_typed_func::<(), ()>(&mut *store, INITIALIZE)?
                .call(&mut *store, ())?;
        }
        let func = instance.get_func(&mut *store, &self.name).ok_or_else(|| {
            vm_engine::Error::msg(format!("there is no function `{}`", self.name))
        })?;
        let mut results: Vec<_> = self
            .ty
            .results()
            .map(vm_engine::Val::default_for_ty)
            .collect();
        func.call(&mut *store, &self.params, &mut results)?;
        Ok(results
            .iter()
            .map(|value| invoke::text(value) + "\n")
            .collect())
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
