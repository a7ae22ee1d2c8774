//! What a program can import besides WASI: modules that are loaded before it, and stand-ins for what is missing.

use std::ffi::OsString;
use std::process::ExitCode;

use vm_engine::{
    Engine, Error, Extern, ExternType, Func, Global, Linker, Memory, Module, Ref, Store, Table,
    Tag, Val,
};

use crate::cli::{Preload, UnknownImports};
use crate::output::Failure;
use crate::run::{State, ended, initialize, load};

/// A module to be instantiated before the program.
pub(crate) struct Preloaded {
    name: String,
    file: OsString,
    module: Module,
}

/// Reads and validates the modules of `--preload`.
pub(crate) fn load_all(engine: &Engine, preloads: &[Preload]) -> Result<Vec<Preloaded>, Failure> {
    let load = |preload: &Preload| {
        let file = OsString::from(&preload.file);
        Ok(Preloaded {
            name: preload.name.clone(),
            module: load(engine, &file)?,
            file,
        })
    };
    preloads.iter().map(load).collect()
}

/// Instantiates them in order, and defines what they export. An exit code if one of them ends the program.
pub(crate) fn define_all(
    linker: &mut Linker<State>,
    store: &mut Store<State>,
    preloaded: &[Preloaded],
    unknown: Option<UnknownImports>,
) -> Result<Option<ExitCode>, Failure> {
    for Preloaded { name, file, module } in preloaded {
        if let Err(error) = define(linker, store, name, module, unknown) {
            return ended(error, file).map(Some);
        }
    }
    Ok(None)
}

fn define(
    linker: &mut Linker<State>,
    store: &mut Store<State>,
    name: &str,
    module: &Module,
    unknown: Option<UnknownImports>,
) -> Result<(), Error> {
    stand_in(linker, store, module, unknown)?;
    let instance = linker.instantiate(&mut *store, module)?;
    initialize(module, &instance, store)?;
    linker.instance(store, name, instance)?;
    Ok(())
}

/// Defines what a module imports and nobody has defined, as was asked for.
pub(crate) fn stand_in(
    linker: &mut Linker<State>,
    store: &mut Store<State>,
    module: &Module,
    how: Option<UnknownImports>,
) -> Result<(), Error> {
    match how {
        None => Ok(()),
        Some(UnknownImports::Trap) => linker.define_unknown_imports_as_traps(module),
        Some(UnknownImports::Default) => define_as_defaults(linker, store, module),
    }
}

fn define_as_defaults(
    linker: &mut Linker<State>,
    store: &mut Store<State>,
    module: &Module,
) -> Result<(), Error> {
    for import in module.imports() {
        if linker.get_by_import(&mut *store, &import).is_some() {
            continue;
        }
        let item: Extern = match import.ty() {
            // Results are zeros and nulls before the function is called.
            ExternType::Func(ty) => Func::new(&mut *store, ty, |_, _, _| Ok(())).into(),
            ExternType::Global(ty) => {
                let Some(value) = Val::default_for_ty(ty.content()) else {
                    let (module, name) = (import.module(), import.name());
                    return Err(Error::msg(format!(
                        "the import `{module}` `{name}` is a {ty}, which has no default value"
                    )));
                };
                Global::new(&mut *store, ty, value)?.into()
            }
            ExternType::Table(ty) => {
                let null = Ref::null(ty.element());
                Table::new(&mut *store, ty, null)?.into()
            }
            ExternType::Memory(ty) => Memory::new(&mut *store, ty)?.into(),
            ExternType::Tag(ty) => Tag::new(&mut *store, &ty).into(),
        };
        linker.define(&*store, import.module(), import.name(), item)?;
    }
    Ok(())
}

/// Whether an error is a call of what `--unknown-imports trap` stands in for.
pub(crate) fn is_call_of_unknown(error: &Error) -> bool {
    error.backtrace().is_some() && error.is::<vm_engine::LinkError>()
}
