//! Tables.

use crate::error::{Error, LimitError, Result, TableError};
use crate::handles::Table;
use crate::limits::table_of;
use crate::low::{self, TableId};
use crate::store::{AsContext, AsContextMut, StoreContextMut, StoreOpaque};
use crate::types::TableType;
use crate::values::Ref;

impl Table {
    /// A table of the type's minimum size, full of `init`.
    ///
    /// # Errors
    ///
    /// `init` has another type or lives in another store; the host has not enough memory, or the
    /// store's limits forbid it.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Ref) -> Result<Table> {
        let mut store = store.as_context_mut();
        let init = init.lower(ty.element(), store.opaque())?;
        let id = create(&mut store, ty, Some(init))?;
        Ok(Table::new_in(store.opaque(), id))
    }

    /// Its type; the minimum is its present size.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let store = store.as_context();
        present_type(store.opaque(), self.id_or_panic(store.opaque()))
    }

    /// How many elements it has.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let store = store.as_context();
        let id = self.id_or_panic(store.opaque());
        store.opaque().world().table_size(id)
    }

    /// An element, or `None` past the end.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Ref> {
        let store = store.as_context_mut();
        let id = self.id_or_panic(store.opaque());
        let value = store.opaque().world().table_get(id, index)?;
        Ref::lift(value, store.opaque())
    }

    /// Sets an element.
    ///
    /// # Errors
    ///
    /// [`TableError::OutOfBounds`] past the end; [`TypeError`](crate::TypeError) if `value` has
    /// another type; [`WrongStore`](crate::WrongStore).
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Ref) -> Result<()> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let ty = present_type(store.opaque(), id);
        let value = value.lower(ty.element(), store.opaque())?;
        if index >= ty.minimum() {
            return Err(TableError::OutOfBounds {
                index,
                size: ty.minimum(),
            }
            .into());
        }
        let world = store.world_mut();
        world.table_set(id, index, value).map_err(Error::new)
    }

    /// Adds `delta` elements, all of them `init`, and returns how many there were before.
    ///
    /// # Errors
    ///
    /// Past the maximum, out of the host's memory, or forbidden by the store's limits; the table is
    /// unchanged then. [`TypeError`](crate::TypeError) if `init` has another type; [`WrongStore`](crate::WrongStore).
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Ref) -> Result<u64> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let ty = present_type(store.opaque(), id);
        let init = init.lower(ty.element(), store.opaque())?;
        let size = ty.minimum();
        limit(&mut store, size, size.saturating_add(delta), ty.maximum())?;
        let world = store.world_mut();
        world.table_grow(id, delta, init).or_else(|_| {
            let error = || TableError::Grow { size, delta }.into();
            store.host_mut().table_grow_failed(error)?;
            Err(error())
        })
    }
}

/// The type that import matching sees: the minimum is the present size.
pub(crate) fn present_type(store: StoreOpaque<'_>, id: TableId) -> TableType {
    low::TableType {
        minimum: store.world().table_size(id),
        ..*store.world().table_type(id)
    }
    .into()
}

/// Makes a table in a store. Without a first element, it has to be filled before anybody uses it.
pub(crate) fn create<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    ty: TableType,
    init: Option<low::Val>,
) -> Result<TableId> {
    store.host_mut().count_table()?;
    limit(store, 0, ty.minimum(), ty.maximum())?;
    let world = store.world_mut();
    let added = match init {
        Some(init) => world.add_table((&ty).into(), init),
        None => world.add_unset_table((&ty).into()),
    };
    added.map_err(|_| {
        TableError::Create {
            element: ty.element().clone(),
            minimum: ty.minimum(),
        }
        .into()
    })
}

fn limit<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    current: u64,
    desired: u64,
    maximum: Option<u64>,
) -> Result<()> {
    if store.host_mut().may_grow_table(current, desired, maximum)? {
        return Ok(());
    }
    let what = table_of(desired);
    Err(LimitError { what }.into())
}
