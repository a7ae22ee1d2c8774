//! The same operations through the API, compared with the model after each.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use vm_engine::{
    AsContextMut, Caller, Engine, Error, Extern, Func, Instance, LimitError, Module, Ref, Store,
    StoreLimits, StoreLimitsBuilder, Trap, Val, WrongStore,
};

use super::flaw::Flaw;
use super::model;
use super::ops::{Answer, Call, Function, New, Op};
use super::{DEPTH, ELEMENTS, INSTANCES, LIMITED_INSTANCES, Outcome, PAGES, STORES};
use crate::counts::{Counts, ModeCounts};
use crate::host::HostError;
use crate::modes::{self, Mode};

/// The guest's stack, in bytes: `dive` is to end soon.
const STACK: usize = 256 << 10;

/// What the panic of a host function carries.
struct Marker;

/// An engine with its two modules.
#[derive(Clone)]
struct World {
    engine: Engine,
    own: Module,
    sharing: Module,
}

impl World {
    fn new(mode: &Mode) -> vm_engine::Result<World> {
        let mut config = mode.engine.config().clone();
        config.max_wasm_stack(STACK);
        let engine = Engine::new(&config)?;
        let own = r#"(module
          (import "" "host" (func $host (param i64) (result i64)))
          (memory (export "memory") 1 4)
          (table $table (export "table") 4 12 funcref)
          (global $global (export "global") (mut i64) (i64.const 0))"#;
        let sharing = r#"(module
          (import "" "host" (func $host (param i64) (result i64)))
          (import "" "memory" (memory 1 4))
          (import "" "table" (table $table 4 12 funcref))
          (import "" "global" (global $global (mut i64)))
          (export "memory" (memory 0))
          (export "table" (table $table))
          (export "global" (global $global))"#;
        let module =
            |head: &str| Module::new(&engine, format!("{head}\n{})", include_str!("guest.wat")));
        Ok(World {
            own: module(own)?,
            sharing: module(sharing)?,
            engine,
        })
    }
}

/// What a store holds for its host function.
struct Data {
    world: World,
    limits: StoreLimits,
    instances: Vec<Instance>,
    host: Option<Func>,
    /// What is still to be answered: of each active call, innermost last.
    answers: Vec<VecDeque<Answer>>,
    /// How many answers' calls are active.
    depth: usize,
    limited: bool,
    /// What every living store holds, and its host function as well.
    alive: Arc<()>,
}

/// A store, and what it has to be.
struct Pair {
    store: Store<Data>,
    model: model::Store,
}

/// Does all operations in a mode.
///
/// # Errors
///
/// What differs from the model.
pub(super) fn play(
    mode: &Mode,
    ops: &[Op],
    flaw: Option<Flaw>,
    counts: &mut Counts,
) -> Result<(), String> {
    let counts = counts.mode(&mode.name);
    let new_world = || World::new(mode).map_err(|error| error.to_string());
    let mut world = new_world()?;
    let mut pairs: Vec<Pair> = Vec::new();
    let alive = Arc::new(());
    // Stores that live on although nobody has them.
    let mut left = 0;
    for (at, op) in ops.iter().enumerate() {
        let which = |number: u8| usize::from(number) % pairs.len().max(1);
        let result = match op {
            Op::Store { limited } if pairs.len() < STORES => new_store(&world, *limited, 0, &alive)
                .map(|store| {
                    pairs.push(Pair {
                        store,
                        model: model::Store::new(*limited, 0, flaw),
                    });
                }),
            Op::Replace => new_world().map(|new| world = new),
            Op::Drop { store } if !pairs.is_empty() => {
                let pair = pairs.remove(which(*store));
                left += pair.model.left() + usize::from(flaw == Some(Flaw::ForgottenDrop));
                Ok(())
            }
            Op::Stray {
                store,
                other,
                instance,
            } if !pairs.is_empty() => {
                let (store, other) = (which(*store), which(*other));
                stray(&mut pairs, store, other, *instance)
            }
            Op::Store { .. } | Op::Drop { .. } | Op::Stray { .. } => Ok(()),
            Op::Instance { store, .. }
            | Op::Call { store, .. }
            | Op::Grow { store, .. }
            | Op::GrowTable { store, .. }
            | Op::SetElement { store, .. }
            | Op::SetGlobal { store, .. }
            | Op::Write { store, .. } => {
                let at = which(*store);
                match pairs.get_mut(at) {
                    Some(pair) => apply(pair, op, counts).and_then(|()| same(pair)),
                    None => Ok(()),
                }
            }
        };
        let stores = left
            + pairs
                .iter()
                .map(|pair| 1 + pair.model.left())
                .sum::<usize>();
        result
            .and_then(|()| living(&alive, stores))
            .map_err(|text| format!("operation {at}, {op:?}: {text}"))?;
    }
    counts.functions +=
        (world.own.code_size().functions + world.sharing.code_size().functions) as u64;
    Ok(())
}

