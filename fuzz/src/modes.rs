//! Palisade's modes, and its instances as the comparison sees them.

use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use vm_engine::{
    AsContext, AsContextMut, Bounds, Caller, Config, ConfigError, Engine, Error, ExnRef, ExnRefPre,
    ExnType, Extern, ExternRef, ExternType, Func, Global, Hotness, Instance, Layout, Memory,
    Module, Mutability, PoolingAllocationConfig, Ref, ResumableCall, ResumableCallOutOfFuel,
    RootScope, SharedMemory, Snapshot, SnapshotError, Store, StoreLimits, StoreLimitsBuilder,
    Table, Tag, Threading, ThrownException, Translation, Trap, V128, Val, ValType,
};

use crate::host::{Host, HostError};
use crate::value::{EXTERNS, Function, Value};
use crate::vm::{Contents, FRAMES, Frame, MEMORY_LIMIT, STACK, State, Stop, TABLE_LIMIT, Vm};

/// A way to run code: an engine with its settings.
pub struct Mode {
    /// As in reports: `direct-guarded-hot2-eager`.
    pub name: String,
    /// The engine.
    pub engine: Engine,
    /// Whether calls in it can wait, and go on in any other mode of which that is true.
    pub moves: bool,
}

/// How the names of modes end that have all that can be added to code.
const ADDITIONS: &str = "-additions";

/// When functions of direct code are hot: after so many calls or turns, or from the start.
const TIERS: [(&str, Option<u32>); 4] = [
    ("hot1", Some(1)),
    ("hot2", Some(2)),
    ("hot100", Some(100)),
    ("optimized", None),
];

/// All modes: threading and bounds checks, tiers, lazy and eager translation, and two other ways to have memory.
///
/// # Errors
///
/// If this host cannot have one of them.
pub fn all() -> Result<&'static [Mode]> {
    static MODES: OnceLock<Result<Vec<Mode>, String>> = OnceLock::new();
    let modes = MODES.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    match modes {
        Ok(modes) => Ok(modes),
        Err(error) => anyhow::bail!("{error}"),
    }
}

fn make() -> Result<Vec<Mode>> {
    let mut modes = Vec::new();
    let mut add = |name: String, config: &mut Config| -> Result<()> {
        config.max_wasm_stack(STACK);
        // The oracle does not have them, but they can be compared among modes.
        config.wasm_legacy_exceptions(true);
        let moves = name.ends_with(ADDITIONS);
        let engine = Engine::new(config).with_context(|| format!("mode {name}"))?;
        modes.push(Mode {
            name,
            engine,
            moves,
        });
        Ok(())
    };
    let translations = [("lazy", Translation::Lazy), ("eager", Translation::Eager)];
    for (translation, setting) in translations {
        for (tier, hot) in TIERS {
            for bounds in [Bounds::Guarded, Bounds::Software] {
                let mut config = direct(bounds);
                config.translation(setting);
                config.baseline(hot.map(|times| Hotness {
                    calls: times,
                    turns: times,
                }));
                add(format!("direct-{bounds}-{tier}-{translation}"), &mut config)?;
            }
        }
        let mut config = Config::new();
        config
            .threading(Threading::Token)
            .bounds(Bounds::Software)
            .translation(setting);
        add(format!("token-software-{translation}"), &mut config)?;
    }
    // Most accesses are checked by code although there are guards.
    let mut config = direct(Bounds::Guarded);
    config.memory_layout(Layout::with_guard(1 << 16)?);
    add("direct-guarded-small-guard".to_owned(), &mut config)?;
    // Memories and stacks that others have used before.
    let mut config = direct(Bounds::Guarded);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(200)
        .total_stacks(16)
        .linear_memory_keep_resident(8192);
    config.allocation_strategy(pool);
    add("direct-guarded-pooled".to_owned(), &mut config)?;
    // All that can be added to code, which makes no difference to what it does.
    let token = || {
        let mut config = Config::new();
        config.threading(Threading::Token).bounds(Bounds::Software);
        config
    };
    for (name, mut config) in [
        ("direct-guarded", direct(Bounds::Guarded)),
        ("direct-software", direct(Bounds::Software)),
        ("token-software", token()),
    ] {
        config.baseline(Some(Hotness { calls: 2, turns: 2 }));
        config.consume_fuel(true).epoch_interruption(true);
        config.canonical_nans(true).max_call_depth(Some(u32::MAX));
        config.suspended_snapshots(true);
        add(format!("{name}{ADDITIONS}"), &mut config)?;
    }
    Ok(modes)
}

