//! Types of values, functions and everything that can be imported or exported.

use std::fmt;

use crate::low;

/// The type of a value (core specification, §2.3 "Types").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
    /// A vector of 128 bits.
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// A reference to a function, or null.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// Null, as a reference to a function.
    pub const NULLFUNCREF: ValType = ValType::Ref(RefType::NULLFUNCREF);
    /// A reference to something of the host's, or null.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// Null, as a reference to something of the host's.
    pub const NULLEXTERNREF: ValType = ValType::Ref(RefType::NULLEXTERNREF);
    /// A reference to an exception, or null.
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);
    /// Null, as a reference to an exception.
    pub const NULLEXNREF: ValType = ValType::Ref(RefType::NULLEXNREF);

    /// [`ValType::FUNCREF`], by the name that it had when it was a variant.
    #[allow(non_upper_case_globals)]
    pub const FuncRef: ValType = ValType::FUNCREF;
    /// [`ValType::EXTERNREF`], by the name that it had when it was a variant.
    #[allow(non_upper_case_globals)]
    pub const ExternRef: ValType = ValType::EXTERNREF;

    /// Whether this is one of the two integer or the two float types.
    pub fn is_num(&self) -> bool {
        !self.is_ref() && !self.is_vector()
    }

    /// Whether this is the vector type.
    pub fn is_vector(&self) -> bool {
        matches!(self, ValType::V128)
    }

    /// Whether this is a reference type.
    pub fn is_ref(&self) -> bool {
        self.as_ref().is_some()
    }

    /// The reference type that this is, if it is one.
    pub fn as_ref(&self) -> Option<&RefType> {
        match self {
            ValType::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether every value of this type is one of the other (core specification, §3.3 "Matching").
    pub fn matches(&self, other: &ValType) -> bool {
        self.low().matches(other.low())
    }

    pub(crate) fn low(&self) -> low::ValType {
        match self {
            ValType::I32 => low::ValType::I32,
            ValType::I64 => low::ValType::I64,
            ValType::F32 => low::ValType::F32,
            ValType::F64 => low::ValType::F64,
            ValType::V128 => low::ValType::V128,
            ValType::Ref(ty) => ty.low().into(),
        }
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.low().fmt(f)
    }
}

/// The type of a reference, and of a table's elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    is_nullable: bool,
    heap_type: HeapType,
}

impl RefType {
    /// A reference to a function, or null.
    pub const FUNCREF: RefType = RefType::new(true, HeapType::Func);
    /// Null, as a reference to a function.
    pub const NULLFUNCREF: RefType = RefType::new(true, HeapType::NoFunc);
    /// A reference to something of the host's, or null.
    pub const EXTERNREF: RefType = RefType::new(true, HeapType::Extern);
    /// Null, as a reference to something of the host's.
    pub const NULLEXTERNREF: RefType = RefType::new(true, HeapType::NoExtern);
    /// A reference to an exception, or null.
    pub const EXNREF: RefType = RefType::new(true, HeapType::Exn);
    /// Null, as a reference to an exception.
    pub const NULLEXNREF: RefType = RefType::new(true, HeapType::NoExn);

    /// [`RefType::FUNCREF`], by the name that it had when it was a variant.
    #[allow(non_upper_case_globals)]
    pub const Func: RefType = RefType::FUNCREF;
    /// [`RefType::EXTERNREF`], by the name that it had when it was a variant.
    #[allow(non_upper_case_globals)]
    pub const Extern: RefType = RefType::EXTERNREF;

    /// References to things of a type, and null if it `is_nullable`.
    pub const fn new(is_nullable: bool, heap_type: HeapType) -> RefType {
        RefType {
            is_nullable,
            heap_type,
        }
    }

    /// Whether null is one.
    pub fn is_nullable(&self) -> bool {
        self.is_nullable
    }

    /// To what they refer.
    pub fn heap_type(&self) -> &HeapType {
        &self.heap_type
    }

    /// Whether every reference of this type is one of the other.
    pub fn matches(&self, other: &RefType) -> bool {
        self.low().matches(other.low())
    }

