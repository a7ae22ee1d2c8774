#![doc = include_str!("../README.md")]

mod bounded;
mod error;
#[cfg(feature = "fault-injection")]
pub mod faults;
mod growable;
mod guarded;
mod heap;
mod image;
mod layout;
mod limits;
mod memory;
mod memory_type;
mod pool;
mod probe;
mod reservation;
mod shared;
mod slots;
mod span;
mod stack;
mod stack_pool;
mod sys;
mod table;

pub use bounded::BoundedMemory;
pub use error::{
    GrowError, InvalidMemoryType, LayoutError, MemoryError, NotGuardable, OsError, OutOfBounds,
};
pub use guarded::GuardedMemory;
pub use image::MemoryImage;
pub use layout::{Layout, MAX_ACCESS_BYTES};
pub use limits::HostLimit;
pub use memory::{LinearMemory, copy};
pub use memory_type::{MemoryType, WASM_PAGE_SIZE};
pub use pool::{Pool, PoolConfig};
pub use probe::{GuardSupport, Unavailable, probe};
pub use reservation::{Protection, Reservation};
pub use shared::{AtomicError, Expected, Extent, SharedMemory, Ticks, WaitResult, Waiter};
pub use stack::ValueStack;
pub use stack_pool::StackPool;
pub use table::{TableError, WordTable};

/// Size of a page of the host's memory-management unit, in bytes.
///
/// A power of two. Where this crate cannot ask (a platform without memory protection, or Miri),
/// 4096.
pub fn host_page_size() -> usize {
    sys::page_size()
}