/// Whether so many stores live, each with its host function.
fn living(alive: &Arc<()>, stores: usize) -> Result<(), String> {
    let (found, expected) = (Arc::strong_count(alive), 1 + 2 * stores);
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{found} holders of what stores and their functions hold, instead of {expected}"
        )),
    }
}

fn new_store(
    world: &World,
    limited: bool,
    depth: usize,
    alive: &Arc<()>,
) -> Result<Store<Data>, String> {
    let mut limits = StoreLimitsBuilder::new();
    if limited {
        limits = limits
            .memory_size((PAGES.1 as usize) << 16)
            .table_elements(ELEMENTS.1 as usize)
            .instances(LIMITED_INSTANCES);
    }
    let data = Data {
        world: world.clone(),
        limits: limits.build(),
        instances: Vec::new(),
        host: None,
        answers: Vec::new(),
        depth,
        limited,
        alive: Arc::clone(alive),
    };
    let mut store = Store::try_new(&world.engine, data).map_err(|error| error.to_string())?;
    modes::provide(&mut store).map_err(|error| error.to_string())?;
    store.limiter(|data| &mut data.limits);
    let held = Arc::clone(alive);
    let host = Func::wrap(&mut store, move |caller: Caller<'_, Data>, number: i64| {
        let _held = &held;
        answer(caller, number)
    });
    store.data_mut().host = Some(host);
    Ok(store)
}

/// Makes an instance; whether the limits allowed it.
fn make(mut store: impl AsContextMut<Data = Data>, new: New) -> vm_engine::Result<bool> {
    let mut store = store.as_context_mut();
    let data = store.data();
    let of = match new {
        New::Own => None,
        New::Sharing(number) => pick(&data.instances, number),
    };
    let (world, host) = (data.world.clone(), data.host.map(Extern::from));
    let mut imports: Vec<Extern> = host.into_iter().collect();
    let module = match of {
        None => &world.own,
        Some(of) => {
            for name in ["memory", "table", "global"] {
                imports.extend(of.get_export(&mut store, name));
            }
            &world.sharing
        }
    };
    match Instance::new(&mut store, module, &imports) {
        Ok(instance) => {
            store.data_mut().instances.push(instance);
            Ok(true)
        }
        Err(error) if error.is::<LimitError>() => Ok(false),
        Err(error) => Err(error),
    }
}

fn pick(instances: &[Instance], number: u8) -> Option<Instance> {
    let at = usize::from(number).checked_rem(instances.len())?;
    instances.get(at).copied()
}

