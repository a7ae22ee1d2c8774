//! Instantiation (core specification, §4.5.4).

use vm_memory::{Layout, MemoryImage};

use crate::config::Bounds;
use crate::engine::Engine;
use crate::error::{Error, InstantiateError, LinkError, Result, WrongStore};
use crate::externs::Extern;
use crate::handles::Instance;
use crate::low::{self, ConstOp, Entities, FuncId, InstanceId, World};
use crate::matching;
use crate::memory;
use crate::module::Module;
use crate::store::{InstanceData, StoreContextMut, StoreOpaque};
use crate::table;
use crate::types::TableType;

pub(crate) fn instantiate<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    imports: &[Extern],
) -> Result<Instance> {
    let (instance, start) = without_start(store, module, imports)?;
    if let Some(start) = start {
        store.call(start, &mut [])?;
    }
    Ok(instance)
}

/// The same up to the start function, which is still to be called.
pub(crate) fn without_start<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    imports: &[Extern],
) -> Result<(Instance, Option<FuncId>)> {
    if !Engine::same(store.engine(), module.engine()) {
        return Err(InstantiateError::EngineMismatch.into());
    }
    store.host_mut().count_instance()?;
    let mut entities = import(store, module, imports)?;
    let checks = add_memories(store, module, &mut entities)?;
    add_tables(store, module, &mut entities)?;
    add_globals(store.world_mut(), module, &mut entities)?;
    add_tags(store.world_mut(), module, &mut entities);

    let code = module.code(checks.unchecked)?;
    let id = store
        .world_mut()
        .instantiate(&code, entities)
        .map_err(InstantiateError::Machine)?;
    store.opaque_mut().facts.add_instance(
        id,
        InstanceData {
            module: module.clone(),
            bounds: checks.bounds,
            note: checks.note,
        },
    );

    Initializer {
        world: store.world_mut(),
        module: module.low(),
        id,
        with_image: checks.with_image,
    }
    .all()?;
    let start = start_of(store, module, id);
    Ok((Instance::new_in(store.opaque(), id), start))
}

/// Makes an instance what it was when it was new, and calls its start function.
pub(crate) fn reset<T: 'static>(store: &mut StoreContextMut<'_, T>, id: InstanceId) -> Result<()> {
    let module = module_of(store.opaque(), id)?.clone();
    let low = module.low();
    let resident = resident(store.opaque());
    no_shared_memory(low, "reset")?;
    // What may fail comes before what changes.
    let mut memories = Vec::new();
    let mut with_image = Vec::new();
    for (index, ty) in (0..)
        .zip(low.memories())
        .skip(low.imported_memories() as usize)
    {
        let ty = crate::types::MemoryType::from(*ty).into();
        let image = image_of(store.opaque(), &module, index, resident);
        let made = memory::make(store.opaque(), &ty, image)?;
        if made.with_image {
            with_image.push(index);
        }
        memories.push(made.memory);
    }
    let world = store.world_mut();
    world.reset_instance(id, memories).map_err(Error::new)?;
    Initializer {
        world,
        module: low,
        id,
        with_image,
    }
    .all()?;
    if let Some(start) = start_of(store, &module, id) {
        store.call(start, &mut [])?;
    }
    Ok(())
}

/// An error if an instance has a memory of its own that threads share: what is done with that only all of them together can know.
pub(crate) fn no_shared_memory(module: &low::Module, what: &str) -> Result<()> {
    let own = &module.memories()[module.imported_memories() as usize..];
    if own.iter().any(|memory| memory.shared) {
        return Err(Error::msg(format!(
            "the instance has a shared memory of its own, so it cannot be {what}: import the memory instead"
        )));
    }
    Ok(())
}

/// The module of an instance.
pub(crate) fn module_of(store: StoreOpaque<'_>, id: InstanceId) -> Result<&Module> {
    match store.facts().instance(id) {
        Some(data) => Ok(&data.module),
        None => Err(WrongStore.into()),
    }
}

