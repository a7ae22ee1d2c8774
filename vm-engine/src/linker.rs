//! Linkers: imports by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{Error, LinkError, Result};
use crate::externs::Extern;
use crate::handles::Instance;
use crate::host::{HostFunc, IntoFunc};
use crate::instantiate;
use crate::matching;
use crate::module::Module;
use crate::store::{AsContext, AsContextMut, StoreContextMut};
use crate::types::{ExternType, FuncType, ImportType};
use crate::values::Val;

/// What modules can import, by name.
///
/// Host functions defined here belong to no store: one linker can serve many.
pub struct Linker<T: 'static> {
    engine: Engine,
    shadowing: bool,
    /// By module, then by name.
    modules: BTreeMap<String, BTreeMap<String, Definition<T>>>,
}

pub(crate) enum Definition<T: 'static> {
    /// Of one store.
    Extern(Extern),
    /// Put into a store when it is used there.
    Host(Arc<HostFunc<T>>),
}

impl<T: 'static> Linker<T> {
    /// A linker with nothing in it.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            shadowing: false,
            modules: BTreeMap::new(),
        }
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name that is taken may be defined anew. Default: no.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.shadowing = allow;
        self
    }

    /// Defines something that lives in a store.
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if the name is taken; [`WrongStore`](crate::WrongStore) if `item` does not live in
    /// `store`.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let item = item.into();
        item.ty_in(store.as_context().opaque())?;
        self.insert(module, name, Definition::Extern(item))
    }

    /// Defines a host function with the type of a closure: see [`IntoFunc`].
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if the name is taken.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self> {
        self.insert(module, name, Definition::Host(Arc::new(func.into_func())))
    }

    /// Defines a host function whose type is known only when the program runs: see [`Func::new`](crate::Func::new).
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if the name is taken.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.insert(
            module,
            name,
            Definition::Host(Arc::new(HostFunc::new(ty, func))),
        )
    }

    /// Defines all exports of an instance.
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if a name is taken; [`WrongStore`](crate::WrongStore) if the instance does not live in
    /// `store`.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module_name: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        let mut store = store.as_context_mut();
        instance.id_in(store.opaque())?;
        for export in instance.exports(&mut store) {
            let item = Definition::Extern(export.definition);
            self.insert(module_name, export.name, item)?;
        }
        Ok(self)
    }

    /// Instantiates a module and defines its exports: [`Linker::instantiate`], then
    /// [`Linker::instance`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module_name: &str,
        module: &Module,
    ) -> Result<&mut Self> {
        let instance = self.instantiate(&mut store, module)?;
        self.instance(store, module_name, instance)
    }

    /// Gives something another name.
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if the new name is taken; [`LinkError::Undefined`] if the old one
    /// means nothing.
    pub fn alias(
        &mut self,
        module: &str,
        name: &str,
        as_module: &str,
        as_name: &str,
    ) -> Result<&mut Self> {
        let item = self
            .find(module, name)
            .ok_or_else(|| LinkError::Undefined {
                module: module.to_owned(),
                name: Some(name.to_owned()),
            })?
            .clone();
        self.insert(as_module, as_name, item)
    }

    /// Gives everything in a module another module name.
    ///
    /// # Errors
    ///
    /// [`LinkError::Duplicate`] if a new name is taken; [`LinkError::Undefined`] if the module has
    /// nothing in it.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<()> {
        let Some(items) = self.modules.get(module) else {
            return Err(LinkError::Undefined {
                module: module.to_owned(),
                name: None,
            }
            .into());
        };
        let items: Vec<_> = items
            .iter()
            .map(|(name, item)| (name.clone(), item.clone()))
            .collect();
        for (name, item) in items {
            self.insert(as_module, &name, item)?;
        }
        Ok(())
    }

    /// Defines every function that the module imports and that is not defined yet as one that fails
    /// with [`LinkError::UnknownImport`] when it is called.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else {
                continue;
            };
            if self.find(import.module(), import.name()).is_some() {
                continue;
            }
            let error = unknown(&import);
            self.func_new(import.module(), import.name(), ty, move |_, _, _| {
                Err(error.clone().into())
            })?;
        }
        Ok(())
    }

    /// What is defined under that name. A host function is put into the store first.
    ///
    /// `None` also for what lives in another store.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let item = realize(self.find(module, name)?, &mut store);
        item.ty_in(store.opaque()).ok()?;
        Some(item)
    }

    /// What is defined under an import's name, whether it fits or not.
    pub fn get_by_import(
        &self,
        store: impl AsContextMut<Data = T>,
        import: &ImportType<'_>,
    ) -> Option<Extern> {
        self.get(store, import.module(), import.name())
    }

    /// Instantiates a module with what is defined here: see [`Instance::new`].
    ///
    /// # Errors
    ///
    /// [`LinkError`] names the first import that is missing or does not fit; and as for
    /// [`Instance::new`].
    pub fn instantiate(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let imports = self.imports_of(&mut store, module)?;
        instantiate::instantiate(&mut store, module, &imports)
    }

    /// What a module imports, in its order, in this store.
    pub(crate) fn imports_of(
        &self,
        store: &mut StoreContextMut<'_, T>,
        module: &Module,
    ) -> Result<Vec<Extern>> {
        // Nothing is put into the store before everything is known to be there and to fit.
        for import in module.imports() {
            if let Definition::Extern(item) = self.definition(&import)? {
                matching::check(&import, item.ty_in(store.opaque())?)?;
            }
        }
        let definitions = self.definitions_of(module)?;
        Ok(definitions
            .iter()
            .map(|item| realize(item, store))
            .collect())
    }

    /// What a module imports, in its order. The types of what lives in a store are not checked.
    pub(crate) fn definitions_of(&self, module: &Module) -> Result<Vec<Definition<T>>> {
        let mut definitions = Vec::with_capacity(module.imports().len());
        for import in module.imports() {
            let item = self.definition(&import)?;
            if let Definition::Host(func) = item {
                matching::check(&import, ExternType::Func(func.ty().clone()))?;
            }
            definitions.push(item.clone());
        }
        Ok(definitions)
    }

    /// What an import is defined as.
    fn definition(&self, import: &ImportType<'_>) -> Result<&Definition<T>> {
        self.find(import.module(), import.name())
            .ok_or_else(|| Error::from(unknown(import)))
    }

    /// Defines a host function.
    pub(crate) fn insert_host(
        &mut self,
        module: &str,
        name: &str,
        func: HostFunc<T>,
    ) -> Result<&mut Self> {
        self.insert(module, name, Definition::Host(Arc::new(func)))
    }

    fn find(&self, module: &str, name: &str) -> Option<&Definition<T>> {
        self.modules.get(module)?.get(name)
    }

    fn insert(&mut self, module: &str, name: &str, item: Definition<T>) -> Result<&mut Self> {
        // Most often the module is known, and the name is new.
        let items = match self.modules.get_mut(module) {
            Some(items) => items,
            None => self.modules.entry(module.to_owned()).or_default(),
        };
        match items.entry(name.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(item);
            }
            Entry::Occupied(mut entry) if self.shadowing => {
                entry.insert(item);
            }
            Entry::Occupied(entry) => {
                return Err(LinkError::Duplicate {
                    module: module.to_owned(),
                    name: entry.key().clone(),
                }
                .into());
            }
        }
        Ok(self)
    }
}

fn unknown(import: &ImportType<'_>) -> LinkError {
    LinkError::UnknownImport {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        expected: import.ty(),
    }
}

pub(crate) fn realize<T: 'static>(
    item: &Definition<T>,
    store: &mut StoreContextMut<'_, T>,
) -> Extern {
    match item {
        Definition::Extern(item) => item.clone(),
        Definition::Host(func) => Extern::Func(func.link_to(store)),
    }
}

impl<T: 'static> Clone for Definition<T> {
    fn clone(&self) -> Self {
        match self {
            Definition::Extern(item) => Definition::Extern(item.clone()),
            Definition::Host(func) => Definition::Host(func.clone()),
        }
    }
}

impl<T: 'static> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            shadowing: self.shadowing,
            modules: self
                .modules
                .iter()
                .map(|(module, items)| {
                    let items = items
                        .iter()
                        .map(|(name, item)| (name.clone(), item.clone()))
                        .collect();
                    (module.clone(), items)
                })
                .collect(),
        }
    }
}

impl<T: 'static> fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .modules
            .iter()
            .flat_map(|(module, items)| items.keys().map(move |name| format!("{module}::{name}")))
            .collect();
        f.debug_struct("Linker")
            .field("shadowing", &self.shadowing)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}
