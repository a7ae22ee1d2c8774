//! Calls that stop where a host function fails, where there is no fuel left, or at a deadline, and go on later.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, Result, WrongStore};
use crate::func::{check_result_count, lift_results};
use crate::handles::Func;
use crate::host::lower_results;
use crate::low::{FuncId, Raw, Stop, Suspended, Suspension, World};
use crate::store::{AsContextMut, StoreContextMut, StoreId};
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::types::FuncType;
use crate::values::Val;

/// What has come of [`Func::call_resumable`], or of going on with such a call.
#[derive(Debug)]
pub enum ResumableCall {
    /// It has returned, and its results are where they should be.
    Finished,
    /// A host function that the guest called has returned an error.
    HostTrap(ResumableCallHostTrap),
    /// There is too little fuel.
    OutOfFuel(ResumableCallOutOfFuel),
    /// A deadline in epochs has come at which the call was to stop
    /// ([`UpdateDeadline::Suspend`](crate::UpdateDeadline::Suspend)).
    EpochDeadline(ResumableCallEpochDeadline),
}

/// The same with types that are known: [`TypedFunc::call_resumable`].
#[derive(Debug)]
pub enum TypedResumableCall<Results> {
    /// It has returned.
    Finished(Results),
    /// A host function that the guest called has returned an error.
    HostTrap(TypedResumableCallHostTrap<Results>),
    /// There is too little fuel.
    OutOfFuel(TypedResumableCallOutOfFuel<Results>),
    /// A deadline in epochs has come at which the call was to stop.
    EpochDeadline(TypedResumableCallEpochDeadline<Results>),
}

/// A call that has stopped, of a store.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) store: StoreId,
    pub(crate) suspended: Suspended,
}

/// A call that has stopped because a host function returned an error. It can go on with other results in place of those of the host
/// function. To drop it ends it; what the guest has done stays done.
#[derive(Debug)]
pub struct ResumableCallHostTrap {
    pub(crate) stopped: Stopped,
    pub(crate) error: Error,
}

/// A call that has stopped for want of fuel. It can go on when its store has more. To drop it ends it; what the guest has done stays done.
#[derive(Debug)]
pub struct ResumableCallOutOfFuel {
    pub(crate) stopped: Stopped,
    pub(crate) required: u64,
}

/// A call that has stopped at a deadline in epochs. It can go on at any time; the next deadline has been set. To drop it ends it; what the
/// guest has done stays done.
#[derive(Debug)]
pub struct ResumableCallEpochDeadline {
    pub(crate) stopped: Stopped,
}

/// [`ResumableCallHostTrap`] with types that are known.
pub struct TypedResumableCallHostTrap<Results> {
    pub(crate) call: ResumableCallHostTrap,
    results: PhantomData<fn() -> Results>,
}

/// [`ResumableCallOutOfFuel`] with types that are known.
pub struct TypedResumableCallOutOfFuel<Results> {
    pub(crate) call: ResumableCallOutOfFuel,
    results: PhantomData<fn() -> Results>,
}

/// [`ResumableCallEpochDeadline`] with types that are known.
pub struct TypedResumableCallEpochDeadline<Results> {
    pub(crate) call: ResumableCallEpochDeadline,
    results: PhantomData<fn() -> Results>,
}

/// Such calls stop wherever they can.
fn always(_: &World, _: Stop<'_>) -> bool {
    true
}

/// A call that has stopped, and what for.
pub(crate) enum Outcome {
    Finished,
    HostTrap(ResumableCallHostTrap),
    OutOfFuel(ResumableCallOutOfFuel),
    EpochDeadline(ResumableCallEpochDeadline),
}

impl Outcome {
    /// Of a call, as far as it gets.
    fn of_call<T>(
        store: &mut StoreContextMut<'_, T>,
        func: FuncId,
        slots: &mut [Raw],
    ) -> Result<Outcome> {
        store.take_all_fuel();
        let answer = store.call_resumable(func, slots, &always)?;
        Outcome::of(store, answer, slots)
    }

