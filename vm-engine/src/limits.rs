//! Limits on what guests of a store may use.

/// Decides whether memories and tables may grow, or be made. See
/// [`Store::limiter`](crate::Store::limiter).
pub trait ResourceLimiter: Send {
    /// Whether a memory may go from `current` to `desired` bytes; `maximum` is what its type
    /// allows. A memory that is being made has 0 bytes.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool;

    /// Whether a table may go from `current` to `desired` elements; `maximum` is what its type
    /// allows. A table that is being made has 0 elements.
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool;
}

/// Finds the limiter in the host's data.
pub(crate) type Limiter<T> =
    Box<dyn FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync + 'static>;

/// Fixed limits, made by [`StoreLimitsBuilder`]. Without a setting nothing is limited.
#[derive(Clone, Debug, Default)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> bool {
        self.memory_size.is_none_or(|limit| desired <= limit)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> bool {
        self.table_elements.is_none_or(|limit| desired <= limit)
    }
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

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}
