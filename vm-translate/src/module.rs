//! A parsed and validated module.

use std::ops::Range;

use wasmparser::{
    CustomSectionReader, ExternalKind, KnownCustom, Parser, Payload, TableInit, TypeRef,
    ValidPayload, Validator, WasmFeatures,
};

use crate::bodies::{Bodies, Finding, ValidBody, When};
use crate::hints::{self, BranchHint, BranchHints, CustomSectionError};
use crate::names::Names;
use crate::registry::SubType;
use crate::segment::unknown;
use crate::types::TypeSpace;
use crate::{
    Binary, ConstExpr, DataSegment, ElemSegment, Error, ExternKind, ExternType, Features,
    GlobalType, MemoryType, RegisteredType, TableType,
};

/// A module that has been validated: function bodies when it was made, or each before anything is made of it
/// ([`Module::with_bodies_unvalidated`]).
///
/// It owns its bytes and refers to them for segments and bodies. Index spaces start with what is
/// imported, as in the specification.
#[derive(Clone, Debug)]
pub struct Module {
    bytes: Binary,
    types: Vec<RegisteredType>,
    imports: Vec<Import>,
    exports: Vec<Export>,
    /// Of every function, the index of its type.
    funcs: Vec<u32>,
    tables: Vec<TableType>,
    table_inits: Vec<Option<ConstExpr>>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    /// Of every tag, the index of its type.
    tags: Vec<u32>,
    global_inits: Vec<ConstExpr>,
    data: Vec<DataSegment>,
    elements: Vec<ElemSegment>,
    start: Option<u32>,
    bodies: Bodies,
    names: Names,
    hints: BranchHints,
    custom_section_errors: Vec<CustomSectionError>,
    features: WasmFeatures,
}

/// Something a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The first of its two names.
    pub module: String,
    /// The second of its two names.
    pub name: String,
    /// What it has to be.
    pub ty: ExternType,
}

/// Something a module exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// In which index space it is.
    pub kind: ExternKind,
    /// Its index there.
    pub index: u32,
}

/// From how many types on a module is first validated as one without references to them. Where there may be some, the validator
/// looks for an equal one of every type, which takes as much time and memory again as all else about types does.
const MANY_TYPES: u32 = 1000;

/// Whether a module defines so many types.
fn has_many_types(bytes: &[u8]) -> bool {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::Version { .. } | Payload::CustomSection(_)) => {}
            Ok(Payload::TypeSection(section)) => return section.count() >= MANY_TYPES,
            // Types come first; what is wrong with the module is said later.
            _ => break,
        }
    }
    false
}

impl Module {
    /// Parses and validates a module in the binary format.
    ///
    /// Custom sections other than names and branch hints are skipped. What is malformed in one is
    /// no error: see [`Module::custom_section_errors`].
    ///
    /// # Errors
    ///
    /// If the bytes are not a valid module under `features`, with the offset of the problem, and with the name of a
    /// proposal with which they may be one if the validator says so. It does not always:
    /// [`Error::with_missing_features`] looks for the others.
    pub fn new(bytes: impl Into<Binary>, features: &Features) -> Result<Module, Error> {
        Module::parse(&bytes.into(), features, When::Parsed)
    }

    /// Like [`Module::new`], but the bodies of functions are only looked for. Each is validated when something is made of it
    /// for the first time: a translation, say, or a frame of it. All that depends on bodies does that first, and fails
    /// with the error that [`Module::new`] would have had; of a body that is not valid, nothing can be had. An error
    /// also names the proposals that the body needs and that are off.
    ///
    /// What the validator knows of the rest of the module is kept for this.
    ///
    /// # Errors
    ///
    /// Those of [`Module::new`] about anything but bodies.
    pub fn with_bodies_unvalidated(
        bytes: impl Into<Binary>,
        features: &Features,
    ) -> Result<Module, Error> {
        Module::parse(&bytes.into(), features, When::Asked)
    }

    fn parse(bytes: &Binary, features: &Features, when: When) -> Result<Module, Error> {
        crate::sections::check_complete(bytes)?;
        // What is valid without references to types is valid with them, and means the same.
        if has_many_types(bytes)
            && let Ok(module) =
                Module::parse_as(bytes, features, features.without_typed_references(), when)
        {
            return Ok(module);
        }
        Module::parse_as(bytes, features, features.validated(), when)
    }

