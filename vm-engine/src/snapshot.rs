//! Instances as bytes, between calls.

use serde::{Deserialize, Serialize};

use crate::error::{Error, LimitError, Result, SnapshotError};
use crate::handles::Instance;
use crate::instance_pre::InstancePre;
use crate::instantiate;
use crate::limits::{memory_of, table_of};
use crate::low::{self, FuncId, InstanceId, World};
use crate::memory;
use crate::module::Module;
use crate::snapshot_call::{Call, FORMAT, Value, is_of};
use crate::store::{AsContext, AsContextMut, StoreContextMut, StoreOpaque};

/// What an instance is: the contents of its own memories, tables and globals, and which of its segments have been
/// dropped. It can be written to bytes, and an instance of the same module given it in another store, process or mode.
///
/// What an instance imports is not its own, and stays what it is where the snapshot is restored. [`Instance::snapshot`] makes one between two calls. One of
/// a call that waits ([`Func::call_resumable`](crate::Func::call_resumable)) has that call too, to go on with elsewhere: see
/// [`ResumableCallOutOfFuel::snapshot`](crate::ResumableCallOutOfFuel::snapshot) and [`InstancePre::restore_call`].
///
/// ```
/// use vm_engine::{Bounds, Config, Engine, Linker, Module, Result, Snapshot, Store, Threading};
///
/// const COUNTER: &str = r#"(module
///   (memory 1)
///   (func (export "next") (result i32)
///     (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
///     (i32.load (i32.const 0))))"#;
///
/// # fn main() -> Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, COUNTER)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
/// let next = instance.get_typed_func::<(), i32>(&mut store, "next")?;
/// assert_eq!((next.call(&mut store, ())?, next.call(&mut store, ())?), (1, 2));
/// let bytes = instance.snapshot(&store)?.to_bytes();
///
/// // Somewhere else, and run in another way.
/// let engine = Engine::new(Config::new().threading(Threading::Token).bounds(Bounds::Software))?;
/// let module = Module::new(&engine, COUNTER)?;
/// let mut store = Store::new(&engine, ());
/// let pre = Linker::new(&engine).instantiate_pre(&module)?;
/// let instance = pre.restore(&mut store, &Snapshot::from_bytes(&bytes)?)?;
/// let next = instance.get_typed_func::<(), i32>(&mut store, "next")?;
/// assert_eq!(next.call(&mut store, ())?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Snapshot {
    format: u32,
    /// Of the module's bytes: a mistake shows, a forgery does not.
    module: u64,
    memories: Vec<MemoryContents>,
    /// Of each element the index of its function plus one, or 0 for null.
    tables: Vec<Vec<u32>>,
    globals: Vec<Value>,
    dropped_data: Vec<bool>,
    dropped_elements: Vec<bool>,
    /// How much fuel its store had left, if guests consume some.
    fuel: Option<u64>,
    pub(crate) call: Option<Call>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct MemoryContents {
    pages: u64,
    /// Where there are bytes that are not zero.
    pieces: Vec<(u64, Vec<u8>)>,
}

/// Bytes that are looked at together: those that are all zero are left out.
const PIECE: usize = 4096;

