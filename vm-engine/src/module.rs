//! Modules: validated, at least as far as they have run, and translated as far.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use vm_memory::{Layout, MemoryImage};

use crate::config::Translation;
use crate::engine::Engine;
use crate::error::{ModuleError, Result};
use crate::initial::InitialData;
use crate::low;
use crate::low::CodeSize;
use crate::module_limits::Excess;
use crate::types::{ExportType, ExternType, ImportType, TagType};

/// A module that has been validated, but for functions' bodies with [`Translation::LazyAll`]. Cheap to clone; its code is shared by all instances, on all
/// threads.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    engine: Engine,
    module: Arc<low::Module>,
    exports: HashMap<String, usize>,
    initial: InitialData,
    /// Code for a guarded memory 0 of the engine's layout.
    unchecked: OnceLock<Arc<low::Code>>,
    /// Code for memories with other guards: of this many bytes.
    other_guards: Mutex<Vec<(u64, Arc<low::Code>)>>,
    /// Code for any memory 0.
    checked: OnceLock<Arc<low::Code>>,
}

impl Module {
    /// Validates a module in the binary format or, with this crate's feature `wat`, in the text
    /// format.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]: malformed, invalid, or in need of a proposal that is switched off.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        let bytes = bytes.as_ref();
        let binary = match is_binary(bytes) {
            true => bytes.into(),
            false => from_text(bytes)?,
        };
        Ok(Module::parse(engine, binary)?)
    }

    /// Like [`Module::new`], of bytes that the module keeps, which [`Module::new`] copies.
    ///
    /// # Errors
    ///
    /// [`ModuleError`].
    pub fn from_vec(engine: &Engine, bytes: Vec<u8>) -> Result<Module> {
        let binary = match is_binary(&bytes) {
            true => bytes.into(),
            false => from_text(&bytes)?,
        };
        Ok(Module::parse(engine, binary)?)
    }

    /// Like [`Module::new`], of a file's contents.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]: also if the file cannot be read.
    pub fn from_file(engine: &Engine, file: impl AsRef<Path>) -> Result<Module> {
        let path = file.as_ref();
        let bytes = std::fs::read(path).map_err(|error| ModuleError::File {
            path: path.to_owned(),
            error,
        })?;
        Module::from_vec(engine, bytes)
    }

    /// Like [`Module::new`], of the binary format only.
    ///
    /// # Errors
    ///
    /// [`ModuleError`].
    pub fn from_binary(engine: &Engine, binary: &[u8]) -> Result<Module> {
        Ok(Module::parse(engine, binary.into())?)
    }

    /// Checks that these bytes are a module in the binary format that this engine can run, all of whose functions are valid.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] says why not.
    pub fn validate(engine: &Engine, binary: &[u8]) -> Result<()> {
        allowed(engine, &validated(engine, binary.into(), low::Module::new)?)?;
        Ok(())
    }

    fn parse(engine: &Engine, binary: low::Binary) -> Result<Module, ModuleError> {
        let module = validated(
            engine,
            binary,
            match engine.translation() {
                Translation::LazyAll => low::Module::with_bodies_unvalidated,
                _ => low::Module::new,
            },
        )?;
        allowed(engine, &module)?;
        let exports = module
            .exports()
            .iter()
            .enumerate()
            .map(|(i, export)| (export.name.clone(), i))
            .collect();
        let module = Module(Arc::new(ModuleInner {
            engine: engine.clone(),
            exports,
            initial: InitialData::of(&module),
            module: Arc::new(module),
            unchecked: OnceLock::new(),
            other_guards: Mutex::default(),
            checked: OnceLock::new(),
        }));
        module.translate(engine.translation())?;
        Ok(module)
    }

    fn translate(&self, translation: Translation) -> Result<(), ModuleError> {
        let code = || self.code(self.0.engine.guarded_layout());
        let result = match translation {
            Translation::Lazy | Translation::LazyAll => return Ok(()),
            Translation::Eager => code()?.translate_all(),
            // A host that does not say how many threads it runs gets one.
            Translation::ParallelEager => {
                let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
                code()?.translate_all_on(threads)
            }
        };
        result.map_err(ModuleError::Translate)
    }

    /// How much of it has been translated so far, and to how much code. A module whose functions
    /// have run with guarded and with checked memory has code for both, and both count.
    pub fn code_size(&self) -> CodeSize {
        let codes = [&self.0.unchecked, &self.0.checked];
        let others = self.0.other_guards.lock();
        let others = others.unwrap_or_else(PoisonError::into_inner);
        let codes = codes.into_iter().filter_map(OnceLock::get);
        let codes = codes.chain(others.iter().map(|(_, code)| code));
        let sizes = codes.map(|code| code.size());
        sizes.fold(CodeSize::default(), |sum, size| CodeSize {
            functions: sum.functions + size.functions,
            wasm_bytes: sum.wasm_bytes + size.wasm_bytes,
            code_bytes: sum.code_bytes + size.code_bytes,
        })
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The module in the binary format.
    pub fn binary(&self) -> &[u8] {
        self.0.module.bytes()
    }

    /// Its name, if its name section gives one.
    pub fn name(&self) -> Option<&str> {
        self.0.module.name()
    }

    /// What it wants, in the order in which [`Instance::new`](crate::Instance::new) takes it.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> + '_ {
        self.0.module.imports().iter().map(|import| ImportType {
            module: &import.module,
            name: &import.name,
            ty: (&import.ty).into(),
        })
    }

    /// What it offers.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> + '_ {
        self.0.module.exports().iter().map(|export| ExportType {
            name: &export.name,
            ty: self.export_type(export),
        })
    }

    /// The type of the export of that name.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        Some(self.export_type(self.find_export(name)?))
    }

    fn export_type(&self, export: &low::Export) -> ExternType {
        let module = &self.0.module;
        let index = export.index as usize;
        match export.kind {
            low::ExternKind::Func => ExternType::Func(module.func_type(export.index).into()),
            low::ExternKind::Table => ExternType::Table(module.tables()[index].into()),
            low::ExternKind::Memory => ExternType::Memory(module.memories()[index].into()),
            low::ExternKind::Global => ExternType::Global(module.globals()[index].into()),
            low::ExternKind::Tag => TagType::new(module.tag_type(export.index).into()).into(),
        }
    }

    pub(crate) fn find_export(&self, name: &str) -> Option<&low::Export> {
        let index = *self.0.exports.get(name)?;
        self.0.module.exports().get(index)
    }

    /// How many functions it has, imported ones included.
    pub fn function_count(&self) -> u32 {
        self.0.module.func_count()
    }

    /// How many of its functions are imported: these come first in the order of indices.
    pub fn imported_function_count(&self) -> u32 {
        self.0.module.imported_funcs()
    }

    /// The name of a function, if the name section gives one.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.0.module.func_name(index)
    }

    /// The register IR and the threaded code of a function, as text: for the mode that the engine
    /// prefers.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]: there is no such function, it is imported, it is not valid, or it cannot be translated.
    pub fn explore(&self, func_index: u32) -> Result<String> {
        let code = self.code(self.0.engine.guarded_layout())?;
        Ok(code.listing(func_index).map_err(ModuleError::Translate)?)
    }

    /// How often the instructions of its functions have run, in all instances so far. Empty unless
    /// [`Config::profile`](crate::Config::profile) is on.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]: a function cannot be translated; then it cannot have run.
    pub fn profile(&self) -> Result<Vec<low::FunctionProfile>> {
        let codes = [&self.0.unchecked, &self.0.checked];
        let mut profile = Vec::new();
        for code in codes.into_iter().filter_map(OnceLock::get) {
            profile.extend(code.profile().map_err(ModuleError::Translate)?);
        }
        Ok(profile)
    }

    pub(crate) fn low(&self) -> &Arc<low::Module> {
        &self.0.module
    }

    /// What a memory of the module starts with, if that is to be mapped copy-on-write. The first
    /// `resident` bytes of a memory are cheap to copy to.
    pub(crate) fn image(&self, memory: u32, resident: usize) -> Option<&MemoryImage> {
        if !self.0.engine.init_cow() {
            return None;
        }
        self.0.initial.image(&self.0.module, memory, resident)
    }

    /// The module's code: without checks where the guard of a memory of this layout does them, or
    /// with all checks.
    pub(crate) fn code(&self, unchecked: Option<Layout>) -> Result<Arc<low::Code>, ModuleError> {
        // Which accesses need a check depends on the guard's size alone.
        let guard = unchecked.map(|layout| layout.guard_bytes());
        let engine = self.0.engine.guarded_layout();
        let cell = if guard.is_none() {
            &self.0.checked
        } else if guard == engine.map(|layout| layout.guard_bytes()) {
            &self.0.unchecked
        } else {
            return self.other_code(unchecked);
        };
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let code = self.new_code(unchecked)?;
        // If another thread was faster, its code is the one everyone uses.
        Ok(cell.get_or_init(|| code).clone())
    }

    /// Code for a layout that is not the engine's.
    fn other_code(&self, unchecked: Option<Layout>) -> Result<Arc<low::Code>, ModuleError> {
        let guard = unchecked.map_or(0, |layout| layout.guard_bytes());
        // Nothing below can panic half way through a change.
        let codes = self.0.other_guards.lock();
        let mut codes = codes.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, code)) = codes.iter().find(|(bytes, _)| *bytes == guard) {
            return Ok(code.clone());
        }
        let code = self.new_code(unchecked)?;
        codes.push((guard, code.clone()));
        Ok(code)
    }

    fn new_code(&self, unchecked: Option<Layout>) -> Result<Arc<low::Code>, ModuleError> {
        let options = low::CodeOptions {
            threading: self.0.engine.threading(),
            unchecked,
            profile: self.0.engine.config().profile,
            baseline: self.0.engine.config().baseline,
            fuel: self.0.engine.config().fuel().cloned(),
            epochs: self.0.engine.config().epochs,
            canonical_nans: self.0.engine.config().canonical_nans,
            call_depth: self.0.engine.config().max_call_depth.is_some(),
            sites: self.0.engine.config().suspended_snapshots,
            max_code_bytes: self.0.engine.config().max_code_bytes,
        };
        low::Code::new(self.0.module.clone(), options).map_err(ModuleError::Translate)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name())
            .field("functions", &self.function_count())
            .finish_non_exhaustive()
    }
}

