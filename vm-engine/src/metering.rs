//! Bounding how long guests run: fuel, and deadlines in epochs.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{ConfigError, Result};
use crate::limits::UpdateDeadline;
use crate::store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut};

impl Engine {
    /// Lets the next epoch begin for all stores of this engine: those whose deadline has come stop, see
    /// [`Store::set_epoch_deadline`]. To be called from any thread, as often as the host wants to look, say every
    /// millisecond. Signal handlers may call it.
    pub fn increment_epoch(&self) {
        self.epoch_counter().fetch_add(1, Ordering::Relaxed);
    }
}

impl<T> Store<T> {
    /// Says how much fuel the store's guests have from now on. A store has none at first.
    ///
    /// Guests consume it as [`FuelCosts`](crate::FuelCosts) says: the same for a program in every mode, tier and
    /// version. Where there is not enough the call ends with [`Trap::OutOfFuel`](crate::Trap::OutOfFuel); what the guest
    /// has done until then stays done, and the store can be used as before.
    ///
    /// ```
    /// use vm_engine::{Config, Engine, Instance, Module, Result, Store, Trap};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::new(Config::new().consume_fuel(true))?;
    /// let module = Module::new(&engine, "(module (func (export \"spin\") (loop (br 0))))")?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// store.set_fuel(1_000_000)?;
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.trap(), Some(Trap::OutOfFuel));
    /// assert_eq!(store.get_fuel()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoFuel`] unless the engine was made with [`Config::consume_fuel`](crate::Config::consume_fuel).
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.as_context_mut().set_fuel(fuel)
    }

    /// How much fuel is left.
    ///
    /// # Errors
    ///
    /// As for [`Store::set_fuel`].
    pub fn get_fuel(&self) -> Result<u64> {
        self.as_context().get_fuel()
    }

    /// Has asynchronous calls ([`Func::call_async`](crate::Func::call_async)) let others run after they have consumed so much fuel, again
    /// and again until there is none. Other calls do not. Default: they go on as long as there is fuel.
    ///
    /// # Errors
    ///
    /// As for [`Store::set_fuel`]; and if the interval is 0.
    pub fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<()> {
        self.as_context_mut().fuel_async_yield_interval(interval)
    }

    /// Sets the deadline so many epochs from now. When it has come, guests stop where a function or a turn of a loop begins: by
    /// default with [`Trap::Interrupt`](crate::Trap::Interrupt). Without this call the deadline is the epoch in which the store was made, so
    /// guests stop at once.
    ///
    /// Has no effect unless the engine was made with
    /// [`Config::epoch_interruption`](crate::Config::epoch_interruption).
    ///
    /// ```
    /// use vm_engine::{Config, Engine, Instance, Module, Result, Store, Trap};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::new(Config::new().epoch_interruption(true))?;
    /// let module = Module::new(&engine, "(module (func (export \"spin\") (loop (br 0))))")?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_epoch_deadline(1);
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// let ticker = engine.clone();
    /// std::thread::spawn(move || ticker.increment_epoch());
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.trap(), Some(Trap::Interrupt));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_epoch_deadline(&mut self, epochs_beyond_current: u64) {
        self.as_context_mut()
            .set_epoch_deadline(epochs_beyond_current);
    }

    /// Has guests stop with [`Trap::Interrupt`](crate::Trap::Interrupt) when the deadline has come. That is the default.
    pub fn epoch_deadline_trap(&mut self) {
        self.as_context_mut().epoch_deadline_trap();
    }

    /// Has asynchronous calls let others run when the deadline has come, and go on; the next one is so many epochs from then. Other calls
    /// go on at once.
    pub fn epoch_deadline_async_yield_and_update(&mut self, delta: u64) {
        self.epoch_deadline_callback(move |_| Ok(UpdateDeadline::Yield(delta)));
    }

    /// Has the host asked when the deadline has come: it says when the next one is, ends the guest, or fails with an
    /// error that ends the guest. It gets the host's data, and not the store, which is in the middle of a call.
    pub fn epoch_deadline_callback(
        &mut self,
        callback: impl FnMut(&mut T) -> Result<UpdateDeadline> + Send + Sync + 'static,
    ) {
        let host = &mut self.as_context_mut();
        host.host_mut().set_epoch_callback(Some(Box::new(callback)));
    }
}

impl<T> Caller<'_, T> {
    /// [`Store::set_fuel`], for the calls that are going on too.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.as_context_mut().set_fuel(fuel)
    }

    /// [`Store::get_fuel`]. What the guest's piece of straight line with the call in it costs has been taken.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_fuel(&self) -> Result<u64> {
        self.as_context().get_fuel()
    }
}

impl<T> StoreContext<'_, T> {
    /// [`Store::get_fuel`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_fuel(&self) -> Result<u64> {
        has_fuel(self.engine())?;
        let opaque = self.opaque();
        let world = opaque.world();
        Ok(world.fuel().saturating_add(world.fuel_reserve()))
    }
}

impl<T> StoreContextMut<'_, T> {
    /// [`Store::get_fuel`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_fuel(&self) -> Result<u64> {
        self.as_context().get_fuel()
    }

    /// [`Store::set_fuel`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        has_fuel(self.engine())?;
        let interval = self.fuel_yield_interval().map_or(u64::MAX, NonZeroU64::get);
        let world = self.world_mut();
        world.set_fuel(0);
        world.set_fuel_reserve(fuel);
        world.take_fuel_reserve(interval);
        Ok(())
    }

    /// [`Store::fuel_async_yield_interval`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<()> {
        let fuel = self.get_fuel()?;
        let nonzero = |interval| NonZeroU64::new(interval).ok_or(ConfigError::ZeroInterval);
        self.host_mut().fuel_yield_interval = interval.map(nonzero).transpose()?;
        self.set_fuel(fuel)
    }

    /// [`Store::set_epoch_deadline`].
    pub fn set_epoch_deadline(&mut self, epochs_beyond_current: u64) {
        self.world_mut().set_epoch_deadline(epochs_beyond_current);
    }

    /// [`Store::epoch_deadline_trap`].
    pub fn epoch_deadline_trap(&mut self) {
        self.host_mut().set_epoch_callback(None);
    }
}

fn has_fuel(engine: &Engine) -> Result<()> {
    match engine.config().fuel() {
        Some(_) => Ok(()),
        None => Err(ConfigError::NoFuel.into()),
    }
}
