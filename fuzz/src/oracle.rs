//! Wasmtime, as the one who knows what is right.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use vm_engine::{Trap, ValType};
use wasmtime::{
    AsContext, AsContextMut, Caller, Collector, Config, Engine, ExnRef, ExnRefPre, ExnType, Extern,
    ExternRef, ExternType, Func, GcHeapOutOfMemory, Global, HeapType, Instance, Memory, Module,
    OperatorCost, Ref, RootScope, Rooted, SharedMemory, Store, StoreLimits, StoreLimitsBuilder,
    Table, Tag, ThrownException, V128, Val, WasmBacktrace,
};

use crate::host::{Host, HostError};
use crate::value::{EXTERNS, Function, Value};
use crate::vm::{Contents, FRAMES, FUEL, Frame, MEMORY_LIMIT, STACK, State, Stop, TABLE_LIMIT, Vm};

/// The engine: what Palisade has, deterministic, and with fuel.
pub fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let engine =
        ENGINE.get_or_init(|| Engine::new(&config()).map_err(|error| format!("{error:#}")));
    engine
        .as_ref()
        .map_err(|error| anyhow!("Wasmtime: {error}"))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_tail_call(true)
        .wasm_multi_memory(true)
        .wasm_memory64(true)
        .wasm_extended_const(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_wide_arithmetic(true)
        .wasm_custom_page_sizes(true)
        .wasm_threads(true)
        .wasm_exceptions(true)
        .shared_memory(true)
        // Of gc what is of functions' types.
        .wasm_gc(true)
        .wasm_function_references(true)
        .collector(Collector::Null)
        .consume_fuel(true)
        .operator_cost(costs())
        .max_wasm_stack(STACK)
        .async_stack_size(STACK)
        // No signal handlers beside Palisade's, and no address space for a memory that is gone in a moment.
        .signals_based_traps(false)
        .memory_reservation(0)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .memory_init_cow(false);
    config
}

/// What takes long by itself is dear. Not by its length: a length that is far too large is to trap.
fn costs() -> OperatorCost {
    let mut costs = OperatorCost::new();
    costs.MemoryFill = 255;
    costs.MemoryCopy = 255;
    costs.MemoryInit = 255;
    costs.MemoryGrow = 255;
    costs.TableFill = 255;
    costs.TableCopy = 255;
    costs.TableInit = 255;
    costs.TableGrow = 255;
    let variable = &mut costs.variable;
    variable.memory_fill_per_byte = 0;
    variable.memory_copy_per_byte = 0;
    variable.memory_init_per_byte = 0;
    variable.memory_grow_per_page = 0;
    variable.table_fill_per_element = 0;
    variable.table_copy_per_element = 0;
    variable.table_init_per_element = 0;
    variable.table_grow_per_element = 0;
    costs
}

/// A module for the oracle.
///
/// # Errors
///
/// If Wasmtime does not take it.
pub fn module(wasm: &[u8]) -> Result<Module> {
    Module::new(engine()?, wasm).map_err(|error| anyhow!("{error:?}"))
}

struct Data {
    host: Host,
    externs: Vec<Rooted<ExternRef>>,
    /// Those that the guest imports.
    tags: Vec<Tag>,
    limits: StoreLimits,
}

/// An instance and its store.
pub struct Guest {
    store: Store<Data>,
    exports: Vec<Extern>,
    fuel: u64,
}

impl Guest {
    /// Makes an instance. What it imports is made for it.
    ///
    /// # Errors
    ///
    /// Why there is none, and what the host had heard by then.
    pub fn new(module: &Module, seed: u64) -> Result<Guest, (Stop, Host)> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_LIMIT)
            .table_elements(TABLE_LIMIT)
            .build();
        let data = Data {
            host: Host::new(seed),
            externs: Vec::new(),
            tags: Vec::new(),
            limits,
        };
        let mut store = Store::new(module.engine(), data);
        store.limiter(|data| &mut data.limits);
        match Guest::instantiate(&mut store, module, seed) {
            Ok(exports) => {
                let fuel = FUEL - store.get_fuel().unwrap_or(0);
                Ok(Guest {
                    store,
                    exports,
                    fuel,
                })
            }
            Err(error) => {
                let stop = with_exception(stop(&error), &mut store, &[]);
                Err((stop, store.into_data().host))
            }
        }
    }

    fn instantiate(
        store: &mut Store<Data>,
        module: &Module,
        seed: u64,
    ) -> wasmtime::Result<Vec<Extern>> {
        store.set_fuel(FUEL)?;
        for number in 0..EXTERNS {
            let reference = ExternRef::new(&mut *store, number)?;
            store.data_mut().externs.push(reference);
        }
        let mut imports = Vec::new();
        for (number, import) in module.imports().enumerate() {
            imports.push(make_import(store, number, import.ty(), seed)?);
        }
        let instance = Instance::new(&mut *store, module, &imports)?;
        Ok(instance
            .exports(&mut *store)
            .map(|export| export.into_extern())
            .collect())
    }
}