    pub(crate) fn low(&self) -> low::RefType {
        low::RefType::new(self.is_nullable, self.heap_type.low())
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.low().fmt(f)
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}

/// To what references refer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapType {
    /// Something of the host's.
    Extern,
    /// Nothing: references to it can only be null.
    NoExtern,
    /// A function of any type.
    Func,
    /// A function of a type, or of a subtype of it.
    ConcreteFunc(FuncType),
    /// No function: references to it can only be null.
    NoFunc,
    /// An exception.
    Exn,
    /// No exception: references to it can only be null.
    NoExn,
}

impl HeapType {
    /// Whether it is [`HeapType::Extern`].
    pub fn is_extern(&self) -> bool {
        matches!(self, HeapType::Extern)
    }

    /// Whether it is [`HeapType::NoExtern`].
    pub fn is_no_extern(&self) -> bool {
        matches!(self, HeapType::NoExtern)
    }

    /// Whether it is [`HeapType::Func`].
    pub fn is_func(&self) -> bool {
        matches!(self, HeapType::Func)
    }

    /// Whether it is [`HeapType::NoFunc`].
    pub fn is_no_func(&self) -> bool {
        matches!(self, HeapType::NoFunc)
    }

    /// Whether it is [`HeapType::Exn`].
    pub fn is_exn(&self) -> bool {
        matches!(self, HeapType::Exn)
    }

    /// Whether it is [`HeapType::NoExn`].
    pub fn is_no_exn(&self) -> bool {
        matches!(self, HeapType::NoExn)
    }

    /// Whether it is of a type that somebody has defined.
    pub fn is_concrete(&self) -> bool {
        self.as_concrete_func().is_some()
    }

    /// The type of the functions, if it is one.
    pub fn as_concrete_func(&self) -> Option<&FuncType> {
        match self {
            HeapType::ConcreteFunc(ty) => Some(ty),
            _ => None,
        }
    }

    /// The type above all others that have something to do with this one.
    pub fn top(&self) -> HeapType {
        self.low().top().into()
    }

    /// Whether nothing is above it.
    pub fn is_top(&self) -> bool {
        matches!(self, HeapType::Extern | HeapType::Func | HeapType::Exn)
    }

    /// Whether nothing is below it.
    pub fn is_bottom(&self) -> bool {
        matches!(
            self,
            HeapType::NoExtern | HeapType::NoFunc | HeapType::NoExn
        )
    }

    /// Whether whatever is of this type is of the other.
    pub fn matches(&self, other: &HeapType) -> bool {
        self.low().matches(other.low())
    }

    fn low(&self) -> low::HeapType {
        match self {
            HeapType::Extern => low::HeapType::Extern,
            HeapType::NoExtern => low::HeapType::NoExtern,
            HeapType::Func => low::HeapType::Func,
            HeapType::ConcreteFunc(ty) => low::HeapType::Concrete(ty.0.id()),
            HeapType::NoFunc => low::HeapType::NoFunc,
            HeapType::Exn => low::HeapType::Exn,
            HeapType::NoExn => low::HeapType::NoExn,
        }
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.low().fmt(f)
    }
}

impl From<FuncType> for HeapType {
    fn from(ty: FuncType) -> HeapType {
        HeapType::ConcreteFunc(ty)
    }
}

/// Whether a type may have subtypes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finality {
    /// It has none.
    Final,
    /// It may have some.
    NonFinal,
}

/// What a function takes and what it returns. Cheap to clone.
///
/// Two types are the same if what they take and return is, and if they are defined in the same way: by themselves, as
/// [`FuncType::new`] does it and most modules do, or in a group of types that refer to each other; final or not; with the
/// same supertype. A type is the same for all engines of the process.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncType(low::RegisteredType);

impl FuncType {
    pub(crate) fn registered(&self) -> &low::RegisteredType {
        &self.0
    }