    /// Parses a module of which the validator lets through what is `validated`.
    fn parse_as(
        bytes: &Binary,
        features: &Features,
        validated: WasmFeatures,
        when: When,
    ) -> Result<Module, Error> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::Limit {
                what: "the size of the module in bytes",
                limit: u32::MAX.into(),
                offset: u32::MAX.into(),
            });
        }
        let mut module = Module {
            bytes: bytes.clone(),
            types: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            funcs: Vec::new(),
            tables: Vec::new(),
            table_inits: Vec::new(),
            memories: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
            global_inits: Vec::new(),
            data: Vec::new(),
            elements: Vec::new(),
            start: None,
            bodies: Bodies::none(features),
            names: Names::default(),
            hints: BranchHints::default(),
            custom_section_errors: Vec::new(),
            features: features.validated(),
        };
        let mut validator = Validator::new_with_features(validated);
        let mut parser = Parser::new(0);
        parser.set_features(validated);
        let mut bodies = Finding::new(features, validated, when);
        let mut sections = Vec::new();
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Func(func, body) => bodies.add(func, &body)?,
                ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::End(_) => {}
            }
            match payload {
                Payload::CodeSectionEntry(_) => {}
                Payload::CustomSection(section) => module.add_custom(&section, bodies.is_empty()),
                section => sections.push(section),
            }
        }
        // What the validator knows of types is as much again as what becomes of them here: not both at once.
        drop(validator);
        for section in sections {
            module.add(section)?;
        }
        module.bodies = bodies.finish();
        Ok(module)
    }

    /// Takes over what a validated section says.
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section.into_iter_with_offsets() {
                    let (offset, group) = group?;
                    let space = TypeSpace::with_group(&self.types, group.types().len());
                    let types = group.types().map(|ty| SubType::from_wasm(ty, space));
                    let types: Option<Vec<_>> = types.collect();
                    let types = types.ok_or_else(|| unknown("type", offset))?;
                    self.types.extend(RegisteredType::group(types));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    let ty = self
                        .import(import.ty)
                        .ok_or_else(|| unknown("import", offset))?;
                    self.imports.push(Import {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        ty,
                    });
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.funcs.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    let ty = TableType::from_wasm(&table.ty, self.space());
                    self.tables
                        .push(ty.ok_or_else(|| unknown("table type", offset))?);
                    self.table_inits.push(match &table.init {
                        TableInit::RefNull => None,
                        TableInit::Expr(expr) => Some(ConstExpr::from_wasm(expr, self.space())?),
                    });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memories.push(MemoryType::from_wasm(&memory?));
                }
            }
            Payload::GlobalSection(section) => {
                for global in section.into_iter_with_offsets() {
                    let (offset, global) = global?;
                    let ty = GlobalType::from_wasm(&global.ty, self.space());
                    self.globals
                        .push(ty.ok_or_else(|| unknown("global type", offset))?);
                    self.global_inits
                        .push(ConstExpr::from_wasm(&global.init_expr, self.space())?);
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    self.tags.push(tag?.func_type_idx);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push(Export {
                        name: export.name.to_owned(),
                        kind: match export.kind {
                            ExternalKind::Func | ExternalKind::FuncExact => ExternKind::Func,
                            ExternalKind::Table => ExternKind::Table,
                            ExternalKind::Memory => ExternKind::Memory,
                            ExternalKind::Global => ExternKind::Global,
                            ExternalKind::Tag => ExternKind::Tag,
                        },
                        index: export.index,
                    });
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => {
                for element in section.into_iter_with_offsets() {
                    let (offset, element) = element?;
                    self.elements
                        .push(ElemSegment::from_wasm(&element, offset, self.space())?);
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    self.data
                        .push(DataSegment::from_wasm(&data?, self.space())?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes over what a custom section says, which stands before or behind the code.
    fn add_custom(&mut self, section: &CustomSectionReader<'_>, before_code: bool) {
        let name = section.name();
        let result = match section.as_known() {
            KnownCustom::Name(_) => {
                let start = section.data_offset() as usize;
                self.names.add(start..start + section.data().len());
                Ok(())
            }
            KnownCustom::BranchHints(section) if !before_code => {
                let what = "it stands behind the code".to_owned();
                Err((what, section.range().start))
            }
            KnownCustom::BranchHints(section) => {
                hints::read(section).map(|hints| self.hints = BranchHints::of(hints))
            }
            _ if name == hints::BRANCH_HINTS => {
                let what = "it is not even a list".to_owned();
                Err((what, section.data_offset()))
            }
            _ => Ok(()),
        };
        if let Err(problem) = result {
            self.custom_section_errors
                .push(CustomSectionError::new(name, problem));
        }
    }

    /// What the indices of its types stand for.
    pub(crate) fn space(&self) -> TypeSpace<'_> {
        TypeSpace::all(&self.types)
    }

    fn import(&mut self, ty: TypeRef) -> Option<ExternType> {
        Some(match ty {
            TypeRef::Func(index) => {
                self.funcs.push(index);
                ExternType::Func(self.types.get(index as usize)?.clone())
            }
            TypeRef::Table(ty) => {
                let ty = TableType::from_wasm(&ty, self.space())?;
                self.tables.push(ty);
                ExternType::Table(ty)
            }
            TypeRef::Memory(ty) => {
                let ty = MemoryType::from_wasm(&ty);
                self.memories.push(ty);
                ExternType::Memory(ty)
            }
            TypeRef::Global(ty) => {
                let ty = GlobalType::from_wasm(&ty, self.space())?;
                self.globals.push(ty);
                ExternType::Global(ty)
            }
            TypeRef::Tag(ty) => {
                self.tags.push(ty.func_type_idx);
                ExternType::Tag(self.types.get(ty.func_type_idx as usize)?.clone())
            }
            TypeRef::FuncExact(_) => return None,
        })
    }

    /// The module in the binary format.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The types that it defines, of functions all of them.
    pub fn types(&self) -> &[RegisteredType] {
        &self.types
    }

    /// What it imports, in the order of its index spaces.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// What it exports.
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// How many functions there are, imported ones included.
    pub fn func_count(&self) -> u32 {
        self.funcs.len() as u32
    }

    /// How many functions are imported.
    pub fn imported_funcs(&self) -> u32 {
        (self.funcs.len() - self.bodies.len()) as u32
    }

    /// The index of a function's type.
    ///
    /// # Panics
    ///
    /// If there is no such function.
    pub fn func_type_index(&self, func: u32) -> u32 {
        self.funcs[func as usize]
    }

    /// A function's type.
    ///
    /// # Panics
    ///
    /// If there is no such function.
    pub fn func_type(&self, func: u32) -> &RegisteredType {
        &self.types[self.func_type_index(func) as usize]
    }

    /// The offset in the module's bytes where a function's body starts; 0 for an imported one.
    pub fn func_offset(&self, func: u32) -> u32 {
        self.body(func).map_or(0, |range| range.start as u32)
    }

    /// How long a function's body is in the module's bytes; 0 for an imported one.
    pub fn func_size(&self, func: u32) -> u32 {
        self.body(func).map_or(0, |range| range.len() as u32)
    }

    /// What it may use.
    pub(crate) fn wasm_features(&self) -> WasmFeatures {
        self.features
    }

    /// The types of all tables.
    pub fn tables(&self) -> &[TableType] {
        &self.tables
    }

    /// How many tables are imported.
    pub fn imported_tables(&self) -> u32 {
        (self.tables.len() - self.table_inits.len()) as u32
    }

    /// What the elements of a table are at first; nothing means null. Imported tables have no
    /// such value of their own.
    pub fn table_init(&self, table: u32) -> Option<&ConstExpr> {
        let defined = table.checked_sub(self.imported_tables())?;
        self.table_inits.get(defined as usize)?.as_ref()
    }

    /// The types of all memories.
    pub fn memories(&self) -> &[MemoryType] {
        &self.memories
    }

    /// How many memories are imported.
    pub fn imported_memories(&self) -> u32 {
        self.imports_of(ExternKind::Memory)
    }

    /// The types of all globals.
    pub fn globals(&self) -> &[GlobalType] {
        &self.globals
    }

    /// How many globals are imported.
    pub fn imported_globals(&self) -> u32 {
        (self.globals.len() - self.global_inits.len()) as u32
    }

    /// The first value of a global; nothing for imported ones.
    pub fn global_init(&self, global: u32) -> Option<&ConstExpr> {
        let defined = global.checked_sub(self.imported_globals())?;
        self.global_inits.get(defined as usize)
    }

    /// How many tags there are, imported ones included.
    pub fn tag_count(&self) -> u32 {
        self.tags.len() as u32
    }

    /// How many tags are imported.
    pub fn imported_tags(&self) -> u32 {
        self.imports_of(ExternKind::Tag)
    }

    /// The index of a tag's type.
    ///
    /// # Panics
    ///
    /// If there is no such tag.
    pub fn tag_type_index(&self, tag: u32) -> u32 {
        self.tags[tag as usize]
    }

    /// A tag's type: its parameters are the values of its exceptions.
    ///
    /// # Panics
    ///
    /// If there is no such tag.
    pub fn tag_type(&self, tag: u32) -> &RegisteredType {
        &self.types[self.tag_type_index(tag) as usize]
    }

    /// The data segments.
    pub fn data_segments(&self) -> &[DataSegment] {
        &self.data
    }

    /// The data of a segment of this module.
    ///
    /// # Panics
    ///
    /// If the segment is one of another module and reaches beyond this one's bytes.
    pub fn data(&self, segment: &DataSegment) -> &[u8] {
        &self.bytes[segment.bytes.clone()]
    }

    /// The element segments.
    pub fn elem_segments(&self) -> &[ElemSegment] {
        &self.elements
    }

    /// The function to be called at the end of instantiation.
    pub fn start(&self) -> Option<u32> {
        self.start
    }

    /// The module's name, from the name section.
    pub fn name(&self) -> Option<&str> {
        self.names.module(&self.bytes)
    }

    /// A function's name, from the name section.
    pub fn func_name(&self, func: u32) -> Option<&str> {
        self.names.func(&self.bytes, func)
    }

    /// What the module says about conditional branches of a function, in the order of its
    /// instructions. Translation makes no use of it: both ways of a branch are handlers' tails
    /// that cost the same.
    pub fn branch_hints(&self, func: u32) -> &[BranchHint] {
        self.hints.of_func(func, |func| self.function_body(func))
    }

    /// The custom sections that are malformed, of those that have a meaning here. They count as
    /// absent, from where they are wrong if they are names.
    pub fn custom_section_errors(&self) -> Vec<CustomSectionError> {
        let names = self.names.problems(&self.bytes).iter();
        let names = names.map(|problem| CustomSectionError::new("name", problem.clone()));
        let hints = self.hints.problem(|func| self.function_body(func));
        let hints = hints.map(|problem| CustomSectionError::new(hints::BRANCH_HINTS, problem));
        names
            .chain(self.custom_section_errors.iter().cloned())
            .chain(hints)
            .collect()
    }

    /// Where a function's body is in the module's bytes: local declarations, then code.
    fn body(&self, func: u32) -> Option<Range<usize>> {
        let defined = func.checked_sub(self.imported_funcs())?;
        self.bodies.range(defined as usize)
    }

    /// The body of a function, to be read with the features that it was validated with.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not valid.
    pub(crate) fn function_body(&self, func: u32) -> Result<ValidBody<'_>, Error> {
        let defined = func.checked_sub(self.imported_funcs());
        let defined = defined.ok_or(Error::NoBody { func })?;
        let ty = self.funcs.get(func as usize);
        let ty = *ty.ok_or(Error::NoBody { func })?;
        self.bodies.get(&self.bytes, func, defined as usize, ty)
    }

    /// Validates the body of a function, unless that has been done. There is no need to: whatever is made of it begins
    /// with that.
    ///
    /// # Errors
    ///
    /// If it is not valid, or the function has none.
    pub fn validate_body(&self, func: u32) -> Result<(), Error> {
        self.function_body(func).map(drop)
    }

    fn imports_of(&self, kind: ExternKind) -> u32 {
        self.imports
            .iter()
            .filter(|import| import.ty.kind() == kind)
            .count() as u32
    }
}
