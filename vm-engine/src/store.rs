//! Stores: where instances and everything they consist of live, with the host's own data.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::{Layout, MemoryError, ValueStack};
use vm_trap::NotFirst;

use crate::allocation::{Pools, StoreConfig, Supply};
use crate::call_hook::{CallHook, CallHookFn};
use crate::config::Bounds;
use crate::engine::Engine;
use crate::error::{Error, LimitError, Result};
use crate::limits::{EpochCallback, Limiter, ResourceLimiter, UpdateDeadline};
use crate::low::{self, FuncId, HostError, InstanceId, Raw, World};
use crate::module::Module;
use crate::strategy::Strategy;

/// Which store an object lives in: no two stores of a process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreId(NonZeroU64);

impl StoreId {
    fn new() -> StoreId {
        // 2⁶⁴ stores cannot be made in any lifetime; zero cannot come.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        StoreId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }
}

/// Where instances, functions, memories, tables and globals live, together with a `T` of the
/// host's that host functions reach through [`Caller`](crate::Caller).
///
/// Everything in it lives until the store is dropped.
pub struct Store<T: 'static> {
    inner: Box<StoreInner<T>>,
}

/// All of a store: the machine, which has the rest as its host.
pub(crate) type StoreInner<T> = low::Machine<StoreHost<T>>;

/// What a store is besides its machine.
pub(crate) struct StoreHost<T: 'static> {
    facts: StoreFacts,
    /// Which functions of linkers have been put into this store, by address: they are kept alive
    /// here, so an address means one function.
    linked: HashMap<usize, (FuncId, Arc<dyn Any + Send + Sync>)>,
    limiter: Option<Limiter<T>>,
    call_hook: Option<CallHookFn<T>>,
    /// Without one, guests stop at the deadline.
    epoch_callback: Option<EpochCallback<T>>,
    /// Whether at the last deadline calls were to stop that can go on later.
    pub(crate) stops_at_deadline: bool,
    /// After how much fuel an asynchronous call lets others run, if at all.
    pub(crate) fuel_yield_interval: Option<NonZeroU64>,
    /// How many memories and tables have been made.
    memories: usize,
    tables: usize,
    data: T,
}

/// What a store knows that does not depend on the type of the host's data.
pub(crate) struct StoreFacts {
    id: StoreId,
    engine: Engine,
    /// Where guarded memories come from, if this store's code relies on them.
    supply: Supply,
    /// What differs from the engine's.
    strategy: Option<Strategy>,
    /// Why its code does not rely on guards, although the engine prefers it.
    no_guards: Option<String>,
    externs: Vec<Box<dyn Any + Send + Sync>>,
    /// By number.
    instances: Vec<InstanceData>,
}

/// What the facade knows of an instance.
pub(crate) struct InstanceData {
    pub(crate) module: Module,
    pub(crate) bounds: Bounds,
    /// Why it has other bounds checks than the engine prefers.
    pub(crate) note: Option<String>,
}

/// A store without its type parameter's business, to look at.
#[derive(Clone, Copy)]
pub struct StoreOpaque<'a> {
    world: &'a World,
    facts: &'a StoreFacts,
}

/// The same, to change.
pub(crate) struct StoreOpaqueMut<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) facts: &'a mut StoreFacts,
}