/// The host function.
fn answer(mut caller: Caller<'_, Data>, number: i64) -> vm_engine::Result<i64> {
    let data = caller.data_mut();
    let Some(answer) = data.answers.last_mut().and_then(VecDeque::pop_front) else {
        return Ok(number.wrapping_add(1));
    };
    let may_nest = data.depth < DEPTH;
    Ok(match answer {
        Answer::Number(number) => number,
        Answer::Error => return Err(Error::new(HostError)),
        // Without the hook, which would print.
        Answer::Panic => panic::resume_unwind(Box::new(Marker)),
        Answer::Call { call, goes_on } if may_nest => {
            caller.data_mut().depth += 1;
            let result =
                panic::catch_unwind(AssertUnwindSafe(|| call_function(&mut caller, &call)));
            caller.data_mut().depth -= 1;
            match result {
                Ok(Ok(value)) => value,
                Ok(Err(_)) | Err(_) if goes_on => -1,
                Ok(Err(error)) => return Err(error),
                Err(payload) => panic::resume_unwind(payload),
            }
        }
        Answer::OtherStore(call) if may_nest => {
            let (world, depth) = (caller.data().world.clone(), caller.data().depth + 1);
            let alive = Arc::clone(&caller.data().alive);
            let mut store = new_store(&world, false, depth, &alive).map_err(Error::msg)?;
            // Each living store has two.
            drop(alive);
            make(&mut store, New::Own)?;
            match outcome(&mut store, &call) {
                Outcome::Value(value) => value,
                _ => -1,
            }
        }
        Answer::Call { .. } | Answer::OtherStore(_) => 0,
        Answer::Grow(pages) => {
            let memory = caller.get_export("memory").and_then(Extern::into_memory);
            let grown = memory.map(|memory| memory.grow(&mut caller, pages.into()));
            grown.and_then(Result::ok).map_or(-1, |old| old as i64)
        }
        Answer::SetGlobal(value) => {
            if let Some(global) = caller.get_export("global").and_then(Extern::into_global) {
                global.set(&mut caller, Val::I64(value))?;
            }
            number
        }
        Answer::Instance(new) if data_allows(&caller) => i64::from(make(&mut caller, new)?),
        Answer::Instance(_) => 0,
    })
}

fn data_allows(caller: &Caller<'_, Data>) -> bool {
    caller.data().limited || caller.data().instances.len() < INSTANCES
}

/// Calls a function of an instance; without one, nothing happens.
fn call_function(mut store: impl AsContextMut<Data = Data>, call: &Call) -> vm_engine::Result<i64> {
    let mut store = store.as_context_mut();
    let Some(instance) = pick(&store.data().instances, call.instance) else {
        return Ok(0);
    };
    let int = |value: u32| Val::I32(value.cast_signed());
    let (name, args) = match call.function {
        Function::Add(number) => {
            // With Rust's types.
            let add = instance.get_typed_func::<i64, i64>(&mut store, "add")?;
            return add.call(&mut store, number);
        }
        Function::Load(address) => ("load", vec![int(address)]),
        Function::Store(address, value) => ("store", vec![int(address), int(value)]),
        Function::Fill(address, value, len) => (
            "fill",
            vec![int(address), int(value.into()), int(len.into())],
        ),
        Function::Grow(pages) => ("grow", vec![int(pages.into())]),
        Function::GrowTable(elements) => ("grow_table", vec![int(elements.into())]),
        Function::Through(index, number) => ("through", vec![int(index.into()), Val::I64(number)]),
        Function::Ask {
            frames,
            number,
            times,
        } => (
            "ask",
            vec![int((frames).into()), Val::I64(number), int((times).into())],
        ),
        Function::Spin(turns) => ("spin", vec![int(turns.into())]),
        Function::Divide(dividend, divisor) => {
            ("divide", vec![Val::I32(dividend), Val::I32(divisor.into())])
        }
        Function::Stop => ("stop", Vec::new()),
        Function::Dive => ("dive", vec![Val::I64(0)]),
    };
    let Some(function) = instance.get_func(&mut store, name) else {
        return Err(Error::msg(format!("there is no function {name}")));
    };
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    store
        .data_mut()
        .answers
        .push(call.answers.iter().cloned().collect());
    let called = panic::catch_unwind(AssertUnwindSafe(|| {
        function.call(&mut store, &args, &mut results)
    }));
    store.data_mut().answers.pop();
    match called {
        Ok(result) => result?,
        Err(payload) => panic::resume_unwind(payload),
    }
    Ok(match results.first() {
        Some(Val::I32(value)) => (*value).into(),
        Some(Val::I64(value)) => *value,
        _ => 0,
    })
}

