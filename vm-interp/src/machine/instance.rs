//! Instances: contexts, and the checks that make them sound.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

use vm_memory::LinearMemory;
use vm_translate::{ExternKind, GlobalType, MemoryType, TableType};
use vm_trap::TrapCode;

use crate::code::Code;
use crate::context::{Context, FuncObject, MemoryCell, TableCell, Word};
use crate::machine::entities::next_id;
use crate::machine::{InstantiateError, World};
use crate::value::{FuncId, GlobalId, InstanceId, MemoryId, TableId, TagId, Val};

/// What an instance is made of.
///
/// Of tables, memories and globals, the whole index spaces, imported and defined: whoever
/// instantiates makes the defined ones first.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    /// The imported functions.
    pub functions: Vec<FuncId>,
    /// All tables.
    pub tables: Vec<TableId>,
    /// All memories.
    pub memories: Vec<MemoryId>,
    /// All globals. Those whose first value refers to a function of the instance are given it after
    /// instantiation, by [`World::global_init`].
    pub globals: Vec<GlobalId>,
    /// All tags.
    pub tags: Vec<TagId>,
}

pub(crate) struct Instance {
    context: NonNull<Context>,
    pub(crate) code: Arc<Code>,
    /// Of every function of the module, its object, once someone has asked for it.
    functions: Vec<Option<FuncId>>,
    pub(crate) tables: Vec<TableId>,
    pub(crate) memories: Vec<MemoryId>,
    globals: Vec<GlobalId>,
    pub(crate) tags: Vec<TagId>,
    /// The element segments; empty when dropped.
    pub(crate) elements: Vec<Box<[Word]>>,
    /// Of every data segment, whether it has been dropped.
    dropped_data: Vec<bool>,
}

impl Instance {
    pub(crate) fn context(&self) -> *mut Context {
        self.context.as_ptr()
    }

    /// What `memory.init` sees of a data segment.
    pub(crate) fn data(&self, segment: u32) -> &[u8] {
        let module = self.code.module();
        match module.data_segments().get(segment as usize) {
            Some(data) if !self.dropped_data[segment as usize] => module.data(data),
            _ => &[],
        }
    }

    pub(crate) fn drop_data(&mut self, segment: u32) {
        if let Some(dropped) = self.dropped_data.get_mut(segment as usize) {
            *dropped = true;
        }
    }

    pub(crate) fn drop_elements(&mut self, segment: u32) {
        if let Some(elements) = self.elements.get_mut(segment as usize) {
            *elements = Box::default();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let words = self.code.context_words();
        let blob = std::ptr::slice_from_raw_parts_mut(self.context.as_ptr().cast::<Word>(), words);
        // SAFETY: made from a box of as many words in `World::new_context`.
        drop(unsafe { Box::from_raw(blob) });
    }
}

impl World {
    /// Makes an instance. Runs nothing: active segments and the start function are up to the
    /// caller.
    ///
    /// # Errors
    ///
    /// If the code is for the other executor, or if the entities are not those that the module
    /// says: every number and every type is checked. With [`CodeOptions::unchecked`], memory 0 must
    /// be guarded with at least that layout, and the machine's value stack guarded too.
    ///
    /// [`CodeOptions::unchecked`]: crate::CodeOptions::unchecked
    ///
    /// # Panics
    ///
    /// If the machine has 2³² instances already.
    pub fn instantiate(
        &mut self,
        code: &Arc<Code>,
        entities: Entities,
    ) -> Result<InstanceId, InstantiateError> {
        let threading = code.options().threading;
        if threading != self.config.threading {
            return Err(InstantiateError::Threading {
                code: threading,
                machine: self.config.threading,
            });
        }
        if code.options().unchecked.is_some() && !self.config.guarded_stack {
            return Err(InstantiateError::StackGuard);
        }
        self.check(code, &entities)?;

        let id = InstanceId(next_id(self.instances.len()));
        let context = self.new_context(code, &entities, id);
        if let Some(memory) = entities.memories.first() {
            self.memories[memory.index()].attach(context);
        }
        let mut functions = vec![None; code.module().func_count() as usize];
        for (slot, import) in functions.iter_mut().zip(&entities.functions) {
            *slot = Some(*import);
        }
        self.instances.push(Instance {
            context,
            code: Arc::clone(code),
            functions,
            tables: entities.tables,
            memories: entities.memories,
            globals: entities.globals,
            tags: entities.tags,
            elements: vec![Box::default(); code.module().elem_segments().len()],
            dropped_data: vec![false; code.module().data_segments().len()],
        });
        Ok(id)
    }

