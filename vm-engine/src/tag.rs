//! Tags.

use crate::error::WrongStore;
use crate::handles::Tag;
use crate::low::TagId;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::types::{FuncType, TagType};

impl Tag {
    /// A new tag, other than all that there are.
    pub fn new(mut store: impl AsContextMut, ty: &TagType) -> Tag {
        let mut store = store.as_context_mut();
        let id = store.world_mut().add_tag(ty.ty().registered());
        Tag::new_in(store.opaque(), id)
    }

    /// Its type.
    ///
    /// # Panics
    ///
    /// If it lives in another store.
    pub fn ty(&self, store: impl AsContext) -> TagType {
        let store = store.as_context();
        type_of(store.opaque(), self.id_or_panic(store.opaque()))
    }

    pub(crate) fn ty_in(&self, store: StoreOpaque<'_>) -> Result<TagType, WrongStore> {
        Ok(type_of(store, self.id_in(store)?))
    }

    /// Whether they are the same.
    ///
    /// # Panics
    ///
    /// If either lives in another store.
    pub fn eq(a: &Tag, b: &Tag, store: impl AsContext) -> bool {
        let store = store.as_context();
        a.id_or_panic(store.opaque()) == b.id_or_panic(store.opaque())
    }
}

fn type_of(store: StoreOpaque<'_>, id: TagId) -> TagType {
    TagType::new(FuncType::from(store.world().tag_type(id)))
}