impl<T> Store<T> {
    /// A store of the engine's, with the host's own data.
    ///
    /// # Panics
    ///
    /// If the host has no memory for the guests' stack, or the pool has no stack left.
    /// [`Store::try_new`] returns an error then.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        match Store::try_new(engine, data) {
            Ok(store) => store,
            Err(error) => panic!("cannot create a store: {error}"),
        }
    }

    /// Like [`Store::new`].
    ///
    /// # Errors
    ///
    /// If the host has no memory for the guests' stack, or the pool has no stack left.
    pub fn try_new(engine: &Engine, data: T) -> Result<Store<T>> {
        Store::supplied(engine, data, engine.supply().clone(), None)
    }

    /// Like [`Store::try_new`], with settings that differ from the engine's.
    ///
    /// # Errors
    ///
    /// [`ConfigError`](crate::ConfigError) if the engine or the host cannot meet them; and as for
    /// [`Store::try_new`].
    pub fn with_config(engine: &Engine, data: T, config: &StoreConfig) -> Result<Store<T>> {
        let (supply, strategy) = engine.supply_with(config)?;
        Store::supplied(engine, data, supply, Some(strategy))
    }

    fn supplied(
        engine: &Engine,
        data: T,
        mut supply: Supply,
        strategy: Option<Strategy>,
    ) -> Result<Store<T>> {
        let (stack, no_guards) = value_stack(engine, &mut supply)?;
        let host = StoreHost {
            facts: StoreFacts {
                id: StoreId::new(),
                engine: engine.clone(),
                supply,
                strategy,
                no_guards,
                externs: Vec::new(),
                instances: Vec::new(),
            },
            linked: HashMap::new(),
            limiter: None,
            call_hook: None,
            epoch_callback: None,
            stops_at_deadline: false,
            fuel_yield_interval: None,
            memories: 0,
            tables: 0,
            data,
        };
        let machine = low::Machine::with_stack(engine.threading(), stack, host);
        let mut inner = machine.map_err(Error::new)?;
        if let Some(calls) = engine.config().max_call_depth {
            inner.set_max_call_depth(calls);
        }
        if let Some(epoch) = engine.epoch() {
            inner.set_epoch(Arc::clone(epoch));
            inner.set_epoch_deadline(0);
        }
        Ok(Store { inner })
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        &self.inner.host().data
    }

    /// The host's data, to change.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.host_mut().data
    }

    /// Ends the store; the host keeps its data.
    pub fn into_data(self) -> T {
        self.inner.into_host().data
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.inner.host().facts.engine
    }

    /// In which mode it runs, and why. Differs from the engine's if the store was made
    /// [with a configuration](Store::with_config).
    ///
    /// A single instance may have software checks although the store has guards, if the host
    /// refuses them: see [`Instance::bounds`](crate::Instance::bounds).
    pub fn strategy(&self) -> &Strategy {
        let facts = &self.inner.host().facts;
        match &facts.strategy {
            Some(strategy) => strategy,
            None => facts.engine.strategy(),
        }
    }

    /// Has growth and creation of memories and tables decided by a [`ResourceLimiter`], which
    /// `limiter` finds in the host's data.
    ///
    /// A guest whose growth is refused sees `memory.grow` or `table.grow` fail; creation that is
    /// refused fails with [`LimitError`](crate::LimitError). What is in the store already counts
    /// against the number of instances, memories and tables.
    pub fn limiter(
        &mut self,
        limiter: impl FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync + 'static,
    ) {
        self.inner.host_mut().limiter = Some(Box::new(limiter));
    }

    /// Has `hook` told wherever control passes between the host and the store's guests, in place of what was told before: to measure what
    /// guests take, to count calls, or to end them. Start functions count as calls.
    ///
    /// If it returns an error at an entry, what would be called is not; at an exit, what was called has failed with it. To a guest an error
    /// at a host function is an error of that function.
    ///
    /// ```
    /// use vm_engine::{CallHook, Engine, Linker, Module, Result, Store};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (import "host" "log" (func $log))
    ///   (func (export "run") call $log))"#)?;
    /// let mut linker = Linker::new(&engine);
    /// linker.func_wrap("host", "log", || {})?;
    ///
    /// let mut store = Store::new(&engine, Vec::new());
    /// store.call_hook(|seen: &mut Vec<CallHook>, at| {
    ///     seen.push(at);
    ///     Ok(())
    /// });
    /// let instance = linker.instantiate(&mut store, &module)?;
    /// instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
    /// use CallHook::*;
    /// assert_eq!(*store.data(), [CallingWasm, CallingHost, ReturningFromHost, ReturningFromWasm]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_hook(
        &mut self,
        hook: impl FnMut(&mut T, CallHook) -> Result<()> + Send + Sync + 'static,
    ) {
        self.inner.host_mut().call_hook = Some(Box::new(hook));
    }
}

impl<T: fmt::Debug> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.inner.host().facts.id)
            .field("data", self.data())
            .finish_non_exhaustive()
    }
}