    /// Gives an element segment its items. Until then it is empty. If they are more than references to functions of the
    /// module, the values of their [expressions](vm_translate::ElemItems::exprs) have to be given, which may refer to
    /// functions of the instance; else none.
    ///
    /// # Errors
    ///
    /// If the module has no such segment, or one with another number or type of expressions.
    ///
    /// # Panics
    ///
    /// In this and the other methods on instances: if the machine has no instance of this number.
    pub fn elem_init(
        &mut self,
        id: InstanceId,
        segment: u32,
        values: &[Val],
    ) -> Result<(), InstantiateError> {
        let wrong = |message| Err(InstantiateError::Elements { segment, message });
        let code = Arc::clone(&self.instances[id.index()].code);
        let Some(expected) = code.module().elem_segments().get(segment as usize) else {
            return wrong("the module does not have it".to_owned());
        };
        let (got, exprs) = (values.len(), expected.items.exprs().len());
        if exprs != got {
            return wrong(format!(
                "it has {exprs} expressions, and {got} values were given"
            ));
        }
        let ty = expected.ty.into();
        let words: Result<Box<[Word]>, _> = match exprs {
            0 => Ok((expected.items.refs())
                .map(|func| func.map_or(0, |func| self.instance_func_word(id, func)))
                .collect()),
            _ => values.iter().map(|value| self.word(ty, value)).collect(),
        };
        match words {
            Ok(words) => self.instances[id.index()].elements[segment as usize] = words,
            Err(error) => return wrong(error.to_string()),
        }
        Ok(())
    }

    /// Makes an instance what it was before its first contents were given to it: its own memories, tables and globals are full of zeroes and of their
    /// first sizes, and it has all of its data segments. Element segments are empty until they are
    /// [given their items](World::elem_init). What it imports is left alone. `memories` are new ones in place of its own.
    ///
    /// # Errors
    ///
    /// If the memories are not of the types of the instance's, or a guard is smaller than that of the memory before; then nothing has changed.
    ///
    /// # Panics
    ///
    /// If the machine has no instance of this number.
    pub fn reset_instance(
        &mut self,
        id: InstanceId,
        memories: Vec<LinearMemory>,
    ) -> Result<(), InstantiateError> {
        let instance = &self.instances[id.index()];
        let code = Arc::clone(&instance.code);
        let module = code.module();
        let own = instance.memories[module.imported_memories() as usize..].to_vec();
        if own.len() != memories.len() {
            return Err(InstantiateError::Count {
                kind: ExternKind::Memory,
                expected: own.len(),
                got: memories.len(),
            });
        }
        let guard = |memory: &LinearMemory| memory.layout().map(|layout| layout.guard_bytes());
        for (index, (old, new)) in own.iter().zip(&memories).enumerate() {
            let old = &self.memories[old.index()].linear;
            let shared = old.shared().is_some() || new.shared().is_some();
            if old.ty() != new.ty() || guard(old) > guard(new) || shared {
                return Err(InstantiateError::Replacement { index });
            }
        }
        let tables = instance.tables[module.imported_tables() as usize..].to_vec();
        let words = tables
            .iter()
            .map(|table| self.tables[table.index()].new_words());
        let words: Vec<_> = words
            .collect::<Result<_, _>>()
            .map_err(InstantiateError::Table)?;
        for (old, new) in own.into_iter().zip(memories) {
            self.replace_memory(old, new);
        }
        let instance = &self.instances[id.index()];
        let globals = instance.globals[module.imported_globals() as usize..].to_vec();
        for (table, words) in tables.into_iter().zip(words) {
            self.tables[table.index()].replace(words);
        }
        for global in globals {
            self.globals[global.index()].reset();
        }
        let instance = &mut self.instances[id.index()];
        instance.elements.fill_with(Box::default);
        instance.dropped_data.fill(false);
        Ok(())
    }

    /// How many instances there are.
    pub fn instance_count(&self) -> u32 {
        self.instances.len() as u32
    }

    /// The code that an instance runs.
    pub fn instance_code(&self, id: InstanceId) -> &Arc<Code> {
        &self.instances[id.index()].code
    }

