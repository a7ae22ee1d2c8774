//! Where the memories and stacks of stores come from: on demand, or from pools.

use vm_memory::{Layout, MemoryError, Pool, PoolConfig, StackPool};

use crate::low;

/// How memories, and the stacks on which guests run, are allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceAllocationStrategy {
    /// Each is asked of the host when it is made, and given back when its store is dropped.
    #[default]
    OnDemand,
    /// From a fixed number of slots that are reserved once and used again and again, so that making
    /// a store and an instance need no system call as a rule.
    ///
    /// Only memories with guard pages are pooled: this needs guarded bounds checks. Memories that
    /// no guard can check are made on demand.
    Pooling(PoolingAllocationConfig),
}

impl From<PoolingAllocationConfig> for InstanceAllocationStrategy {
    fn from(config: PoolingAllocationConfig) -> InstanceAllocationStrategy {
        InstanceAllocationStrategy::Pooling(config)
    }
}

/// The size of a pool, and what its unused slots keep.
///
/// When all slots are in use, making one more memory or store is an error that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolingAllocationConfig {
    total_memories: u32,
    total_stacks: u32,
    linear_memory_keep_resident: usize,
}

impl Default for PoolingAllocationConfig {
    fn default() -> PoolingAllocationConfig {
        PoolingAllocationConfig::new()
    }
}

impl PoolingAllocationConfig {
    /// The defaults: 1000 memories and 1000 stacks, 64 KiB of a memory stay resident.
    pub fn new() -> PoolingAllocationConfig {
        PoolingAllocationConfig {
            total_memories: 1000,
            total_stacks: 1000,
            linear_memory_keep_resident: 65536,
        }
    }

    /// How many memories can be in use at a time. Default: 1000.
    ///
    /// Each reserves as much address space as its layout takes, a little over 8 GiB by default, of
    /// which x86-64 has 128 TiB; when in use, each takes two mappings (`vm.max_map_count`), or three
    /// with copy-on-write data.
    pub fn total_memories(&mut self, count: u32) -> &mut Self {
        self.total_memories = count;
        self
    }

    /// How many stacks can be in use at a time: one for each store. Default: 1000.
    ///
    /// When in use, each takes two mappings, and address space as
    /// [`Config::max_wasm_stack`](crate::Config::max_wasm_stack) says.
    pub fn total_stacks(&mut self, count: u32) -> &mut Self {
        self.total_stacks = count;
        self
    }

    /// How many bytes from a memory's start are cleared by writing zeroes when it goes back to the
    /// pool; what is beyond is given back to the host. Default: 65536.
    ///
    /// Writing is cheaper than page faults when the slot is used again, but as much memory stays in
    /// use for every slot that has been used.
    pub fn linear_memory_keep_resident(&mut self, size: usize) -> &mut Self {
        self.linear_memory_keep_resident = size;
        self
    }

    pub(crate) fn memories(&self) -> u32 {
        self.total_memories
    }

    pub(crate) fn stacks(&self) -> u32 {
        self.total_stacks
    }
}

/// Settings of one store that differ from its engine's. See
/// [`Store::with_config`](crate::Store::with_config).
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    pub(crate) layout: Option<Layout>,
    pub(crate) allocation: Option<InstanceAllocationStrategy>,
}

impl StoreConfig {
    /// Nothing differs.
    pub fn new() -> StoreConfig {
        StoreConfig::default()
    }

    /// The layout of the store's guarded memories. Default: the engine's
    /// ([`Config::memory_layout`](crate::Config::memory_layout)).
    ///
    /// Code is translated once for each size of guard. A store with a layout of its own does not use
    /// the engine's pool, whose slots have the engine's layout.
    pub fn memory_layout(&mut self, layout: Layout) -> &mut Self {
        self.layout = Some(layout);
        self
    }

    /// How the store's memories and its stack are allocated: with
    /// [`OnDemand`](InstanceAllocationStrategy::OnDemand) not from the engine's pool, with
    /// [`Pooling`](InstanceAllocationStrategy::Pooling) from a pool of the store's own. Default: as
    /// the engine does.
    pub fn allocation_strategy(
        &mut self,
        strategy: impl Into<InstanceAllocationStrategy>,
    ) -> &mut Self {
        self.allocation = Some(strategy.into());
        self
    }
}

/// The pools of an engine or a store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) memories: Pool,
    pub(crate) stacks: StackPool,
    pub(crate) keep_resident: usize,
}

impl Pools {
    pub(crate) fn new(
        config: &PoolingAllocationConfig,
        layout: Layout,
        stack_bytes: usize,
    ) -> Result<Pools, MemoryError> {
        let keep_resident = config.linear_memory_keep_resident;
        let memories = PoolConfig::new(config.total_memories, layout).keep_resident(keep_resident);
        Ok(Pools {
            memories: Pool::new(memories)?,
            stacks: StackPool::new(config.total_stacks, stack_bytes, low::STACK_GUARD_BYTES)?,
            keep_resident,
        })
    }
}

/// Where a store's guarded memories and its stack come from.
#[derive(Clone, Debug)]
pub(crate) struct Supply {
    /// Of guarded memories, if code relies on them.
    pub(crate) layout: Option<Layout>,
    pub(crate) pools: Option<Pools>,
}
