//! Palisade in one of its modes, as a subject.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use vm_engine::{Config, Instance, Linker, Module, PoolingAllocationConfig, Store};

use super::subject::{Engine, Export, Guest, Subject, Translation};
use crate::mode::Mode;

pub(in crate::bench) struct Palisade(pub(in crate::bench) Mode);

impl Subject for Palisade {
    fn engine(&self, translation: Translation) -> Result<Option<Box<dyn Engine>>> {
        let mut config: Config = self.0.config();
        config.translation(match translation {
            Translation::Lazy => vm_engine::Translation::Lazy,
            Translation::Eager => vm_engine::Translation::Eager,
            Translation::ParallelEager => vm_engine::Translation::ParallelEager,
        });
        Ok(Some(Box::new(Configured(vm_engine::Engine::new(&config)?))))
    }

    fn pooled(&self) -> Result<Option<Box<dyn Engine>>> {
        if self.0 != Mode::DirectGuarded {
            return Ok(None);
        }
        let mut config: Config = self.0.config();
        config.allocation_strategy(PoolingAllocationConfig::new());
        Ok(Some(Box::new(Configured(vm_engine::Engine::new(&config)?))))
    }
}

struct Configured(vm_engine::Engine);

impl Engine for Configured {
    fn load(&self, module: &[u8]) -> Result<()> {
        drop(Module::from_binary(&self.0, module)?);
        Ok(())
    }

    fn start(&self, module: &[u8], export: &str) -> Result<Box<dyn Guest>> {
        let module = Module::from_binary(&self.0, module)?;
        let mut linker = Linker::new(&self.0);
        linker.func_wrap("host", "add", |a: i32, b: i32| a.wrapping_add(b))?;
        let mut store = Store::new(&self.0, ());
        let instance = linker.instantiate(&mut store, &module)?;
        let mut guest = Running {
            module,
            linker,
            store,
            instance,
        };
        guest.export(export)?(1);
        Ok(Box::new(guest))
    }

    fn code_size(&self, module: &[u8]) -> Result<Option<(u64, u64)>> {
        let size = Module::from_binary(&self.0, module)?.code_size();
        Ok(Some((size.wasm_bytes, size.code_bytes)))
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
        let func = self
            .instance
            .get_typed_func::<i32, i32>(&mut *store, name)?;
        Ok(Box::new(move |n| func.call(&mut *store, n).ok()))
    }

    fn interrupt(&mut self, name: &str) -> Result<Option<Duration>> {
        let handle = self.store.interrupt_handle()?;
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            loop {
                let asked = Instant::now();
                if handle.interrupt() {
                    return asked;
                }
            }
        });
        let trap = self.export(name)?(0);
        let ended = Instant::now();
        let asked = other
            .join()
            .map_err(|_| anyhow!("the other thread panicked"))?;
        ensure!(trap.is_none(), "`{name}` never returns");
        Ok(Some(ended.saturating_duration_since(asked)))
    }

    fn instantiate_again(&self) -> Result<()> {
        let mut store = Store::new(self.module.engine(), ());
        self.linker.instantiate(&mut store, &self.module)?;
        Ok(())
    }
}
