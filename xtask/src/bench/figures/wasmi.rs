//! wasmi, linked into this program, as a subject.

use anyhow::Result;
use wasmi::{CompilationMode, Config, Instance, Linker, Module, Store};

use super::subject::{Engine, Export, Guest, Subject, Translation};

pub(in crate::bench) struct Wasmi;

impl Subject for Wasmi {
    fn engine(&self, translation: Translation) -> Result<Option<Box<dyn Engine>>> {
        let mut config = Config::default();
        config.compilation_mode(match translation {
            // It validates when a module is made, as Palisade does; its `Lazy` does not.
            Translation::Lazy => CompilationMode::LazyTranslation,
            Translation::Eager => CompilationMode::Eager,
            Translation::ParallelEager => return Ok(None),
        });
        Ok(Some(Box::new(Configured(wasmi::Engine::new(&config)))))
    }

    fn pooled(&self) -> Result<Option<Box<dyn Engine>>> {
        Ok(None)
    }
}

struct Configured(wasmi::Engine);

impl Engine for Configured {
    fn load(&self, module: &[u8]) -> Result<()> {
        drop(Module::new(&self.0, module)?);
        Ok(())
    }

    fn start(&self, module: &[u8], export: &str) -> Result<Box<dyn Guest>> {
        let module = Module::new(&self.0, module)?;
        let mut linker = Linker::new(&self.0);
        linker.func_wrap("host", "add", |a: i32, b: i32| a.wrapping_add(b))?;
        let mut store = Store::new(&self.0, ());
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let mut guest = Running {
            module,
            linker,
            store,
            instance,
        };
        guest.export(export)?(1);
        Ok(Box::new(guest))
    }

    fn code_size(&self, _module: &[u8]) -> Result<Option<(u64, u64)>> {
        Ok(None)
    }
}

struct Running {
    module: Module,
    linker: Linker<()>,
    store: Store<()>,
    instance: Instance,
}

impl Guest for Running {
    fn export(&mut self, name: &str) -> Result<Export<'_>> {
        let store = &mut self.store;
        let func = self.instance.get_typed_func::<i32, i32>(&*store, name)?;
        Ok(Box::new(move |n| func.call(&mut *store, n).ok()))
    }

    fn instantiate_again(&self) -> Result<()> {
        let mut store = Store::new(self.module.engine(), ());
        self.linker
            .instantiate_and_start(&mut store, &self.module)?;
        Ok(())
    }
}