/// The start function of an instance of the module.
fn start_of<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    id: InstanceId,
) -> Option<FuncId> {
    let start = module.low().start()?;
    Some(store.world_mut().instance_func(id, start))
}

/// Checks what was given against what the module imports, and sorts it by kind.
fn import<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    imports: &[Extern],
) -> Result<Entities> {
    let expected = module.imports();
    if expected.len() != imports.len() {
        return Err(LinkError::ImportCount {
            expected: expected.len(),
            found: imports.len(),
        }
        .into());
    }
    let mut entities = Entities::default();
    for (import, given) in expected.zip(imports) {
        let found = given.ty_in(store.opaque())?;
        matching::check(&import, found)?;
        let opaque = store.opaque();
        match given {
            Extern::Func(func) => entities.functions.push(func.id_in(opaque)?),
            Extern::Global(global) => entities.globals.push(global.id_in(opaque)?),
            Extern::Table(table) => entities.tables.push(table.id_in(opaque)?),
            Extern::Memory(memory) => entities.memories.push(memory.id_in(opaque)?),
            Extern::SharedMemory(memory) => {
                let id = store.world_mut().add_memory(memory.linear());
                entities.memories.push(id);
            }
            Extern::Tag(tag) => entities.tags.push(tag.id_in(opaque)?),
        }
    }
    Ok(entities)
}

/// How accesses to memory 0 are checked.
struct Checks {
    /// Whether code without checks may be used, and for which layout.
    unchecked: Option<Layout>,
    bounds: Bounds,
    note: Option<String>,
    /// The memories that have their initial data already.
    with_image: Vec<u32>,
}

/// Bytes that a pool keeps of a memory: they cost no fault to copy to.
fn resident(store: StoreOpaque<'_>) -> usize {
    let pools = store.facts().pools();
    pools.map_or(0, |pools| pools.keep_resident)
}

/// The initial contents of a memory, if it can be mapped with them.
fn image_of<'a>(
    store: StoreOpaque<'_>,
    module: &'a Module,
    index: u32,
    resident: usize,
) -> Option<&'a MemoryImage> {
    store.facts().guarded_layout()?;
    module.image(index, resident)
}

fn add_memories<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    entities: &mut Entities,
) -> Result<Checks> {
    let mut refused = None;
    let mut with_image = Vec::new();
    let resident = resident(store.opaque());
    let types = module.low().memories();
    for (index, ty) in types.iter().enumerate().skip(entities.memories.len()) {
        let ty = crate::types::MemoryType::from(*ty);
        let image = image_of(store.opaque(), module, index as u32, resident);
        let created = memory::create(store, ty, image).map_err(|error| match error
            .downcast::<vm_memory::MemoryError>(
        ) {
            Ok(reason) => InstantiateError::Memory {
                index: index as u32,
                ty,
                reason,
            }
            .into(),
            Err(error) => error,
        })?;
        entities.memories.push(created.id);
        if created.with_image {
            with_image.push(index as u32);
        }
        if index == 0 {
            refused = created.note;
        }
    }
    let engine = store.opaque().engine();
    let Some(layout) = store.opaque().facts().guarded_layout() else {
        let reason = store.opaque().facts().no_guards();
        return Ok(Checks {
            unchecked: None,
            bounds: Bounds::Software,
            with_image,
            note: reason.map(|reason| format!("Its bounds are checked in software: {reason}.")),
        });
    };
    let Some(first) = entities.memories.first() else {
        // Nothing to check, so the code is the one that eager translation made.
        return Ok(Checks {
            unchecked: Some(layout),
            bounds: Bounds::Guarded,
            note: None,
            with_image,
        });
    };
    let own = store.opaque().world().memory(*first).layout();
    if own.is_some_and(|own| own.guard_bytes() >= layout.guard_bytes()) {
        return Ok(Checks {
            unchecked: Some(layout),
            bounds: Bounds::Guarded,
            note: None,
            with_image,
        });
    }
    let reason = match refused {
        Some(reason) => format!("its memory has no guard pages: {reason}"),
        None => "the memory that it imports has no guard pages".to_owned(),
    };
    let guardable = store.opaque().world().memory(*first).ty().guardable();
    if !engine.may_fall_back() && guardable.is_ok() {
        // Only a memory made by the host can get here: one that no guard can check.
        return Err(Error::msg(format!(
            "bounds = guarded was asked for, but this instance cannot: {reason}"
        )));
    }
    Ok(Checks {
        unchecked: None,
        bounds: Bounds::Software,
        with_image,
        note: Some(format!("Its bounds are checked in software: {reason}.")),
    })
}

