//! What hosts hold of what lives in a store: which store, and which of its objects.
//!
//! Handles know the store and nothing of each other; what can be done with one is beside its name, in
//! `func`, `global`, `memory`, `table`, `instance` and `values`.

use crate::error::WrongStore;
use crate::low::{ExnId, FuncId, GlobalId, InstanceId, MemoryId, TableId, TagId};
use crate::store::{StoreId, StoreOpaque};

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident $id:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            store: StoreId,
            id: $id,
        }

        impl $name {
            pub(crate) fn new_in(store: StoreOpaque<'_>, id: $id) -> $name {
                $name {
                    store: store.id(),
                    id,
                }
            }

            /// What the store knows it by.
            #[inline]
            pub(crate) fn id_in(&self, store: StoreOpaque<'_>) -> Result<$id, WrongStore> {
                if store.id() == self.store {
                    Ok(self.id)
                } else {
                    Err(WrongStore)
                }
            }
        }
    )*};
}

/// [`Func::id_in`] and its like, for what has no way to return an error.
macro_rules! or_panic {
    ($($name:ident $id:ty;)*) => {$(
        impl $name {
            pub(crate) fn id_or_panic(&self, store: StoreOpaque<'_>) -> $id {
                match self.id_in(store) {
                    Ok(id) => id,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    )*};
}

handles! {
    /// A function in a store: of an instance, or of the host.
    Func FuncId;

    /// A global in a store.
    ///
    /// # Panics
    ///
    /// What does not return a `Result` panics if the global lives in another store than the one it is
    /// used with.
    Global GlobalId;

    /// A table in a store: a list of references that can grow.
    ///
    /// # Panics
    ///
    /// What does not return a `Result` panics if the table lives in another store than the one it is
    /// used with.
    Table TableId;

    /// A memory in a store.
    ///
    /// Offsets and sizes are in bytes, except where pages are named. Every access of the host's is
    /// checked.
    ///
    /// # Panics
    ///
    /// What does not return a `Result` panics if the memory lives in another store than the one it is
    /// used with.
    Memory MemoryId;

    /// A tag in a store: what exceptions are told apart by. Each is another one, whatever its type.
    Tag TagId;

    /// A module that has been given its imports.
    ///
    /// # Panics
    ///
    /// What does not return a `Result` panics if the instance lives in another store than the one it
    /// is used with.
    Instance InstanceId;

    /// Something of the host's that guests can hold and pass, but not look into.
    ///
    /// The value lives in the store until the store is dropped: there is no collection yet.
    ExternRef u32;

    /// An exception: a tag and values.
    ///
    /// The host has hold of it until the host function ends in which it got it, or the `RootScope`, if it got it in one; else until
    /// the store is dropped. Later it is an error to use it, though guests may still have the exception.
    ExnRef ExnId;
}

or_panic! {
    Func FuncId;
    Global GlobalId;
    Table TableId;
    Memory MemoryId;
    Tag TagId;
    Instance InstanceId;
}
