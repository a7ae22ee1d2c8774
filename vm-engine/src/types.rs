//! Types of values, functions and everything that can be imported or exported.

use std::fmt;
use std::sync::Arc;

use crate::low;

/// The type of a value (core specification, §2.3 "Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// A reference to a function, or null.
    FuncRef,
    /// A reference to something of the host's, or null.
    ExternRef,
}

impl ValType {
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
    pub fn as_ref(&self) -> Option<RefType> {
        match self {
            ValType::FuncRef => Some(RefType::Func),
            ValType::ExternRef => Some(RefType::Extern),
            _ => None,
        }
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::V128 => "v128",
            ValType::FuncRef => "funcref",
            ValType::ExternRef => "externref",
        })
    }
}

/// The type of a reference, and of a table's elements. All of them admit null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefType {
    /// To functions.
    Func,
    /// To things of the host's.
    Extern,
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValType::from(*self).fmt(f)
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        match ty {
            RefType::Func => ValType::FuncRef,
            RefType::Extern => ValType::ExternRef,
        }
    }
}

/// What a function takes and what it returns. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuncType {
    /// Parameters, then results.
    types: Arc<[ValType]>,
    params: usize,
}

impl FuncType {
    /// The type of a function with these parameters and results.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let mut types: Vec<ValType> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        FuncType {
            types: types.into(),
            params,
        }
    }

    /// The types of the parameters.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.param_slice().iter().copied()
    }

    /// The types of the results.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.result_slice().iter().copied()
    }

    /// The type of parameter `i`, if there is one.
    pub fn param(&self, i: usize) -> Option<ValType> {
        self.param_slice().get(i).copied()
    }

    /// The type of result `i`, if there is one.
    pub fn result(&self, i: usize) -> Option<ValType> {
        self.result_slice().get(i).copied()
    }

    pub(crate) fn param_slice(&self) -> &[ValType] {
        &self.types[..self.params]
    }

    pub(crate) fn result_slice(&self) -> &[ValType] {
        &self.types[self.params..]
    }
}

/// As in `(i32, i64) -> (f32)`.
impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_types(f, self.param_slice())?;
        f.write_str(" -> ")?;
        write_types(f, self.result_slice())
    }
}

pub(crate) fn write_types(f: &mut fmt::Formatter<'_>, types: &[ValType]) -> fmt::Result {
    f.write_str("(")?;
    for (i, ty) in types.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{ty}")?;
    }
    f.write_str(")")
}

/// What a module declares about a table. Sizes are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub fn element(&self) -> RefType {
        self.element
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
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            minimum,
            maximum,
            page_size_log2: 16,
            memory64: true,
            shared: false,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub fn content(&self) -> ValType {
        self.content
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
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "function {ty}"),
            ExternType::Global(ty) => ty.fmt(f),
            ExternType::Table(ty) => ty.fmt(f),
            ExternType::Memory(ty) => ty.fmt(f),
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
            low::ValType::FuncRef => ValType::FuncRef,
            low::ValType::ExternRef => ValType::ExternRef,
        }
    }
}

impl From<ValType> for low::ValType {
    fn from(ty: ValType) -> low::ValType {
        match ty {
            ValType::I32 => low::ValType::I32,
            ValType::I64 => low::ValType::I64,
            ValType::F32 => low::ValType::F32,
            ValType::F64 => low::ValType::F64,
            ValType::V128 => low::ValType::V128,
            ValType::FuncRef => low::ValType::FuncRef,
            ValType::ExternRef => low::ValType::ExternRef,
        }
    }
}

impl From<low::RefType> for RefType {
    fn from(ty: low::RefType) -> RefType {
        match ty {
            low::RefType::Func => RefType::Func,
            low::RefType::Extern => RefType::Extern,
        }
    }
}

impl From<RefType> for low::RefType {
    fn from(ty: RefType) -> low::RefType {
        match ty {
            RefType::Func => low::RefType::Func,
            RefType::Extern => low::RefType::Extern,
        }
    }
}

impl From<&low::FuncType> for FuncType {
    fn from(ty: &low::FuncType) -> FuncType {
        FuncType::new(
            ty.params().iter().map(|ty| ValType::from(*ty)),
            ty.results().iter().map(|ty| ValType::from(*ty)),
        )
    }
}

impl From<&FuncType> for low::FuncType {
    fn from(ty: &FuncType) -> low::FuncType {
        low::FuncType::new(ty.params().map(Into::into), ty.results().map(Into::into))
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

impl From<TableType> for low::TableType {
    fn from(ty: TableType) -> low::TableType {
        low::TableType {
            element: ty.element.into(),
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

impl From<vm_memory::MemoryType> for MemoryType {
    fn from(ty: vm_memory::MemoryType) -> MemoryType {
        MemoryType {
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2,
            memory64: ty.memory64,
            shared: false,
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

impl From<GlobalType> for low::GlobalType {
    fn from(ty: GlobalType) -> low::GlobalType {
        low::GlobalType {
            content: ty.content.into(),
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
        }
    }
}
