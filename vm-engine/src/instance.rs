//! Instances, and their exports.

use crate::config::Bounds;
use crate::error::{Result, TypeError};
use crate::externs::{Export, Extern, define, find_export};
use crate::handles::{Func, Global, Instance, Memory, Table, Tag};
use crate::instantiate;
use crate::module::Module;
use crate::shared_memory::SharedMemory;
use crate::store::{
    AsContext, AsContextMut, InstanceData, StoreContext, StoreContextMut, StoreOpaque,
};
use crate::typed::{TypedFunc, WasmParams, WasmResults};

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
        instantiate::instantiate(&mut store.as_context_mut(), module, imports)
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
        let mut store = store.into();
        let id = self.id_or_panic(store.opaque());
        let count = self.info(store.opaque()).module.low().exports().len();
        let definitions: Vec<Extern> = (0..count)
            .map(|i| {
                let export = &self.info(store.opaque()).module.low().exports()[i];
                let (kind, index) = (export.kind, export.index);
                define(&mut store.opaque_mut(), id, kind, index)
            })
            .collect();
        let exports = self.info(store.into_opaque()).module.low().exports();
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
        let id = self.id_or_panic(store.opaque());
        find_export(store.opaque_mut(), id, name)
    }

    /// The function exported under that name.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The memory exported under that name.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The memory exported under that name that threads share.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// The table exported under that name.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The global exported under that name.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The tag exported under that name.
    pub fn get_tag(&self, store: impl AsContextMut, name: &str) -> Option<Tag> {
        self.get_export(store, name)?.into_tag()
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
        let id = self.id_in(store.opaque())?;
        match find_export(store.opaque_mut(), id, name) {
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

    fn info<'a>(&self, store: StoreOpaque<'a>) -> &'a InstanceData {
        let id = self.id_or_panic(store);
        match store.facts().instance(id) {
            Some(data) => data,
            None => unreachable!("every instance of a store has data"),
        }
    }
}
