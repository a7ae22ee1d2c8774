//! Palisade in one of its modes.

use anyhow::{Context as _, Result, bail};
use vm_engine::{Engine, ExternType, Instance, Linker, Module, Store, Val};

use super::cases::Value;
use super::clock_milliseconds;
use super::subject::{Guest, Ready, Subject};
use crate::bench::figures::subject::Translation;
use crate::mode::Mode;

pub(super) struct Palisade(pub(super) Mode);

impl Subject for Palisade {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn is_palisade(&self) -> bool {
        true
    }

    fn usual_translation(&self) -> Translation {
        Translation::Lazy
    }

    fn ready(&self, module: &[u8], translation: Translation) -> Result<Box<dyn Ready>> {
        let mut config = self.0.config();
        config.translation(match translation {
            Translation::Lazy => vm_engine::Translation::Lazy,
            Translation::Eager => vm_engine::Translation::Eager,
            Translation::ParallelEager => vm_engine::Translation::ParallelEager,
        });
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        for import in Module::from_binary(&engine, module)?.imports() {
            if (import.module(), import.name()) == ("env", "clock_ms") {
                linker.func_wrap("env", "clock_ms", clock_milliseconds)?;
                continue;
            }
            let ExternType::Func(ty) = import.ty() else {
                bail!("{}.{} is not a function", import.module(), import.name());
            };
            linker.func_new(import.module(), import.name(), ty, |_, _, _| Ok(()))?;
        }
        Ok(Box::new(Linked { engine, linker }))
    }
}

struct Linked {
    engine: Engine,
    linker: Linker<()>,
}

impl Ready for Linked {
    fn instantiate(&self, module: &[u8]) -> Result<Box<dyn Guest>> {
        let module = Module::from_binary(&self.engine, module)?;
        let mut store = Store::new(&self.engine, ());
        let instance = self.linker.instantiate(&mut store, &module)?;
        Ok(Box::new(Running { store, instance }))
    }
}

struct Running {
    store: Store<()>,
    instance: Instance,
}

impl Guest for Running {
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Option<Value>> {
        let func = self.instance.get_func(&mut self.store, name);
        let func = func.with_context(|| format!("there is no function `{name}`"))?;
        let arguments: Vec<Val> = arguments.iter().map(|value| lower(*value)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &arguments, &mut results)?;
        results.first().map(lift).transpose()
    }

    fn memory(&mut self, name: &str) -> Result<&mut [u8]> {
        let memory = self.instance.get_memory(&mut self.store, name);
        let memory = memory.with_context(|| format!("there is no memory `{name}`"))?;
        Ok(memory.data_mut(&mut self.store))
    }
}

fn lower(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
    }
}

fn lift(value: &Val) -> Result<Value> {
    Ok(match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        other => bail!("{other:?} is no number"),
    })
}