impl<T: Default> Default for Store<T> {
    fn default() -> Store<T> {
        Store::new(&Engine::default(), T::default())
    }
}

impl<'a> StoreOpaque<'a> {
    pub(crate) fn id(self) -> StoreId {
        self.facts.id
    }

    pub(crate) fn engine(self) -> &'a Engine {
        &self.facts.engine
    }

    pub(crate) fn world(self) -> &'a World {
        self.world
    }

    pub(crate) fn facts(self) -> &'a StoreFacts {
        self.facts
    }
}

impl StoreOpaqueMut<'_> {
    pub(crate) fn opaque(&self) -> StoreOpaque<'_> {
        StoreOpaque {
            world: self.world,
            facts: self.facts,
        }
    }
}

impl StoreFacts {
    /// The layout of guarded memories, if this store makes them.
    pub(crate) fn guarded_layout(&self) -> Option<Layout> {
        self.supply.layout
    }

    /// Where guarded memories come from, if not from the host.
    pub(crate) fn pools(&self) -> Option<&Pools> {
        self.supply.pools.as_ref()
    }

    /// Why this store makes no guarded memories, although the engine prefers them.
    pub(crate) fn no_guards(&self) -> Option<&str> {
        self.no_guards.as_deref()
    }

    pub(crate) fn add_extern(&mut self, value: Box<dyn Any + Send + Sync>) -> Result<u32> {
        // The machine keeps a reference as its number plus one in 32 bits.
        let index = u32::try_from(self.externs.len())
            .ok()
            .filter(|index| *index < u32::MAX - 1)
            .ok_or_else(|| Error::msg("the store is full: it cannot hold more host values"))?;
        self.externs.push(value);
        Ok(index)
    }

    pub(crate) fn extern_data(&self, index: u32) -> Option<&(dyn Any + Send + Sync)> {
        self.externs.get(index as usize).map(|value| &**value)
    }

    pub(crate) fn extern_data_mut(&mut self, index: u32) -> Option<&mut (dyn Any + Send + Sync)> {
        self.externs
            .get_mut(index as usize)
            .map(|value| &mut **value)
    }

    pub(crate) fn add_instance(&mut self, id: InstanceId, data: InstanceData) {
        // Machines number their instances from 0, and every one is added here.
        debug_assert_eq!(id.number() as usize, self.instances.len());
        self.instances.push(data);
    }

    pub(crate) fn instance(&self, id: InstanceId) -> Option<&InstanceData> {
        self.instances.get(id.number() as usize)
    }
}