    /// A function of an instance, by its index in the module.
    ///
    /// # Panics
    ///
    /// If the machine has no instance of this number, or the module no such function.
    pub fn instance_func(&mut self, id: InstanceId, func: u32) -> FuncId {
        let instance = &self.instances[id.index()];
        if let Some(known) = instance.functions[func as usize] {
            return known;
        }
        let ty = instance.code.func_type(func).clone();
        let type_id = ty.number();
        let entry = instance.code.executor().entry(func).into();
        let context = instance.context();
        let function = self.add_function(ty, |id| FuncObject {
            entry,
            context,
            type_id,
            index: func,
            id,
        });
        self.instances[id.index()].functions[func as usize] = Some(function);
        function
    }

    /// The same as a reference.
    fn instance_func_word(&mut self, id: InstanceId, func: u32) -> Word {
        let FuncId(function) = self.instance_func(id, func);
        self.functions[function as usize].word()
    }

    /// A table of an instance, by its index in the module.
    ///
    /// # Panics
    ///
    /// In this and the next two methods: if the machine has no instance of this number, or the
    /// module no such entity.
    pub fn instance_table(&self, id: InstanceId, table: u32) -> TableId {
        self.instances[id.index()].tables[table as usize]
    }

    /// A memory of an instance, by its index in the module.
    pub fn instance_memory(&self, id: InstanceId, memory: u32) -> MemoryId {
        self.instances[id.index()].memories[memory as usize]
    }

    /// A global of an instance, by its index in the module.
    pub fn instance_global(&self, id: InstanceId, global: u32) -> GlobalId {
        self.instances[id.index()].globals[global as usize]
    }

    /// `memory.init`: copies `len` bytes of a data segment, from byte `src` on, to byte `dst` of a
    /// memory. Indices are those of the instance's module.
    ///
    /// # Errors
    ///
    /// [`TrapCode::MemoryOutOfBounds`] if a range is not inside the segment or the memory; then
    /// nothing was written.
    ///
    /// # Panics
    ///
    /// In this and the next three methods: if the machine has no instance of this number, or the
    /// module no such memory or table. A segment that the module does not have is empty.
    pub fn memory_init(
        &mut self,
        id: InstanceId,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let instance = &self.instances[id.index()];
        let range = super::runtime::range(src, len, instance.data(segment).len() as u64);
        let bytes = &instance.data(segment)[range.ok_or(TrapCode::MemoryOutOfBounds)?];
        let memory = &mut self.memories[instance.memories[memory as usize].index()];
        let written = memory.linear.write(dst, bytes);
        written.map_err(|_| TrapCode::MemoryOutOfBounds)
    }

    /// `table.init`: copies `len` items of an element segment, from item `src` on, to element `dst`
    /// of a table.
    ///
    /// # Errors
    ///
    /// [`TrapCode::TableOutOfBounds`] if a range is not inside the segment or the table; then
    /// nothing was written.
    pub fn table_init(
        &mut self,
        id: InstanceId,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let instance = &self.instances[id.index()];
        let items: &[Word] = instance.elements.get(segment as usize).map_or(&[], |s| s);
        let table = &mut self.tables[instance.tables[table as usize].index()];
        let segment_type = instance.code.module().elem_segments().get(segment as usize);
        if segment_type.is_some_and(|segment| !segment.ty.matches(table.ty.element)) {
            return Err(TrapCode::TableOutOfBounds);
        }
        let src = super::runtime::range(src, len, items.len() as u64);
        let dst = super::runtime::range(dst, len, table.len());
        let (Some(src), Some(dst)) = (src, dst) else {
            return Err(TrapCode::TableOutOfBounds);
        };
        table.elements_mut()[dst].copy_from_slice(&items[src]);
        Ok(())
    }

    /// `data.drop`: from now on a data segment is empty.
    pub fn data_drop(&mut self, id: InstanceId, segment: u32) {
        self.instances[id.index()].drop_data(segment);
    }

    /// Whether a data segment has been dropped. One that the module does not have has.
    pub fn is_data_dropped(&self, id: InstanceId, segment: u32) -> bool {
        let dropped = &self.instances[id.index()].dropped_data;
        dropped.get(segment as usize).copied().unwrap_or(true)
    }

    /// Whether an element segment is empty: because it has been dropped, or never had any items.
    pub fn is_elem_dropped(&self, id: InstanceId, segment: u32) -> bool {
        let elements = &self.instances[id.index()].elements;
        elements
            .get(segment as usize)
            .is_none_or(|items| items.is_empty())
    }

