//! Modules: validated, and translated as far as they have run.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::engine::Engine;
use crate::error::{ModuleError, Result};
use crate::low;
use crate::types::{ExportType, ExternType, ImportType};

/// A module that has been validated. Cheap to clone; its code is shared by all instances, on all
/// threads.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    engine: Engine,
    module: Arc<low::Module>,
    exports: HashMap<String, usize>,
    /// Code for a guarded memory 0.
    unchecked: OnceLock<Arc<low::Code>>,
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
        let bytes = to_binary(bytes)?;
        Ok(Module::parse(engine, bytes)?)
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
        Module::new(engine, bytes)
    }

    /// Like [`Module::new`], of the binary format only.
    ///
    /// # Errors
    ///
    /// [`ModuleError`].
    pub fn from_binary(engine: &Engine, binary: &[u8]) -> Result<Module> {
        Ok(Module::parse(engine, binary.into())?)
    }

    /// Checks that these bytes are a module in the binary format that this engine can run.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] says why not.
    pub fn validate(engine: &Engine, binary: &[u8]) -> Result<()> {
        low::Module::new(binary, engine.features()).map_err(ModuleError::Invalid)?;
        Ok(())
    }

    fn parse(engine: &Engine, binary: Arc<[u8]>) -> Result<Module, ModuleError> {
        let module = low::Module::new(binary, engine.features()).map_err(ModuleError::Invalid)?;
        let exports = module
            .exports()
            .iter()
            .enumerate()
            .map(|(i, export)| (export.name.clone(), i))
            .collect();
        let module = Module(Arc::new(ModuleInner {
            engine: engine.clone(),
            module: Arc::new(module),
            exports,
            unchecked: OnceLock::new(),
            checked: OnceLock::new(),
        }));
        if engine.eager() {
            module
                .code(engine.guarded_layout().is_some())?
                .translate_all()
                .map_err(ModuleError::Translate)?;
        }
        Ok(module)
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
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
    /// [`ModuleError`]: there is no such function, it is imported, or it cannot be translated.
    pub fn explore(&self, func_index: u32) -> Result<String> {
        let code = self.code(self.0.engine.guarded_layout().is_some())?;
        Ok(code.listing(func_index).map_err(ModuleError::Translate)?)
    }

    pub(crate) fn low(&self) -> &Arc<low::Module> {
        &self.0.module
    }

    /// The module's code, without checks where guard pages do them, or with all checks.
    pub(crate) fn code(&self, unchecked: bool) -> Result<Arc<low::Code>, ModuleError> {
        let (cell, layout) = if unchecked {
            (&self.0.unchecked, self.0.engine.guarded_layout())
        } else {
            (&self.0.checked, None)
        };
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let options = low::CodeOptions {
            threading: self.0.engine.threading(),
            unchecked: layout,
        };
        let code =
            low::Code::new(self.0.module.clone(), options).map_err(ModuleError::Translate)?;
        // If another thread was faster, its code is the one everyone uses.
        Ok(cell.get_or_init(|| code).clone())
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

fn to_binary(bytes: &[u8]) -> Result<Arc<[u8]>, ModuleError> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes.into());
    }
    from_text(bytes)
}

#[cfg(feature = "wat")]
fn from_text(bytes: &[u8]) -> Result<Arc<[u8]>, ModuleError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ModuleError::Unknown)?;
    Ok(wat::parse_str(text)?.into())
}

#[cfg(not(feature = "wat"))]
fn from_text(_: &[u8]) -> Result<Arc<[u8]>, ModuleError> {
    Err(ModuleError::TextUnsupported)
}
