//! Values whose type is known only when the program runs.

use std::any::Any;

use crate::error::{Result, TypeError, WrongStore};
use crate::handles::{ExternRef, Func};
use crate::low;
use crate::store::{AsContextMut, StoreOpaque};
use crate::types::{RefType, ValType};

/// A vector of 128 bits: its lowest bits are lane 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct V128(u128);

impl V128 {
    /// Its bits.
    pub fn as_u128(&self) -> u128 {
        self.0
    }
}

impl From<u128> for V128 {
    fn from(bits: u128) -> V128 {
        V128(bits)
    }
}

impl From<V128> for u128 {
    fn from(vector: V128) -> u128 {
        vector.0
    }
}

/// A value of any type.
#[derive(Clone, Copy, Debug)]
pub enum Val {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float: a NaN keeps its payload.
    F32(u32),
    /// The bits of a 64-bit float: a NaN keeps its payload.
    F64(u64),
    /// A vector.
    V128(V128),
    /// A function, or null.
    FuncRef(Option<Func>),
    /// Something of the host's, or null.
    ExternRef(Option<ExternRef>),
}

macro_rules! accessors {
    ($($get:ident $unwrap:ident $variant:ident $ty:ty, $what:literal, $v:ident => $e:expr;)*) => {
        $(
            #[doc = concat!("The value, if it is ", $what, ".")]
            pub fn $get(&self) -> Option<$ty> {
                match *self {
                    Val::$variant($v) => Some($e),
                    _ => None,
                }
            }

            #[doc = concat!("The value, which must be ", $what, ".")]
            ///
            /// # Panics
            ///
            /// If it is of another type.
            pub fn $unwrap(&self) -> $ty {
                match self.$get() {
                    Some(value) => value,
                    None => panic!("expected {}, found {self:?}", $what),
                }
            }
        )*
    };
}

impl Val {
    /// The value's type.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FuncRef,
            Val::ExternRef(_) => ValType::ExternRef,
        }
    }

    /// Zero, or null.
    pub fn default_for_ty(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128(0)),
            ValType::FuncRef => Val::FuncRef(None),
            ValType::ExternRef => Val::ExternRef(None),
        }
    }

    accessors! {
        i32 unwrap_i32 I32 i32, "an i32", v => v;
        i64 unwrap_i64 I64 i64, "an i64", v => v;
        f32 unwrap_f32 F32 f32, "an f32", v => f32::from_bits(v);
        f64 unwrap_f64 F64 f64, "an f64", v => f64::from_bits(v);
        v128 unwrap_v128 V128 V128, "a v128", v => v;
        func_ref unwrap_func_ref FuncRef Option<Func>, "a funcref", v => v;
        extern_ref unwrap_extern_ref ExternRef Option<ExternRef>, "an externref", v => v;
    }

    /// The reference, if it is one.
    pub fn ref_(&self) -> Option<Ref> {
        match *self {
            Val::FuncRef(func) => Some(Ref::Func(func)),
            Val::ExternRef(value) => Some(Ref::Extern(value)),
            _ => None,
        }
    }

    pub(crate) fn lower(&self, store: StoreOpaque<'_>) -> Result<low::Val, WrongStore> {
        Ok(match *self {
            Val::I32(value) => low::Val::I32(value),
            Val::I64(value) => low::Val::I64(value),
            Val::F32(bits) => low::Val::F32(bits),
            Val::F64(bits) => low::Val::F64(bits),
            Val::V128(vector) => low::Val::V128(vector.0),
            Val::FuncRef(func) => {
                low::Val::FuncRef(func.map(|func| func.id_in(store)).transpose()?)
            }
            Val::ExternRef(value) => {
                low::Val::ExternRef(value.map(|value| value.id_in(store)).transpose()?)
            }
        })
    }

    pub(crate) fn lift(value: low::Val, store: StoreOpaque<'_>) -> Val {
        match value {
            low::Val::I32(value) => Val::I32(value),
            low::Val::I64(value) => Val::I64(value),
            low::Val::F32(bits) => Val::F32(bits),
            low::Val::F64(bits) => Val::F64(bits),
            low::Val::V128(bits) => Val::V128(V128(bits)),
            low::Val::FuncRef(func) => Val::FuncRef(func.map(|id| Func::new_in(store, id))),
            low::Val::ExternRef(value) => {
                Val::ExternRef(value.map(|index| ExternRef::new_in(store, index)))
            }
        }
    }
}

