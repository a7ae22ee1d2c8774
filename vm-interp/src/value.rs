//! Values as hosts see them, and the words that executors hold.

use vm_translate::{HeapType, ValType};

/// A number that stands for an entity of one [`Machine`](crate::Machine).
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// It means something only to the machine that gave it out. Another machine may take it for
        /// an entity of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The number: entities of a kind are counted from 0 in the order they were added.
            pub fn number(self) -> u32 {
                self.0
            }

            pub(crate) fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A function of a machine: a guest's or a host's.
    FuncId;
    /// A table of a machine.
    TableId;
    /// A linear memory of a machine.
    MemoryId;
    /// A global of a machine.
    GlobalId;
    /// A tag of a machine.
    TagId;
    /// An instance of a machine.
    InstanceId;
}

/// An exception that the host has hold of.
///
/// It means something only to the machine that gave it out, and until that is told to [let go](crate::World::let_go) of it. In
/// [`GuestFrames`](crate::GuestFrames) it is a number in their list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExnId(pub(crate) u64);

impl ExnId {
    /// The exception of this number in a list.
    pub const fn at(number: u32) -> ExnId {
        ExnId(number as u64)
    }

    /// The number in a list; of one that a machine gave out some other.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A value with its type. Specification: "Values".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Val {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector, lane 0 in the lowest bits.
    V128(u128),
    /// A function, or null.
    FuncRef(Option<FuncId>),
    /// A number that the host chose for something of its own, or null.
    ExternRef(Option<u32>),
    /// An exception, or null.
    ExnRef(Option<ExnId>),
}

impl Val {
    /// The value's type, as far as it shows without the machine: of a reference, the topmost. [`World::type_of`](crate::World::type_of)
    /// knows better.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
            Val::ExnRef(_) => ValType::EXNREF,
        }
    }

    /// Null, of the hierarchy of a type.
    pub fn null(ty: HeapType) -> Val {
        match ty.top() {
            HeapType::Extern => Val::ExternRef(None),
            HeapType::Exn => Val::ExnRef(None),
            _ => Val::FuncRef(None),
        }
    }

    /// Zero or null: the value that locals and table elements of this type start with, if there is one.
    pub fn zero(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(0),
            ValType::Ref(ty) => Val::null(ty.heap),
        }
    }
}

/// A value without its type, as one word; of a vector, one of its two words, the low one first.
///
/// Numbers are their bits; what is above the lowest 32 of a 32-bit number is ignored. References
/// are opaque: [`World::to_raw`](crate::World::to_raw) and
/// [`World::from_raw`](crate::World::from_raw) convert them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Raw(pub(crate) u64);

impl Raw {
    /// The word's bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The word as the bits of an `i32`.
    pub fn i32(self) -> i32 {
        self.0 as i32
    }

    /// The word as the bits of an `i64`.
    pub fn i64(self) -> i64 {
        self.0 as i64
    }

    /// The word as the bits of an `f32`.
    pub fn f32(self) -> f32 {
        f32::from_bits(self.0 as u32)
    }

    /// The word as the bits of an `f64`.
    pub fn f64(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<u64> for Raw {
    fn from(bits: u64) -> Raw {
        Raw(bits)
    }
}

impl From<i64> for Raw {
    fn from(value: i64) -> Raw {
        Raw(value as u64)
    }
}

impl From<u32> for Raw {
    fn from(bits: u32) -> Raw {
        Raw(bits.into())
    }
}

impl From<i32> for Raw {
    fn from(value: i32) -> Raw {
        Raw((value as u32).into())
    }
}

impl From<f32> for Raw {
    fn from(value: f32) -> Raw {
        Raw(value.to_bits().into())
    }
}

impl From<f64> for Raw {
    fn from(value: f64) -> Raw {
        Raw(value.to_bits())
    }
}