/// Gives a store of one of these modes as much as its guests may want.
pub fn provide<T>(store: &mut Store<T>) -> vm_engine::Result<()> {
    store.set_epoch_deadline(1);
    match store.set_fuel(u64::MAX) {
        Err(error) if !matches!(error.downcast_ref(), Some(ConfigError::NoFuel)) => Err(error),
        _ => Ok(()),
    }
}

fn direct(bounds: Bounds) -> Config {
    let mut config = Config::new();
    config.threading(Threading::Direct).bounds(bounds);
    config
}

/// What a store holds for its host functions.
struct Data {
    host: Host,
    externs: Vec<ExternRef>,
    /// Those that the guest imports.
    tags: Vec<Tag>,
    limits: StoreLimits,
}

/// An instance and its store.
pub struct Guest {
    store: Store<Data>,
    instance: Instance,
    exports: Vec<Extern>,
    /// Whether everything that it can change is its own.
    owns_all: bool,
    moves: Option<Moves>,
}

/// How calls of a guest wait, and go on elsewhere.
struct Moves {
    /// In several modes.
    modules: Vec<Module>,
    random: fastrand::Rng,
    seed: u64,
    /// How often one has.
    count: u64,
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
        let instance =
            provide(&mut store).and_then(|()| Guest::instantiate(&mut store, module, seed));
        match instance {
            Ok(instance) => {
                let exports = instance.exports(&mut store);
                let exports: Vec<Extern> = exports.map(|export| export.into_extern()).collect();
                // A memory of its own that threads share is not its alone.
                let shared = |export: &Extern| matches!(export, Extern::SharedMemory(_));
                let owns_all = !exports.iter().any(shared)
                    && module.imports().all(|import| match import.ty() {
                        ExternType::Func(_) | ExternType::Tag(_) => true,
                        ExternType::Global(ty) => ty.mutability() == Mutability::Const,
                        ExternType::Table(_) | ExternType::Memory(_) => false,
                    });
                Ok(Guest {
                    store,
                    instance,
                    exports,
                    owns_all,
                    moves: None,
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
    ) -> vm_engine::Result<Instance> {
        for number in 0..EXTERNS {
            let reference = ExternRef::new(&mut *store, number)?;
            store.data_mut().externs.push(reference);
        }
        let mut imports = Vec::new();
        for (number, import) in module.imports().enumerate() {
            imports.push(make_import(store, number, import.ty(), seed)?);
        }
        Instance::new(&mut *store, module, &imports)
    }

    /// Makes the instance and its host as new, unless something that it can change is not its own: answers whether it has.
    ///
    /// # Errors
    ///
    /// Why it could not.
    pub fn reset(&mut self, seed: u64) -> Result<bool, Stop> {
        if self.owns_all {
            self.store.data_mut().host = Host::new(seed);
            let reset = self.instance.reset(&mut self.store);
            reset.map_err(|error| stop(&error))?;
        }
        Ok(self.owns_all)
    }
}

impl Guest {
    /// From now on, calls of the instance wait after a random amount of fuel, are written to bytes, and go on in an instance of one of these
    /// modules, unless something that it can change is not its own: answers whether they do.
    pub fn move_among(&mut self, modules: Vec<Module>, seed: u64) -> bool {
        let random = fastrand::Rng::with_seed(seed);
        self.moves = self.owns_all.then_some(Moves {
            modules,
            random,
            seed,
            count: 0,
        });
        self.owns_all
    }

    /// How often a call has gone on elsewhere.
    pub fn moved(&self) -> u64 {
        self.moves.as_ref().map_or(0, |moves| moves.count)
    }

    /// Calls a function, which may then be one of another store.
    fn call_moving(
        &mut self,
        function: Func,
        args: &[Val],
        results: &mut [Val],
        moves: &mut Moves,
    ) -> Result<(), Stop> {
        let mut portion = moves.random.u64(1..300);
        let provide = |store: &mut Store<Data>, fuel| store.set_fuel(fuel).map_err(|e| stop(&e));
        provide(&mut self.store, portion)?;
        let mut call = function
            .call_resumable(&mut self.store, args, results)
            .map_err(|error| stop(&error))?;
        loop {
            let mut waits = match call {
                ResumableCall::Finished => return Ok(()),
                ResumableCall::HostTrap(call) => return Err(stop(&call.into_host_error())),
                ResumableCall::OutOfFuel(call) => call,
                ResumableCall::EpochDeadline(_) => {
                    return Err(Stop::Refused("a deadline has come".to_owned()));
                }
            };
            match waits.snapshot(&self.store) {
                Ok(snapshot) => {
                    waits = self.go_elsewhere(&snapshot.to_bytes(), moves)?;
                    moves.count += 1;
                }
                // It has a value of the host's: so it stays.
                Err(error)
                    if matches!(error.downcast_ref(), Some(SnapshotError::Reference { .. })) => {}
                Err(error) => return Err(Stop::Refused(format!("no snapshot: {error}"))),
            }
            // So that it comes to an end.
            portion = portion.saturating_mul(4);
            let required = waits.required_fuel();
            provide(&mut self.store, required.saturating_add(portion))?;
            call = waits
                .resume(&mut self.store, results)
                .map_err(|error| stop(&error))?;
        }
    }

    /// Restores a call in a new store of another mode, which takes the place of this one.
    fn go_elsewhere(
        &mut self,
        bytes: &[u8],
        moves: &mut Moves,
    ) -> Result<ResumableCallOutOfFuel, Stop> {
        let chosen = moves.random.usize(..moves.modules.len());
        let mut there = Guest::new(&moves.modules[chosen], moves.seed).map_err(|(stop, _)| stop)?;
        let restored = Snapshot::from_bytes(bytes)
            .and_then(|snapshot| there.instance.restore_call(&mut there.store, &snapshot));
        let call = match restored {
            Ok(ResumableCall::OutOfFuel(call)) => call,
            Ok(_) => return Err(Stop::Refused("it waits for something else".to_owned())),
            // Frames are larger in some modes.
            Err(error) if matches!(error.downcast_ref(), Some(SnapshotError::NoRoom { .. })) => {
                return Err(Stop::StackOverflow);
            }
            Err(error) => return Err(Stop::Refused(format!("not restored: {error}"))),
        };
        std::mem::swap(
            &mut there.store.data_mut().host,
            &mut self.store.data_mut().host,
        );
        *self = there;
        Ok(call)
    }
}

fn make_import(
    store: &mut Store<Data>,
    number: usize,
    ty: ExternType,
    seed: u64,
) -> vm_engine::Result<Extern> {
    Ok(match ty {
        ExternType::Func(ty) => {
            let types: Vec<ValType> = ty.results().collect();
            Func::new(store, ty, move |caller, args, results| {
                call_host(caller, number, args, &types, results)
            })
            .into()
        }
        ExternType::Global(ty) => {
            let value = crate::imports::global(number, ty.content().clone(), seed);
            let value = lower(&value, &store.data().externs);
            Global::new(store, ty, value)?.into()
        }
        ExternType::Table(ty) => {
            let null = Ref::null(ty.element());
            Table::new(store, ty, null)?.into()
        }
        ExternType::Memory(ty) if ty.is_shared() => SharedMemory::new(store.engine(), ty)?.into(),
        ExternType::Memory(ty) => Memory::new(store, ty)?.into(),
        ExternType::Tag(ty) => {
            let tag = Tag::new(&mut *store, &ty);
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
) -> vm_engine::Result<()> {
    let values: Vec<Value> = args.iter().map(|arg| lift(arg, &mut caller, &[])).collect();
    let answer = caller
        .data_mut()
        .host
        .call(import, &values, types)
        .map_err(Error::new)?;
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
) -> vm_engine::Result<()> {
    let ty = ExnType::from_tag_type(&tag.ty(&caller))?;
    let externs = &caller.data().externs;
    let values: Vec<Val> = (ty.fields())
        .map(|ty| lower(&Value::random(ty, &mut random), externs))
        .collect();
    let allocator = ExnRefPre::new(&mut caller, ty);
    let exception = ExnRef::new(&mut caller, &allocator, tag, &values)?;
    caller.as_context_mut().throw(exception)
}

fn lower(value: &Value, externs: &[ExternRef]) -> Val {
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

fn lift(value: &Val, store: impl AsContext, exports: &[Extern]) -> Value {
    match *value {
        Val::I32(value) => Value::I32(value),
        Val::I64(value) => Value::I64(value),
        Val::F32(bits) => Value::F32(bits),
        Val::F64(bits) => Value::F64(bits),
        Val::V128(bits) => Value::V128(bits.as_u128()),
        Val::FuncRef(function) => Value::Func(function.map(|function| {
            let same = |export: &Extern| export.clone().into_func() == Some(function);
            exports
                .iter()
                .position(same)
                .map_or(Function::Other, Function::Export)
        })),
        Val::ExternRef(reference) => Value::Extern(reference.map(|reference| {
            let number = reference.data(store.as_context());
            number
                .ok()
                .and_then(|data| data.downcast_ref())
                .copied()
                .unwrap_or(u32::MAX)
        })),
        Val::ExnRef(exception) => Value::Exn(exception.is_some()),
    }
}

/// Why a guest stopped, from the error that came of it.
fn stop(error: &Error) -> Stop {
    let frames = || {
        let frames = error.backtrace().map_or(&[][..], |trace| trace.frames());
        let frames = frames.iter().take(FRAMES).map(|frame| Frame {
            function: frame.func_index(),
            offset: frame.module_offset().unwrap_or(usize::MAX),
        });
        frames.collect()
    };
    match error.trap() {
        Some(Trap::StackOverflow) => Stop::StackOverflow,
        // Wasmtime has one for both.
        Some(Trap::UndefinedElement) => Stop::Trap(Trap::TableOutOfBounds, frames()),
        Some(trap) => Stop::Trap(trap, frames()),
        None if error.is::<HostError>() => Stop::Host(frames()),
        // The store knows which one.
        None if error.is::<ThrownException>() => Stop::Exception(None, Vec::new()),
        None => Stop::Refused(error.to_string()),
    }
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
        Err(error) => return Stop::Refused(error.to_string()),
    };
    let same = |export: &Extern| match export {
        Extern::Tag(other) => Tag::eq(&tag, other, &store),
        _ => false,
    };
    let export = exports.iter().position(same);
    let values = values.iter().map(|value| lift(value, &store, exports));
    Stop::Exception(export, values.collect())
}

impl Vm for Guest {
    fn call(
        &mut self,
        export: usize,
        args: &[Value],
        results: &[ValType],
    ) -> Result<Vec<Value>, Stop> {
        let Some(function) = self.exports[export].clone().into_func() else {
            return Err(Stop::Refused("no function".to_owned()));
        };
        let externs = &self.store.data().externs;
        let args: Vec<Val> = args.iter().map(|arg| lower(arg, externs)).collect();
        let mut found = vec![Val::I32(0); results.len()];
        let called = if let Some(mut moves) = self.moves.take() {
            let called = self.call_moving(function, &args, &mut found, &mut moves);
            self.moves = Some(moves);
            called
        } else {
            let called = function.call(&mut self.store, &args, &mut found);
            called.map_err(|error| stop(&error))
        };
        called.map_err(|stop| with_exception(stop, &mut self.store, &self.exports))?;
        Ok(found
            .iter()
            .map(|value| lift(value, &mut self.store, &self.exports))
            .collect())
    }

    fn state(&mut self) -> State {
        let store = &mut self.store;
        let mut exports = Vec::new();
        for export in &self.exports {
            exports.push(match export {
                Extern::Func(_) | Extern::Tag(_) => continue,
                Extern::Global(global) => {
                    let value = global.get(&mut *store);
                    Contents::Global(lift(&value, &mut *store, &self.exports))
                }
                Extern::Table(table) => {
                    let size = table.size(&*store);
                    let elements = (0..size).filter_map(|index| {
                        let value = Val::from(table.get(&mut *store, index)?);
                        Some(lift(&value, &mut *store, &self.exports))
                    });
                    Contents::Table(elements.collect())
                }
                Extern::Memory(memory) => Contents::of_memory(memory.data(&*store)),
                Extern::SharedMemory(memory) => {
                    // As the oracle has it.
                    Contents::of_memory(&memory.size().to_le_bytes())
                }
            });
        }
        State {
            exports,
            heard: store.data().host.heard(),
        }
    }
}
