//! Memories that threads share.

use std::cell::UnsafeCell;
use std::time::Duration;

use vm_memory::{AtomicError, Layout, LinearMemory, MemoryError, WaitResult};

use crate::config::Bounds;
use crate::engine::Engine;
use crate::error::{MemoryAccessError, Result};
use crate::types::MemoryType;
use crate::{Error, Trap};

/// A memory that any number of threads use at once, each with a store of its own.
///
/// It belongs to no store: it can be given to instances of any, and lives as long as one of its handles or an instance with it. To
/// clone it is to make another handle. Room for its maximum is reserved when it is made, so that its bytes never move, and growth by one
/// thread stops no other.
///
/// Guests of other threads may access its bytes at any time. So nobody is lent them as a slice: [`read`](Self::read) and
/// [`write`](Self::write) copy.
///
/// # Examples
///
/// Two threads count in one memory.
///
/// ```
/// use vm_engine::{Engine, Instance, MemoryType, Module, SharedMemory, Store};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, br#"(module
///   (import "env" "memory" (memory 1 1 shared))
///   (func (export "count") (param i32)
///     (loop
///       (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
///       (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#)?;
/// let memory = SharedMemory::new(&engine, MemoryType::shared(1, 1))?;
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let mut store = Store::new(&engine, ());
///             let instance = Instance::new(&mut store, &module, &[memory.clone().into()])?;
///             let count = instance.get_typed_func::<i32, ()>(&mut store, "count")?;
///             count.call(&mut store, 10_000)
///         });
///     }
/// });
/// let mut bytes = [0; 4];
/// memory.read(0, &mut bytes)?;
/// assert_eq!(u32::from_le_bytes(bytes), 20_000);
/// # Ok::<(), vm_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory(vm_memory::SharedMemory);

impl SharedMemory {
    /// A memory of the type's minimum size, zeroed. It has guard pages if the engine's memories have.
    ///
    /// # Errors
    ///
    /// The type is not of a shared memory ([`MemoryType::shared`]), or contradicts itself; or the host has not enough memory or address space.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        if !ty.is_shared() {
            return Err(Error::msg(format!(
                "a {ty} is not shared: its type has to be made by MemoryType::shared"
            )));
        }
        let made = make(engine, engine.guarded_layout(), &ty.into())?;
        Ok(SharedMemory(made.0))
    }

    /// Its type; the minimum is its present size.
    pub fn ty(&self) -> MemoryType {
        MemoryType::present(&self.linear())
    }

    /// Its size in pages.
    pub fn size(&self) -> u64 {
        self.0.pages()
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u64 {
        self.0.ty().page_size()
    }

    /// Its size in bytes.
    pub fn data_size(&self) -> usize {
        self.data().len()
    }

    /// How accesses of guests to it may be checked: [`Bounds::Guarded`] if it has guard pages.
    pub fn bounds(&self) -> Bounds {
        Bounds::of(&self.linear())
    }

    /// All bytes that there are now. Guests may change them at any time: who reads or writes one has to show that it is no data race.
    /// [`read`](Self::read) and [`write`](Self::write) need no such proof.
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        self.0.data()
    }

    /// Copies from the memory into all of `buffer`. What other threads write at the same time is seen in part.
    ///
    /// # Errors
    ///
    /// [`MemoryAccessError`] if the memory ends before; then `buffer` is unchanged.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let read = self.0.read(offset as u64, buffer);
        Ok(read.map_err(MemoryAccessError)?)
    }

    /// Copies all of `buffer` into the memory.
    ///
    /// # Errors
    ///
    /// [`MemoryAccessError`] if the memory ends before; then nothing was written.
    pub fn write(&self, offset: usize, buffer: &[u8]) -> Result<()> {
        let written = self.0.write(offset as u64, buffer);
        Ok(written.map_err(MemoryAccessError)?)
    }

    /// Adds `delta` zeroed pages, and returns how many there were before. No store is asked, since it belongs to none.
    ///
    /// # Errors
    ///
    /// Past the maximum, or out of the host's memory; the memory is unchanged then.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        Ok(self.0.grow(delta)?)
    }

    /// `memory.atomic.notify`: wakes threads that wait at an address, at most so many. Answers how many.
    ///
    /// # Errors
    ///
    /// [`Trap::MemoryOutOfBounds`], [`Trap::UnalignedAtomic`].
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32, Trap> {
        self.0.atomic_notify(address, count).map_err(trap)
    }

    /// `memory.atomic.wait32`: waits at an address until woken, if the value there is what is expected; without a time-out for ever.
    ///
    /// # Errors
    ///
    /// As for [`atomic_notify`](Self::atomic_notify).
    pub fn atomic_wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let waited = self.0.atomic_wait32(address, expected, timeout);
        waited.map_err(trap)
    }

    /// `memory.atomic.wait64`: the same for a value of 64 bits.
    ///
    /// # Errors
    ///
    /// As for [`atomic_notify`](Self::atomic_notify).
    pub fn atomic_wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let waited = self.0.atomic_wait64(address, expected, timeout);
        waited.map_err(trap)
    }

    /// The memory as machines know memories.
    pub(crate) fn linear(&self) -> LinearMemory {
        LinearMemory::Shared(self.0.clone())
    }

    /// The memory, if it is one that threads share.
    pub(crate) fn of(memory: &LinearMemory) -> Option<SharedMemory> {
        memory.shared().cloned().map(SharedMemory)
    }
}

/// Handles of the same memory are equal.
impl PartialEq for SharedMemory {
    fn eq(&self, other: &SharedMemory) -> bool {
        self.0.same(&other.0)
    }
}

impl Eq for SharedMemory {}

fn trap(error: AtomicError) -> Trap {
    match error {
        AtomicError::OutOfBounds(_) => Trap::MemoryOutOfBounds,
        AtomicError::Unaligned { .. } => Trap::UnalignedAtomic,
    }
}

/// Makes a memory, with guard pages of a layout if there is one, and says why it has none if it could have been.
pub(crate) fn make(
    engine: &Engine,
    layout: Option<Layout>,
    ty: &vm_memory::MemoryType,
) -> Result<(vm_memory::SharedMemory, Option<String>), MemoryError> {
    engine.make_memory(
        ty,
        layout,
        |layout| vm_memory::SharedMemory::new_guarded(ty, layout),
        || vm_memory::SharedMemory::new_bounded(ty),
    )
}
