//! Values whose type is known only when the program runs.

use std::any::Any;
use std::borrow::Borrow;

use crate::error::{Result, TypeError, WrongStore};
use crate::handles::{ExnRef, ExternRef, Func};
use crate::low::{self, Raw};
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::types::{HeapType, RefType, ValType};

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
    /// An exception, or null.
    ExnRef(Option<ExnRef>),
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
    /// The value's type: of a reference the topmost, as nothing else is known without the store. See [`Val::matches_ty`].
    pub fn ty(&self) -> ValType {
        self.low_ty().into()
    }

    /// Whether it is a value of a type.
    ///
    /// # Errors
    ///
    /// [`WrongStore`] if it lives in another store.
    pub fn matches_ty(&self, store: impl AsContext, ty: &ValType) -> Result<bool> {
        let store = store.as_context();
        Ok(self.is_of(ty.low(), store.opaque())?)
    }

    /// The value for guests, if it is of the type of `what` it is for.
    pub(crate) fn lower_as(
        &self,
        what: &'static str,
        expected: low::ValType,
        store: StoreOpaque<'_>,
    ) -> Result<low::Val> {
        if self.is_of(expected, store)? {
            return Ok(self.lower(store)?);
        }
        Err(TypeError::Value {
            what,
            expected: expected.into(),
            found: self.found(expected, store),
        }
        .into())
    }

    /// Whether it is a value of a type.
    pub(crate) fn is_of(
        &self,
        ty: low::ValType,
        store: StoreOpaque<'_>,
    ) -> Result<bool, WrongStore> {
        let own = self.low_ty();
        if own == ty || !is_related(own, ty) {
            return Ok(own == ty);
        }
        Ok(store.world().type_of(&self.lower(store)?).matches(ty))
    }

    /// The type to be named where it is not one of that type.
    pub(crate) fn found(&self, expected: low::ValType, store: StoreOpaque<'_>) -> ValType {
        match self.lower(store) {
            Ok(value) if is_related(self.low_ty(), expected) => {
                store.world().type_of(&value).into()
            }
            _ => self.ty(),
        }
    }

    fn low_ty(&self) -> low::ValType {
        match self {
            Val::I32(_) => low::ValType::I32,
            Val::I64(_) => low::ValType::I64,
            Val::F32(_) => low::ValType::F32,
            Val::F64(_) => low::ValType::F64,
            Val::V128(_) => low::ValType::V128,
            Val::FuncRef(_) => low::ValType::FUNCREF,
            Val::ExternRef(_) => low::ValType::EXTERNREF,
            Val::ExnRef(_) => low::ValType::EXNREF,
        }
    }

    /// Zero or null, if the type has it.
    pub fn default_for_ty(ty: &ValType) -> Option<Val> {
        Some(Val::any_for_ty(ty.low())).filter(|_| match ty {
            ValType::Ref(ty) => ty.is_nullable(),
            _ => true,
        })
    }

    /// Zero or null, even if the type does not have it: to be overwritten.
    pub(crate) fn any_for_ty(ty: low::ValType) -> Val {
        match ty {
            low::ValType::I32 => Val::I32(0),
            low::ValType::I64 => Val::I64(0),
            low::ValType::F32 => Val::F32(0),
            low::ValType::F64 => Val::F64(0),
            low::ValType::V128 => Val::V128(V128(0)),
            low::ValType::Ref(ty) => match ty.heap.top() {
                low::HeapType::Extern => Val::ExternRef(None),
                low::HeapType::Exn => Val::ExnRef(None),
                _ => Val::FuncRef(None),
            },
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
        exn_ref unwrap_exn_ref ExnRef Option<ExnRef>, "an exnref", v => v;
    }

    /// The reference, if it is one.
    pub fn ref_(&self) -> Option<Ref> {
        match *self {
            Val::FuncRef(func) => Some(Ref::Func(func)),
            Val::ExternRef(value) => Some(Ref::Extern(value)),
            Val::ExnRef(value) => Some(Ref::Exn(value)),
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
            Val::ExnRef(value) => {
                low::Val::ExnRef(value.map(|value| value.id_in(store)).transpose()?)
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
            low::Val::ExnRef(value) => Val::ExnRef(value.map(|id| ExnRef::new_in(store, id))),
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
    ExnRef, v => Val::ExnRef(Some(v));
    Option<ExnRef>, v => Val::ExnRef(v);
    Ref, v => match v {
        Ref::Func(func) => Val::FuncRef(func),
        Ref::Extern(value) => Val::ExternRef(value),
        Ref::Exn(value) => Val::ExnRef(value),
    };
}

/// A reference of any type: an element of a table.
#[derive(Clone, Copy, Debug)]
pub enum Ref {
    /// A function, or null.
    Func(Option<Func>),
    /// Something of the host's, or null.
    Extern(Option<ExternRef>),
    /// An exception, or null.
    Exn(Option<ExnRef>),
}

impl Ref {
    /// Null, of the hierarchy of a type.
    pub fn null(ty: impl Borrow<RefType>) -> Ref {
        match ty.borrow().heap_type().top() {
            HeapType::Extern => Ref::Extern(None),
            HeapType::Exn => Ref::Exn(None),
            _ => Ref::Func(None),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Ref::Func(None) | Ref::Extern(None) | Ref::Exn(None))
    }

    /// The reference's type: the topmost, as nothing else is known without the store. See [`Ref::matches_ty`].
    pub fn ty(&self) -> RefType {
        match self {
            Ref::Func(_) => RefType::FUNCREF,
            Ref::Extern(_) => RefType::EXTERNREF,
            Ref::Exn(_) => RefType::EXNREF,
        }
    }

    /// Whether it is a reference of a type.
    ///
    /// # Errors
    ///
    /// [`WrongStore`] if it lives in another store.
    pub fn matches_ty(&self, store: impl AsContext, ty: &RefType) -> Result<bool> {
        Val::from(*self).matches_ty(store, &ty.clone().into())
    }

    /// The function or null, if it is of that type.
    pub fn as_func(&self) -> Option<Option<Func>> {
        match self {
            Ref::Func(func) => Some(*func),
            _ => None,
        }
    }

    /// The host's value or null, if it is of that type.
    pub fn as_extern(&self) -> Option<Option<ExternRef>> {
        match self {
            Ref::Extern(value) => Some(*value),
            _ => None,
        }
    }

    /// The exception or null, if it is of that type.
    pub fn as_exn(&self) -> Option<Option<ExnRef>> {
        match self {
            Ref::Exn(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn lift(value: low::Val, store: StoreOpaque<'_>) -> Option<Ref> {
        Val::lift(value, store).ref_()
    }

    /// For a table with elements of type `expected`.
    pub(crate) fn lower(&self, expected: &RefType, store: StoreOpaque<'_>) -> Result<low::Val> {
        Val::from(*self).lower_as("table", expected.low().into(), store)
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

impl From<ExnRef> for Ref {
    fn from(value: ExnRef) -> Ref {
        Ref::Exn(Some(value))
    }
}

impl From<Option<ExnRef>> for Ref {
    fn from(value: Option<ExnRef>) -> Ref {
        Ref::Exn(value)
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

/// Whether a value of the one type can be of the other too.
pub(crate) fn is_related(ty: low::ValType, other: low::ValType) -> bool {
    match (ty.as_ref_type(), other.as_ref_type()) {
        (Some(ty), Some(other)) => ty.heap.top() == other.heap.top(),
        _ => ty == other,
    }
}

/// Writes values to slots, of which there are enough.
pub(crate) fn lower_all(
    values: &[Val],
    slots: &mut [Raw],
    store: StoreOpaque<'_>,
) -> Result<(), WrongStore> {
    let mut slot = 0;
    for value in values {
        let value = value.lower(store)?;
        store.world().write_raw(&value, &mut slots[slot..]);
        slot += value.ty().slots() as usize;
    }
    Ok(())
}

/// Reads values of these types from slots, of which there are enough.
pub(crate) fn lift_all(
    values: &mut [Val],
    types: &[low::ValType],
    slots: &[Raw],
    store: StoreOpaque<'_>,
) {
    let mut slot = 0;
    for (value, ty) in values.iter_mut().zip(types) {
        *value = Val::lift(store.world().read_raw(*ty, &slots[slot..]), store);
        slot += ty.slots() as usize;
    }
}