/// What a call came to.
fn outcome(store: &mut Store<Data>, call: &Call) -> Outcome {
    let called = panic::catch_unwind(AssertUnwindSafe(|| call_function(&mut *store, call)));
    let error = match called {
        Ok(Ok(value)) => return Outcome::Value(value),
        Ok(Err(error)) => error,
        Err(payload) => return panicked(payload),
    };
    let frames = error.backtrace().map_or(0, |trace| trace.frames().len());
    match error.trap() {
        Some(Trap::StackOverflow) => Outcome::Exhausted,
        Some(trap) => Outcome::Trap(trap, frames),
        None if error.is::<HostError>() => Outcome::Error(frames),
        None => panic!("an error that nothing explains: {error}"),
    }
}

/// Only the host's own panic is expected.
fn panicked(payload: Box<dyn Any + Send>) -> Outcome {
    match payload.is::<Marker>() {
        true => Outcome::Panic,
        false => panic::resume_unwind(payload),
    }
}

fn apply(pair: &mut Pair, op: &Op, counts: &mut ModeCounts) -> Result<(), String> {
    let Pair { store, model } = pair;
    let expect = |expected: String, found: String| match expected == found {
        true => Ok(()),
        false => Err(format!("expected {expected}, found {found}")),
    };
    if let Op::Instance { new, .. } = op {
        if !model.tries() {
            return Ok(());
        }
        let made = make(&mut *store, *new).map_err(|error| error.to_string())?;
        counts.instances += u64::from(made);
        return expect(
            format!("made: {}", model.make(*new)),
            format!("made: {made}"),
        );
    }
    if let Op::Call { call, thread, .. } = op {
        let found = match thread {
            false => outcome(store, call),
            true => {
                let joined = thread::scope(|scope| scope.spawn(|| outcome(store, call)).join());
                joined.unwrap_or_else(|payload| panic::resume_unwind(payload))
            }
        };
        counts.calls += 1;
        counts.traps += u64::from(matches!(found, Outcome::Trap(..) | Outcome::Exhausted));
        let expected = model.call(call);
        return expect(format!("{expected:?}"), format!("{found:?}"));
    }
    let (Op::Grow {
        instance: number, ..
    }
    | Op::GrowTable {
        instance: number, ..
    }
    | Op::SetElement {
        instance: number, ..
    }
    | Op::SetGlobal {
        instance: number, ..
    }
    | Op::Write {
        instance: number, ..
    }) = op
    else {
        return Ok(());
    };
    let Some(at) = model.instance(*number) else {
        return Ok(());
    };
    let instance = store.data().instances[at];
    let lacks = || "an export is missing".to_owned();
    let memory = instance
        .get_memory(&mut *store, "memory")
        .ok_or_else(lacks)?;
    let table = instance.get_table(&mut *store, "table").ok_or_else(lacks)?;
    let global = instance
        .get_global(&mut *store, "global")
        .ok_or_else(lacks)?;
    match op {
        Op::Grow { pages, .. } => {
            let found = memory.grow(&mut *store, (*pages).into()).ok();
            let expected = model.grow(at, (*pages).into()).map(u64::from);
            expect(format!("{expected:?}"), format!("{found:?}"))
        }
        Op::GrowTable { elements, .. } => {
            let found = table
                .grow(&mut *store, (*elements).into(), Ref::Func(None))
                .ok();
            let expected = model
                .grow_table(at, (*elements).into(), None)
                .map(u64::from);
            expect(format!("{expected:?}"), format!("{found:?}"))
        }
        Op::SetElement {
            index, function, ..
        } => {
            let of = function.and_then(|number| model.instance(number));
            let function = of.and_then(|of| {
                let instance = store.data().instances[of];
                instance.get_func(&mut *store, "add")
            });
            let found = table
                .set(&mut *store, (*index).into(), Ref::Func(function))
                .is_ok();
            let expected = model.set_element(at, (*index).into(), of);
            expect(format!("set: {expected}"), format!("set: {found}"))
        }
        Op::SetGlobal { value, .. } => {
            *model.global(at) = *value;
            global
                .set(&mut *store, Val::I64(*value))
                .map_err(|error| error.to_string())
        }
        Op::Write { address, value, .. } => {
            let found = memory
                .write(&mut *store, *address as usize, &value.to_le_bytes())
                .is_ok();
            let expected = model.write(at, *address, *value);
            expect(format!("written: {expected}"), format!("written: {found}"))
        }
        _ => Ok(()),
    }
}

