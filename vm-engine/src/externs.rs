//! What instances import and export.

use crate::error::{Result, WrongStore};
use crate::handles::{Func, Global, Memory, Table, Tag};
use crate::low::{ExternKind, InstanceId};
use crate::shared_memory::SharedMemory;
use crate::store::{AsContext, StoreOpaque, StoreOpaqueMut};
use crate::table;
use crate::types::{ExternType, FuncType, MemoryType};

/// Something that can be imported or exported.
#[derive(Clone, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A global.
    Global(Global),
    /// A table.
    Table(Table),
    /// A memory.
    Memory(Memory),
    /// A tag.
    Tag(Tag),
    /// A memory that threads share, which is no store's.
    SharedMemory(SharedMemory),
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        match self {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        match self {
            Extern::Global(global) => Some(global),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        match self {
            Extern::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        match self {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        match self {
            Extern::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    /// The memory that threads share, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        match self {
            Extern::SharedMemory(memory) => Some(memory),
            _ => None,
        }
    }

    /// Its type; the minimum of a table or memory is its present size.
    ///
    /// # Panics
    ///
    /// If it lives in another store.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        match self.ty_in(store.as_context().opaque()) {
            Ok(ty) => ty,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn ty_in(&self, store: StoreOpaque<'_>) -> Result<ExternType, WrongStore> {
        Ok(match self {
            Extern::Func(func) => {
                FuncType::from(store.world().func_type(func.id_in(store)?)).into()
            }
            Extern::Global(global) => {
                ExternType::Global((*store.world().global_type(global.id_in(store)?)).into())
            }
            Extern::Table(table) => table::present_type(store, table.id_in(store)?).into(),
            Extern::Memory(memory) => {
                MemoryType::present(store.world().memory(memory.id_in(store)?)).into()
            }
            Extern::Tag(tag) => tag.ty_in(store)?.into(),
            Extern::SharedMemory(memory) => memory.ty().into(),
        })
    }
}

macro_rules! from {
    ($($name:ident)*) => {
        $(
            impl From<$name> for Extern {
                fn from(object: $name) -> Extern {
                    Extern::$name(object)
                }
            }
        )*
    };
}

from! { Func Global Table Memory SharedMemory Tag }

/// An export of an instance: its name, and what it is.
#[derive(Clone, Debug)]
pub struct Export<'instance> {
    pub(crate) name: &'instance str,
    pub(crate) definition: Extern,
}

impl<'instance> Export<'instance> {
    /// Its name.
    pub fn name(&self) -> &'instance str {
        self.name
    }

    /// What it is.
    pub fn into_extern(self) -> Extern {
        self.definition
    }

    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        self.definition.into_func()
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        self.definition.into_global()
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        self.definition.into_table()
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        self.definition.into_memory()
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        self.definition.into_tag()
    }

    /// The memory that threads share, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        self.definition.into_shared_memory()
    }
}

/// The export of that name, of an instance of this store.
pub(crate) fn find_export(
    mut store: StoreOpaqueMut<'_>,
    instance: InstanceId,
    name: &str,
) -> Option<Extern> {
    let export = store.facts.instance(instance)?.module.find_export(name)?;
    let (kind, index) = (export.kind, export.index);
    Some(define(&mut store, instance, kind, index))
}

/// What has this index in an instance of this store.
pub(crate) fn define(
    store: &mut StoreOpaqueMut<'_>,
    instance: InstanceId,
    kind: ExternKind,
    index: u32,
) -> Extern {
    match kind {
        ExternKind::Func => {
            let id = store.world.instance_func(instance, index);
            Extern::Func(Func::new_in(store.opaque(), id))
        }
        ExternKind::Table => {
            let id = store.world.instance_table(instance, index);
            Extern::Table(Table::new_in(store.opaque(), id))
        }
        ExternKind::Memory => {
            let id = store.world.instance_memory(instance, index);
            match SharedMemory::of(store.world.memory(id)) {
                Some(memory) => Extern::SharedMemory(memory),
                None => Extern::Memory(Memory::new_in(store.opaque(), id)),
            }
        }
        ExternKind::Global => {
            let id = store.world.instance_global(instance, index);
            Extern::Global(Global::new_in(store.opaque(), id))
        }
        ExternKind::Tag => {
            let id = store.world.instance_tag(instance, index);
            Extern::Tag(Tag::new_in(store.opaque(), id))
        }
    }
}
