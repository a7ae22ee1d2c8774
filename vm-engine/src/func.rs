//! Functions, of guests or of the host.

use crate::caller::Caller;
use crate::error::{Result, TypeError};
use crate::handles::Func;
use crate::host::{HostFunc, IntoFunc};
use crate::low::{self, FuncId, Raw};
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::types::FuncType;
use crate::values::{Val, is_related, lift_all, lower_all};

/// So many slots are taken from the host's stack, more from the heap.
const STACK_SLOTS: usize = 16;

impl Func {
    /// A host function whose type is known only when the program runs.
    ///
    /// `func` gets the arguments, and room for the results, which holds zeroes and nulls.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        HostFunc::new(ty, func).add_to(&mut store.as_context_mut())
    }

    /// A host function with the type of a closure: see [`IntoFunc`].
    pub fn wrap<T: 'static, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Func {
        func.into_func().add_to(&mut store.as_context_mut())
    }

    /// Its type.
    ///
    /// # Panics
    ///
    /// If it lives in another store.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = store.as_context();
        let id = self.id_or_panic(store.opaque());
        store.opaque().world().func_type(id).into()
    }

    /// Calls it. `results` is filled if the call succeeds.
    ///
    /// # Errors
    ///
    /// [`TypeError`] if number or types of the arguments, or the number of results, are not those
    /// of the function; [`WrongStore`](crate::WrongStore); a [`Trap`](crate::Trap), or what a host function returned.
    /// The store can be used as before.
    pub fn call(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let opaque = store.opaque();
        let id = self.id_in(opaque)?;
        let ty = opaque.world().func_type(id);
        check_call(ty, params, results, opaque)?;

        let mut few = [Raw::default(); STACK_SLOTS];
        let mut many = Vec::new();
        let count = ty.slots() as usize;
        let slots = if count <= STACK_SLOTS {
            &mut few[..count]
        } else {
            many.resize(count, Raw::default());
            &mut many[..]
        };
        lower_all(params, slots, opaque)?;
        store.call(id, slots)?;
        lift_results(id, results, slots, store.opaque());
        Ok(())
    }

    /// The function, and arguments for it in slots that outlive the caller's frame: for calls that wait.
    pub(crate) fn lower_call(
        &self,
        params: &[Val],
        results: &[Val],
        store: StoreOpaque<'_>,
    ) -> Result<(FuncId, Vec<Raw>)> {
        let id = self.id_in(store)?;
        let ty = store.world().func_type(id);
        check_call(ty, params, results, store)?;
        let mut slots = vec![Raw::default(); ty.slots() as usize];
        lower_all(params, &mut slots, store)?;
        Ok((id, slots))
    }

    /// The same function, to be called with Rust types. Where the function wants references of a type that is less than that of the
    /// Rust type, calls check what they are given.
    ///
    /// # Errors
    ///
    /// [`TypeError`] if these are not its types; [`WrongStore`](crate::WrongStore).
    pub fn typed<Params, Results>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<Params, Results>>
    where
        Params: WasmParams,
        Results: WasmResults,
    {
        let store = store.as_context();
        let id = self.id_in(store.opaque())?;
        let found = FuncType::from(store.opaque().world().func_type(id));
        let (params, results) = (found.low().params(), found.low().results());
        let fits = params.len() == Params::TYPES.len()
            && results.len() == Results::TYPES.len()
            // What a reference is to, a call asks of the reference.
            && (params.iter().zip(Params::TYPES)).all(|(ty, own)| is_related(own.low(), *ty))
            && (results.iter().zip(Results::TYPES)).all(|(ty, own)| ty.matches(own.low()));
        if !fits {
            return Err(TypeError::Typed {
                expected: FuncType::new(
                    Params::TYPES.iter().cloned(),
                    Results::TYPES.iter().cloned(),
                ),
                found,
            }
            .into());
        }
        Ok(TypedFunc::new(*self))
    }
}

/// Reads the results of a function from its slots.
pub(crate) fn lift_results(
    func: FuncId,
    results: &mut [Val],
    slots: &[Raw],
    store: StoreOpaque<'_>,
) {
    let types = store.world().func_type(func).results();
    lift_all(results, types, slots, store);
}

fn check_call(
    ty: &low::RegisteredType,
    params: &[Val],
    results: &[Val],
    store: StoreOpaque<'_>,
) -> Result<()> {
    let (expected, found) = (ty.params().len(), params.len());
    if expected != found {
        return Err(TypeError::ParamCount {
            expected,
            found,
            ty: ty.into(),
        }
        .into());
    }
    for (index, (expected, param)) in ty.params().iter().zip(params).enumerate() {
        if !param.is_of(*expected, store)? {
            return Err(TypeError::Param {
                index,
                expected: (*expected).into(),
                found: param.found(*expected, store),
                ty: ty.into(),
            }
            .into());
        }
    }
    Ok(check_result_count(ty, results)?)
}

/// Checks that there are as many values as a function has results.
pub(crate) fn check_result_count(
    ty: &low::RegisteredType,
    results: &[Val],
) -> Result<(), TypeError> {
    let (expected, found) = (ty.results().len(), results.len());
    if expected != found {
        return Err(TypeError::ResultCount {
            expected,
            found,
            ty: ty.into(),
        });
    }
    Ok(())
}
