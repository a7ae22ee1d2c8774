//! Memories, tables and globals of a machine, as its owner sees them.

use std::ptr::NonNull;

use vm_memory::{GrowError, LinearMemory, OutOfBounds, SharedMemory, WordTable};
use vm_translate::{GlobalType, HeapType, RefType, RegisteredType, TableType, TypeId, ValType};
use vm_trap::{Region, RegionClass};

use crate::context::{Context, MemoryCell, TableCell, Word};
use crate::machine::{EntityError, World};
use crate::value::{ExnId, FuncId, GlobalId, MemoryId, Raw, TableId, Val};

/// Elements that a table may have at most, whatever its type says: the limit that the JavaScript
/// API's specification gives (section "Implementation-defined Limits").
const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// The number of the next entity of a kind. Memory ends long before the numbers do.
pub(crate) fn next_id(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 entities of a kind")
}

pub(crate) struct Memory {
    pub(crate) linear: LinearMemory,
    /// The contexts of the instances whose memory 0 it is.
    users: Vec<NonNull<Context>>,
    cell: NonNull<MemoryCell>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.linear.shared().is_some() {
            // It is the memory's own.
            return;
        }
        // SAFETY: boxed in `new`, freed only here, with the machine and all who point to it.
        drop(unsafe { Box::from_raw(self.cell.as_ptr()) });
    }
}

impl Memory {
    fn new(linear: LinearMemory) -> Memory {
        let cell = match linear.shared() {
            Some(shared) => NonNull::from(shared.extent()),
            None => {
                let cell = MemoryCell {
                    base: linear.base_ptr(),
                    len: linear.byte_len().into(),
                };
                // SAFETY: a box is never null.
                unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(cell))) }
            }
        };
        Memory {
            linear,
            users: Vec::new(),
            cell,
        }
    }

    pub(crate) fn cell(&self) -> *mut MemoryCell {
        self.cell.as_ptr()
    }

    /// Makes it the memory 0 of one more instance.
    pub(crate) fn attach(&mut self, context: NonNull<Context>) {
        self.users.push(context);
        self.publish(self.users.len() - 1);
    }

    /// Adds pages, and tells the instances.
    pub(crate) fn grow(&mut self, delta: u64) -> Result<u64, GrowError> {
        let before = self.linear.grow(delta)?;
        if self.linear.shared().is_none() {
            self.tell();
        }
        Ok(before)
    }

    /// Puts another memory in its place, and tells the instances. Answers the old one.
    fn replace(&mut self, linear: LinearMemory) -> LinearMemory {
        let old = std::mem::replace(&mut self.linear, linear);
        self.tell();
        old
    }

    /// Tells all who use it where its bytes are now, and how many.
    fn tell(&mut self) {
        // SAFETY: the cell was boxed in `new`, lives as long as the memory, and is only accessed
        // through raw pointers, by whoever has the machine exclusively.
        unsafe {
            *self.cell.as_ptr() = MemoryCell {
                base: self.linear.base_ptr(),
                len: self.linear.byte_len().into(),
            };
        }
        self.publish(0);
    }

    /// Writes base and length to the contexts of the users from number `first` on.
    fn publish(&self, first: usize) {
        let len = match self.linear.shared() {
            Some(_) => 0,
            None => self.linear.byte_len(),
        };
        for context in &self.users[first..] {
            let context = context.as_ptr();
            // SAFETY: contexts live as long as the machine, and are only accessed through raw
            // pointers, by whoever has the machine exclusively.
            unsafe {
                (*context).memory_base = self.linear.base_ptr();
                (*context).memory_len = len;
            }
        }
    }
}

/// The bytes of a memory of a machine, to be written.
#[derive(Debug)]
pub struct MemoryMut<'a>(&'a mut LinearMemory);

