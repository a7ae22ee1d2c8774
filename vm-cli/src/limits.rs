//! What a guest may take: limits of the command line, and what the host's own limits leave.

use vm_engine::{Error, ResourceLimiter, Result, StoreLimits, StoreLimitsBuilder};

use crate::cli::LimitArgs;
use crate::host;

/// Bytes of a table's element.
const ELEMENT: usize = 16;

/// Decides whether a guest's memories and tables may grow.
#[derive(Clone)]
pub(crate) struct Limits {
    asked_for: StoreLimits,
    /// How many bytes stay free of the guest's data, for code that is made while it runs.
    headroom: usize,
}

impl Limits {
    /// The limits that `args` name, for a run that may need `headroom` bytes besides the guest's data.
    pub(crate) fn new(args: &LimitArgs, headroom: usize) -> Limits {
        let mut limits = StoreLimitsBuilder::new();
        if let Some(bytes) = args.max_memory {
            limits = limits.memory_size(bytes);
        }
        if let Some(elements) = args.max_table_elements {
            limits = limits.table_elements(elements);
        }
        Limits {
            asked_for: limits.build(),
            headroom,
        }
    }

    /// Whether the host's limits leave room for so much more data.
    fn room_for(&self, bytes: usize) -> bool {
        host::has_memory(bytes.saturating_add(self.headroom))
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(self.asked_for.memory_growing(current, desired, maximum)?
            && self.room_for(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.asked_for.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let growth = desired.saturating_sub(current).saturating_mul(ELEMENT);
        Ok(self.asked_for.table_growing(current, desired, maximum)? && self.room_for(growth))
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.asked_for.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.asked_for.instances()
    }

    fn tables(&self) -> usize {
        self.asked_for.tables()
    }

    fn memories(&self) -> usize {
        self.asked_for.memories()
    }
}