/// Checks that a module has nothing that the engine does not allow.
fn allowed(engine: &Engine, module: &low::Module) -> Result<(), ModuleError> {
    let config = engine.config();
    if module.start().is_some() && !config.start_fn {
        return Err(ModuleError::StartFunction);
    }
    config
        .module_limits
        .check(module)
        .map_err(|excess| match excess {
            Excess::Number { what, found, limit } => ModuleError::TooMany { what, found, limit },
            Excess::SmallFunctions {
                functions,
                bytes,
                limit,
            } => ModuleError::SmallFunctions {
                functions,
                bytes,
                limit,
            },
        })
}

/// The module as `parse` makes it, or why it is none: an error that names the proposals that are missing takes as long as another
/// validation at most.
fn validated(
    engine: &Engine,
    binary: low::Binary,
    parse: fn(low::Binary, &low::Features) -> Result<low::Module, low::TranslateError>,
) -> Result<low::Module, ModuleError> {
    let features = engine.features();
    parse(binary.clone(), features)
        .map_err(|error| ModuleError::Invalid(error.with_missing_features(&binary, features)))
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

#[cfg(feature = "wat")]
fn from_text(bytes: &[u8]) -> Result<low::Binary, ModuleError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ModuleError::Unknown)?;
    Ok(wat::parse_str(text)?.into())
}

#[cfg(not(feature = "wat"))]
fn from_text(_: &[u8]) -> Result<low::Binary, ModuleError> {
    Err(ModuleError::TextUnsupported)
}