fn add_tables<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    entities: &mut Entities,
) -> Result<()> {
    for ty in module.low().tables().iter().skip(entities.tables.len()) {
        let ty = TableType::from(*ty);
        entities.tables.push(table::create(store, ty, None)?);
    }
    Ok(())
}

/// Adds the defined globals as zeroes. Their values may be references to the instance's functions,
/// which do not exist yet.
fn add_globals(world: &mut World, module: &Module, entities: &mut Entities) -> Result<()> {
    for ty in module.low().globals().iter().skip(entities.globals.len()) {
        let id = world.add_unset_global(*ty);
        entities.globals.push(id.map_err(Error::new)?);
    }
    Ok(())
}

/// Adds the defined tags.
fn add_tags(world: &mut World, module: &Module, entities: &mut Entities) {
    let module = module.low();
    for tag in entities.tags.len() as u32..module.tag_count() {
        entities.tags.push(world.add_tag(module.tag_type(tag)));
    }
}

/// Gives a new instance its first contents.
struct Initializer<'a> {
    world: &'a mut World,
    module: &'a low::Module,
    id: InstanceId,
    /// The memories that have their initial data already.
    with_image: Vec<u32>,
}

/// Gives the element segments of an instance their items.
pub(crate) fn fill_elements(world: &mut World, module: &Module, id: InstanceId) -> Result<()> {
    Initializer {
        world,
        module: module.low(),
        id,
        with_image: Vec::new(),
    }
    .items()
}