macro_rules! from {
    ($($ty:ty, $v:ident => $e:expr;)*) => {
        $(
            impl From<$ty> for Val {
                fn from($v: $ty) -> Val {
                    $e
                }
            }
        )*
    };
}

from! {
    i32, v => Val::I32(v);
    u32, v => Val::I32(v.cast_signed());
    i64, v => Val::I64(v);
    u64, v => Val::I64(v.cast_signed());
    f32, v => Val::F32(v.to_bits());
    f64, v => Val::F64(v.to_bits());
    V128, v => Val::V128(v);
    u128, v => Val::V128(V128(v));
    Func, v => Val::FuncRef(Some(v));
    Option<Func>, v => Val::FuncRef(v);
    ExternRef, v => Val::ExternRef(Some(v));
    Option<ExternRef>, v => Val::ExternRef(v);
    Ref, v => match v {
        Ref::Func(func) => Val::FuncRef(func),
        Ref::Extern(value) => Val::ExternRef(value),
    };
}

/// A reference of any type: an element of a table.
#[derive(Clone, Copy, Debug)]
pub enum Ref {
    /// A function, or null.
    Func(Option<Func>),
    /// Something of the host's, or null.
    Extern(Option<ExternRef>),
}

impl Ref {
    /// Null of a type.
    pub fn null(ty: RefType) -> Ref {
        match ty {
            RefType::Func => Ref::Func(None),
            RefType::Extern => Ref::Extern(None),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Ref::Func(None) | Ref::Extern(None))
    }

    /// The reference's type.
    pub fn ty(&self) -> RefType {
        match self {
            Ref::Func(_) => RefType::Func,
            Ref::Extern(_) => RefType::Extern,
        }
    }

    /// The function or null, if it is of that type.
    pub fn as_func(&self) -> Option<Option<Func>> {
        match self {
            Ref::Func(func) => Some(*func),
            Ref::Extern(_) => None,
        }
    }

    /// The host's value or null, if it is of that type.
    pub fn as_extern(&self) -> Option<Option<ExternRef>> {
        match self {
            Ref::Extern(value) => Some(*value),
            Ref::Func(_) => None,
        }
    }

    pub(crate) fn lift(value: low::Val, store: StoreOpaque<'_>) -> Option<Ref> {
        Val::lift(value, store).ref_()
    }

    /// For a table with elements of type `expected`.
    pub(crate) fn lower(&self, expected: RefType, store: StoreOpaque<'_>) -> Result<low::Val> {
        if self.ty() != expected {
            return Err(TypeError::Value {
                what: "table",
                expected: expected.into(),
                found: self.ty().into(),
            }
            .into());
        }
        Ok(Val::from(*self).lower(store)?)
    }
}

impl From<Func> for Ref {
    fn from(func: Func) -> Ref {
        Ref::Func(Some(func))
    }
}

impl From<Option<Func>> for Ref {
    fn from(func: Option<Func>) -> Ref {
        Ref::Func(func)
    }
}

impl From<ExternRef> for Ref {
    fn from(value: ExternRef) -> Ref {
        Ref::Extern(Some(value))
    }
}

impl From<Option<ExternRef>> for Ref {
    fn from(value: Option<ExternRef>) -> Ref {
        Ref::Extern(value)
    }
}

impl ExternRef {
    /// Gives a value to the store, and a reference to it.
    ///
    /// # Errors
    ///
    /// If the store holds 2³² - 2 values already.
    pub fn new<V>(mut store: impl AsContextMut, value: V) -> Result<ExternRef>
    where
        V: Any + Send + Sync + 'static,
    {
        let mut store = store.as_context_mut();
        let index = store.opaque_mut().facts.add_extern(Box::new(value))?;
        Ok(ExternRef::new_in(store.opaque(), index))
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// [`WrongStore`] if it lives in another store.
    pub fn data<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> Result<&'a (dyn Any + Send + Sync)> {
        let store = store.into();
        let index = self.id_in(store.opaque())?;
        let data = store.opaque().facts().extern_data(index);
        data.ok_or_else(|| WrongStore.into())
    }

    /// The value, to change.
    ///
    /// # Errors
    ///
    /// [`WrongStore`] if it lives in another store.
    pub fn data_mut<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContextMut<'a, T>>,
    ) -> Result<&'a mut (dyn Any + Send + Sync)> {
        let store = store.into();
        let index = self.id_in(store.opaque())?;
        let (_, facts, _) = store.split();
        facts
            .extern_data_mut(index)
            .ok_or_else(|| WrongStore.into())
    }
}
