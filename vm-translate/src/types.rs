//! The types of a module's parts, without the validator's own representation of them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::op::Ty;
use crate::registry::{RegisteredType, SubType, TypeId};

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
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// A reference to a function, or null.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// A reference to something of the host's, or null.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// A reference to an exception, or null.
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);

    /// How the IR sees values of this type.
    pub const fn ty(self) -> Ty {
        match self {
            ValType::I32 => Ty::I32,
            ValType::I64 | ValType::Ref(_) => Ty::I64,
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
        matches!(self, ValType::Ref(_))
    }

    /// The type as a reference type, if it is one.
    pub const fn as_ref_type(self) -> Option<RefType> {
        match self {
            ValType::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether every value of this type is one of the other. Specification: "Matching", "Value Types".
    pub fn matches(self, other: ValType) -> bool {
        match (self, other) {
            (ValType::Ref(ty), ValType::Ref(other)) => ty.matches(other),
            _ => self == other,
        }
    }

    /// The validator's type as ours; nothing for types of proposals that are not implemented.
    pub(crate) fn from_wasm(ty: wasmparser::ValType, space: TypeSpace<'_>) -> Option<ValType> {
        Some(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => RefType::from_wasm(ty, space)?.into(),
        })
    }
}

/// Whether values of a type may be references to exceptions.
pub(crate) fn may_be_exception(ty: wasmparser::ValType) -> bool {
    use wasmparser::AbstractHeapType::{Exn, NoExn};
    let wasmparser::ValType::Ref(ty) = ty else {
        return false;
    };
    let heap = ty.heap_type();
    matches!(
        heap,
        wasmparser::HeapType::Abstract {
            ty: Exn | NoExn,
            ..
        }
    )
}

/// How the IR sees values of a type that validation has accepted.
pub(crate) const fn ir_type(ty: wasmparser::ValType) -> Ty {
    match ty {
        wasmparser::ValType::I32 => Ty::I32,
        wasmparser::ValType::I64 | wasmparser::ValType::Ref(_) => Ty::I64,
        wasmparser::ValType::F32 => Ty::F32,
        wasmparser::ValType::F64 => Ty::F64,
        wasmparser::ValType::V128 => Ty::V128,
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
            ValType::Ref(ty) => return ty.fmt(f),
        })
    }
}

/// The type of a reference. Specification: "Types", "Reference Types".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    /// Whether null is one.
    pub nullable: bool,
    /// To what it refers.
    pub heap: HeapType,
}

impl RefType {
    /// A reference to a function, or null.
    pub const FUNCREF: RefType = RefType::new(true, HeapType::Func);
    /// A reference to something of the host's, or null.
    pub const EXTERNREF: RefType = RefType::new(true, HeapType::Extern);
    /// A reference to an exception, or null.
    pub const EXNREF: RefType = RefType::new(true, HeapType::Exn);

    /// A type of references to something of a type.
    pub const fn new(nullable: bool, heap: HeapType) -> RefType {
        RefType { nullable, heap }
    }

    /// Whether every reference of this type is one of the other. Specification: "Matching", "Reference Types".
    pub fn matches(self, other: RefType) -> bool {
        (other.nullable || !self.nullable) && self.heap.matches(other.heap)
    }

    pub(crate) fn from_wasm(ty: wasmparser::RefType, space: TypeSpace<'_>) -> Option<RefType> {
        let heap = HeapType::from_wasm(ty.heap_type(), space)?;
        Some(RefType::new(ty.is_nullable(), heap))
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}

/// As in `(ref null func)`, or the short form that WebAssembly 2.0 has.
impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RefType::FUNCREF => f.write_str("funcref"),
            RefType::EXTERNREF => f.write_str("externref"),
            RefType::EXNREF => f.write_str("exnref"),
            RefType { nullable, heap } => {
                let null = if nullable { "null " } else { "" };
                write!(f, "(ref {null}{heap})")
            }
        }
    }
}