    /// Of what the machine has answered. A call goes on at once where only an asynchronous one would not.
    fn of<T>(
        store: &mut StoreContextMut<'_, T>,
        mut answer: Option<(Suspension, Suspended)>,
        slots: &mut [Raw],
    ) -> Result<Outcome> {
        loop {
            let Some((why, suspended)) = answer else {
                return Ok(Outcome::Finished);
            };
            let id = store.opaque().id();
            let stopped = Stopped {
                store: id,
                suspended,
            };
            match why {
                Suspension::Host(error) => {
                    let error = Error::from_boxed(error);
                    return Ok(Outcome::HostTrap(ResumableCallHostTrap { stopped, error }));
                }
                Suspension::OutOfFuel { required } => {
                    return Ok(Outcome::OutOfFuel(ResumableCallOutOfFuel {
                        stopped,
                        required,
                    }));
                }
                _ if store.host_mut().stops_at_deadline => {
                    return Ok(Outcome::EpochDeadline(ResumableCallEpochDeadline {
                        stopped,
                    }));
                }
                _ => answer = store.resume(stopped.suspended, &[], slots, &always)?,
            }
        }
    }
}

impl Stopped {
    /// Goes on with it, with the results of a host function if it has stopped in one.
    fn resume<T>(
        self,
        store: &mut StoreContextMut<'_, T>,
        results: &[Raw],
        slots: &mut [Raw],
    ) -> Result<Outcome> {
        store.take_all_fuel();
        let answer = store.resume(self.suspended, results, slots, &always)?;
        Outcome::of(store, answer, slots)
    }

    /// The same, given and giving values. There are inputs only if it has stopped in a host function.
    fn go_on<T>(
        self,
        store: &mut StoreContextMut<'_, T>,
        inputs: &[Val],
        outputs: &mut [Val],
    ) -> Result<ResumableCall> {
        let mut slots = self.slots(store)?;
        let func = self.check_results(store, outputs)?;
        let inputs = self.host_results(store, inputs)?;
        let outcome = self.resume(store, &inputs, &mut slots)?;
        Ok(ResumableCall::of(outcome, store, func, &slots, outputs))
    }

    /// The same, giving values of known types.
    fn go_on_typed<T, Results: WasmResults>(
        self,
        store: &mut StoreContextMut<'_, T>,
        inputs: &[Val],
    ) -> Result<TypedResumableCall<Results>> {
        let mut slots = self.slots(store)?;
        let inputs = self.host_results(store, inputs)?;
        let outcome = self.resume(store, &inputs, &mut slots)?;
        Ok(TypedResumableCall::of(outcome, store, &slots))
    }

    /// Room for parameters and results of the function that was called.
    fn slots<T>(&self, store: &StoreContextMut<'_, T>) -> Result<Vec<Raw>> {
        let store = store.opaque();
        if self.store != store.id() {
            return Err(WrongStore.into());
        }
        let ty = store.world().func_type(self.suspended.func());
        Ok(vec![Raw::default(); ty.slots() as usize])
    }

    /// The results of the host function in slots, if they are of its types.
    fn host_results<T>(&self, store: &StoreContextMut<'_, T>, values: &[Val]) -> Result<Vec<Raw>> {
        let Some(ty) = self.suspended.host_type() else {
            return Ok(Vec::new());
        };
        check_result_count(ty, values)?;
        let mut slots = vec![Raw::default(); ty.slots() as usize];
        lower_results(&ty.into(), values, &mut slots, store.opaque())?;
        Ok(slots)
    }

    /// The function that was called, if there is room for its results.
    fn check_results<T>(&self, store: &StoreContextMut<'_, T>, results: &[Val]) -> Result<FuncId> {
        let func = self.suspended.func();
        check_result_count(store.opaque().world().func_type(func), results)?;
        Ok(func)
    }
}

