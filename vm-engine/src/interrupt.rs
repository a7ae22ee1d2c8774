//! Stopping guests from outside.

use std::fmt;
use std::sync::Arc;

use crate::caller::Caller;
use crate::error::{ConfigError, Error, Result};
use crate::low::{self, Interrupt};
use crate::store::{AsContext, AsContextMut, Store, StoreContextMut};

/// Stops what a store's guests are doing, from any thread: see [`Store::interrupt_handle`].
#[derive(Clone)]
pub struct InterruptHandle(Arc<Interrupt>);

impl InterruptHandle {
    /// Has the call that is going on in the store end with [`Trap::Interrupt`](crate::Trap::Interrupt): soon, wherever it
    /// is in guest code. Answers whether there is one.
    ///
    /// What the guest has done until then stays done, and the store can be used as before. A call that begins
    /// later is not meant. Of calls one inside the other, through host functions, all are: each ends as soon as it
    /// runs guest code again. A host function is not cut through, but a system call in which it waits is
    /// ended (`EINTR`) where a signal is sent; [`Caller::is_interrupted`] tells it why. One that is just about to
    /// begin to wait is not: who has to be sure asks again as long as the answer is that there is a call.
    pub fn interrupt(&self) -> bool {
        self.0.request()
    }
}

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

/// Whether the call that a host function is part of has been asked to end: for host functions that wait, and may be woken
/// when it is. See [`Caller::interruption`].
#[derive(Clone)]
pub struct Interruption(Arc<Interrupt>);

impl Interruption {
    /// Whether it has.
    pub fn is_requested(&self) -> bool {
        self.0.is_pending()
    }
}

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interruption")
            .field(&self.is_requested())
            .finish()
    }
}

impl<T> Store<T> {
    /// What stops this store's guests from any thread.
    ///
    /// It costs guest code nothing. With direct threading, the thread that runs a guest is told by a signal
    /// ([`Config::interrupt_signal`](crate::Config::interrupt_signal)), for which a handler is installed when the first
    /// handle is made; with token threading, the guest looks at every turn of a loop and every call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use vm_engine::{Engine, Instance, Module, Result, Store, Trap};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, "(module (func (export \"spin\") (loop (br 0))))")?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    ///
    /// let handle = store.interrupt_handle()?;
    /// let timer = std::thread::spawn(move || {
    ///     // Until there is a call to end.
    ///     while !handle.interrupt() {
    ///         std::thread::sleep(Duration::from_millis(1));
    ///     }
    /// });
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.trap(), Some(Trap::Interrupt));
    /// # timer.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Interrupt`] if direct threading cannot have its signal: another one has been chosen in this
    /// process, or the host refuses it.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle> {
        handle(&mut self.as_context_mut())
    }
}

impl<T> Caller<'_, T> {
    /// [`Store::interrupt_handle`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle> {
        handle(&mut self.as_context_mut())
    }

    /// Whether the call that this host function is part of has been asked to end: it ends when the host function returns.
    /// One that waits for something should return then, with any error.
    pub fn is_interrupted(&self) -> bool {
        self.as_context().opaque().world().is_asked_to_end()
    }

    /// The same, to be asked while the store is borrowed by something else.
    pub fn interruption(&self) -> Interruption {
        Interruption(Arc::clone(
            self.as_context().opaque().world().interruption(),
        ))
    }
}

fn handle<T>(store: &mut StoreContextMut<'_, T>) -> Result<InterruptHandle> {
    let engine = store.engine();
    let signal = engine.interrupt_signal();
    let had = if engine.installs_signal_handlers() {
        low::install_interrupt_signal(signal)
    } else {
        low::choose_interrupt_signal(signal)
    };
    // The token executor looks by itself. Without a signal only host functions that wait are not woken.
    if let Err(error) = had
        && engine.threading() == low::Threading::Direct
    {
        let reason = error.to_string();
        return Err(Error::new(ConfigError::Interrupt { reason }));
    }
    Ok(InterruptHandle(Arc::clone(store.world_mut().interrupt())))
}
