//! Values and functions whose types are known when the host is compiled.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Result, WrongStore};
use crate::handles::{ExnRef, ExternRef, Func};
use crate::low::{self, FuncId, Raw};
use crate::store::{AsContextMut, StoreOpaque};
use crate::types::ValType;
use crate::values::Val;

/// The most parameters, and the most results, of a typed function.
pub(crate) const MAX_TYPED: usize = 12;

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A type of the host's that stands for a type of the guest's: `i32`, `u32`, `i64`, `u64`, `f32`,
/// `f64`, `Option<Func>`, `Option<ExternRef>`, `Option<ExnRef>`.
pub trait WasmTy: Sealed + Sized + 'static {
    /// The guest's type.
    #[doc(hidden)]
    const TYPE: ValType;

    #[doc(hidden)]
    fn into_raw(self, store: StoreOpaque<'_>) -> Result<Raw, WrongStore>;

    #[doc(hidden)]
    fn from_raw(raw: Raw, store: StoreOpaque<'_>) -> Self;
}

macro_rules! numbers {
    ($($ty:ty, $val:ident, $v:ident, $into:expr, $r:ident, $from:expr;)*) => {
        $(
            impl Sealed for $ty {}

            impl WasmTy for $ty {
                const TYPE: ValType = ValType::$val;

                #[inline]
                fn into_raw(self, _: StoreOpaque<'_>) -> Result<Raw, WrongStore> {
                    let $v = self;
                    Ok($into)
                }

                #[inline]
                fn from_raw($r: Raw, _: StoreOpaque<'_>) -> Self {
                    $from
                }
            }
        )*
    };
}

numbers! {
    i32, I32, v, v.into(), r, r.i32();
    u32, I32, v, v.into(), r, r.i32().cast_unsigned();
    i64, I64, v, v.into(), r, r.i64();
    u64, I64, v, v.into(), r, r.i64().cast_unsigned();
    f32, F32, v, v.into(), r, r.f32();
    f64, F64, v, v.into(), r, r.f64();
}

impl Sealed for Option<Func> {}

impl WasmTy for Option<Func> {
    const TYPE: ValType = ValType::FUNCREF;

    fn into_raw(self, store: StoreOpaque<'_>) -> Result<Raw, WrongStore> {
        Ok(store.world().to_raw(&Val::FuncRef(self).lower(store)?))
    }

    fn from_raw(raw: Raw, store: StoreOpaque<'_>) -> Self {
        match store.world().from_raw(low::ValType::FUNCREF, raw) {
            low::Val::FuncRef(func) => func.map(|id| Func::new_in(store, id)),
            _ => None,
        }
    }
}

impl Sealed for Option<ExternRef> {}

impl WasmTy for Option<ExternRef> {
    const TYPE: ValType = ValType::EXTERNREF;

    fn into_raw(self, store: StoreOpaque<'_>) -> Result<Raw, WrongStore> {
        Ok(store.world().to_raw(&Val::ExternRef(self).lower(store)?))
    }

    fn from_raw(raw: Raw, store: StoreOpaque<'_>) -> Self {
        match store.world().from_raw(low::ValType::EXTERNREF, raw) {
            low::Val::ExternRef(value) => value.map(|index| ExternRef::new_in(store, index)),
            _ => None,
        }
    }
}

impl Sealed for Option<ExnRef> {}

impl WasmTy for Option<ExnRef> {
    const TYPE: ValType = ValType::EXNREF;

    fn into_raw(self, store: StoreOpaque<'_>) -> Result<Raw, WrongStore> {
        let value = Val::ExnRef(self).lower(store)?;
        // One that the host has let go of is as good as one of another store.
        (store.world().has(&value))
            .then(|| store.world().to_raw(&value))
            .ok_or(WrongStore)
    }

    fn from_raw(raw: Raw, store: StoreOpaque<'_>) -> Self {
        match store.world().from_raw(low::ValType::EXNREF, raw) {
            low::Val::ExnRef(value) => value.map(|id| ExnRef::new_in(store, id)),
            _ => None,
        }
    }
}

/// The parameters of a typed function: one [`WasmTy`], or a tuple of up to 12.
pub trait WasmParams: Sealed + Sized + 'static {
    /// The guest's types.
    #[doc(hidden)]
    const TYPES: &'static [ValType];

    /// Writes the values to the first slots, of which there are enough.
    #[doc(hidden)]
    fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), WrongStore>;
}