    /// The type of a function with these parameters and results, which is final.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        // They hold the types that they refer to until the new one does.
        let params: Vec<ValType> = params.into_iter().collect();
        let results: Vec<ValType> = results.into_iter().collect();
        FuncType(low::RegisteredType::new(&low_type(&params, &results)))
    }

    /// The types of the parameters.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.0.params().iter().map(|ty| (*ty).into())
    }

    /// The types of the results.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.0.results().iter().map(|ty| (*ty).into())
    }

    /// The type of parameter `i`, if there is one.
    pub fn param(&self, i: usize) -> Option<ValType> {
        self.0.params().get(i).map(|ty| (*ty).into())
    }

    /// The type of result `i`, if there is one.
    pub fn result(&self, i: usize) -> Option<ValType> {
        self.0.results().get(i).map(|ty| (*ty).into())
    }

    /// Whether it may have subtypes.
    pub fn finality(&self) -> Finality {
        match self.0.is_final() {
            true => Finality::Final,
            false => Finality::NonFinal,
        }
    }

    /// The type that it has been defined as a subtype of.
    pub fn supertype(&self) -> Option<FuncType> {
        self.0.supertype().map(FuncType)
    }

    /// Whether every function of this type is one of the other: it is the same or has been defined as a subtype of it.
    pub fn matches(&self, other: &FuncType) -> bool {
        self.0.is_subtype_of(other.0.id())
    }

    pub(crate) fn low(&self) -> &low::RegisteredType {
        &self.0
    }
}

/// The types have to be held until this is registered.
pub(crate) fn low_type(params: &[ValType], results: &[ValType]) -> low::FuncType {
    let low = |types: &[ValType]| types.iter().map(ValType::low).collect::<Vec<_>>();
    low::FuncType::new(low(params), low(results))
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FuncType({self})")
    }
}

/// As in `(i32, i64) -> (f32)`.
impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.ty().fmt(f)
    }
}

/// What a module declares about a table. Sizes are in elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    element: RefType,
    minimum: u64,
    maximum: Option<u64>,
    table64: bool,
}

impl TableType {
    /// A table of at least `minimum` and at most `maximum` elements.
    pub fn new(element: RefType, minimum: u32, maximum: Option<u32>) -> TableType {
        TableType {
            element,
            minimum: minimum.into(),
            maximum: maximum.map(u64::from),
            table64: false,
        }
    }

    /// The same with 64-bit indices.
    pub fn new64(element: RefType, minimum: u64, maximum: Option<u64>) -> TableType {
        TableType {
            element,
            minimum,
            maximum,
            table64: true,
        }
    }

    /// The type of the elements.
    pub fn element(&self) -> &RefType {
        &self.element
    }

    /// Elements at the start.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }

    /// Elements that it may never exceed.
    pub fn maximum(&self) -> Option<u64> {
        self.maximum
    }

    /// Whether indices have 64 bits.
    pub fn is_64(&self) -> bool {
        self.table64
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "table of {} {}",
            Limits(self.minimum, self.maximum),
            self.element
        )
    }
}

/// What a module declares about a memory. Sizes are in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    minimum: u64,
    maximum: Option<u64>,
    page_size_log2: u8,
    memory64: bool,
    shared: bool,
}

impl MemoryType {
    /// A memory with 32-bit indices and pages of 64 KiB.
    pub fn new(minimum: u32, maximum: Option<u32>) -> MemoryType {
        MemoryType {
            minimum: minimum.into(),
            maximum: maximum.map(u64::from),
            page_size_log2: 16,
            memory64: false,
            shared: false,
        }
    }

    /// A memory with 64-bit indices and pages of 64 KiB.
    ///
    /// With a maximum of 65,536 pages at most it is guarded where memories with 32-bit indices are, and accesses are quicker for it.
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            minimum,
            maximum,
            page_size_log2: 16,
            memory64: true,
            shared: false,
        }
    }

    /// A memory with 32-bit indices and pages of 64 KiB that threads share.
    pub fn shared(minimum: u32, maximum: u32) -> MemoryType {
        MemoryType {
            shared: true,
            ..MemoryType::new(minimum, Some(maximum))
        }
    }

    /// A memory with 64-bit indices and pages of 64 KiB that threads share.
    pub fn shared64(minimum: u64, maximum: u64) -> MemoryType {
        MemoryType {
            shared: true,
            ..MemoryType::new64(minimum, Some(maximum))
        }
    }

    /// Pages at the start.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }

    /// Pages that it may never exceed.
    pub fn maximum(&self) -> Option<u64> {
        self.maximum
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u64 {
        1u64.checked_shl(self.page_size_log2.into()).unwrap_or(0)
    }

    /// Logarithm of [`MemoryType::page_size`].
    pub fn page_size_log2(&self) -> u8 {
        self.page_size_log2
    }

    /// Whether indices have 64 bits.
    pub fn is_64(&self) -> bool {
        self.memory64
    }

    /// Whether several threads may use it at once.
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shared {
            f.write_str("shared ")?;
        }
        if self.memory64 {
            f.write_str("64-bit ")?;
        }
        write!(f, "memory of {} pages", Limits(self.minimum, self.maximum))?;
        if self.page_size_log2 != 16 {
            write!(f, " of {} bytes", self.page_size())?;
        }
        Ok(())
    }
}

