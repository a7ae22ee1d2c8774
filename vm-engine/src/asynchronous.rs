//! Calls and host functions that are asynchronous.
//!
//! A guest that waits is a piece of its stack ([`low::Suspended`]): no thread, and no native stack. An asynchronous host function, when it
//! is called, leaves behind what it was called with, and the guest stops. Then whoever has called the guest asynchronously has the
//! store, makes the host function's future with it, and goes on with the guest when that is done.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::externs::Extern;
use crate::func::lift_results;
use crate::handles::{Func, Instance};
use crate::host::{HostFunc, WasmRet, lift_params, lower_results};
use crate::instantiate;
use crate::linker::Linker;
use crate::low::{FuncId, HostError, InstanceId, Raw, Stop, Suspension, World};
use crate::module::Module;
use crate::store::{AsContextMut, StoreContextMut};
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::types::FuncType;
use crate::values::Val;

/// What an asynchronous host function does with the slots of its parameters and results, in the end.
type Work<'a> = Pin<Box<dyn Future<Output = Result<(), HostError>> + Send + 'a>>;

/// Begins it.
type Body<T> = dyn for<'a> Fn(StoreContextMut<'a, T>, Option<InstanceId>, &'a mut [Raw]) -> Work<'a>
    + Send
    + Sync;

/// What an asynchronous host function leaves behind when it is called.
struct Pending<T: 'static> {
    body: Arc<Body<T>>,
    caller: Option<InstanceId>,
    slots: Vec<Raw>,
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the guest called an asynchronous host function, and cannot wait for it here: every call between it and the \
             host's future has to be asynchronous (call_async, instantiate_async)",
        )
    }
}

impl<T> std::error::Error for Pending<T> {}

/// A host function of this type with an asynchronous body.
fn host_func<T: Send + 'static>(
    ty: FuncType,
    body: impl for<'a> Fn(StoreContextMut<'a, T>, Option<InstanceId>, &'a mut [Raw]) -> Work<'a>
    + Send
    + Sync
    + 'static,
) -> HostFunc<T> {
    let body: Arc<Body<T>> = Arc::new(body);
    HostFunc::raw(ty, move |_, caller, slots| {
        Err(Box::new(Pending {
            body: Arc::clone(&body),
            caller,
            slots: slots.to_vec(),
        }))
    })
}

fn wrap<T, Params, Results>(
    func: impl for<'a> Fn(Caller<'a, T>, Params) -> Box<dyn Future<Output = Results> + Send + 'a>
    + Send
    + Sync
    + 'static,
) -> HostFunc<T>
where
    T: Send + 'static,
    Params: WasmResults,
    Results: WasmRet,
{
    let ty = FuncType::new(
        Params::TYPES.iter().cloned(),
        Results::TYPES.iter().cloned(),
    );
    let func = Arc::new(func);
    host_func(ty, move |mut store, caller, slots| {
        let func = Arc::clone(&func);
        Box::pin(async move {
            let params = Params::load(slots, store.opaque());
            let results = Pin::from(func(Caller::new(store.reborrow(), caller), params)).await;
            results.store(slots, store.opaque())
        })
    })
}

fn dynamic<T: Send + 'static>(
    ty: FuncType,
    func: impl for<'a> Fn(
        Caller<'a, T>,
        &'a [Val],
        &'a mut [Val],
    ) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
    + Send
    + Sync
    + 'static,
) -> HostFunc<T> {
    let func = Arc::new(func);
    let types = ty.clone();
    host_func(ty, move |mut store, caller, slots| {
        let (func, types) = (Arc::clone(&func), types.clone());
        Box::pin(async move {
            let mut params = vec![Val::I32(0); types.params().len()];
            lift_params(&types, &mut params, slots, store.opaque());
            let mut results: Vec<_> = types
                .low()
                .results()
                .iter()
                .map(|ty| Val::any_for_ty(*ty))
                .collect();
            let caller = Caller::new(store.reborrow(), caller);
            Pin::from(func(caller, &params, &mut results)).await?;
            Ok(lower_results(&types, &results, slots, store.opaque())?)
        })
    })
}

