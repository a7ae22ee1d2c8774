//! Functions of the host's that guests call.

use std::sync::Arc;

use crate::call_hook::CallHook;
use crate::caller::Caller;
use crate::error::{Result, TypeError};
use crate::handles::Func;
use crate::low::{HostClosure, HostError, InstanceId, Raw};
use crate::store::{StoreContextMut, StoreHost, StoreInner, StoreOpaque};
use crate::typed::{WasmResults, WasmTy, for_each_arity};
use crate::types::{FuncType, ValType};
use crate::values::{Val, lift_all, lower_all};

/// So many values of a function of dynamic type are kept on the stack, more on the heap.
const STACK_VALUES: usize = 16;

/// A host function: its type, and what it does to slots that hold its parameters and then its
/// results.
pub struct HostFunc<T: 'static> {
    ty: FuncType,
    body: HostClosure<StoreHost<T>>,
}

impl<T: 'static> HostFunc<T> {
    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Puts it into a store.
    pub(crate) fn add_to(&self, store: &mut StoreContextMut<'_, T>) -> Func {
        let id = store.add_host(self.ty.low().clone(), self.body.clone());
        Func::new_in(store.opaque(), id)
    }

    /// Puts it into a store, unless that has it already.
    pub(crate) fn link_to(self: &Arc<Self>, store: &mut StoreContextMut<'_, T>) -> Func {
        let (ty, body) = (&self.ty, &self.body);
        let id = store.link(self.clone(), |store| {
            store.add_host(ty.low().clone(), body.clone())
        });
        Func::new_in(store.opaque(), id)
    }

    /// A function of this type that does something to its slots.
    pub(crate) fn raw(
        ty: FuncType,
        body: impl Fn(&mut StoreInner<T>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
        + Send
        + Sync
        + 'static,
    ) -> HostFunc<T> {
        HostFunc {
            ty,
            body: told(body),
        }
    }

    /// A function whose type is known only now.
    pub(crate) fn new(
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> HostFunc<T> {
        let types = ty.clone();
        let param_count = ty.params().len();
        let count = param_count + ty.results().len();
        let body = move |machine: &mut StoreInner<T>, caller, slots: &mut [Raw]| {
            let store = StoreContextMut(machine);
            let mut few = [Val::I32(0); STACK_VALUES];
            let mut many = Vec::new();
            let values = if count <= STACK_VALUES {
                &mut few[..count]
            } else {
                many.resize(count, Val::I32(0));
                &mut many[..]
            };
            let (params, results) = values.split_at_mut(param_count);
            lift_params(&types, params, slots, store.opaque());
            for (result, ty) in results.iter_mut().zip(types.low().results()) {
                *result = Val::any_for_ty(*ty);
            }
            func(
                Caller::new(StoreContextMut(&mut *store.0), caller),
                params,
                results,
            )?;
            lower_results(&types, results, slots, store.opaque())?;
            Ok(())
        };
        HostFunc {
            ty,
            body: told(body),
        }
    }
}

/// A function's body of which the store's [`CallHook`] is told.
fn told<T: 'static>(
    body: impl Fn(&mut StoreInner<T>, Option<InstanceId>, &mut [Raw]) -> Result<(), HostError>
    + Send
    + Sync
    + 'static,
) -> HostClosure<StoreHost<T>> {
    HostClosure::new(
        move |machine: &mut StoreInner<T>, caller, slots: &mut [Raw]| {
            let told = machine.host().tells_of_calls();
            if told {
                machine.host_mut().tell(CallHook::CallingHost)?;
            }
            let answer = body(machine, caller, slots);
            if told {
                machine.host_mut().tell(CallHook::ReturningFromHost)?;
            }
            answer
        },
    )
}

/// Reads the parameters of a function of this type from their slots.
pub(crate) fn lift_params(
    ty: &FuncType,
    params: &mut [Val],
    slots: &[Raw],
    store: StoreOpaque<'_>,
) {
    lift_all(params, ty.low().params(), slots, store);
}

/// Writes the results of a function of this type to their slots, if they are of its types.
pub(crate) fn lower_results(
    ty: &FuncType,
    results: &[Val],
    slots: &mut [Raw],
    store: StoreOpaque<'_>,
) -> Result<()> {
    for (index, (expected, value)) in ty.low().results().iter().zip(results).enumerate() {
        if !value.is_of(*expected, store)? {
            return Err(TypeError::HostResult {
                index,
                expected: (*expected).into(),
                found: value.found(*expected, store),
            }
            .into());
        }
    }
    Ok(lower_all(results, slots, store)?)
}

/// What a host function may return: nothing, a [`WasmTy`], a tuple of them, or a `Result` with one
/// of these and any error.
pub trait WasmRet: RetSealed + 'static {
    #[doc(hidden)]
    const TYPES: &'static [ValType];

    #[doc(hidden)]
    fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), HostError>;
}

mod ret {
    pub trait RetSealed {}
}
use ret::RetSealed;

impl<R: WasmResults> RetSealed for R {}

impl<R: WasmResults> WasmRet for R {
    const TYPES: &'static [ValType] = <R as crate::typed::WasmParams>::TYPES;

    #[inline]
    fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), HostError> {
        Ok(crate::typed::WasmParams::store(self, slots, store)?)
    }
}

impl<R: WasmResults, E: Into<HostError> + 'static> RetSealed for Result<R, E> {}

impl<R: WasmResults, E: Into<HostError> + 'static> WasmRet for Result<R, E> {
    const TYPES: &'static [ValType] = <R as crate::typed::WasmParams>::TYPES;

    #[inline]
    fn store(self, slots: &mut [Raw], store: StoreOpaque<'_>) -> Result<(), HostError> {
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
                    ty: FuncType::new([$($ty::TYPE,)*], R::TYPES.iter().cloned()),
                    body: told(move |machine: &mut StoreInner<T>, _, slots: &mut [Raw]| {
                        let store = StoreContextMut(machine);
                        $(let $ty = $ty::from_raw(slots[$n], store.opaque());)*
                        self($($ty),*).store(slots, store.opaque())
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
                    ty: FuncType::new([$($ty::TYPE,)*], R::TYPES.iter().cloned()),
                    body: told(move |machine: &mut StoreInner<T>, caller, slots: &mut [Raw]| {
                        let store = StoreContextMut(machine);
                        $(let $ty = $ty::from_raw(slots[$n], store.opaque());)*
                        let results = self(Caller::new(StoreContextMut(&mut *store.0), caller), $($ty),*);
                        results.store(slots, store.opaque())
                    }),
                }
            }
        }
    };
}

for_each_arity!(closures);
