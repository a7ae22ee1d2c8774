//! Functions of the host's that guests call.

use crate::caller::Caller;
use crate::error::{Result, TypeError};
use crate::low::{self, HostClosure, HostError, Raw};
use crate::store::StoreInner;
use crate::typed::{WasmResults, WasmTy, for_each_arity};
use crate::types::{FuncType, ValType};
use crate::values::Val;

/// So many values of a function of dynamic type are kept on the stack, more on the heap.
const STACK_VALUES: usize = 16;

/// A host function: its type, and what it does to slots that hold its parameters and then its
/// results.
pub struct HostFunc<T: 'static> {
    ty: FuncType,
    body: HostClosure<StoreInner<T>>,
}

impl<T: 'static> HostFunc<T> {
    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    pub(crate) fn body(&self) -> &HostClosure<StoreInner<T>> {
        &self.body
    }

    /// A function whose type is known only now.
    pub(crate) fn new(
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> HostFunc<T> {
        let types = ty.clone();
        let (param_count, count) = (ty.params().len(), ty.params().len() + ty.results().len());
        let body = move |store: &mut StoreInner<T>, caller, slots: &mut [Raw]| {
            let mut few = [Val::I32(0); STACK_VALUES];
            let mut many = Vec::new();
            let values = if count <= STACK_VALUES {
                &mut few[..count]
            } else {
                many.resize(count, Val::I32(0));
                &mut many[..]
            };
            let (params, results) = values.split_at_mut(param_count);
            let mut slot = 0;
            for (param, ty) in params.iter_mut().zip(types.params()) {
                let ty = low::ValType::from(ty);
                let value = store.opaque.machine().read_raw(ty, &slots[slot..]);
                *param = Val::lift(value, store.opaque());
                slot += ty.slots() as usize;
            }
            for (result, ty) in results.iter_mut().zip(types.results()) {
                *result = Val::default_for_ty(ty);
            }
            func(Caller::new(store, caller), params, results)?;
            let mut slot = 0;
            for (index, (expected, value)) in types.results().zip(results.iter()).enumerate() {
                if value.ty() != expected {
                    return Err(TypeError::HostResult {
                        index,
                        expected,
                        found: value.ty(),
                    }
                    .into());
                }
                let value = value.lower(store.opaque())?;
                let machine = store.opaque.machine();
                machine.write_raw(&value, &mut slots[slot..]);
                slot += value.ty().slots() as usize;
            }
            Ok(())
        };
        HostFunc {
            ty,
            body: HostClosure::new(body),
        }
    }
}

/// What a host function may return: nothing, a [`WasmTy`], a tuple of them, or a `Result` with one
/// of these and any error.
pub trait WasmRet: RetSealed + 'static {
    #[doc(hidden)]
    const TYPES: &'static [ValType];

    #[doc(hidden)]
    fn store<T: 'static>(
        self,
        slots: &mut [Raw],
        store: &mut StoreInner<T>,
    ) -> Result<(), HostError>;
}

mod ret {
    pub trait RetSealed {}
}
use ret::RetSealed;

impl<R: WasmResults> RetSealed for R {}

impl<R: WasmResults> WasmRet for R {
    const TYPES: &'static [ValType] = <R as crate::typed::WasmParams>::TYPES;

    #[inline]
    fn store<T: 'static>(
        self,
        slots: &mut [Raw],
        store: &mut StoreInner<T>,
    ) -> Result<(), HostError> {
        Ok(crate::typed::WasmParams::store(
            self,
            slots,
            store.opaque(),
        )?)
    }
}

impl<R: WasmResults, E: Into<HostError> + 'static> RetSealed for Result<R, E> {}

impl<R: WasmResults, E: Into<HostError> + 'static> WasmRet for Result<R, E> {
    const TYPES: &'static [ValType] = <R as crate::typed::WasmParams>::TYPES;

    #[inline]
    fn store<T: 'static>(
        self,
        slots: &mut [Raw],
        store: &mut StoreInner<T>,
    ) -> Result<(), HostError> {
        match self {
            Ok(results) => WasmRet::store(results, slots, store),
            Err(error) => Err(error.into()),
        }
    }
}

/// A closure that can be a host function: it takes up to 12 parameters of types that are
/// [`WasmTy`], before them a [`Caller`] if it likes, and returns a [`WasmRet`].
pub trait IntoFunc<T: 'static, Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_func(self) -> HostFunc<T>;
}

macro_rules! closures {
    ($($ty:ident $n:tt)*) => {
        #[allow(non_snake_case, unused_variables)]
        impl<T, F, $($ty,)* R> IntoFunc<T, ($($ty,)*), R> for F
        where
            T: 'static,
            F: Fn($($ty),*) -> R + Send + Sync + 'static,
            $($ty: WasmTy,)*
            R: WasmRet,
        {
            fn into_func(self) -> HostFunc<T> {
                HostFunc {
                    ty: FuncType::new([$($ty::TYPE,)*], R::TYPES.iter().copied()),
                    body: HostClosure::new(move |store: &mut StoreInner<T>, _, slots: &mut [Raw]| {
                        $(let $ty = $ty::from_raw(slots[$n], store.opaque());)*
                        self($($ty),*).store(slots, store)
                    }),
                }
            }
        }

        #[allow(non_snake_case, unused_variables)]
        impl<T, F, $($ty,)* R> IntoFunc<T, (Caller<'_, T>, $($ty,)*), R> for F
        where
            T: 'static,
            F: Fn(Caller<'_, T>, $($ty),*) -> R + Send + Sync + 'static,
            $($ty: WasmTy,)*
            R: WasmRet,
        {
            fn into_func(self) -> HostFunc<T> {
                HostFunc {
                    ty: FuncType::new([$($ty::TYPE,)*], R::TYPES.iter().copied()),
                    body: HostClosure::new(move |store: &mut StoreInner<T>, caller, slots: &mut [Raw]| {
                        $(let $ty = $ty::from_raw(slots[$n], store.opaque());)*
                        self(Caller::new(store, caller), $($ty),*).store(slots, store)
                    }),
                }
            }
        }
    };
}

for_each_arity!(closures);