impl Snapshot {
    /// It as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // It fails for types that have no serialised form, and these have one.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// A snapshot from what [`Snapshot::to_bytes`] has written. The bytes may come from anyone: whether they fit a module is checked
    /// where they are restored.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Malformed`], or [`SnapshotError::Format`] if another version has written it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot> {
        let (format, _) =
            postcard::take_from_bytes::<u32>(bytes).map_err(|_| SnapshotError::Malformed)?;
        if format != FORMAT {
            return Err(SnapshotError::Format { format }.into());
        }
        Ok(postcard::from_bytes(bytes).map_err(|_| SnapshotError::Malformed)?)
    }

    /// Whether a call waits in it: [`InstancePre::restore_call`].
    pub fn is_suspended(&self) -> bool {
        self.call.is_some()
    }

    /// How many functions are running inside of each other in the call that waits; 0 between calls.
    pub fn frames(&self) -> u64 {
        self.call
            .as_ref()
            .map_or(0, |call| call.frames.len() as u64)
    }

    /// How much fuel the store had left when the snapshot was taken, if its guests consume some. A store where it is restored has its own: who
    /// wants it to be this gives it so much ([`Store::set_fuel`](crate::Store::set_fuel)).
    pub fn fuel(&self) -> Option<u64> {
        self.fuel
    }

    /// What an instance is now.
    pub(crate) fn of(store: StoreOpaque<'_>, id: InstanceId) -> Result<Snapshot> {
        let module = instantiate::module_of(store, id)?;
        let (low, world) = (module.low(), store.world());
        instantiate::no_shared_memory(low, "written down")?;
        let own = |imported: u32, all: usize| imported..all as u32;
        let memories = own(low.imported_memories(), low.memories().len()).map(|index| {
            let memory = world.memory(world.instance_memory(id, index));
            MemoryContents {
                pages: memory.pages(),
                pieces: pieces(memory.data()),
            }
        });
        let functions = world.instance_funcs(id);
        let index_of = |func: Option<FuncId>, what: &'static str| match func {
            None => Ok(0),
            Some(func) => match functions.get(&func) {
                Some(index) => Ok(index + 1),
                None => Err(SnapshotError::Reference { what }),
            },
        };
        let tables = own(low.imported_tables(), low.tables().len()).map(|index| {
            let table = world.instance_table(id, index);
            let elements = 0..world.table_size(table);
            let element = |n| match world.table_get(table, n) {
                Some(low::Val::FuncRef(func)) => index_of(func, "table"),
                Some(low::Val::ExternRef(Some(_)) | low::Val::ExnRef(Some(_))) => {
                    Err(SnapshotError::Reference { what: "table" })
                }
                _ => Ok(0),
            };
            elements.map(element).collect::<Result<Vec<u32>, _>>()
        });
        let globals = own(low.imported_globals(), low.globals().len()).map(|index| {
            let value = world.global_get(world.instance_global(id, index));
            if let low::Val::ExnRef(Some(_)) = value {
                return Err(SnapshotError::Reference { what: "global" });
            }
            Value::of(value, |func| functions.get(&func).copied())
                .ok_or(SnapshotError::Reference { what: "global" })
        });
        let segments = |count: usize| 0..count as u32;
        Ok(Snapshot {
            format: FORMAT,
            module: fingerprint(module),
            memories: memories.collect(),
            tables: tables.collect::<Result<_, _>>()?,
            globals: globals.collect::<Result<_, _>>()?,
            dropped_data: segments(low.data_segments().len())
                .map(|segment| world.is_data_dropped(id, segment))
                .collect(),
            dropped_elements: segments(low.elem_segments().len())
                .map(|segment| world.is_elem_dropped(id, segment))
                .collect(),
            fuel: world_fuel(store),
            call: None,
        })
    }

    /// Checks that it can be one of an instance of this module, as far as the module tells.
    pub(crate) fn check(&self, module: &Module) -> Result<(), SnapshotError> {
        let low = module.low();
        if self.module != fingerprint(module) {
            return Err(SnapshotError::OtherModule);
        }
        let own = |all: usize, imported: u32| all - imported as usize;
        let counts = [
            (
                self.memories.len(),
                own(low.memories().len(), low.imported_memories()),
            ),
            (
                self.tables.len(),
                own(low.tables().len(), low.imported_tables()),
            ),
            (
                self.globals.len(),
                own(low.globals().len(), low.imported_globals()),
            ),
            (self.dropped_data.len(), low.data_segments().len()),
            (self.dropped_elements.len(), low.elem_segments().len()),
        ];
        let functions = u64::from(low.func_count());
        let exist = |func: &u32| u64::from(*func) <= functions;
        if counts.iter().any(|(found, expected)| found != expected)
            || !self.tables.iter().flatten().all(exist)
            || !self.globals.iter().all(|value| value.exists_in(low, 0))
            || !self.call.iter().all(|call| call.check(low))
        {
            return Err(SnapshotError::Malformed);
        }
        Ok(())
    }
}