impl<'a> MemoryMut<'a> {
    /// All accessible bytes.
    pub fn data_mut(self) -> &'a mut [u8] {
        self.0.data_mut()
    }

    /// Copies all of `bytes` into the memory, from byte `offset` on.
    ///
    /// # Errors
    ///
    /// The range is not inside the memory; then nothing was written.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.0.write(offset, bytes)
    }
}

pub(crate) struct Table {
    /// The element type and the limits; the minimum is that of the start.
    pub(crate) ty: TableType,
    /// The type that its elements refer to, if a module has defined it.
    _held: Option<RegisteredType>,
    words: WordTable,
    cell: NonNull<TableCell>,
}

impl Table {
    fn new(ty: TableType, init: Word) -> Result<Table, EntityError> {
        let held = hold(ty.element.into())?;
        let words = words(&ty, init)?;
        let cell = TableCell {
            elements: words.base_ptr(),
            len: words.len() as u64,
        };
        Ok(Table {
            ty,
            _held: held,
            words,
            // SAFETY: a box is never null.
            cell: unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(cell))) },
        })
    }

    pub(crate) fn cell(&self) -> *mut TableCell {
        self.cell.as_ptr()
    }

    pub(crate) fn len(&self) -> u64 {
        self.words.len() as u64
    }

    pub(crate) fn elements(&self) -> &[Word] {
        self.words.as_slice()
    }

    pub(crate) fn elements_mut(&mut self) -> &mut [Word] {
        self.words.as_mut_slice()
    }

    /// The size after growth by `delta`, if the table may have it.
    pub(crate) fn grown(&self, delta: u64) -> Result<u64, EntityError> {
        let elements = self.len().saturating_add(delta);
        if elements > self.words.limit() as u64 {
            return Err(EntityError::TableSize { elements });
        }
        Ok(elements)
    }

    /// What it was made of: null elements of its first size.
    pub(crate) fn new_words(&self) -> Result<WordTable, EntityError> {
        words(&self.ty, 0)
    }

    /// Exchanges its elements for these.
    pub(crate) fn replace(&mut self, words: WordTable) {
        self.words = words;
        self.tell();
    }

    /// Adds elements; answers how many there were.
    pub(crate) fn grow(&mut self, delta: u64, init: Word) -> Result<u64, EntityError> {
        let elements = self.grown(delta)?;
        // At most the limit.
        let before = self.words.grow(delta as usize, init);
        let before = before.map_err(|_| EntityError::TableSize { elements })?;
        self.tell();
        Ok(before as u64)
    }

    /// Tells all who use it where its elements are now, and how many.
    fn tell(&mut self) {
        // SAFETY: the cell was boxed in `new`, lives as long as the table, and is only accessed
        // through raw pointers, by whoever has the machine exclusively.
        unsafe {
            *self.cell.as_ptr() = TableCell {
                elements: self.words.base_ptr(),
                len: self.len(),
            };
        }
    }
}

/// Holds the type defined by a module that a type of an entity refers to: numbers of types mean something only while somebody does.
fn hold(ty: ValType) -> Result<Option<RegisteredType>, EntityError> {
    match ty {
        ValType::Ref(RefType {
            heap: HeapType::Concrete(id),
            ..
        }) => match RegisteredType::of(id) {
            Some(held) => Ok(Some(held)),
            None => Err(EntityError::UnknownType(ty)),
        },
        _ => Ok(None),
    }
}

/// The elements of a new table.
fn words(ty: &TableType, init: Word) -> Result<WordTable, EntityError> {
    let limit = ty.maximum.unwrap_or(u64::MAX).min(MAX_TABLE_ELEMENTS);
    let elements = ty.minimum;
    let too_large = EntityError::TableSize { elements };
    if elements > limit {
        return Err(too_large);
    }
    // Both are at most `MAX_TABLE_ELEMENTS`.
    WordTable::new(elements as usize, init, limit as usize).map_err(|_| too_large)
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: boxed in `new`, freed only here, with the machine and all who point to it.
        drop(unsafe { Box::from_raw(self.cell.as_ptr()) });
    }
}