impl Func {
    /// Like [`Func::call`], but where a host function that the guest calls returns an error, or where there is too little fuel, the
    /// guest waits, and can go on later from there.
    ///
    /// What waits is taken off the store's stack, so that the store can be used as before, also for other calls that wait. A guest that was called
    /// by a host function in the middle of this call does not wait with it: it has ended.
    ///
    /// ```
    /// use vm_engine::{Engine, Error, Instance, Linker, Module, Result, ResumableCall, Store, Val};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (import "host" "ask" (func $ask (result i32)))
    ///   (func (export "double") (result i32) (i32.mul (call $ask) (i32.const 2))))"#)?;
    /// let mut linker = Linker::<()>::new(&engine);
    /// linker.func_wrap("host", "ask", || -> Result<i32> { Err(Error::msg("later")) })?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = linker.instantiate(&mut store, &module)?;
    /// let double = instance.get_func(&mut store, "double").unwrap();
    ///
    /// let mut results = [Val::I32(0)];
    /// let ResumableCall::HostTrap(call) = double.call_resumable(&mut store, &[], &mut results)? else {
    ///     panic!("it has not asked");
    /// };
    /// assert_eq!(call.host_error().to_string(), "later");
    /// call.resume(&mut store, &[Val::I32(21)], &mut results)?;
    /// assert_eq!(results[0].unwrap_i32(), 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Func::call`]; but an error of a host function that the guest called is a
    /// [`ResumableCall::HostTrap`], and [`Trap::OutOfFuel`](crate::Trap::OutOfFuel) a [`ResumableCall::OutOfFuel`].
    pub fn call_resumable(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<ResumableCall> {
        let mut store = store.as_context_mut();
        let (id, mut slots) = self.lower_call(params, results, store.opaque())?;
        let outcome = Outcome::of_call(&mut store, id, &mut slots)?;
        Ok(ResumableCall::of(outcome, &store, id, &slots, results))
    }
}

impl ResumableCall {
    pub(crate) fn of<T>(
        outcome: Outcome,
        store: &StoreContextMut<'_, T>,
        func: FuncId,
        slots: &[Raw],
        results: &mut [Val],
    ) -> ResumableCall {
        match outcome {
            Outcome::Finished => {
                lift_results(func, results, slots, store.opaque());
                ResumableCall::Finished
            }
            Outcome::HostTrap(call) => ResumableCall::HostTrap(call),
            Outcome::OutOfFuel(call) => ResumableCall::OutOfFuel(call),
            Outcome::EpochDeadline(call) => ResumableCall::EpochDeadline(call),
        }
    }
}

impl ResumableCallHostTrap {
    /// The error of the host function.
    pub fn host_error(&self) -> &Error {
        &self.error
    }

    /// The error of the host function. The call ends.
    pub fn into_host_error(self) -> Error {
        self.error
    }

    /// The type of the host function.
    pub fn host_func_type(&self) -> FuncType {
        let ty = self.stopped.suspended.host_type();
        ty.map_or_else(|| FuncType::new([], []), FuncType::from)
    }

    /// Goes on with the call as if the host function had returned `inputs`. `outputs` are as for [`Func::call_resumable`].
    ///
    /// # Errors
    ///
    /// As there; [`TypeError`](crate::TypeError) if the inputs are not of the types of the host function's results, and [`WrongStore`]; an error if the
    /// call was begun when less of the store's stack was in use than now. The call has ended then.
    pub fn resume(
        self,
        mut store: impl AsContextMut,
        inputs: &[Val],
        outputs: &mut [Val],
    ) -> Result<ResumableCall> {
        self.stopped
            .go_on(&mut store.as_context_mut(), inputs, outputs)
    }
}

impl ResumableCallOutOfFuel {
    /// How much fuel the store needs for the call to go on at all.
    pub fn required_fuel(&self) -> u64 {
        self.required
    }