struct Limits(u64, Option<u64>);

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(maximum) => write!(f, "{} to {maximum}", self.0),
            None => write!(f, "{} or more", self.0),
        }
    }
}

/// Whether a global can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutability {
    /// It keeps its first value.
    Const,
    /// It can be set.
    Var,
}

/// What a module declares about a global.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    content: ValType,
    mutability: Mutability,
}

impl GlobalType {
    /// A global with values of this type.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType {
            content,
            mutability,
        }
    }

    /// The type of its value.
    pub fn content(&self) -> &ValType {
        &self.content
    }

    /// Whether it can be set.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutability {
            Mutability::Const => write!(f, "global {}", self.content),
            Mutability::Var => write!(f, "global mut {}", self.content),
        }
    }
}

/// The type of something that can be imported or exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A global.
    Global(GlobalType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A tag.
    Tag(TagType),
}

impl ExternType {
    /// The function type, if this is one.
    pub fn func(&self) -> Option<&FuncType> {
        match self {
            ExternType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// The global type, if this is one.
    pub fn global(&self) -> Option<&GlobalType> {
        match self {
            ExternType::Global(ty) => Some(ty),
            _ => None,
        }
    }

    /// The table type, if this is one.
    pub fn table(&self) -> Option<&TableType> {
        match self {
            ExternType::Table(ty) => Some(ty),
            _ => None,
        }
    }

    /// The memory type, if this is one.
    pub fn memory(&self) -> Option<&MemoryType> {
        match self {
            ExternType::Memory(ty) => Some(ty),
            _ => None,
        }
    }

    /// The tag type, if this is one.
    pub fn tag(&self) -> Option<&TagType> {
        match self {
            ExternType::Tag(ty) => Some(ty),
            _ => None,
        }
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "function {ty}"),
            ExternType::Global(ty) => ty.fmt(f),
            ExternType::Table(ty) => ty.fmt(f),
            ExternType::Memory(ty) => ty.fmt(f),
            ExternType::Tag(ty) => ty.fmt(f),
        }
    }
}

impl From<FuncType> for ExternType {
    fn from(ty: FuncType) -> ExternType {
        ExternType::Func(ty)
    }
}

impl From<GlobalType> for ExternType {
    fn from(ty: GlobalType) -> ExternType {
        ExternType::Global(ty)
    }
}

impl From<TableType> for ExternType {
    fn from(ty: TableType) -> ExternType {
        ExternType::Table(ty)
    }
}

/// The type of a tag: its parameters are the values of exceptions with the tag. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagType(FuncType);

impl TagType {
    /// The type of a tag whose exceptions have the parameters of `ty` as values. A module can declare none with results.
    pub fn new(ty: FuncType) -> TagType {
        TagType(ty)
    }

    /// The values, as parameters.
    pub fn ty(&self) -> &FuncType {
        &self.0
    }
}

impl fmt::Display for TagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tag (")?;
        for (i, ty) in self.0.params().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{ty}")?;
        }
        f.write_str(")")
    }
}

impl From<TagType> for ExternType {
    fn from(ty: TagType) -> ExternType {
        ExternType::Tag(ty)
    }
}

impl From<MemoryType> for ExternType {
    fn from(ty: MemoryType) -> ExternType {
        ExternType::Memory(ty)
    }
}

/// Something that a module wants.
#[derive(Clone, Debug)]
pub struct ImportType<'module> {
    pub(crate) module: &'module str,
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

impl<'module> ImportType<'module> {
    /// The name of the module it is to come from.
    pub fn module(&self) -> &'module str {
        self.module
    }

    /// Its name in that module.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it must be.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