/// Lets others run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Where an asynchronous call waits.
fn keep<T: 'static>(world: &World, stop: Stop<'_>) -> bool {
    match stop {
        Stop::Host(error) => error.is::<Pending<T>>(),
        // There is enough, and it is somebody else's turn.
        Stop::OutOfFuel { required } => {
            world.fuel().saturating_add(world.fuel_reserve()) >= required
        }
    }
}

/// Takes what may be consumed before others have their turn, if they are to have any.
fn take_turn<T>(store: &mut StoreContextMut<'_, T>) {
    if let Some(interval) = store.fuel_yield_interval() {
        store.world_mut().take_fuel_reserve(interval.get());
    }
}

/// Calls a function, and waits where it waits.
async fn call<T: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    func: FuncId,
    slots: &mut [Raw],
) -> Result<()> {
    take_turn(store);
    if store.opaque().world().is_host_func(func) {
        return call_host(store, func, slots).await;
    }
    let mut answer = store.call_resumable(func, slots, &keep::<T>)?;
    while let Some((why, suspended)) = answer {
        let mut results = Vec::new();
        match why {
            Suspension::Host(error) => {
                // `keep` has let no other through.
                let pending = error.downcast::<Pending<T>>().map_err(Error::from_boxed)?;
                let Pending {
                    body,
                    caller,
                    slots: lent,
                } = *pending;
                results = lent;
                if let Err(error) = body(store.reborrow(), caller, &mut results).await {
                    if !store.throws(&error) {
                        return Err(store.end(suspended, error));
                    }
                    take_turn(store);
                    answer = store.resume_with_error(suspended, error, slots, &keep::<T>)?;
                    continue;
                }
                // It has waited, and has another turn.
                take_turn(store);
            }
            Suspension::OutOfFuel { required } => {
                yield_now().await;
                let interval = store
                    .fuel_yield_interval()
                    .map_or(u64::MAX, NonZeroU64::get);
                store.world_mut().take_fuel_reserve(interval.max(required));
            }
            _ => yield_now().await,
        }
        answer = store.resume(suspended, &results, slots, &keep::<T>)?;
    }
    Ok(())
}

/// Calls a host function, without a guest in between.
async fn call_host<T: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    func: FuncId,
    slots: &mut [Raw],
) -> Result<()> {
    let Err(error) = store.call(func, slots) else {
        return Ok(());
    };
    let Pending {
        body,
        caller,
        slots: mut own,
    } = error.downcast::<Pending<T>>()?;
    body(store.reborrow(), caller, &mut own)
        .await
        .map_err(Error::from_boxed)?;
    slots[..own.len()].copy_from_slice(&own);
    Ok(())
}

impl Func {
    /// An asynchronous host function: see [`Linker::func_wrap_async`].
    pub fn wrap_async<T, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        func: impl for<'a> Fn(Caller<'a, T>, Params) -> Box<dyn Future<Output = Results> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Func
    where
        T: Send + 'static,
        Params: WasmResults,
        Results: WasmRet,
    {
        wrap(func).add_to(&mut store.as_context_mut())
    }

    /// An asynchronous host function whose type is known only when the program runs: see [`Linker::func_new_async`].
    pub fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl for<'a> Fn(
            Caller<'a, T>,
            &'a [Val],
            &'a mut [Val],
        ) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Func {
        dynamic(ty, func).add_to(&mut store.as_context_mut())
    }

    /// Like [`Func::call`], with a future that waits where the guest calls an [asynchronous host
    /// function](Linker::func_wrap_async), and lets others run where the store is told to
    /// ([`Store::fuel_async_yield_interval`](crate::Store::fuel_async_yield_interval),
    /// [`Store::epoch_deadline_async_yield_and_update`](crate::Store::epoch_deadline_async_yield_and_update)). Any executor can poll it. A
    /// guest that waits takes the memory of its frames, and no thread.
    ///
    /// If the future is dropped before it is done, the call has ended; what the guest has done stays done, and the store can be used as before.
    /// A request to [interrupt](crate::InterruptHandle::interrupt) it has no effect while it waits: to drop it has.
    ///
    /// # Errors
    ///
    /// As for [`Func::call`]. An asynchronous host function that is called in the middle of a call that is not asynchronous, below another
    /// host function, is an error.
    pub async fn call_async<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let (id, mut slots) = self.lower_call(params, results, store.opaque())?;
        call(&mut store, id, &mut slots).await?;
        lift_results(id, results, &slots, store.opaque());
        Ok(())
    }
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    /// [`Func::call_async`], with types that are known.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn call_async<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        params: Params,
    ) -> Result<Results> {
        let mut store = store.as_context_mut();
        let (id, mut slots) = self.lower_call(params, store.opaque())?;
        call(&mut store, id, &mut slots).await?;
        Ok(Results::load(&slots, store.opaque()))
    }
}