/// To what references refer. Specification: "Types", "Heap Types".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeapType {
    /// A function of any type.
    Func,
    /// No function.
    NoFunc,
    /// Something of the host's.
    Extern,
    /// Nothing of the host's.
    NoExtern,
    /// An exception.
    Exn,
    /// No exception.
    NoExn,
    /// Something of a type that a module has defined, or of a subtype: of a function's so far.
    Concrete(TypeId),
}

impl HeapType {
    /// The type that has all others of its hierarchy below it. Null is the same value for all of them.
    pub const fn top(self) -> HeapType {
        match self {
            HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_) => HeapType::Func,
            HeapType::Extern | HeapType::NoExtern => HeapType::Extern,
            HeapType::Exn | HeapType::NoExn => HeapType::Exn,
        }
    }

    /// Whether whatever is of this type is of the other. Specification: "Matching", "Heap Types".
    pub fn matches(self, other: HeapType) -> bool {
        match (self, other) {
            (HeapType::NoFunc | HeapType::Concrete(_), HeapType::Func)
            | (HeapType::NoFunc, HeapType::Concrete(_))
            | (HeapType::NoExtern, HeapType::Extern)
            | (HeapType::NoExn, HeapType::Exn) => true,
            (HeapType::Concrete(ty), HeapType::Concrete(other)) => ty.is_subtype_of(other),
            _ => self == other,
        }
    }

    pub(crate) fn from_wasm(ty: wasmparser::HeapType, space: TypeSpace<'_>) -> Option<HeapType> {
        use wasmparser::AbstractHeapType as Abstract;
        Some(match ty {
            wasmparser::HeapType::Abstract { shared: false, ty } => match ty {
                Abstract::Func => HeapType::Func,
                Abstract::NoFunc => HeapType::NoFunc,
                Abstract::Extern => HeapType::Extern,
                Abstract::NoExtern => HeapType::NoExtern,
                Abstract::Exn => HeapType::Exn,
                Abstract::NoExn => HeapType::NoExn,
                _ => return None,
            },
            wasmparser::HeapType::Concrete(index) => {
                HeapType::Concrete(space.id(index.as_module_index()?)?)
            }
            _ => return None,
        })
    }
}

/// A type that is defined is written as what it is of: `(func (param i32))`.
impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeapType::Func => "func",
            HeapType::NoFunc => "nofunc",
            HeapType::Extern => "extern",
            HeapType::NoExtern => "noextern",
            HeapType::Exn => "exn",
            HeapType::NoExn => "noexn",
            HeapType::Concrete(id) => return id.fmt(f),
        })
    }
}

/// What the indices of a module's types stand for.
#[derive(Clone, Copy)]
pub(crate) struct TypeSpace<'a> {
    /// The types that are known.
    types: &'a [RegisteredType],
    /// How many there are in the group that is being read: they refer to each other.
    group: u32,
}

impl<'a> TypeSpace<'a> {
    /// All types of a module.
    pub(crate) fn all(types: &'a [RegisteredType]) -> TypeSpace<'a> {
        TypeSpace { types, group: 0 }
    }

    /// Those before a group, and the group's own, of which there are so many.
    pub(crate) fn with_group(types: &'a [RegisteredType], group: usize) -> TypeSpace<'a> {
        TypeSpace {
            types,
            group: group as u32,
        }
    }

    pub(crate) fn id(self, index: u32) -> Option<TypeId> {
        if let Some(known) = self.types.get(index as usize) {
            return Some(known.id());
        }
        let within = index - self.types.len() as u32;
        (within < self.group).then(|| TypeId::within_group(within))
    }
}

/// The type of a function. Its text form is `(i32, i64) -> (f32)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuncType {
    /// The parameters, then the results.
    types: Arc<[ValType]>,
    params: u32,
    param_slots: u32,
    result_slots: u32,
}

impl SubType {
    /// One of a valid group; nothing if it is of a proposal that is not implemented.
    pub(crate) fn from_wasm(ty: &wasmparser::SubType, space: TypeSpace<'_>) -> Option<SubType> {
        let wasmparser::CompositeInnerType::Func(func) = &ty.composite_type.inner else {
            return None;
        };
        let supertype = match &ty.supertype_idxs[..] {
            [] => None,
            [above] => Some(space.id(above.as_module_index()?)?),
            _ => return None,
        };
        Some(SubType {
            ty: FuncType::from_wasm(func, space)?,
            supertype,
            is_final: ty.is_final,
        })
    }
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