    /// The functions of an instance that somebody has referred to so far, with their indices in the module: of one that is imported
    /// several times the first.
    pub fn instance_funcs(&self, id: InstanceId) -> HashMap<FuncId, u32> {
        let functions = (0..).zip(&self.instances[id.index()].functions);
        let known = functions.filter_map(|(index, func)| Some(((*func)?, index)));
        // Later ones are put in first.
        let known: Vec<_> = known.collect();
        known.into_iter().rev().collect()
    }

    /// `elem.drop`: from now on an element segment is empty.
    pub fn elem_drop(&mut self, id: InstanceId, segment: u32) {
        self.instances[id.index()].drop_elements(segment);
    }

    /// A tag of an instance, by its index in the module.
    ///
    /// # Panics
    ///
    /// If the machine has no instance of this number, or the module no such tag.
    pub fn instance_tag(&self, id: InstanceId, tag: u32) -> TagId {
        self.instances[id.index()].tags[tag as usize]
    }

    /// A context that refers to checked entities.
    fn new_context(&self, code: &Code, entities: &Entities, id: InstanceId) -> NonNull<Context> {
        let words = code.context_words();
        let blob: Box<[Word]> = vec![0; words].into_boxed_slice();
        let context = Box::into_raw(blob).cast::<Word>().cast::<Context>();
        let layout = code.layout();
        // SAFETY: the blob has as many words as the layout needs for the counts of the module, which
        // the entities have been checked to match; words are as aligned as contexts; a box is never
        // null.
        unsafe {
            context.write(Context {
                memory_base: NonNull::dangling().as_ptr(),
                memory_len: 0,
                stack_limit: self.stack.limit(),
                runtime: self.runtime.as_ptr(),
                instance: id.0,
            });
            for (i, global) in entities.globals.iter().enumerate() {
                let at = context.byte_add(layout.global(i as u32) as usize);
                at.cast::<*mut Word>()
                    .write(self.globals[global.index()].cell());
            }
            for (i, table) in entities.tables.iter().enumerate() {
                let at = context.byte_add(layout.table(i as u32) as usize);
                at.cast::<*mut TableCell>()
                    .write(self.tables[table.index()].cell());
            }
            for (i, memory) in entities.memories.iter().enumerate() {
                let at = context.byte_add(layout.memory(i as u32) as usize);
                at.cast::<*mut MemoryCell>()
                    .write(self.memories[memory.index()].cell());
            }
            for (i, function) in entities.functions.iter().enumerate() {
                let at = context.byte_add(layout.function(i as u32) as usize);
                at.cast::<*mut FuncObject>()
                    .write(self.functions[function.index()].object.as_ptr());
            }
            NonNull::new_unchecked(context)
        }
    }

