//! Globals.

use crate::error::{Error, GlobalError, Result};
use crate::handles::Global;
use crate::low;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::types::{GlobalType, Mutability};
use crate::values::Val;

impl Global {
    /// A global with this first value.
    ///
    /// # Errors
    ///
    /// [`TypeError`](crate::TypeError) if the value has another type; [`WrongStore`](crate::WrongStore) if it lives in another store.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, val: Val) -> Result<Global> {
        let mut store = store.as_context_mut();
        let val = check(&ty, &val, store.opaque())?;
        let world = store.world_mut();
        let id = world.add_global((&ty).into(), val).map_err(Error::new)?;
        Ok(Global::new_in(store.opaque(), id))
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        let store = store.as_context();
        let id = self.id_or_panic(store.opaque());
        (*store.opaque().world().global_type(id)).into()
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let store = store.as_context_mut();
        let id = self.id_or_panic(store.opaque());
        Val::lift(store.opaque().world().global_get(id), store.opaque())
    }

    /// Sets its value.
    ///
    /// # Errors
    ///
    /// [`GlobalError::Immutable`]; [`TypeError`](crate::TypeError) if the value has another type; [`WrongStore`](crate::WrongStore).
    pub fn set(&self, mut store: impl AsContextMut, val: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let ty = GlobalType::from(*store.opaque().world().global_type(id));
        if ty.mutability() == Mutability::Const {
            return Err(GlobalError::Immutable(ty).into());
        }
        let val = check(&ty, &val, store.opaque())?;
        let world = store.world_mut();
        world.global_set(id, val).map_err(Error::new)
    }
}

fn check(ty: &GlobalType, val: &Val, store: StoreOpaque<'_>) -> Result<low::Val> {
    val.lower_as("global", ty.content().low(), store)
}