impl<T> StoreHost<T> {
    /// Asks the limiter, if there is one. Sizes in bytes.
    pub(crate) fn may_grow_memory(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool> {
        match &mut self.limiter {
            None => Ok(true),
            Some(limiter) => limiter(&mut self.data).memory_growing(
                clamp(current),
                clamp(desired),
                maximum.map(clamp),
            ),
        }
    }

    /// Tells the limiter, if there is one, which may make it an error.
    pub(crate) fn memory_grow_failed(&mut self, error: impl FnOnce() -> Error) -> Result<()> {
        match &mut self.limiter {
            None => Ok(()),
            Some(limiter) => limiter(&mut self.data).memory_grow_failed(error()),
        }
    }

    /// Asks the limiter, if there is one. Sizes in elements.
    pub(crate) fn may_grow_table(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool> {
        match &mut self.limiter {
            None => Ok(true),
            Some(limiter) => limiter(&mut self.data).table_growing(
                clamp(current),
                clamp(desired),
                maximum.map(clamp),
            ),
        }
    }

    /// Tells the limiter, if there is one, which may make it an error.
    pub(crate) fn table_grow_failed(&mut self, error: impl FnOnce() -> Error) -> Result<()> {
        match &mut self.limiter {
            None => Ok(()),
            Some(limiter) => limiter(&mut self.data).table_grow_failed(error()),
        }
    }

    /// Says what happens at deadlines; without a callback, guests stop.
    pub(crate) fn set_epoch_callback(&mut self, callback: Option<EpochCallback<T>>) {
        self.epoch_callback = callback;
    }

    /// Whether one more instance may be made.
    pub(crate) fn count_instance(&mut self) -> Result<()> {
        let count = self.facts.instances.len();
        self.count("instances", count, |limiter| limiter.instances())
    }

    /// Counts a memory that is being made, if it may be.
    pub(crate) fn count_memory(&mut self) -> Result<()> {
        self.count("memories", self.memories, |limiter| limiter.memories())?;
        self.memories += 1;
        Ok(())
    }

    /// Counts a table that is being made, if it may be.
    pub(crate) fn count_table(&mut self) -> Result<()> {
        self.count("tables", self.tables, |limiter| limiter.tables())?;
        self.tables += 1;
        Ok(())
    }

    /// Whether there is someone to be told of calls.
    #[inline]
    pub(crate) fn tells_of_calls(&self) -> bool {
        self.call_hook.is_some()
    }

    /// Tells of a call.
    #[cold]
    pub(crate) fn tell(&mut self, at: CallHook) -> Result<()> {
        match &mut self.call_hook {
            Some(hook) => hook(&mut self.data, at),
            None => Ok(()),
        }
    }

    fn count(
        &mut self,
        what: &str,
        count: usize,
        limit: impl FnOnce(&dyn ResourceLimiter) -> usize,
    ) -> Result<()> {
        if let Some(limiter) = &mut self.limiter {
            let limit = limit(limiter(&mut self.data));
            if count >= limit {
                let what = format!("more than {limit} {what}");
                return Err(LimitError { what }.into());
            }
        }
        Ok(())
    }
}

/// A stack for a machine, and why it has no guard although the engine prefers one: code that relies on
/// guards needs a guarded value stack, which the host may refuse.
fn value_stack(engine: &Engine, supply: &mut Supply) -> Result<(ValueStack, Option<String>)> {
    let bytes = engine.stack_bytes();
    if supply.layout.is_none() {
        return Ok((plain_stack(bytes)?, None));
    }
    if let Err(overtaken) = faults_reach_us(engine) {
        if !engine.may_fall_back() {
            return Err(Error::new(overtaken));
        }
        supply.layout = None;
        return Ok((plain_stack(bytes)?, Some(overtaken.to_string())));
    }
    let made = match &supply.pools {
        Some(pools) => match pools.stacks.stack() {
            // The embedder's own limit, not the host's: there is nothing to fall back to.
            Err(full @ MemoryError::PoolFull { .. }) => return Err(full.into()),
            stack => stack,
        },
        None => ValueStack::guarded(bytes, low::STACK_GUARD_BYTES),
    };
    match made {
        Ok(stack) => Ok((stack, None)),
        Err(refused) if engine.may_fall_back() => {
            supply.layout = None;
            Ok((plain_stack(bytes)?, Some(no_stack(refused).to_string())))
        }
        Err(refused) => Err(no_stack(refused)),
    }
}

/// Whether a guest's fault comes to our handlers: someone may have installed others since.
fn faults_reach_us(engine: &Engine) -> Result<(), NotFirst> {
    if engine.installs_signal_handlers() {
        vm_trap::ensure_first()
    } else {
        Ok(())
    }
}

fn plain_stack(bytes: usize) -> Result<ValueStack> {
    ValueStack::plain(bytes).map_err(no_stack)
}

fn no_stack(refused: MemoryError) -> Error {
    Error::new(low::MachineError::from(refused))
}

fn clamp(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

impl<T: 'static> low::Host for StoreHost<T> {
    fn memory_growing(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        Ok(self.may_grow_memory(current, desired, maximum)?)
    }

    fn memory_grow_failed(&mut self, error: vm_memory::GrowError) -> Result<(), HostError> {
        Ok(StoreHost::memory_grow_failed(self, || error.into())?)
    }

    fn table_growing(
        &mut self,
        current: u64,
        desired: u64,
        maximum: Option<u64>,
    ) -> Result<bool, HostError> {
        Ok(self.may_grow_table(current, desired, maximum)?)
    }

    fn table_grow_failed(&mut self, error: low::EntityError) -> Result<(), HostError> {
        Ok(StoreHost::table_grow_failed(self, || Error::new(error))?)
    }

    fn throws(error: &HostError) -> bool {
        match error.downcast_ref::<Error>() {
            Some(error) => error.is::<low::ThrownException>(),
            None => low::ThrownException::is(&**error),
        }
    }

    fn epoch_deadline(&mut self) -> Result<low::Deadline, HostError> {
        self.stops_at_deadline = false;
        let Some(callback) = &mut self.epoch_callback else {
            return Ok(low::Deadline::End);
        };
        Ok(match callback(&mut self.data)? {
            UpdateDeadline::Continue(epochs) => low::Deadline::Continue(epochs),
            UpdateDeadline::Yield(epochs) => low::Deadline::Suspend(epochs),
            UpdateDeadline::Suspend(epochs) => {
                self.stops_at_deadline = true;
                low::Deadline::Suspend(epochs)
            }
            UpdateDeadline::Interrupt => low::Deadline::End,
        })
    }
}

/// A shared borrow of a [`Store`].
pub struct StoreContext<'a, T: 'static>(pub(crate) &'a StoreInner<T>);

/// An exclusive borrow of a [`Store`].
pub struct StoreContextMut<'a, T: 'static>(pub(crate) &'a mut StoreInner<T>);

/// A store, whichever way it is borrowed.
fn opaque<T>(store: &StoreInner<T>) -> StoreOpaque<'_> {
    let (world, host) = store.split();
    StoreOpaque {
        world,
        facts: &host.facts,
    }
}

impl<'a, T> StoreContext<'a, T> {
    /// The host's data.
    pub fn data(&self) -> &'a T {
        &self.0.host().data
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &'a Engine {
        self.opaque().engine()
    }

    pub(crate) fn opaque(&self) -> StoreOpaque<'a> {
        opaque(self.0)
    }
}

impl<'a, T> StoreContextMut<'a, T> {
    /// The host's data.
    pub fn data(&self) -> &T {
        &self.0.host().data
    }