/// Compares everything that can be seen of a store.
fn same(pair: &mut Pair) -> Result<(), String> {
    let Pair { store, model } = pair;
    let instances = store.data().instances.clone();
    if instances.len() != model.instances() {
        return Err(format!(
            "{} instances instead of {}",
            instances.len(),
            model.instances()
        ));
    }
    let adds: Vec<Option<Func>> = instances
        .iter()
        .map(|instance| instance.get_func(&mut *store, "add"))
        .collect();
    for (at, instance) in instances.iter().enumerate() {
        let global = instance
            .get_global(&mut *store, "global")
            .map(|global| global.get(&mut *store).i64());
        if global.flatten() != Some(*model.global(at)) {
            return Err(format!(
                "global of {at}: {global:?} instead of {}",
                model.global(at)
            ));
        }
        let Some(table) = instance.get_table(&mut *store, "table") else {
            return Err(format!("instance {at} has no table"));
        };
        let found: Vec<Option<usize>> = (0..table.size(&*store))
            .map(|index| {
                let element = table.get(&mut *store, index)?.as_func()??;
                adds.iter().position(|add| *add == Some(element))
            })
            .collect();
        if found != model.table(at) {
            return Err(format!(
                "table of {at}: {found:?} instead of {:?}",
                model.table(at)
            ));
        }
        let Some(memory) = instance.get_memory(&mut *store, "memory") else {
            return Err(format!("instance {at} has no memory"));
        };
        let (found, expected) = (memory.data(&*store), model.memory(at));
        if found != expected {
            let byte = found.iter().zip(expected).position(|(a, b)| a != b);
            let (found, expected) = (found.len(), expected.len());
            return Err(format!(
                "memory of {at}: {found} bytes for {expected}, first difference at {byte:x?}"
            ));
        }
    }
    Ok(())
}

/// Something of one store's is an error in another, and nothing happens.
fn stray(pairs: &mut [Pair], store: usize, other: usize, number: u8) -> Result<(), String> {
    let from = &mut pairs[store].store;
    let Some(instance) = pick(&from.data().instances, number) else {
        return Ok(());
    };
    let export = |store: &mut Store<Data>, name: &str| {
        instance
            .get_export(store, name)
            .ok_or("an export is missing")
    };
    let memory = export(from, "memory")?.into_memory().ok_or("no memory")?;
    let function = export(from, "add")?.into_func().ok_or("no function")?;
    let to = &mut pairs[other].store;
    let read = memory.read(&*to, 0, &mut [0]);
    let called = function.call(&mut *to, &[Val::I64(0)], &mut [Val::I64(0)]);
    for result in [read, called] {
        match result {
            Ok(()) if store == other => {}
            Err(error) if store != other && error.is::<WrongStore>() => {}
            other => return Err(format!("stray object: {other:?}")),
        }
    }
    Ok(())
}