    /// Goes on with the call. `outputs` are as for [`Func::call_resumable`].
    ///
    /// # Errors
    ///
    /// As for [`ResumableCallHostTrap::resume`].
    pub fn resume(
        self,
        mut store: impl AsContextMut,
        outputs: &mut [Val],
    ) -> Result<ResumableCall> {
        self.stopped
            .go_on(&mut store.as_context_mut(), &[], outputs)
    }
}

impl ResumableCallEpochDeadline {
    /// Goes on with the call. `outputs` are as for [`Func::call_resumable`].
    ///
    /// # Errors
    ///
    /// As for [`ResumableCallHostTrap::resume`].
    pub fn resume(
        self,
        mut store: impl AsContextMut,
        outputs: &mut [Val],
    ) -> Result<ResumableCall> {
        self.stopped
            .go_on(&mut store.as_context_mut(), &[], outputs)
    }
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    /// [`Func::call_resumable`], with types that are known.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call_resumable(
        &self,
        mut store: impl AsContextMut,
        params: Params,
    ) -> Result<TypedResumableCall<Results>> {
        let mut store = store.as_context_mut();
        let (id, mut slots) = self.lower_call(params, store.opaque())?;
        let outcome = Outcome::of_call(&mut store, id, &mut slots)?;
        Ok(TypedResumableCall::of(outcome, &store, &slots))
    }
}

impl<Results: WasmResults> TypedResumableCall<Results> {
    pub(crate) fn of<T>(outcome: Outcome, store: &StoreContextMut<'_, T>, slots: &[Raw]) -> Self {
        let results = PhantomData;
        match outcome {
            Outcome::Finished => TypedResumableCall::Finished(Results::load(slots, store.opaque())),
            Outcome::HostTrap(call) => {
                TypedResumableCall::HostTrap(TypedResumableCallHostTrap { call, results })
            }
            Outcome::OutOfFuel(call) => {
                TypedResumableCall::OutOfFuel(TypedResumableCallOutOfFuel { call, results })
            }
            Outcome::EpochDeadline(call) => {
                TypedResumableCall::EpochDeadline(TypedResumableCallEpochDeadline { call, results })
            }
        }
    }
}

impl<Results: WasmResults> TypedResumableCallHostTrap<Results> {
    /// [`ResumableCallHostTrap::host_error`].
    pub fn host_error(&self) -> &Error {
        self.call.host_error()
    }

    /// [`ResumableCallHostTrap::into_host_error`].
    pub fn into_host_error(self) -> Error {
        self.call.into_host_error()
    }

    /// [`ResumableCallHostTrap::host_func_type`].
    pub fn host_func_type(&self) -> FuncType {
        self.call.host_func_type()
    }

    /// [`ResumableCallHostTrap::resume`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn resume(
        self,
        mut store: impl AsContextMut,
        inputs: &[Val],
    ) -> Result<TypedResumableCall<Results>> {
        let stopped = self.call.stopped;
        stopped.go_on_typed(&mut store.as_context_mut(), inputs)
    }
}

impl<Results: WasmResults> TypedResumableCallOutOfFuel<Results> {
    /// [`ResumableCallOutOfFuel::required_fuel`].
    pub fn required_fuel(&self) -> u64 {
        self.call.required_fuel()
    }

    /// [`ResumableCallOutOfFuel::resume`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn resume(self, mut store: impl AsContextMut) -> Result<TypedResumableCall<Results>> {
        let stopped = self.call.stopped;
        stopped.go_on_typed(&mut store.as_context_mut(), &[])
    }
}

impl<Results: WasmResults> TypedResumableCallEpochDeadline<Results> {
    /// [`ResumableCallEpochDeadline::resume`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn resume(self, mut store: impl AsContextMut) -> Result<TypedResumableCall<Results>> {
        let stopped = self.call.stopped;
        stopped.go_on_typed(&mut store.as_context_mut(), &[])
    }
}

impl<Results> fmt::Debug for TypedResumableCallHostTrap<Results> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl<Results> fmt::Debug for TypedResumableCallOutOfFuel<Results> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl<Results> fmt::Debug for TypedResumableCallEpochDeadline<Results> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