/// Something that a module offers.
#[derive(Clone, Debug)]
pub struct ExportType<'module> {
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

impl<'module> ExportType<'module> {
    /// Its name.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it is.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

impl From<low::ValType> for ValType {
    fn from(ty: low::ValType) -> ValType {
        match ty {
            low::ValType::I32 => ValType::I32,
            low::ValType::I64 => ValType::I64,
            low::ValType::F32 => ValType::F32,
            low::ValType::F64 => ValType::F64,
            low::ValType::V128 => ValType::V128,
            low::ValType::Ref(ty) => ValType::Ref(ty.into()),
        }
    }
}

impl From<low::RefType> for RefType {
    fn from(ty: low::RefType) -> RefType {
        RefType::new(ty.nullable, ty.heap.into())
    }
}

impl From<low::HeapType> for HeapType {
    fn from(ty: low::HeapType) -> HeapType {
        match ty {
            low::HeapType::Extern => HeapType::Extern,
            low::HeapType::NoExtern => HeapType::NoExtern,
            low::HeapType::Func => HeapType::Func,
            low::HeapType::Concrete(id) => match low::RegisteredType::of(id) {
                Some(ty) => HeapType::ConcreteFunc(FuncType(ty)),
                None => unreachable!("modules, stores and types hold what they refer to"),
            },
            low::HeapType::NoFunc => HeapType::NoFunc,
            low::HeapType::Exn => HeapType::Exn,
            low::HeapType::NoExn => HeapType::NoExn,
        }
    }
}

impl From<&low::RegisteredType> for FuncType {
    fn from(ty: &low::RegisteredType) -> FuncType {
        FuncType(ty.clone())
    }
}

impl From<low::TableType> for TableType {
    fn from(ty: low::TableType) -> TableType {
        TableType {
            element: ty.element.into(),
            minimum: ty.minimum,
            maximum: ty.maximum,
            table64: ty.table64,
        }
    }
}

impl From<&TableType> for low::TableType {
    fn from(ty: &TableType) -> low::TableType {
        low::TableType {
            element: ty.element.low(),
            minimum: ty.minimum,
            maximum: ty.maximum,
            table64: ty.table64,
        }
    }
}

impl From<low::MemoryType> for MemoryType {
    fn from(ty: low::MemoryType) -> MemoryType {
        MemoryType {
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2,
            memory64: ty.memory64,
            shared: ty.shared,
        }
    }
}

impl MemoryType {
    /// That of a memory as matching of imports sees it: the minimum is the present size.
    pub(crate) fn present(memory: &vm_memory::LinearMemory) -> MemoryType {
        let ty = vm_memory::MemoryType {
            minimum: memory.pages(),
            ..*memory.ty()
        };
        MemoryType::of(ty, memory.shared().is_some())
    }

    pub(crate) fn of(ty: vm_memory::MemoryType, shared: bool) -> MemoryType {
        MemoryType {
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2,
            memory64: ty.memory64,
            shared,
        }
    }
}

impl From<MemoryType> for vm_memory::MemoryType {
    fn from(ty: MemoryType) -> vm_memory::MemoryType {
        vm_memory::MemoryType {
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2,
            memory64: ty.memory64,
        }
    }
}

impl From<low::GlobalType> for GlobalType {
    fn from(ty: low::GlobalType) -> GlobalType {
        GlobalType {
            content: ty.content.into(),
            mutability: if ty.mutable {
                Mutability::Var
            } else {
                Mutability::Const
            },
        }
    }
}

impl From<&GlobalType> for low::GlobalType {
    fn from(ty: &GlobalType) -> low::GlobalType {
        low::GlobalType {
            content: ty.content.low(),
            mutable: ty.mutability == Mutability::Var,
        }
    }
}

impl From<&low::ExternType> for ExternType {
    fn from(ty: &low::ExternType) -> ExternType {
        match ty {
            low::ExternType::Func(ty) => ExternType::Func(ty.into()),
            low::ExternType::Table(ty) => ExternType::Table((*ty).into()),
            low::ExternType::Memory(ty) => ExternType::Memory((*ty).into()),
            low::ExternType::Global(ty) => ExternType::Global((*ty).into()),
            low::ExternType::Tag(ty) => TagType::new(ty.into()).into(),
        }
    }
}
