//! Instances whose imports have been found once, for all stores.

use std::fmt;

use crate::asynchronous;
use crate::error::Result;
use crate::externs::Extern;
use crate::handles::Instance;
use crate::instantiate;
use crate::linker::{Definition, Linker, realize};
use crate::module::Module;
use crate::store::{AsContext, AsContextMut, StoreContextMut};

/// A module with everything that it imports: what [`Linker::instantiate_pre`] has found and checked, once. Cheap to clone,
/// and good for any store of the engine, as long as all that is imported is host functions.
pub struct InstancePre<T: 'static> {
    module: Module,
    /// In the order of the module's imports.
    imports: std::sync::Arc<[Definition<T>]>,
}

impl<T: 'static> InstancePre<T> {
    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// An instance in a store. Nothing is looked up by name.
    ///
    /// # Errors
    ///
    /// As for [`Instance::new`]; [`WrongStore`](crate::WrongStore) if something imported lives in another store.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let imports = self.imports(&mut store);
        instantiate::instantiate(&mut store, &self.module, &imports)
    }

    /// The same, with a start function that may wait: see [`Func::call_async`](crate::Func::call_async).
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::instantiate`].
    pub async fn instantiate_async(
        &self,
        mut store: impl AsContextMut<Data = T>,
    ) -> Result<Instance>
    where
        T: Send,
    {
        let mut store = store.as_context_mut();
        let imports = self.imports(&mut store);
        asynchronous::instantiate(&mut store, &self.module, &imports).await
    }

    pub(crate) fn imports(&self, store: &mut StoreContextMut<'_, T>) -> Vec<Extern> {
        let imports = self.imports.iter();
        imports.map(|import| realize(import, store)).collect()
    }
}

impl<T: 'static> Linker<T> {
    /// Finds everything that a module imports, so that it need not be found again for each instance.
    ///
    /// ```
    /// use vm_engine::{Engine, Linker, Module, Result, Store};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (import "host" "f" (func $f (result i32)))
    ///   (func (export "g") (result i32) (call $f)))"#)?;
    /// let mut linker = Linker::new(&engine);
    /// linker.func_wrap("host", "f", || 7)?;
    /// let pre = linker.instantiate_pre(&module)?;
    /// for _ in 0..3 {
    ///     let mut store = Store::new(&engine, ());
    ///     let instance = pre.instantiate(&mut store)?;
    ///     let g = instance.get_typed_func::<(), i32>(&mut store, "g")?;
    ///     assert_eq!(g.call(&mut store, ())?, 7);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LinkError`](crate::LinkError) if something is missing, or a host function is of another type. What lives in a store is
    /// checked there.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        Ok(InstancePre {
            module: module.clone(),
            imports: self.definitions_of(module)?.into(),
        })
    }
}

impl<T: 'static> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        InstancePre {
            module: self.module.clone(),
            imports: self.imports.clone(),
        }
    }
}

impl<T: 'static> fmt::Debug for InstancePre<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstancePre")
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes the instance what it was when it was new: its memories, tables and globals, with their sizes, and its segments. Its
    /// start function runs again. What it imports stays as it is, but for what active segments write there. Its code stays, and so do all
    /// handles: a host function in the middle of a call of the instance may do it, and the guest goes on with what it finds.
    ///
    /// It costs less than to drop the store and to make another one with an instance. A memory is exchanged for a new one, which for
    /// a moment needs room for both; from a pool, one more slot.
    ///
    /// ```
    /// use vm_engine::{Engine, Instance, Module, Result, Store};
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (global $g (mut i32) (i32.const 0))
    ///   (func (export "next") (result i32)
    ///     (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let next = instance.get_typed_func::<(), i32>(&mut store, "next")?;
    /// assert_eq!((next.call(&mut store, ())?, next.call(&mut store, ())?), (1, 2));
    /// instance.reset(&mut store)?;
    /// assert_eq!(next.call(&mut store, ())?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The host has no memory for it: then nothing has changed. A [`Trap`](crate::Trap) of an active segment or of the start function, or what
    /// a host function returned to it, as for [`Instance::new`]; [`WrongStore`](crate::WrongStore).
    pub fn reset(&self, mut store: impl AsContextMut) -> Result<()> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.as_context().opaque())?;
        instantiate::reset(&mut store, id)
    }
}