    /// The host's data, to change.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.host_mut().data
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        self.opaque().engine()
    }

    #[inline]
    pub(crate) fn opaque(&self) -> StoreOpaque<'_> {
        opaque(self.0)
    }

    pub(crate) fn opaque_mut(&mut self) -> StoreOpaqueMut<'_> {
        let (world, host) = self.0.split_mut();
        StoreOpaqueMut {
            world,
            facts: &mut host.facts,
        }
    }

    pub(crate) fn world_mut(&mut self) -> &mut World {
        self.0
    }

    /// What decides about growth and counts what is made.
    pub(crate) fn host_mut(&mut self) -> &mut StoreHost<T> {
        self.0.host_mut()
    }

    /// Everything in the store, and the host's data.
    pub(crate) fn split(self) -> (&'a mut World, &'a mut StoreFacts, &'a mut T) {
        let (world, host) = self.0.split_mut();
        (world, &mut host.facts, &mut host.data)
    }

    /// The store, to look at as long as it is borrowed.
    pub(crate) fn into_opaque(self) -> StoreOpaque<'a> {
        opaque(self.0)
    }

    /// Adds a host function of this type.
    pub(crate) fn add_host(
        &mut self,
        ty: low::RegisteredType,
        body: low::HostClosure<StoreHost<T>>,
    ) -> FuncId {
        self.0.add_host_func(ty, body)
    }

    /// The function that stands for something outside of the store, which `add` adds if the store has none yet.
    pub(crate) fn link(
        &mut self,
        outside: Arc<dyn Any + Send + Sync>,
        add: impl FnOnce(&mut StoreContextMut<'_, T>) -> FuncId,
    ) -> FuncId {
        let address = Arc::as_ptr(&outside).addr();
        if let Some((id, _)) = self.0.host().linked.get(&address) {
            return *id;
        }
        let id = add(self);
        self.0.host_mut().linked.insert(address, (id, outside));
        id
    }

    /// Calls a function. `slots` hold the parameters, and afterwards the results.
    pub(crate) fn call(&mut self, func: FuncId, slots: &mut [Raw]) -> Result<()> {
        self.take_all_fuel();
        self.enter(func, |machine| machine.call(func, slots))
    }

    /// Lets a function run, or go on, and tells of it if that is a guest's.
    #[inline]
    fn enter<R>(
        &mut self,
        func: FuncId,
        run: impl FnOnce(&mut StoreInner<T>) -> Result<R, low::CallError>,
    ) -> Result<R> {
        let told = self.0.host().tells_of_calls() && !self.0.is_host_func(func);
        if told {
            self.0.host_mut().tell(CallHook::CallingWasm)?;
        }
        let answer = run(self.0).map_err(Error::from_call);
        if told {
            self.0.host_mut().tell(CallHook::ReturningFromWasm)?;
        }
        answer
    }

    /// Nobody waits for others in the middle of the next call.
    #[inline]
    pub(crate) fn take_all_fuel(&mut self) {
        if self.0.fuel_reserve() != 0 {
            self.0.take_fuel_reserve(u64::MAX);
        }
    }

    /// The same, but where `keep` says so the call can go on later. Answers nothing if it has returned.
    pub(crate) fn call_resumable(
        &mut self,
        func: FuncId,
        slots: &mut [Raw],
        keep: &dyn Fn(&World, low::Stop<'_>) -> bool,
    ) -> Result<Option<(low::Suspension, low::Suspended)>> {
        self.enter(func, |machine| machine.call_resumable(func, slots, keep))
    }

    /// Goes on with a call, with the results of the host function if it has stopped in one.
    pub(crate) fn resume(
        &mut self,
        suspended: low::Suspended,
        results: &[Raw],
        slots: &mut [Raw],
        keep: &dyn Fn(&World, low::Stop<'_>) -> bool,
    ) -> Result<Option<(low::Suspension, low::Suspended)>> {
        self.enter(suspended.func(), |machine| {
            machine.resume(suspended, results, slots, keep)
        })
    }

    /// Ends a call that has stopped in a host function, which has failed in the end.
    pub(crate) fn end(&mut self, suspended: low::Suspended, error: HostError) -> Error {
        Error::from_call(self.0.end(suspended, error))
    }

    /// Whether an error throws the exception that is pending.
    pub(crate) fn throws(&self, error: &HostError) -> bool {
        self.0.has_thrown() && <StoreHost<T> as low::Host>::throws(error)
    }

    /// Goes on with a call that has stopped in a host function, which has thrown an exception.
    pub(crate) fn resume_with_error(
        &mut self,
        suspended: low::Suspended,
        error: HostError,
        slots: &mut [Raw],
        keep: &dyn Fn(&World, low::Stop<'_>) -> bool,
    ) -> Result<Option<(low::Suspension, low::Suspended)>> {
        self.enter(suspended.func(), |machine| {
            machine.resume_with_error(suspended, error, slots, keep)
        })
    }

    /// After how much fuel an asynchronous call lets others run, if at all.
    pub(crate) fn fuel_yield_interval(&self) -> Option<NonZeroU64> {
        self.0.host().fuel_yield_interval
    }

    pub(crate) fn reborrow(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut *self.0)
    }
}

/// Anything through which a store can be read: [`Store`], [`Caller`](crate::Caller),
/// [`StoreContext`], [`StoreContextMut`], and references to them.
pub trait AsContext {
    /// The host's data in the store.
    type Data: 'static;

    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// Anything through which a store can be changed.
pub trait AsContextMut: AsContext {
    /// Borrows the store exclusively.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<T: 'static> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}

impl<T: 'static> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}

impl<T: 'static> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T: 'static> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T: 'static> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

impl<'a, C: AsContext> From<&'a C> for StoreContext<'a, C::Data> {
    fn from(store: &'a C) -> StoreContext<'a, C::Data> {
        store.as_context()
    }
}

impl<'a, C: AsContext> From<&'a mut C> for StoreContext<'a, C::Data> {
    fn from(store: &'a mut C) -> StoreContext<'a, C::Data> {
        C::as_context(store)
    }
}

impl<'a, C: AsContextMut> From<&'a mut C> for StoreContextMut<'a, C::Data> {
    fn from(store: &'a mut C) -> StoreContextMut<'a, C::Data> {
        store.as_context_mut()
    }
}