fn make_import(
    store: &mut Store<Data>,
    number: usize,
    ty: ExternType,
    seed: u64,
) -> wasmtime::Result<Extern> {
    Ok(match ty {
        ExternType::Func(ty) => {
            let types: Vec<ValType> = ty.results().map(|ty| val_type(&ty)).collect();
            Func::new(store, ty, move |caller, args, results| {
                call_host(caller, number, args, &types, results)
            })
            .into()
        }
        ExternType::Global(ty) => {
            let value = crate::imports::global(number, val_type(ty.content()), seed);
            let value = lower(&value, &store.data().externs);
            Global::new(store, ty, value)?.into()
        }
        ExternType::Table(ty) => {
            let null = Ref::null(ty.element().heap_type());
            Table::new(store, ty, null)?.into()
        }
        ExternType::Memory(ty) if ty.is_shared() => SharedMemory::new(store.engine(), ty)?.into(),
        ExternType::Memory(ty) => Memory::new(store, ty)?.into(),
        ExternType::Tag(ty) => {
            let tag = Tag::new(&mut *store, &ty)?;
            store.data_mut().tags.push(tag);
            tag.into()
        }
    })
}

fn call_host(
    mut caller: Caller<'_, Data>,
    import: usize,
    args: &[Val],
    types: &[ValType],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let values: Vec<Value> = args.iter().map(|arg| lift(arg, &mut caller, &[])).collect();
    let answer = caller.data_mut().host.call(import, &values, types)?;
    let data = caller.data();
    if let Some((tag, random)) = data.host.throws(data.tags.len()) {
        let tag = data.tags[tag];
        return throw(caller, &tag, random);
    }
    for (result, answer) in results.iter_mut().zip(answer) {
        *result = match answer {
            // One of the arguments.
            Value::Func(Some(_)) => {
                let function = |arg: &&Val| matches!(arg, Val::FuncRef(_));
                args.iter()
                    .find(function)
                    .copied()
                    .unwrap_or(Val::FuncRef(None))
            }
            answer => lower(&answer, &caller.data().externs),
        };
    }
    Ok(())
}

/// Throws an exception with random values.
fn throw(
    mut caller: Caller<'_, Data>,
    tag: &Tag,
    mut random: fastrand::Rng,
) -> wasmtime::Result<()> {
    let ty = ExnType::from_tag_type(&tag.ty(&caller))?;
    let externs = &caller.data().externs;
    let values: Vec<Val> = (ty.fields())
        .map(|field| val_type(field.element_type().unpack()))
        .map(|ty| lower(&Value::random(ty, &mut random), externs))
        .collect();
    let allocator = ExnRefPre::new(&mut caller, ty);
    let exception = ExnRef::new(&mut caller, &allocator, tag, &values)?;
    caller.as_context_mut().throw(exception)
}

fn val_type(ty: &wasmtime::ValType) -> ValType {
    match ty {
        wasmtime::ValType::I32 => ValType::I32,
        wasmtime::ValType::I64 => ValType::I64,
        wasmtime::ValType::F32 => ValType::F32,
        wasmtime::ValType::F64 => ValType::F64,
        wasmtime::ValType::V128 => ValType::V128,
        wasmtime::ValType::Ref(ty) if matches!(ty.heap_type(), HeapType::Extern) => {
            ValType::EXTERNREF
        }
        wasmtime::ValType::Ref(ty) if matches!(ty.heap_type(), HeapType::Exn | HeapType::NoExn) => {
            ValType::EXNREF
        }
        wasmtime::ValType::Ref(_) => ValType::FUNCREF,
    }
}

fn lower(value: &Value, externs: &[Rooted<ExternRef>]) -> Val {
    match *value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(V128::from(bits)),
        Value::Func(_) => Val::FuncRef(None),
        Value::Extern(number) => Val::ExternRef(number.map(|number| externs[number as usize])),
        Value::Exn(_) => Val::ExnRef(None),
    }
}

fn lift(value: &Val, mut store: impl AsContextMut, exports: &[Extern]) -> Value {
    match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        Val::V128(bits) => Value::V128(bits.as_u128()),
        Val::FuncRef(function) => Value::Func(function.map(|function| {
            let address = function.to_raw(&mut store);
            let same = |export: &Extern| match export {
                Extern::Func(function) => function.to_raw(&mut store) == address,
                _ => false,
            };
            exports
                .iter()
                .position(same)
                .map_or(Function::Other, Function::Export)
        })),
        Val::ExternRef(reference) => Value::Extern(reference.as_ref().map(|reference| {
            let data = reference.data(store.as_context_mut()).ok().flatten();
            data.and_then(|data| data.downcast_ref())
                .copied()
                .unwrap_or(u32::MAX)
        })),
        Val::ExnRef(exception) => Value::Exn(exception.is_some()),
        other => unreachable!("no module here has values such as {other:?}"),
    }
}

