//! What a host function sees of who called it.

use crate::engine::Engine;
use crate::externs::{Extern, find_export};
use crate::low::InstanceId;
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut};

/// The store, during a call of a host function, and the instance that called.
pub struct Caller<'a, T: 'static> {
    store: StoreContextMut<'a, T>,
    instance: Option<InstanceId>,
}

impl<'a, T: 'static> Caller<'a, T> {
    pub(crate) fn new(store: StoreContextMut<'a, T>, instance: Option<InstanceId>) -> Self {
        Caller { store, instance }
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The host's data, to change.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// An export of the instance that called. `None` if it has none of that name, or if the host
    /// function was called by the host itself.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        find_export(self.store.opaque_mut(), self.instance?, name)
    }
}

impl<T: 'static> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T: 'static> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}