/// The results of a typed function: one [`WasmTy`], or a tuple of up to 12.
pub trait WasmResults: WasmParams {
    /// Reads the values from the first slots, of which there are enough.
    #[doc(hidden)]
    fn load(slots: &[Raw], store: StoreOpaque<'_>) -> Self;
}

impl<A: WasmTy> WasmParams for A {
    const TYPES: &'static [ValType] = &[A::TYPE];

    #[inline]
    fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), WrongStore> {
        slots[0] = self.into_raw(store)?;
        Ok(())
    }
}

impl<A: WasmTy> WasmResults for A {
    #[inline]
    fn load(slots: &[Raw], store: StoreOpaque<'_>) -> Self {
        A::from_raw(slots[0], store)
    }
}

/// Calls a macro with `n A1 0 A2 1 …` for each number of parameters.
macro_rules! for_each_arity {
    ($mac:ident) => {
        $mac!();
        $mac!(A1 0);
        $mac!(A1 0 A2 1);
        $mac!(A1 0 A2 1 A3 2);
        $mac!(A1 0 A2 1 A3 2 A4 3);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6 A8 7);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6 A8 7 A9 8);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6 A8 7 A9 8 A10 9);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6 A8 7 A9 8 A10 9 A11 10);
        $mac!(A1 0 A2 1 A3 2 A4 3 A5 4 A6 5 A7 6 A8 7 A9 8 A10 9 A11 10 A12 11);
    };
}
pub(crate) use for_each_arity;

macro_rules! tuples {
    ($($ty:ident $n:tt)*) => {
        impl<$($ty: WasmTy,)*> Sealed for ($($ty,)*) {}

        #[allow(non_snake_case, unused_variables, clippy::unused_unit)]
        impl<$($ty: WasmTy,)*> WasmParams for ($($ty,)*) {
            const TYPES: &'static [ValType] = &[$($ty::TYPE,)*];

            #[inline]
            fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), WrongStore> {
                $(slots[$n] = self.$n.into_raw(store)?;)*
                Ok(())
            }
        }

        #[allow(unused_variables, clippy::unused_unit)]
        impl<$($ty: WasmTy,)*> WasmResults for ($($ty,)*) {
            #[inline]
            fn load(slots: &[Raw], store: StoreOpaque<'_>) -> Self {
                ($($ty::from_raw(slots[$n], store),)*)
            }
        }
    };
}

for_each_arity!(tuples);

/// A function whose type has been checked: [`Func::typed`]. Calling it allocates nothing.
pub struct TypedFunc<Params, Results> {
    func: Func,
    types: PhantomData<fn(Params) -> Results>,
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    /// For a function of that type.
    pub(crate) fn new(func: Func) -> Self {
        TypedFunc {
            func,
            types: PhantomData,
        }
    }

    /// The function.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// A [`Trap`](crate::Trap), what a host function returned, or [`WrongStore`]. The store, and
    /// the instance, can be used as before.
    pub fn call(&self, mut store: impl AsContextMut, params: Params) -> Result<Results> {
        let mut store = store.as_context_mut();
        let id = self.func.id_in(store.opaque())?;
        let mut slots = [Raw::default(); MAX_TYPED];
        let slots = &mut slots[..Params::TYPES.len().max(Results::TYPES.len())];
        params.store(slots, store.opaque())?;
        store.call(id, slots)?;
        Ok(Results::load(slots, store.opaque()))
    }

    /// The function, and arguments for it in slots that outlive the caller's frame: for calls that wait.
    pub(crate) fn lower_call(
        &self,
        params: Params,
        store: StoreOpaque<'_>,
    ) -> Result<(FuncId, Vec<Raw>)> {
        let id = self.func.id_in(store)?;
        let mut slots = vec![Raw::default(); Params::TYPES.len().max(Results::TYPES.len())];
        params.store(&mut slots, store)?;
        Ok((id, slots))
    }
}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Params, Results> Copy for TypedFunc<Params, Results> {}

impl<Params, Results> fmt::Debug for TypedFunc<Params, Results> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedFunc")
            .field("func", &self.func)
            .finish()
    }
}