/// Why a guest stopped, from the error that came of it.
fn stop(error: &wasmtime::Error) -> Stop {
    let frames = || {
        let frames = error
            .downcast_ref::<WasmBacktrace>()
            .map_or(&[][..], |trace| trace.frames());
        let frames = frames.iter().take(FRAMES).map(|frame| Frame {
            function: frame.func_index(),
            offset: frame.module_offset().unwrap_or(usize::MAX),
        });
        frames.collect()
    };
    let Some(trap) = error.downcast_ref::<wasmtime::Trap>() else {
        return if error.is::<HostError>() {
            Stop::Host(frames())
        } else if error.is::<ThrownException>() {
            // The store knows which one.
            Stop::Exception(None, Vec::new())
        } else if error.is::<GcHeapOutOfMemory<()>>() {
            // Here nothing is ever freed.
            Stop::OutOfFuel
        } else {
            Stop::Refused(format!("{error:#}"))
        };
    };
    use wasmtime::Trap as Theirs;
    let trap = match trap {
        Theirs::StackOverflow => return Stop::StackOverflow,
        Theirs::OutOfFuel => return Stop::OutOfFuel,
        Theirs::UnreachableCodeReached => Trap::Unreachable,
        Theirs::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        Theirs::TableOutOfBounds => Trap::TableOutOfBounds,
        Theirs::IndirectCallToNull => Trap::UninitializedElement,
        Theirs::BadSignature => Trap::IndirectCallTypeMismatch,
        Theirs::IntegerDivisionByZero => Trap::IntegerDivideByZero,
        Theirs::IntegerOverflow => Trap::IntegerOverflow,
        Theirs::BadConversionToInteger => Trap::InvalidConversionToInteger,
        Theirs::NullReference => Trap::NullReference,
        Theirs::HeapMisaligned => Trap::UnalignedAtomic,
        Theirs::AtomicWaitNonSharedMemory => Trap::ExpectedSharedMemory,
        other => return Stop::Refused(format!("{other:?}")),
    };
    Stop::Trap(trap, frames())
}

/// The same, with the exception that has ended the guest, if one has.
fn with_exception(stop: Stop, store: &mut Store<Data>, exports: &[Extern]) -> Stop {
    let Stop::Exception(..) = stop else {
        return stop;
    };
    let mut store = RootScope::new(store);
    let Some(exception) = store.as_context_mut().take_pending_exception() else {
        return Stop::Refused("no exception is pending".to_owned());
    };
    let parts = (exception.tag(&mut store))
        .and_then(|tag| Ok((tag, exception.fields(&mut store)?.collect::<Vec<_>>())));
    let (tag, values) = match parts {
        Ok(parts) => parts,
        Err(error) => return Stop::Refused(format!("{error:#}")),
    };
    let same = |export: &Extern| match export {
        Extern::Tag(other) => Tag::eq(&tag, other, store.as_context()),
        _ => false,
    };
    let export = exports.iter().position(same);
    let values = values.iter().map(|value| lift(value, &mut store, exports));
    Stop::Exception(export, values.collect())
}

impl Vm for Guest {
    fn call(
        &mut self,
        export: usize,
        args: &[Value],
        results: &[ValType],
    ) -> Result<Vec<Value>, Stop> {
        let Extern::Func(function) = self.exports[export] else {
            return Err(Stop::Refused("no function".to_owned()));
        };
        let externs = &self.store.data().externs;
        let args: Vec<Val> = args.iter().map(|arg| lower(arg, externs)).collect();
        let mut found = vec![Val::I32(0); results.len()];
        let filled = self.store.set_fuel(FUEL);
        let called = filled.and_then(|()| function.call(&mut self.store, &args, &mut found));
        self.fuel = FUEL - self.store.get_fuel().unwrap_or(0);
        called.map_err(|error| with_exception(stop(&error), &mut self.store, &self.exports))?;
        Ok(found
            .iter()
            .map(|value| lift(value, &mut self.store, &self.exports))
            .collect())
    }

    fn fuel(&self) -> u64 {
        self.fuel
    }

    fn state(&mut self) -> State {
        let store = &mut self.store;
        let mut exports = Vec::new();
        for export in &self.exports {
            exports.push(match export {
                Extern::Global(global) => {
                    let value = global.get(&mut *store);
                    Contents::Global(lift(&value, &mut *store, &self.exports))
                }
                Extern::Table(table) => {
                    let size = table.size(&*store);
                    let elements = (0..size).filter_map(|index| {
                        let value = match table.get(&mut *store, index)? {
                            Ref::Func(function) => Val::FuncRef(function),
                            Ref::Extern(reference) => Val::ExternRef(reference),
                            Ref::Exn(exception) => Val::ExnRef(exception),
                            other => unreachable!("no table here has elements such as {other:?}"),
                        };
                        Some(lift(&value, &mut *store, &self.exports))
                    });
                    Contents::Table(elements.collect())
                }
                Extern::Memory(memory) => Contents::of_memory(memory.data(&*store)),
                Extern::SharedMemory(memory) => {
                    // Its bytes cannot be had safely; guests look at them.
                    Contents::of_memory(&memory.size().to_le_bytes())
                }
                _ => continue,
            });
        }
        State {
            exports,
            heard: store.data().host.heard(),
        }
    }
}