    /// Whether the entities are those that the module says.
    fn check(&self, code: &Code, entities: &Entities) -> Result<(), InstantiateError> {
        let module = code.module();
        let count = |kind, expected: usize, got: usize| {
            let wrong = InstantiateError::Count {
                kind,
                expected,
                got,
            };
            if expected == got { Ok(()) } else { Err(wrong) }
        };
        let imported = module.imported_funcs() as usize;
        count(ExternKind::Func, imported, entities.functions.len())?;
        count(
            ExternKind::Table,
            module.tables().len(),
            entities.tables.len(),
        )?;
        count(
            ExternKind::Memory,
            module.memories().len(),
            entities.memories.len(),
        )?;
        count(
            ExternKind::Global,
            module.globals().len(),
            entities.globals.len(),
        )?;
        let tags = module.tag_count() as usize;
        count(ExternKind::Tag, tags, entities.tags.len())?;

        let unknown = |(kind, index): (ExternKind, u32)| InstantiateError::Unknown { kind, index };
        let matches = |(kind, index): (ExternKind, u32), result: Result<(), String>| {
            result.map_err(|message| InstantiateError::Mismatch {
                kind,
                index,
                message,
            })
        };
        for (i, id) in (0..).zip(&entities.functions) {
            let at = (ExternKind::Func, i);
            let function = self.functions.get(id.index()).ok_or(unknown(at))?;
            let expected = code.func_type(i);
            let (found, wanted) = (function.ty.ty(), expected.ty());
            let message = || format!("its type is {found}, expected {wanted}");
            let fits = function.ty.is_subtype_of(expected.id());
            matches(at, if fits { Ok(()) } else { Err(message()) })?;
        }
        for (i, (id, expected)) in (0..).zip(entities.tables.iter().zip(module.tables())) {
            let at = (ExternKind::Table, i);
            let table = self.tables.get(id.index()).ok_or(unknown(at))?;
            matches(at, table_matches(&table.ty, table.len(), expected))?;
        }
        for (i, (id, expected)) in (0..).zip(entities.memories.iter().zip(module.memories())) {
            let at = (ExternKind::Memory, i);
            let memory = self.memories.get(id.index()).ok_or(unknown(at))?;
            matches(at, memory_matches(&memory.linear, expected))?;
            if i == 0
                && let Some(layout) = code.options().unchecked
            {
                let guarded = match memory.linear.layout() {
                    Some(own) if own.guard_bytes() >= layout.guard_bytes() => Ok(()),
                    Some(_) => Err("its guard is smaller than the code relies on".to_owned()),
                    None => Err("it is not guarded, and the code relies on a guard".to_owned()),
                };
                matches(at, guarded)?;
            }
        }
        for (i, (id, expected)) in (0..).zip(entities.globals.iter().zip(module.globals())) {
            let at = (ExternKind::Global, i);
            let global = self.globals.get(id.index()).ok_or(unknown(at))?;
            matches(at, global_matches(&global.ty, expected))?;
        }
        for (i, id) in (0..).zip(&entities.tags) {
            let at = (ExternKind::Tag, i);
            let found = self.registered_tag_type(*id).ok_or(unknown(at))?;
            let wanted = code.tag_type(i);
            let message = || format!("its type is {}, expected {}", found.ty(), wanted.ty());
            matches(at, (found == wanted).then_some(()).ok_or_else(message))?;
        }
        Ok(())
    }
}

/// Whether limits are inside the limits expected. Specification: "Matching", "Limits".
fn limits_match(
    (size, maximum): (u64, Option<u64>),
    expected: (u64, Option<u64>),
) -> Result<(), String> {
    if size < expected.0 {
        return Err(format!(
            "its size is {size}, expected at least {}",
            expected.0
        ));
    }
    match (maximum, expected.1) {
        (_, None) => Ok(()),
        (Some(maximum), Some(expected)) if maximum <= expected => Ok(()),
        (Some(maximum), Some(expected)) => Err(format!(
            "its maximum is {maximum}, expected at most {expected}"
        )),
        (None, Some(expected)) => Err(format!("it has no maximum, expected at most {expected}")),
    }
}

fn table_matches(ty: &TableType, size: u64, expected: &TableType) -> Result<(), String> {
    if ty.element != expected.element {
        return Err(format!(
            "its elements are of type {}, expected {}",
            ty.element, expected.element
        ));
    }
    if ty.table64 != expected.table64 {
        return Err("its indices have another width".to_owned());
    }
    limits_match((size, ty.maximum), (expected.minimum, expected.maximum))
}

fn memory_matches(memory: &LinearMemory, expected: &MemoryType) -> Result<(), String> {
    let ty = memory.ty();
    match (memory.shared().is_some(), expected.shared) {
        (true, false) => return Err("it is shared, expected one that is not".to_owned()),
        (false, true) => return Err("it is not shared, expected one that is".to_owned()),
        _ => {}
    }
    if ty.memory64 != expected.memory64 {
        return Err("its indices have another width".to_owned());
    }
    if ty.page_size_log2 != expected.page_size_log2 {
        return Err(format!(
            "its pages have 2^{} bytes, expected 2^{}",
            ty.page_size_log2, expected.page_size_log2
        ));
    }
    let size = (memory.pages(), ty.maximum);
    limits_match(size, (expected.minimum, expected.maximum))
}

fn global_matches(ty: &GlobalType, expected: &GlobalType) -> Result<(), String> {
    let fits = match expected.mutable {
        true => ty.content == expected.content,
        false => ty.content.matches(expected.content),
    };
    if !fits {
        return Err(format!(
            "it holds {}, expected {}",
            ty.content, expected.content
        ));
    }
    match (ty.mutable, expected.mutable) {
        (true, false) => Err("it is mutable, expected immutable".to_owned()),
        (false, true) => Err("it is immutable, expected mutable".to_owned()),
        _ => Ok(()),
    }
}