    fn of(types: Arc<[ValType]>, params: usize) -> FuncType {
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

    /// Whether a function of this type can be called where one of the other is expected. Specification: "Matching", "Composite
    /// Types".
    pub fn matches(&self, other: &FuncType) -> bool {
        let all = |types: &[ValType], others: &[ValType]| {
            types.len() == others.len() && types.iter().zip(others).all(|(a, b)| a.matches(*b))
        };
        all(other.params(), self.params()) && all(self.results(), other.results())
    }

    /// The type with other types in place of those that modules have defined.
    pub(crate) fn map(&self, id: impl Fn(TypeId) -> TypeId) -> FuncType {
        let map = |ty: &ValType| match *ty {
            ValType::Ref(RefType {
                nullable,
                heap: HeapType::Concrete(ty),
            }) => RefType::new(nullable, HeapType::Concrete(id(ty))).into(),
            ty => ty,
        };
        FuncType {
            types: self.types.iter().map(map).collect(),
            ..*self
        }
    }

    /// The types defined by modules that it refers to.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TypeId> + '_ {
        self.types.iter().filter_map(|ty| match ty {
            ValType::Ref(RefType {
                heap: HeapType::Concrete(id),
                ..
            }) => Some(*id),
            _ => None,
        })
    }

    pub(crate) fn from_wasm(ty: &wasmparser::FuncType, space: TypeSpace<'_>) -> Option<FuncType> {
        let types =
            || (ty.params().iter().chain(ty.results())).map(|ty| ValType::from_wasm(*ty, space));
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
        /// A type is one of fewer than 32.
        const BITS: u32 = 5;
        /// Of this kind, and its number follows.
        const CONCRETE: u64 = 5;
        let kind = |ty: &ValType| match ty {
            ValType::I32 => 0,
            ValType::I64 => 1,
            ValType::F32 => 2,
            ValType::F64 => 3,
            ValType::V128 => 4,
            ValType::Ref(ty) => {
                let heap = match ty.heap {
                    HeapType::Concrete(_) => CONCRETE,
                    HeapType::Func => 6,
                    HeapType::NoFunc => 7,
                    HeapType::Extern => 8,
                    HeapType::NoExtern => 9,
                    HeapType::Exn => 10,
                    HeapType::NoExn => 11,
                };
                heap | u64::from(ty.nullable) << (BITS - 1)
            }
        };
        state.write_u32(self.params);
        state.write_usize(self.types.len());
        for types in self.types.chunks((u64::BITS / BITS) as usize) {
            state.write_u64(types.iter().fold(0, |all, ty| all << BITS | kind(ty)));
        }
        self.ids().for_each(|id| id.hash(state));
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
    pub(crate) fn from_wasm(ty: &wasmparser::TableType, space: TypeSpace<'_>) -> Option<TableType> {
        Some(TableType {
            element: RefType::from_wasm(ty.element_type, space)?,
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
    pub(crate) fn from_wasm(
        ty: &wasmparser::GlobalType,
        space: TypeSpace<'_>,
    ) -> Option<GlobalType> {
        Some(GlobalType {
            content: ValType::from_wasm(ty.content_type, space)?,
            mutable: ty.mutable,
        })
    }
}

/// The type of something imported or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternType {
    /// A function.
    Func(RegisteredType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag of exceptions; the parameters of the type are their values.
    Tag(RegisteredType),
}

impl ExternType {
    /// What kind of thing it is.
    pub fn kind(&self) -> ExternKind {
        match self {
            ExternType::Func(_) => ExternKind::Func,
            ExternType::Table(_) => ExternKind::Table,
            ExternType::Memory(_) => ExternKind::Memory,
            ExternType::Global(_) => ExternKind::Global,
            ExternType::Tag(_) => ExternKind::Tag,
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
    /// A tag.
    Tag,
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExternKind::Func => "function",
            ExternKind::Table => "table",
            ExternKind::Memory => "memory",
            ExternKind::Global => "global",
            ExternKind::Tag => "tag",
        })
    }
}