/// FNV-1a, see <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fingerprint(module: &Module) -> u64 {
    module
        .binary()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
}

impl Instance {
    /// What the instance is now. It is to be asked between calls: what a call that is going on has besides is not part
    /// of it, and one that waits is asked itself ([`ResumableCallOutOfFuel::snapshot`](crate::ResumableCallOutOfFuel::snapshot)).
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Reference`] if a table or a global of its own refers to a function that is not in the module's index space, or to
    /// a value of the host's; [`WrongStore`](crate::WrongStore).
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        let store = store.as_context();
        let id = self.id_in(store.opaque())?;
        Snapshot::of(store.opaque(), id)
    }

    /// Makes the instance what a snapshot says. Its code and all handles stay, what it imports too; no start function runs.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the snapshot is of another module or none of an instance's; [`LimitError`] if the store's limits
    /// forbid its sizes; the host has no memory for it; [`WrongStore`](crate::WrongStore). Nothing has changed then, unless the host runs out of memory in the
    /// middle.
    pub fn restore(&self, mut store: impl AsContextMut, snapshot: &Snapshot) -> Result<()> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        apply(&mut store, id, snapshot)
    }
}

impl<T: 'static> InstancePre<T> {
    /// An instance that is what a snapshot says, but for a call that waits ([`InstancePre::restore_call`] has that): no start function runs. Its active segments go into what it imports, as
    /// for any instance.
    ///
    /// # Errors
    ///
    /// As for [`Instance::restore`] and [`InstancePre::instantiate`].
    pub fn restore(
        &self,
        mut store: impl AsContextMut<Data = T>,
        snapshot: &Snapshot,
    ) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let instance = self.new_for(&mut store, snapshot)?;
        instance.restore(&mut store, snapshot)?;
        Ok(instance)
    }

    /// An instance for a snapshot, which it is not yet.
    pub(crate) fn new_for(
        &self,
        store: &mut StoreContextMut<'_, T>,
        snapshot: &Snapshot,
    ) -> Result<Instance> {
        snapshot.check(self.module())?;
        let imports = self.imports(store);
        let (instance, _) = instantiate::without_start(store, self.module(), &imports)?;
        Ok(instance)
    }
}

/// How much fuel a store has left, if its guests consume some.
fn world_fuel(store: StoreOpaque<'_>) -> Option<u64> {
    let world = store.world();
    let fuel = world.fuel().saturating_add(world.fuel_reserve());
    store.engine().config().fuel().map(|_| fuel)
}

/// Those pieces that are not all zero, adjacent ones together.
fn pieces(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        if piece.iter().all(|byte| *byte == 0) {
            continue;
        }
        let start = (number * PIECE) as u64;
        match pieces.last_mut() {
            Some((at, last)) if *at + last.len() as u64 == start => last.extend_from_slice(piece),
            _ => pieces.push((start, piece.to_vec())),
        }
    }
    pieces
}

fn apply<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    id: InstanceId,
    snapshot: &Snapshot,
) -> Result<()> {
    let module = instantiate::module_of(store.opaque(), id)?.clone();
    snapshot.check(&module)?;
    let low = module.low();
    let mut memories = Vec::new();
    let types = low.memories().iter().skip(low.imported_memories() as usize);
    for (ty, contents) in types.zip(&snapshot.memories) {
        let ty = vm_memory::MemoryType::from(crate::types::MemoryType::from(*ty));
        memories.push(memory(store, &ty, contents)?);
    }
    let types = low.tables().iter().skip(low.imported_tables() as usize);
    for (ty, elements) in types.zip(&snapshot.tables) {
        let desired = elements.len() as u64;
        let fits = desired >= ty.minimum
            && ty.maximum.is_none_or(|maximum| desired <= maximum)
            && elements
                .iter()
                .all(|func| is_of(low, func.checked_sub(1), ty.element));
        if !fits {
            return Err(SnapshotError::Malformed.into());
        }
        if !(store.host_mut()).may_grow_table(ty.minimum, desired, ty.maximum)? {
            let what = table_of(desired);
            return Err(LimitError { what }.into());
        }
    }
    let globals = low.globals().iter().skip(low.imported_globals() as usize);
    let same = |(ty, value): (&low::GlobalType, &Value)| value.is_of(low, ty.content);
    if !globals.zip(&snapshot.globals).all(same) {
        return Err(SnapshotError::Malformed.into());
    }

    let world = store.world_mut();
    world.reset_instance(id, memories).map_err(Error::new)?;
    instantiate::fill_elements(world, &module, id)?;
    for (index, value) in (low.imported_globals()..).zip(&snapshot.globals) {
        let value = value.low(|func| world.instance_func(id, func));
        let global = world.instance_global(id, index);
        world.global_init(global, value).map_err(Error::new)?;
    }
    for (index, elements) in (low.imported_tables()..).zip(&snapshot.tables) {
        let table = world.instance_table(id, index);
        let first = world.table_size(table);
        let delta = elements.len() as u64 - first;
        // There may be no null in it, but then there is a function.
        let last = elements.last().copied().unwrap_or(0);
        let last = element(world, table, id, last);
        world.table_grow(table, delta, last).map_err(Error::new)?;
        for (at, func) in (0..).zip(elements) {
            // What the table started with is null, or else there is no null.
            if *func > 0 || at >= first {
                let func = element(world, table, id, *func);
                world.table_set(table, at, func).map_err(Error::new)?;
            }
        }
    }
    for (segment, _) in (0..)
        .zip(&snapshot.dropped_data)
        .filter(|(_, dropped)| **dropped)
    {
        world.data_drop(id, segment);
    }
    for (segment, _) in (0..)
        .zip(&snapshot.dropped_elements)
        .filter(|(_, dropped)| **dropped)
    {
        world.elem_drop(id, segment);
    }
    Ok(())
}

/// The element of a table that is a function, whose index plus one this is, or null.
fn element(world: &mut World, table: low::TableId, id: InstanceId, func: u32) -> low::Val {
    match func.checked_sub(1) {
        Some(func) => low::Val::FuncRef(Some(world.instance_func(id, func))),
        None => low::Val::null(world.table_type(table).element.heap),
    }
}

/// A new memory with these contents.
fn memory<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    ty: &vm_memory::MemoryType,
    contents: &MemoryContents,
) -> Result<vm_memory::LinearMemory> {
    let (Some(minimum), Some(desired)) = (ty.bytes(ty.minimum), ty.bytes(contents.pages)) else {
        return Err(SnapshotError::Malformed.into());
    };
    let delta = contents.pages.checked_sub(ty.minimum);
    let delta = delta.filter(|_| contents.pages <= ty.limit_pages());
    let delta = delta.ok_or(SnapshotError::Malformed)?;
    let maximum = ty.maximum.and_then(|pages| ty.bytes(pages));
    if delta > 0 && !(store.host_mut()).may_grow_memory(minimum, desired, maximum)? {
        let what = memory_of(desired);
        return Err(LimitError { what }.into());
    }
    let mut memory = memory::make(store.opaque(), ty, None)?.memory;
    memory.grow(delta)?;
    for (at, bytes) in &contents.pieces {
        memory
            .write(*at, bytes)
            .map_err(|_| SnapshotError::Malformed)?;
    }
    Ok(memory)
}