pub(crate) struct Global {
    pub(crate) ty: GlobalType,
    /// The type that it refers to, if a module has defined it.
    _held: Option<RegisteredType>,
    /// The value: of a vector both words, of everything else the first.
    cell: NonNull<[Word; 2]>,
}

impl Global {
    /// Zero, or null.
    pub(crate) fn reset(&mut self) {
        // SAFETY: the cell lives as long as the global, and is only accessed through raw pointers, by whoever has the machine
        // exclusively.
        unsafe { *self.cell.as_ptr() = [0; 2] };
    }

    pub(crate) fn cell(&self) -> *mut Word {
        self.cell.as_ptr().cast()
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        // SAFETY: boxed in `World::add_global`, freed only here, with the machine and all who
        // point to it.
        drop(unsafe { Box::from_raw(self.cell.as_ptr()) });
    }
}

impl World {
    /// Adds a memory. From now on only the machine grows it, unless threads share it. One of those is added once:
    /// the next time, the answer is the same.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² memories already.
    pub fn add_memory(&mut self, memory: LinearMemory) -> MemoryId {
        if let Some(shared) = memory.shared()
            && let Some(known) = self.shared_memory(shared)
        {
            return known;
        }
        let id = next_id(self.memories.len());
        if let Some(range) = memory.reservation() {
            let class = RegionClass::Memory;
            self.regions()
                .insert(Region { range, class })
                .expect("a reservation holds addresses that no other reservation holds");
        }
        self.memories.push(Memory::new(memory));
        MemoryId(id)
    }

    fn shared_memory(&self, memory: &SharedMemory) -> Option<MemoryId> {
        let same = |known: &Memory| {
            known
                .linear
                .shared()
                .is_some_and(|known| known.same(memory))
        };
        let at = self.memories.iter().position(same)?;
        Some(MemoryId(at as u32))
    }

    /// Puts a memory of the same type, with at least its guard if it has one, in another's place.
    pub(crate) fn replace_memory(&mut self, id: MemoryId, memory: LinearMemory) {
        if let Some(range) = memory.reservation() {
            let class = RegionClass::Memory;
            self.regions()
                .insert(Region { range, class })
                .expect("a reservation holds addresses that no other reservation holds");
        }
        let old = self.memories[id.index()].replace(memory);
        if let Some(range) = old.reservation() {
            self.regions().remove(&range);
        }
    }

    /// A memory, to be read.
    ///
    /// # Panics
    ///
    /// If the machine has no memory of this number.
    pub fn memory(&self, id: MemoryId) -> &LinearMemory {
        &self.memories[id.index()].linear
    }

