//! Globals.

use crate::error::{Error, GlobalError, Result, TypeError, WrongStore};
use crate::low::GlobalId;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{GlobalType, Mutability};
use crate::values::Val;

/// A global in a store.
///
/// # Panics
///
/// What does not return a `Result` panics if the global lives in another store than the one it is
/// used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Global {
    store: StoreId,
    id: GlobalId,
}

impl Global {
    /// A global with this first value.
    ///
    /// # Errors
    ///
    /// [`TypeError`] if the value has another type; [`WrongStore`] if it lives in another store.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, val: Val) -> Result<Global> {
        let store = store.as_context_mut().0;
        check(ty, &val)?;
        let val = val.lower(store.opaque())?;
        let machine = store.opaque.machine_mut();
        let id = machine.add_global(ty.into(), val).map_err(Error::new)?;
        Ok(Global::new_in(store.opaque(), id))
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        let store = store.as_context();
        let id = self.id_or_panic(store.opaque());
        (*store.opaque().machine().global_type(id)).into()
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let store = store.as_context_mut();
        let id = self.id_or_panic(store.opaque());
        Val::lift(store.opaque().machine().global_get(id), store.opaque())
    }

    /// Sets its value.
    ///
    /// # Errors
    ///
    /// [`GlobalError::Immutable`]; [`TypeError`] if the value has another type; [`WrongStore`].
    pub fn set(&self, mut store: impl AsContextMut, val: Val) -> Result<()> {
        let store = store.as_context_mut().0;
        let id = self.id_in(store.opaque())?;
        let ty = GlobalType::from(*store.opaque().machine().global_type(id));
        if ty.mutability() == Mutability::Const {
            return Err(GlobalError::Immutable(ty).into());
        }
        check(ty, &val)?;
        let val = val.lower(store.opaque())?;
        let machine = store.opaque.machine_mut();
        machine.global_set(id, val).map_err(Error::new)
    }

    pub(crate) fn new_in(store: &StoreOpaque, id: GlobalId) -> Global {
        Global {
            store: store.id(),
            id,
        }
    }

    pub(crate) fn id_in(&self, store: &StoreOpaque) -> Result<GlobalId, WrongStore> {
        store.check(self.store)?;
        Ok(self.id)
    }

    fn id_or_panic(&self, store: &StoreOpaque) -> GlobalId {
        match self.id_in(store) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }
}

fn check(ty: GlobalType, val: &Val) -> Result<(), TypeError> {
    if val.ty() == ty.content() {
        return Ok(());
    }
    Err(TypeError::Value {
        what: "global",
        expected: ty.content(),
        found: val.ty(),
    })
}