impl Initializer<'_> {
    fn all(&mut self) -> Result<()> {
        self.globals()?;
        self.tables()?;
        self.elements()?;
        self.data()
    }

    fn globals(&mut self) -> Result<()> {
        for index in 0..self.module.globals().len() as u32 {
            if let Some(expr) = self.module.global_init(index) {
                let value = self.eval(expr)?;
                let id = self.world.instance_global(self.id, index);
                self.world.global_init(id, value).map_err(Error::new)?;
            }
        }
        Ok(())
    }

    fn tables(&mut self) -> Result<()> {
        for index in 0..self.module.tables().len() as u32 {
            if let Some(expr) = self.module.table_init(index) {
                let value = self.eval(expr)?;
                // What is null is so already, and takes no memory.
                if value != low::Val::zero(value.ty()) {
                    let id = self.world.instance_table(self.id, index);
                    self.world.table_fill(id, value).map_err(Error::new)?;
                }
            }
        }
        Ok(())
    }

    /// Gives element segments their items.
    fn items(&mut self) -> Result<()> {
        for (index, segment) in (0..).zip(self.module.elem_segments()) {
            let values = segment.items.exprs().iter().map(|expr| self.eval(expr));
            let values = values.collect::<Result<Vec<_>>>()?;
            self.world
                .elem_init(self.id, index, &values)
                .map_err(InstantiateError::Machine)?;
        }
        Ok(())
    }

    fn elements(&mut self) -> Result<()> {
        let module = self.module;
        // All of them first: if an active one traps, functions that can be reached through tables
        // may still use the others.
        self.items()?;
        for (index, segment) in (0..).zip(module.elem_segments()) {
            match &segment.mode {
                low::ElemMode::Passive => continue,
                low::ElemMode::Declared => {}
                low::ElemMode::Active { table, offset } => {
                    let dst = self.offset(offset)?;
                    let len = segment.items.len() as u64;
                    self.world.table_init(self.id, *table, index, dst, 0, len)?;
                }
            }
            self.world.elem_drop(self.id, index);
        }
        Ok(())
    }

    fn data(&mut self) -> Result<()> {
        let module = self.module;
        for (index, segment) in (0..).zip(module.data_segments()) {
            if let low::DataMode::Active { memory, offset } = &segment.mode {
                if !self.with_image.contains(memory) {
                    let dst = self.offset(offset)?;
                    let len = segment.bytes.len() as u64;
                    self.world
                        .memory_init(self.id, *memory, index, dst, 0, len)?;
                }
                self.world.data_drop(self.id, index);
            }
        }
        Ok(())
    }

    /// An index or address, which is unsigned.
    fn offset(&mut self, expr: &low::ConstExpr) -> Result<u64> {
        match self.eval(expr)? {
            low::Val::I32(offset) => Ok(u64::from(offset.cast_unsigned())),
            low::Val::I64(offset) => Ok(offset.cast_unsigned()),
            _ => Err(not_constant()),
        }
    }

    fn eval(&mut self, expr: &low::ConstExpr) -> Result<low::Val> {
        if let [op] = expr.ops() {
            return self.constant(*op)?.ok_or_else(not_constant);
        }
        let mut stack = Vec::new();
        for op in expr.ops() {
            let value = match self.constant(*op)? {
                Some(value) => value,
                None => {
                    let (b, a) = (stack.pop(), stack.pop());
                    a.zip(b)
                        .and_then(|(a, b)| binary(*op, a, b))
                        .ok_or_else(not_constant)?
                }
            };
            stack.push(value);
        }
        match stack[..] {
            [value] => Ok(value),
            _ => Err(not_constant()),
        }
    }

    /// The value of an instruction that takes no operands; nothing for the others.
    fn constant(&mut self, op: ConstOp) -> Result<Option<low::Val>> {
        Ok(Some(match op {
            ConstOp::I32(value) => low::Val::I32(value),
            ConstOp::I64(value) => low::Val::I64(value),
            ConstOp::F32(bits) => low::Val::F32(bits),
            ConstOp::F64(bits) => low::Val::F64(bits),
            ConstOp::V128(bits) => low::Val::V128(bits),
            ConstOp::GlobalGet(index) => {
                let global = self.world.instance_global(self.id, index);
                self.world.global_get(global)
            }
            ConstOp::RefNull(ty) => low::Val::null(ty),
            ConstOp::RefFunc(index) => {
                let func = self.world.instance_func(self.id, index);
                low::Val::FuncRef(Some(func))
            }
            _ => return Ok(None),
        }))
    }
}

/// What an instruction with two operands computes; nothing if they are not its operands.
fn binary(op: ConstOp, a: low::Val, b: low::Val) -> Option<low::Val> {
    use low::Val::{I32, I64};
    Some(match (op, a, b) {
        (ConstOp::I32Add, I32(a), I32(b)) => I32(a.wrapping_add(b)),
        (ConstOp::I32Sub, I32(a), I32(b)) => I32(a.wrapping_sub(b)),
        (ConstOp::I32Mul, I32(a), I32(b)) => I32(a.wrapping_mul(b)),
        (ConstOp::I64Add, I64(a), I64(b)) => I64(a.wrapping_add(b)),
        (ConstOp::I64Sub, I64(a), I64(b)) => I64(a.wrapping_sub(b)),
        (ConstOp::I64Mul, I64(a), I64(b)) => I64(a.wrapping_mul(b)),
        _ => return None,
    })
}

/// Validation leaves only expressions of these instructions and of the right type.
fn not_constant() -> Error {
    Error::msg("a constant expression of the module is of a kind that is not supported")
}