impl Instance {
    /// Like [`Instance::new`], with a start function that may wait: see [`Func::call_async`].
    ///
    /// # Errors
    ///
    /// As for [`Instance::new`].
    pub async fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        instantiate(&mut store.as_context_mut(), module, imports).await
    }
}

/// Instantiates a module, and waits where its start function waits.
pub(crate) async fn instantiate<T: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    imports: &[Extern],
) -> Result<Instance> {
    let (instance, start) = instantiate::without_start(store, module, imports)?;
    if let Some(start) = start {
        call(store, start, &mut []).await?;
    }
    Ok(instance)
}

impl<T: Send + 'static> Linker<T> {
    /// Defines an asynchronous host function: `func` takes the caller and the parameters, as a tuple or, if there is one, alone, and
    /// answers a future. While it waits, the guest does: it has to be called by [`Func::call_async`].
    ///
    /// ```
    /// use vm_engine::{Caller, Engine, Linker, Module, Result, Store};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (import "host" "ask" (func $ask (param i32) (result i32)))
    ///   (func (export "double") (param i32) (result i32) (i32.mul (call $ask (local.get 0)) (i32.const 2))))"#)?;
    /// let mut linker = Linker::<()>::new(&engine);
    /// linker.func_wrap_async("host", "ask", |_: Caller<'_, ()>, x: i32| {
    ///     Box::new(async move { std::future::ready(x + 1).await })
    /// })?;
    /// # let run = async {
    /// let mut store = Store::new(&engine, ());
    /// let instance = linker.instantiate_async(&mut store, &module).await?;
    /// let double = instance.get_typed_func::<i32, i32>(&mut store, "double")?;
    /// assert_eq!(double.call_async(&mut store, 20).await?, 42);
    /// # Ok::<(), vm_engine::Error>(())
    /// # };
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # match std::pin::pin!(run).poll(&mut context) {
    /// #     std::task::Poll::Ready(result) => result?,
    /// #     std::task::Poll::Pending => unreachable!(),
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`](crate::LinkError::Duplicate) if the name is taken.
    pub fn func_wrap_async<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl for<'a> Fn(Caller<'a, T>, Params) -> Box<dyn Future<Output = Results> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Result<&mut Self>
    where
        Params: WasmResults,
        Results: WasmRet,
    {
        self.insert_host(module, name, wrap(func))
    }

    /// Defines an asynchronous host function whose type is known only when the program runs: like [`Linker::func_new`] and
    /// [`Linker::func_wrap_async`].
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`](crate::LinkError::Duplicate) if the name is taken.
    pub fn func_new_async(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl for<'a> Fn(
            Caller<'a, T>,
            &'a [Val],
            &'a mut [Val],
        ) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Result<&mut Self> {
        self.insert_host(module, name, dynamic(ty, func))
    }

    /// Like [`Linker::instantiate`], with a start function that may wait: see [`Func::call_async`].
    ///
    /// # Errors
    ///
    /// As for [`Linker::instantiate`].
    pub async fn instantiate_async(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let imports = self.imports_of(&mut store, module)?;
        instantiate(&mut store, module, &imports).await
    }
}