    /// A memory, to be written.
    ///
    /// # Panics
    ///
    /// If the machine has no memory of this number.
    pub fn memory_mut(&mut self, id: MemoryId) -> MemoryMut<'_> {
        MemoryMut(&mut self.memories[id.index()].linear)
    }

    /// Adds `delta` zeroed pages to a memory, and answers how many it had. Does not ask
    /// [`Host::memory_growing`](crate::Host::memory_growing).
    ///
    /// # Errors
    ///
    /// Past the maximum, or the host has no memory left; then nothing has changed.
    ///
    /// # Panics
    ///
    /// If the machine has no memory of this number.
    pub fn grow_memory(&mut self, id: MemoryId, delta: u64) -> Result<u64, GrowError> {
        self.memories[id.index()].grow(delta)
    }

    /// Adds a table of the type's minimum size.
    ///
    /// # Errors
    ///
    /// If `init` is not of the element type, or the table is too large.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² tables already.
    pub fn add_table(&mut self, ty: TableType, init: Val) -> Result<TableId, EntityError> {
        let init = self.word(ty.element.into(), &init)?;
        self.push_table(ty, init)
    }

    /// Adds a table of nulls, even if its type has none: for those that are filled with what can be computed only once the
    /// instance is there that they are made for.
    ///
    /// # Errors
    ///
    /// If the table is too large.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² tables already.
    pub fn add_unset_table(&mut self, ty: TableType) -> Result<TableId, EntityError> {
        self.push_table(ty, 0)
    }

    fn push_table(&mut self, ty: TableType, init: Word) -> Result<TableId, EntityError> {
        let table = Table::new(ty, init)?;
        let id = next_id(self.tables.len());
        self.tables.push(table);
        Ok(TableId(id))
    }

    /// The type that a table was made with.
    ///
    /// # Panics
    ///
    /// In this and the other methods on tables: if the machine has no table of this number.
    pub fn table_type(&self, id: TableId) -> &TableType {
        &self.tables[id.index()].ty
    }

    /// How many elements a table has.
    pub fn table_size(&self, id: TableId) -> u64 {
        self.tables[id.index()].len()
    }

    /// An element of a table, or nothing past its end.
    pub fn table_get(&self, id: TableId, index: u64) -> Option<Val> {
        let table = &self.tables[id.index()];
        let word = *table.elements().get(usize::try_from(index).ok()?)?;
        Some(self.from_raw(table.ty.element.into(), Raw(word)))
    }

    /// Sets an element of a table.
    ///
    /// # Errors
    ///
    /// Past the table's end, or if the value is not of the element type.
    pub fn table_set(&mut self, id: TableId, index: u64, value: Val) -> Result<(), EntityError> {
        let word = self.word(self.tables[id.index()].ty.element.into(), &value)?;
        let table = &mut self.tables[id.index()];
        let len = table.len();
        match usize::try_from(index) {
            Ok(at) if index < len => table.elements_mut()[at] = word,
            _ => return Err(EntityError::TableIndex { index, len }),
        }
        Ok(())
    }

    /// Sets all elements of a table.
    ///
    /// # Errors
    ///
    /// If the value is not of the element type.
    pub fn table_fill(&mut self, id: TableId, value: Val) -> Result<(), EntityError> {
        let word = self.word(self.tables[id.index()].ty.element.into(), &value)?;
        self.tables[id.index()].elements_mut().fill(word);
        Ok(())
    }

    /// Adds `delta` elements to a table, and answers how many it had. Does not ask
    /// [`Host::table_growing`](crate::Host::table_growing).
    ///
    /// # Errors
    ///
    /// If the value is not of the element type, or the table would be too large.
    pub fn table_grow(&mut self, id: TableId, delta: u64, init: Val) -> Result<u64, EntityError> {
        let word = self.word(self.tables[id.index()].ty.element.into(), &init)?;
        self.tables[id.index()].grow(delta, word)
    }

    /// Adds a global.
    ///
    /// # Errors
    ///
    /// If the value is not of the global's type.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² globals already.
    pub fn add_global(&mut self, ty: GlobalType, value: Val) -> Result<GlobalId, EntityError> {
        let words = self.words(ty.content, &value)?;
        self.push_global(ty, words)
    }

    /// Adds a global that is zero, or null even if its type has no null: for those whose first value can be computed only once the
    /// instance is there that they are made for, and which is then given to them by [`World::global_init`].
    ///
    /// # Errors
    ///
    /// If the type refers to one that nobody holds.
    ///
    /// # Panics
    ///
    /// If the machine has 2³² globals already.
    pub fn add_unset_global(&mut self, ty: GlobalType) -> Result<GlobalId, EntityError> {
        self.push_global(ty, [0; 2])
    }

    fn push_global(&mut self, ty: GlobalType, words: [Word; 2]) -> Result<GlobalId, EntityError> {
        let held = hold(ty.content)?;
        let id = next_id(self.globals.len());
        // SAFETY: a box is never null.
        let cell = unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(words))) };
        self.globals.push(Global {
            ty,
            _held: held,
            cell,
        });
        Ok(GlobalId(id))
    }

    /// A global's type.
    ///
    /// # Panics
    ///
    /// In this and the other methods on globals: if the machine has no global of this number.
    pub fn global_type(&self, id: GlobalId) -> &GlobalType {
        &self.globals[id.index()].ty
    }

    /// A global's value.
    pub fn global_get(&self, id: GlobalId) -> Val {
        let global = &self.globals[id.index()];
        // SAFETY: the cell lives as long as the machine, and is written only by whoever has the
        // machine exclusively.
        let words = unsafe { *global.cell.as_ptr() };
        self.read_raw(global.ty.content, &words.map(Raw))
    }

    /// Sets a global.
    ///
    /// # Errors
    ///
    /// If the global is immutable, or the value is not of its type.
    pub fn global_set(&mut self, id: GlobalId, value: Val) -> Result<(), EntityError> {
        if !self.globals[id.index()].ty.mutable {
            return Err(EntityError::Immutable);
        }
        self.global_init(id, value)
    }

    /// Sets a global whether or not it is mutable: for first values that refer to functions of the
    /// instance that the global is made for, and so can be computed only once the instance is there.
    ///
    /// # Errors
    ///
    /// If the value is not of the global's type.
    pub fn global_init(&mut self, id: GlobalId, value: Val) -> Result<(), EntityError> {
        let global = &self.globals[id.index()];
        let words = self.words(global.ty.content, &value)?;
        // SAFETY: the cell lives as long as the machine, which is borrowed exclusively.
        unsafe { *global.cell.as_ptr() = words };
        Ok(())
    }

    /// A value as a word; of a vector, which takes two, the low one.
    ///
    /// # Panics
    ///
    /// If it is a reference to a function that the machine does not have.
    pub fn to_raw(&self, value: &Val) -> Raw {
        let words = self.words(value.ty(), value);
        Raw(words.expect("a reference to a function of this machine")[0])
    }

    /// Writes a value to the first of some slots: as many as a value of its type takes.
    ///
    /// # Panics
    ///
    /// If there are fewer, or it is a reference to a function that the machine does not have.
    pub fn write_raw(&self, value: &Val, slots: &mut [Raw]) {
        let words = self.words(value.ty(), value);
        let words = words.expect("a reference to a function of this machine");
        let count = value.ty().slots() as usize;
        slots[..count].copy_from_slice(&words.map(Raw)[..count]);
    }

    /// Reads a value of a type from the first of some slots, as [`World::from_raw`] does.
    ///
    /// # Panics
    ///
    /// If there are fewer than a value of the type takes.
    pub fn read_raw(&self, ty: ValType, slots: &[Raw]) -> Val {
        match ty {
            ValType::V128 => Val::V128(u128::from(slots[0].0) | u128::from(slots[1].0) << 64),
            ty => self.from_raw(ty, slots[0]),
        }
    }

    /// A word as a value of a type. A word that is no reference of this machine's is read as null,
    /// and a vector, which takes two words, has the word as its low one.
    pub fn from_raw(&self, ty: ValType, raw: Raw) -> Val {
        match ty {
            ValType::I32 => Val::I32(raw.i32()),
            ValType::I64 => Val::I64(raw.i64()),
            ValType::F32 => Val::F32(raw.0 as u32),
            ValType::F64 => Val::F64(raw.0),
            ValType::V128 => Val::V128(raw.0.into()),
            ValType::Ref(ty) => match ty.heap.top() {
                HeapType::Extern => {
                    Val::ExternRef(raw.0.checked_sub(1).and_then(|n| u32::try_from(n).ok()))
                }
                HeapType::Exn => Val::ExnRef(self.hold(raw.0)),
                _ => Val::FuncRef(self.func_of(raw.0)),
            },
        }
    }

    /// The function that a word refers to, if it does.
    fn func_of(&self, word: Word) -> Option<FuncId> {
        let object = self.objects.find(word)?;
        // SAFETY: `find` answers addresses of live objects, whose id nobody changes.
        Some(FuncId(unsafe { (*object.as_ptr()).id }))
    }

    /// The least type that a value has. A function that the machine does not have is one of any type.
    pub fn type_of(&self, value: &Val) -> ValType {
        let ty = match *value {
            Val::FuncRef(None) => RefType::new(true, HeapType::NoFunc),
            Val::FuncRef(Some(func)) => {
                let heap = match self.functions.get(func.index()) {
                    Some(function) => HeapType::Concrete(function.ty.id()),
                    None => HeapType::Func,
                };
                RefType::new(false, heap)
            }
            Val::ExternRef(None) => RefType::new(true, HeapType::NoExtern),
            Val::ExternRef(Some(_)) => RefType::new(false, HeapType::Extern),
            Val::ExnRef(None) => RefType::new(true, HeapType::NoExn),
            Val::ExnRef(Some(_)) => RefType::new(false, HeapType::Exn),
            number => return number.ty(),
        };
        ty.into()
    }

    /// A reference that has to be of a type, as a word.
    pub(crate) fn word(&self, expected: ValType, value: &Val) -> Result<Word, EntityError> {
        self.words(expected, value).map(|words| words[0])
    }

    /// A value that has to be of a type, as words. All but vectors have only the first.
    pub(super) fn words(&self, expected: ValType, value: &Val) -> Result<[Word; 2], EntityError> {
        self.words_with(expected, value, |id| self.exn_word(id))
    }

    /// The same, where `exn_word` says what a reference to an exception is for guests.
    pub(super) fn words_with(
        &self,
        expected: ValType,
        value: &Val,
        exn_word: impl FnOnce(ExnId) -> Option<Word>,
    ) -> Result<[Word; 2], EntityError> {
        // Most are of the plainest types, which need no look at what they refer to.
        if value.ty() != expected {
            let got = self.type_of(value);
            if !got.matches(expected) {
                return Err(EntityError::Type { expected, got });
            }
        }
        let low = match *value {
            Val::V128(bits) => return Ok([bits as u64, (bits >> 64) as u64]),
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(bits) => bits.into(),
            Val::F64(bits) => bits,
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => 0,
            Val::ExnRef(Some(id)) => exn_word(id).ok_or(EntityError::UnknownException)?,
            Val::FuncRef(Some(FuncId(func))) => match self.functions.get(func as usize) {
                Some(function) => function.word(),
                None => return Err(EntityError::UnknownFunction { func }),
            },
            Val::ExternRef(Some(number)) => u64::from(number) + 1,
        };
        Ok([low, 0])
    }

    /// Whether a word that came from a host is a reference of a type.
    fn admits(&self, ty: RefType, word: Word) -> bool {
        if word == 0 {
            return ty.nullable;
        }
        match ty.heap {
            HeapType::NoFunc | HeapType::NoExtern | HeapType::NoExn => false,
            HeapType::Exn => self.exception_at(word).is_some(),
            HeapType::Extern => true,
            HeapType::Func => self.objects.find(word).is_some(),
            HeapType::Concrete(id) => self.is_func_of(word, id),
        }
    }

    /// Whether a word is a reference to a function of a type.
    pub(crate) fn is_func_of(&self, word: Word, ty: TypeId) -> bool {
        let func = self.func_of(word);
        func.is_some_and(|func| self.functions[func.index()].ty.is_subtype_of(ty))
    }

    /// Makes words that came from a host words that guests may have: 32-bit integers with a clear
    /// upper half, and references of this machine only.
    pub(crate) fn admit(&self, types: &[ValType], words: &mut [Raw]) -> Result<(), usize> {
        let mut slot = 0;
        for (i, ty) in types.iter().enumerate() {
            let word = &mut words[slot];
            slot += ty.slots() as usize;
            match ty {
                ValType::I32 | ValType::F32 => word.0 &= u64::from(u32::MAX),
                ValType::Ref(ty) if !self.admits(*ty, word.0) => return Err(i),
                _ => {}
            }
        }
        Ok(())
    }
}
