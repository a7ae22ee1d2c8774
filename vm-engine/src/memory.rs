//! Memories.

use vm_memory::{GuardedMemory, Layout, LinearMemory, MemoryError, MemoryImage};

use crate::config::Bounds;
use crate::error::{Error, LimitError, MemoryAccessError, Result};
use crate::handles::Memory;
use crate::limits::memory_of;
use crate::low::MemoryId;
use crate::shared_memory;
use crate::store::{
    AsContext, AsContextMut, StoreContext, StoreContextMut, StoreFacts, StoreOpaque,
};
use crate::types::MemoryType;

impl Memory {
    /// A memory of the type's minimum size, zeroed.
    ///
    /// # Errors
    ///
    /// The host has not enough memory, or the store's limits forbid it; or the type contradicts
    /// itself.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        if ty.is_shared() {
            return Err(Error::msg(format!(
                "a {ty} belongs to no store: it is made by SharedMemory::new"
            )));
        }
        let id = create(&mut store, ty, None)?.id;
        Ok(Memory::new_in(store.opaque(), id))
    }

    /// Its type; the minimum is its present size.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        MemoryType::present(self.get(store.as_context().opaque()))
    }

    /// All bytes.
    pub fn data<'a, T: 'static>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        self.get(store.into().opaque()).data()
    }

    /// All bytes, to write to.
    pub fn data_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> &'a mut [u8] {
        self.data_and_store_mut(store).0
    }

    /// All bytes, to write to, and the host's data.
    pub fn data_and_store_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let store = store.into();
        let id = self.id_or_panic(store.opaque());
        let (world, _, data) = store.split();
        (world.memory_mut(id).data_mut(), data)
    }

    /// Copies from the memory into all of `buffer`.
    ///
    /// # Errors
    ///
    /// [`MemoryAccessError`] if the memory ends before; then `buffer` is unchanged. [`WrongStore`](crate::WrongStore).
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let store = store.as_context();
        let id = self.id_in(store.opaque())?;
        let memory = store.opaque().world().memory(id);
        memory
            .read(offset as u64, buffer)
            .map_err(MemoryAccessError)?;
        Ok(())
    }

    /// Copies all of `buffer` into the memory.
    ///
    /// # Errors
    ///
    /// [`MemoryAccessError`] if the memory ends before; then nothing was written. [`WrongStore`](crate::WrongStore).
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<()> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let mut memory = store.world_mut().memory_mut(id);
        memory
            .write(offset as u64, buffer)
            .map_err(MemoryAccessError)?;
        Ok(())
    }

    /// Its size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().opaque()).pages()
    }

    /// Bytes in a page.
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().opaque()).ty().page_size()
    }

    /// Its size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.get(store.as_context().opaque()).data().len()
    }

    /// How accesses of guests to it may be checked: [`Bounds::Guarded`] if it has guard pages.
    pub fn bounds(&self, store: impl AsContext) -> Bounds {
        Bounds::of(self.get(store.as_context().opaque()))
    }

    /// Adds `delta` zeroed pages, and returns how many there were before.
    ///
    /// # Errors
    ///
    /// Past the maximum, out of the host's memory, or forbidden by the store's limits; the memory
    /// is unchanged then. [`WrongStore`](crate::WrongStore).
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let mut store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let memory = store.opaque().world().memory(id);
        let ty = *memory.ty();
        let current = memory.byte_len();
        let desired = current.saturating_add(ty.bytes(delta).unwrap_or(u64::MAX));
        let maximum = ty.maximum.map(|pages| ty.bytes(pages).unwrap_or(u64::MAX));
        if !store
            .host_mut()
            .may_grow_memory(current, desired, maximum)?
        {
            let what = memory_of(desired);
            return Err(LimitError { what }.into());
        }
        let grown = store.world_mut().grow_memory(id, delta);
        if let Err(error) = grown {
            store.host_mut().memory_grow_failed(|| error.into())?;
        }
        Ok(grown?)
    }

    fn get<'a>(&self, store: StoreOpaque<'a>) -> &'a LinearMemory {
        store.world().memory(self.id_or_panic(store))
    }
}

/// A memory that has been made.
pub(crate) struct Created {
    pub(crate) id: MemoryId,
    /// Why it has no guard pages although the engine prefers them.
    pub(crate) note: Option<String>,
    /// Whether it starts with the image, not with zeroes.
    pub(crate) with_image: bool,
}

/// Makes a memory in a store: with guard pages if the store wants them and can have them, then with
/// the image, if the host can.
pub(crate) fn create<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    ty: MemoryType,
    image: Option<&MemoryImage>,
) -> Result<Created> {
    let low = vm_memory::MemoryType::from(ty);
    let bytes = low.bytes(low.minimum).unwrap_or(u64::MAX);
    let maximum = low
        .maximum
        .map(|pages| low.bytes(pages).unwrap_or(u64::MAX));
    store.host_mut().count_memory()?;
    if !store.host_mut().may_grow_memory(0, bytes, maximum)? {
        let what = memory_of(bytes);
        return Err(LimitError { what }.into());
    }
    let Made {
        memory,
        note,
        with_image,
    } = match ty.is_shared() {
        true => shared(store.opaque(), &low)?,
        false => make(store.opaque(), &low, image)?,
    };
    Ok(Created {
        id: store.world_mut().add_memory(memory),
        note,
        with_image,
    })
}

/// Makes a memory for a store's instance that threads share.
fn shared(store: StoreOpaque<'_>, ty: &vm_memory::MemoryType) -> Result<Made> {
    let layout = store.facts().guarded_layout();
    let (memory, note) = shared_memory::make(store.engine(), layout, ty)?;
    Ok(Made {
        memory: LinearMemory::Shared(memory),
        note,
        with_image: false,
    })
}

/// A memory that is in no store yet.
pub(crate) struct Made {
    pub(crate) memory: LinearMemory,
    note: Option<String>,
    pub(crate) with_image: bool,
}

/// Makes a memory for a store, whose limits allow it.
pub(crate) fn make(
    store: StoreOpaque<'_>,
    ty: &vm_memory::MemoryType,
    image: Option<&MemoryImage>,
) -> Result<Made> {
    let facts = store.facts();
    let ((memory, with_image), note) = store.engine().make_memory(
        ty,
        facts.guarded_layout(),
        |layout| {
            let (memory, with_image) = guarded(facts, ty, layout, image)?;
            Ok((LinearMemory::Guarded(memory), with_image))
        },
        || Ok((LinearMemory::new_bounded(ty)?, false)),
    )?;
    Ok(Made {
        memory,
        note,
        with_image,
    })
}

/// A guarded memory, and whether it has the image: without one if the host refuses it.
fn guarded(
    store: &StoreFacts,
    ty: &vm_memory::MemoryType,
    layout: Layout,
    image: Option<&MemoryImage>,
) -> Result<(GuardedMemory, bool), MemoryError> {
    let make = |image| match (store.pools(), image) {
        (Some(pools), image) => pools.memories.memory(ty, image),
        (None, Some(image)) => GuardedMemory::with_image(ty, layout, image),
        (None, None) => GuardedMemory::new(ty, layout),
    };
    match (make(image), image) {
        (Ok(memory), image) => Ok((memory, image.is_some())),
        (Err(_), Some(_)) => make(None).map(|memory| (memory, false)),
        (Err(error), None) => Err(error),
    }
}
