//! wasmi, linked into this program, as the suite's own adapter has it.

use anyhow::{Context as _, Result, bail};
use wasmi::{CompilationMode, Config, Engine, ExternType, Instance, Linker, Module, Store, Val};

use super::cases::Value;
use super::clock_milliseconds;
use super::subject::{Guest, Ready, Subject};
use crate::bench::figures::subject::Translation;

pub(super) struct Wasmi;

impl Subject for Wasmi {
    fn name(&self) -> String {
        "wasmi".to_owned()
    }

    fn is_palisade(&self) -> bool {
        false
    }

    fn usual_translation(&self) -> Translation {
        Translation::Eager
    }

    fn ready(&self, module: &[u8], translation: Translation) -> Result<Box<dyn Ready>> {
        let mut config = Config::default();
        config.compilation_mode(match translation {
            // It validates when a module is made, as Palisade does; its `Lazy` does not.
            Translation::Lazy => CompilationMode::LazyTranslation,
            Translation::Eager => CompilationMode::Eager,
            Translation::ParallelEager => bail!("wasmi translates in one thread"),
        });
        let engine = Engine::new(&config);
        let mut linker = Linker::new(&engine);
        for import in Module::new(&engine, module)?.imports() {
            if (import.module(), import.name()) == ("env", "clock_ms") {
                linker.func_wrap("env", "clock_ms", clock_milliseconds)?;
                continue;
            }
            let ExternType::Func(ty) = import.ty() else {
                bail!("{}.{} is not a function", import.module(), import.name());
            };
            linker.func_new(import.module(), import.name(), ty.clone(), |_, _, _| Ok(()))?;
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
        let module = Module::new(&self.engine, module)?;
        let mut store = Store::new(&self.engine, ());
        let instance = self.linker.instantiate_and_start(&mut store, &module)?;
        Ok(Box::new(Running { store, instance }))
    }
}

struct Running {
    store: Store<()>,
    instance: Instance,
}

impl Guest for Running {
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Option<Value>> {
        let func = self.instance.get_func(&self.store, name);
        let func = func.with_context(|| format!("there is no function `{name}`"))?;
        let arguments: Vec<Val> = arguments.iter().map(|value| lower(*value)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &arguments, &mut results)?;
        results.first().map(lift).transpose()
    }

    fn memory(&mut self, name: &str) -> Result<&mut [u8]> {
        let memory = self.instance.get_memory(&self.store, name);
        let memory = memory.with_context(|| format!("there is no memory `{name}`"))?;
        Ok(memory.data_mut(&mut self.store))
    }
}

fn lower(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(wasmi::F32::from_bits(bits)),
        Value::F64(bits) => Val::F64(wasmi::F64::from_bits(bits)),
    }
}

fn lift(value: &Val) -> Result<Value> {
    Ok(match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(value) => Value::F32(value.to_bits()),
        Val::F64(value) => Value::F64(value.to_bits()),
        other => bail!("{other:?} is no number"),
    })
}
