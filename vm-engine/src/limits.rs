//! Limits on what guests of a store may use.

use crate::error::{Error, LimitError, Result};

/// How many instances [`StoreLimits`] allow unless they say otherwise.
pub const DEFAULT_INSTANCE_LIMIT: usize = 10_000;
/// How many tables [`StoreLimits`] allow unless they say otherwise.
pub const DEFAULT_TABLE_LIMIT: usize = 10_000;
/// How many memories [`StoreLimits`] allow unless they say otherwise.
pub const DEFAULT_MEMORY_LIMIT: usize = 10_000;

/// Decides whether memories and tables may grow, and what may be made. See
/// [`Store::limiter`](crate::Store::limiter).
///
/// An error ends the guest that wants to grow, and comes out of the call that the host made.
pub trait ResourceLimiter: Send {
    /// Whether a memory may go from `current` to `desired` bytes; `maximum` is what its type
    /// allows. A memory that is being made has 0 bytes. If not, the guest sees `memory.grow` fail.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// A memory could not grow although nobody forbade it: past its maximum, or the host has no
    /// memory left. The guest sees `memory.grow` fail, unless this is an error.
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// Whether a table may go from `current` to `desired` elements; `maximum` is what its type
    /// allows. A table that is being made has 0 elements. If not, the guest sees `table.grow` fail.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// A table could not grow although nobody forbade it. The guest sees `table.grow` fail, unless
    /// this is an error.
    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// How many instances the store may have.
    fn instances(&self) -> usize {
        DEFAULT_INSTANCE_LIMIT
    }

    /// How many tables the store may have.
    fn tables(&self) -> usize {
        DEFAULT_TABLE_LIMIT
    }

    /// How many memories the store may have.
    fn memories(&self) -> usize {
        DEFAULT_MEMORY_LIMIT
    }
}

/// Finds the limiter in the host's data.
pub(crate) type Limiter<T> =
    Box<dyn FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync + 'static>;

/// What happens when a deadline in epochs has come, see
/// [`Store::epoch_deadline_callback`](crate::Store::epoch_deadline_callback).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// The guest goes on, and the next deadline is so many epochs from now.
    Continue(u64),
    /// The same, but first an asynchronous call lets others run; any other call goes on at once.
    Yield(u64),
    /// The same as [`UpdateDeadline::Yield`] for an asynchronous call. One that can go on later
    /// ([`Func::call_resumable`](crate::Func::call_resumable)) stops, and any other goes on at once.
    Suspend(u64),
    /// The guest ends with [`Trap::Interrupt`](crate::Trap::Interrupt).
    Interrupt,
}

/// Says what happens when a deadline has come.
pub(crate) type EpochCallback<T> =
    Box<dyn FnMut(&mut T) -> Result<UpdateDeadline> + Send + Sync + 'static>;

/// Fixed limits, made by [`StoreLimitsBuilder`]. Without a setting, sizes are not limited, and
/// numbers are as in [`ResourceLimiter`].
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_INSTANCE_LIMIT,
            tables: DEFAULT_TABLE_LIMIT,
            memories: DEFAULT_MEMORY_LIMIT,
            trap_on_grow_failure: false,
        }
    }
}

impl StoreLimits {
    fn allow(
        &self,
        limit: Option<usize>,
        desired: usize,
        what: impl FnOnce() -> String,
    ) -> Result<bool> {
        match limit {
            Some(limit) if desired > limit && self.trap_on_grow_failure => {
                Err(LimitError { what: what() }.into())
            }
            Some(limit) => Ok(desired <= limit),
            None => Ok(true),
        }
    }

    fn failed(&self, error: Error) -> Result<()> {
        if self.trap_on_grow_failure {
            Err(error)
        } else {
            Ok(())
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.allow(self.memory_size, desired, || memory_of(desired))
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.allow(self.table_elements, desired, || table_of(desired))
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

/// What a limit forbids, in words.
pub(crate) fn memory_of(bytes: impl std::fmt::Display) -> String {
    format!("a memory of {bytes} bytes")
}

/// What a limit forbids, in words.
pub(crate) fn table_of(elements: impl std::fmt::Display) -> String {
    format!("a table of {elements} elements")
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// Nothing is limited yet.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// How many bytes each memory may have.
    pub fn memory_size(mut self, limit: usize) -> Self {
        self.0.memory_size = Some(limit);
        self
    }

    /// How many elements each table may have.
    pub fn table_elements(mut self, limit: usize) -> Self {
        self.0.table_elements = Some(limit);
        self
    }

    /// How many instances the store may have. Default: [`DEFAULT_INSTANCE_LIMIT`].
    pub fn instances(mut self, limit: usize) -> Self {
        self.0.instances = limit;
        self
    }

    /// How many tables the store may have. Default: [`DEFAULT_TABLE_LIMIT`].
    pub fn tables(mut self, tables: usize) -> Self {
        self.0.tables = tables;
        self
    }

    /// How many memories the store may have. Default: [`DEFAULT_MEMORY_LIMIT`].
    pub fn memories(mut self, memories: usize) -> Self {
        self.0.memories = memories;
        self
    }

    /// Whether growth that fails ends the guest with an error, instead of being answered with -1.
    /// Default: no.
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}
