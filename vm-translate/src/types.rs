//! The types of a module's parts, without the validator's own representation of them.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::op::Ty;

/// The type of a value. Specification: "Types", "Value Types".
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
    /// How the IR sees values of this type.
    pub const fn ty(self) -> Ty {
        match self {
            ValType::I32 => Ty::I32,
            ValType::I64 | ValType::FuncRef | ValType::ExternRef => Ty::I64,
            ValType::F32 => Ty::F32,
            ValType::F64 => Ty::F64,
            ValType::V128 => Ty::V128,
        }
    }

    /// How many slots of a frame, or words of a global, a value of this type takes.
    pub const fn slots(self) -> u32 {
        self.ty().slots()
    }

    /// Whether it is a reference type.
    pub const fn is_ref(self) -> bool {
        matches!(self, ValType::FuncRef | ValType::ExternRef)
    }

    /// The type as a reference type, if it is one.
    pub const fn as_ref_type(self) -> Option<RefType> {
        match self {
            ValType::FuncRef => Some(RefType::Func),
            ValType::ExternRef => Some(RefType::Extern),
            _ => None,
        }
    }

    /// The validator's type as ours; nothing for types of proposals that are not implemented.
    pub(crate) fn from_wasm(ty: wasmparser::ValType) -> Option<ValType> {
        Some(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => RefType::from_wasm(ty)?.into(),
        })
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

/// The type of a reference. Specification: "Types", "Reference Types".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefType {
    /// A reference to a function, or null.
    Func,
    /// A reference to something of the host's, or null.
    Extern,
}

impl RefType {
    pub(crate) fn from_wasm(ty: wasmparser::RefType) -> Option<RefType> {
        if ty == wasmparser::RefType::FUNCREF {
            Some(RefType::Func)
        } else if ty == wasmparser::RefType::EXTERNREF {
            Some(RefType::Extern)
        } else {
            None
        }
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

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValType::from(*self).fmt(f)
    }
}

/// The type of a function. Its text form is `(i32, i64) -> (f32)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuncType {
    /// The parameters, then the results.
    types: Box<[ValType]>,
    params: u32,
    param_slots: u32,
    result_slots: u32,
}

impl FuncType {
    /// A function type.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let mut types: Vec<ValType> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        FuncType::of(types.into(), params)
    }

    fn of(types: Box<[ValType]>, params: usize) -> FuncType {
        let slots = |types: &[ValType]| types.iter().map(|ty| ty.slots()).sum();
        let (param_types, result_types) = types.split_at(params);
        FuncType {
            params: params as u32,
            param_slots: slots(param_types),
            result_slots: slots(result_types),
            types,
        }
    }

    /// The types of the parameters.
    pub fn params(&self) -> &[ValType] {
        &self.types[..self.params as usize]
    }

    /// The types of the results.
    pub fn results(&self) -> &[ValType] {
        &self.types[self.params as usize..]
    }

    /// Slots that the parameters take.
    pub fn param_slots(&self) -> u32 {
        self.param_slots
    }

    /// Slots that the results take.
    pub fn result_slots(&self) -> u32 {
        self.result_slots
    }

    /// Slots that hold first the parameters and then the results: as many as the longer of the
    /// two lists takes.
    pub fn slots(&self) -> u32 {
        self.param_slots.max(self.result_slots)
    }

    pub(crate) fn from_wasm(ty: &wasmparser::FuncType) -> Option<FuncType> {
        let types = || (ty.params().iter().chain(ty.results())).map(|ty| ValType::from_wasm(*ty));
        // Looked through twice, they need no room besides: none is missing then.
        types().all(|ty| ty.is_some()).then(|| {
            let types = types().map(|ty| ty.unwrap_or(ValType::I32));
            FuncType::of(types.collect(), ty.params().len())
        })
    }
}

/// Modules may have a million types with thousands of parameters: a number of them are hashed at once.
impl Hash for FuncType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        /// A type is one of fewer than 16.
        const BITS: u32 = 4;
        state.write_u32(self.params);
        state.write_usize(self.types.len());
        for types in self.types.chunks((u64::BITS / BITS) as usize) {
            state.write_u64(types.iter().fold(0, |all, ty| all << BITS | *ty as u64));
        }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, types: &[ValType]) -> fmt::Result {
            f.write_str("(")?;
            for (i, ty) in types.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{ty}")?;
            }
            f.write_str(")")
        }
        list(f, self.params())?;
        f.write_str(" -> ")?;
        list(f, self.results())
    }
}

/// The type of a table. Sizes are numbers of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    /// What its elements are.
    pub element: RefType,
    /// The least number of elements.
    pub minimum: u64,
    /// The greatest number of elements, if there is a limit.
    pub maximum: Option<u64>,
    /// Whether indices are 64-bit.
    pub table64: bool,
}

impl TableType {
    pub(crate) fn from_wasm(ty: &wasmparser::TableType) -> Option<TableType> {
        Some(TableType {
            element: RefType::from_wasm(ty.element_type)?,
            minimum: ty.initial,
            maximum: ty.maximum,
            table64: ty.table64,
        })
    }
}

/// The type of a linear memory. Sizes are numbers of pages of `1 << page_size_log2` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    /// The least number of pages.
    pub minimum: u64,
    /// The greatest number of pages, if there is a limit.
    pub maximum: Option<u64>,
    /// Binary logarithm of the bytes of a page: 16 unless the module says otherwise.
    pub page_size_log2: u8,
    /// Whether addresses are 64-bit.
    pub memory64: bool,
    /// Whether threads may share it.
    pub shared: bool,
}

impl MemoryType {
    pub(crate) fn from_wasm(ty: &wasmparser::MemoryType) -> MemoryType {
        MemoryType {
            minimum: ty.initial,
            maximum: ty.maximum,
            page_size_log2: ty.page_size_log2.map_or(16, |log2| log2 as u8),
            memory64: ty.memory64,
            shared: ty.shared,
        }
    }
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// What it holds.
    pub content: ValType,
    /// Whether it can be set.
    pub mutable: bool,
}

impl GlobalType {
    pub(crate) fn from_wasm(ty: &wasmparser::GlobalType) -> Option<GlobalType> {
        Some(GlobalType {
            content: ValType::from_wasm(ty.content_type)?,
            mutable: ty.mutable,
        })
    }
}

/// The type of something imported or exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
}

impl ExternType {
    /// What kind of thing it is.
    pub fn kind(&self) -> ExternKind {
        match self {
            ExternType::Func(_) => ExternKind::Func,
            ExternType::Table(_) => ExternKind::Table,
            ExternType::Memory(_) => ExternKind::Memory,
            ExternType::Global(_) => ExternKind::Global,
        }
    }
}

/// A kind of thing that can be imported or exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExternKind {
    /// A function.
    Func,
    /// A table.
    Table,
    /// A memory.
    Memory,
    /// A global.
    Global,
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExternKind::Func => "function",
            ExternKind::Table => "table",
            ExternKind::Memory => "memory",
            ExternKind::Global => "global",
        })
    }
}
