//! Instances, and their exports.

use crate::config::Bounds;
use crate::error::{Result, TypeError, WrongStore};
use crate::externs::{Export, Extern};
use crate::func::Func;
use crate::global::Global;
use crate::instantiate;
use crate::low::{self, InstanceId};
use crate::memory::Memory;
use crate::module::Module;
use crate::store::{
    AsContext, AsContextMut, InstanceData, StoreContext, StoreContextMut, StoreId, StoreOpaque,
};
use crate::table::Table;
use crate::typed::{TypedFunc, WasmParams, WasmResults};

/// A module that has been given its imports.
///
/// # Panics
///
/// What does not return a `Result` panics if the instance lives in another store than the one it
/// is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    store: StoreId,
    id: InstanceId,
}

impl Instance {
    /// Instantiates a module: makes its memories, tables and globals, copies its active segments,
    /// and calls its start function.
    ///
    /// `imports` are in the order of [`Module::imports`]. [`Linker`](crate::Linker) finds them by
    /// name.
    ///
    /// # Errors
    ///
    /// [`LinkError`](crate::LinkError) if the imports do not fit;
    /// [`InstantiateError`](crate::InstantiateError) if the host cannot give what the module needs;
    /// a [`Trap`](crate::Trap) of an active segment or of the start function, or what a host
    /// function returned to it. What segments wrote into imported memories and tables before that
    /// stays there.
    pub fn new(
        mut store: impl AsContextMut,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        instantiate::instantiate(store.as_context_mut().0, module, imports)
    }

    /// The module it is of.
    pub fn module<'a, T: 'static>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a Module {
        &self.info(store.into().opaque()).module
    }

    /// How accesses to its memory 0 are bounds-checked. If it has none, what the engine prefers.
    ///
    /// Under an engine with [`Bounds::Auto`](crate::Bounds) this can differ from
    /// [`Strategy::bounds`](crate::Strategy); then [`Instance::bounds_note`] says why.
    pub fn bounds(&self, store: impl AsContext) -> Bounds {
        self.info(store.as_context().opaque()).bounds
    }

    /// Why its bounds checks are not those that the engine prefers, if they are not.
    pub fn bounds_note<'a, T: 'static>(
        &self,
        store: impl Into<StoreContext<'a, T>>,
    ) -> Option<&'a str> {
        self.info(store.into().opaque()).note.as_deref()
    }

    /// All exports, in the order of the module.
    pub fn exports<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> impl ExactSizeIterator<Item = Export<'a>> + 'a {
        let StoreContextMut(store) = store.into();
        let count = self.info(store.opaque()).module.low().exports().len();
        let definitions: Vec<Extern> = (0..count)
            .map(|i| {
                let export = &self.info(store.opaque()).module.low().exports()[i];
                let (kind, index) = (export.kind, export.index);
                define(&mut store.opaque, self.id, kind, index)
            })
            .collect();
        let store: &'a _ = store;
        let exports = self.info(store.opaque()).module.low().exports();
        exports
            .iter()
            .zip(definitions)
            .map(|(export, definition)| Export {
                name: &export.name,
                definition,
            })
    }

    /// The export of that name.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque_mut();
        self.id_or_panic(store);
        find_export(store, self.id, name)
    }

    /// The function exported under that name.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The memory exported under that name.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The table exported under that name.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The global exported under that name.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The function exported under that name, to be called with Rust types.
    ///
    /// # Errors
    ///
    /// [`TypeError`]: there is no such export, it is no function, or it has other types.
    pub fn get_typed_func<Params, Results>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<Params, Results>>
    where
        Params: WasmParams,
        Results: WasmResults,
    {
        let mut store = store.as_context_mut();
        store.opaque().check(self.store)?;
        match find_export(store.opaque_mut(), self.id, name) {
            Some(Extern::Func(func)) => func.typed(&store),
            Some(other) => Err(TypeError::ExportKind {
                name: name.to_owned(),
                expected: "function",
                found: other.ty_in(store.opaque())?,
            }
            .into()),
            None => Err(TypeError::NoExport {
                name: name.to_owned(),
            }
            .into()),
        }
    }

    pub(crate) fn new_in(store: &StoreOpaque, id: InstanceId) -> Instance {
        Instance {
            store: store.id(),
            id,
        }
    }

    pub(crate) fn check(&self, store: &StoreOpaque) -> Result<(), WrongStore> {
        store.check(self.store)
    }

    fn id_or_panic(&self, store: &StoreOpaque) -> InstanceId {
        match self.check(store) {
            Ok(()) => self.id,
            Err(error) => panic!("{error}"),
        }
    }

    fn info<'a>(&self, store: &'a StoreOpaque) -> &'a InstanceData {
        let id = self.id_or_panic(store);
        match store.instance(id) {
            Some(data) => data,
            None => unreachable!("every instance of a store has data"),
        }
    }
}

/// The export of that name, of an instance of this store.
pub(crate) fn find_export(
    store: &mut StoreOpaque,
    instance: InstanceId,
    name: &str,
) -> Option<Extern> {
    let export = store.instance(instance)?.module.find_export(name)?;
    let (kind, index) = (export.kind, export.index);
    Some(define(store, instance, kind, index))
}

fn define(
    store: &mut StoreOpaque,
    instance: InstanceId,
    kind: low::ExternKind,
    index: u32,
) -> Extern {
    let machine = store.machine_mut();
    match kind {
        low::ExternKind::Func => {
            let id = machine.instance_func(instance, index);
            Extern::Func(Func::new_in(store, id))
        }
        low::ExternKind::Table => {
            let id = machine.instance_table(instance, index);
            Extern::Table(Table::new_in(store, id))
        }
        low::ExternKind::Memory => {
            let id = machine.instance_memory(instance, index);
            Extern::Memory(Memory::new_in(store, id))
        }
        low::ExternKind::Global => {
            let id = machine.instance_global(instance, index);
            Extern::Global(Global::new_in(store, id))
        }
    }
}
