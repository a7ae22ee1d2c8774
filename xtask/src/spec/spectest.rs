//! The host module `spectest` that the official scripts import from.
//!
//! Its contents are listed in the scripts' own
//! [documentation](https://github.com/WebAssembly/spec/tree/main/interpreter#spectest-host-module).

use anyhow::Result;
use vm_engine::{
    Extern, Global, GlobalType, Linker, Memory, MemoryType, Mutability, Ref, RefType, SharedMemory,
    Store, Table, TableType, Val, ValType,
};

/// Defines the module `spectest` in `linker`. The functions print nothing, since the runner's output
/// is its report.
pub(crate) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<()> {
    linker.func_wrap("spectest", "print", || {})?;
    linker.func_wrap("spectest", "print_i32", |_: i32| {})?;
    linker.func_wrap("spectest", "print_i64", |_: i64| {})?;
    linker.func_wrap("spectest", "print_f32", |_: f32| {})?;
    linker.func_wrap("spectest", "print_f64", |_: f64| {})?;
    linker.func_wrap("spectest", "print_i32_f32", |_: i32, _: f32| {})?;
    linker.func_wrap("spectest", "print_f64_f64", |_: f64, _: f64| {})?;

    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6_f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
    ];
    for (name, ty, value) in globals {
        let global = Global::new(&mut *store, GlobalType::new(ty, Mutability::Const), value)?;
        linker.define(&mut *store, "spectest", name, Extern::from(global))?;
    }

    let table = Table::new(
        &mut *store,
        TableType::new(RefType::FUNCREF, 10, Some(20)),
        Ref::Func(None),
    )?;
    linker.define(&mut *store, "spectest", "table", Extern::from(table))?;

    let table64 = Table::new(
        &mut *store,
        TableType::new64(RefType::FUNCREF, 10, Some(20)),
        Ref::Func(None),
    )?;
    linker.define(&mut *store, "spectest", "table64", Extern::from(table64))?;

    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    linker.define(&mut *store, "spectest", "memory", Extern::from(memory))?;

    let shared = SharedMemory::new(store.engine(), MemoryType::shared(1, 2))?;
    linker.define(
        &mut *store,
        "spectest",
        "shared_memory",
        Extern::from(shared),
    )?;
    Ok(())
}
