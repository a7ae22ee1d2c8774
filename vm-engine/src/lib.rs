#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod allocation;
mod asynchronous;
mod backtrace;
mod call_hook;
mod caller;
mod config;
mod engine;
mod error;
mod exception;
mod externs;
mod func;
mod global;
mod handles;
mod host;
mod initial;
mod instance;
mod instance_pre;
mod instantiate;
mod interrupt;
mod limits;
mod linker;
mod low;
mod matching;
mod memory;
mod metering;
mod module;
mod module_limits;
mod resumable;
mod shared_memory;
mod snapshot;
mod snapshot_call;
mod store;
mod strategy;
mod subtypes;
mod suspended;
mod table;
mod tag;
mod typed;
mod types;
mod values;

pub use allocation::{InstanceAllocationStrategy, PoolingAllocationConfig, StoreConfig};
pub use backtrace::{FrameInfo, WasmBacktrace};
pub use call_hook::CallHook;
pub use caller::Caller;
pub use config::{
    Bounds, Config, DETERMINISTIC_CALL_DEPTH, SignalHandlers, Threading, Translation,
};
pub use engine::Engine;
pub use error::{
    ConfigError, Error, GlobalError, InstantiateError, LimitError, LinkError, MemoryAccessError,
    ModuleError, Result, SnapshotError, TableError, TypeError, WrongStore,
};
pub use exception::{ExnRefPre, ExnType, RootScope};
pub use externs::{Export, Extern};
pub use handles::{ExnRef, ExternRef, Func, Global, Instance, Memory, Table, Tag};
pub use host::{IntoFunc, WasmRet};
pub use instance_pre::InstancePre;
pub use interrupt::{InterruptHandle, Interruption};
pub use limits::{
    DEFAULT_INSTANCE_LIMIT, DEFAULT_MEMORY_LIMIT, DEFAULT_TABLE_LIMIT, ResourceLimiter,
    StoreLimits, StoreLimitsBuilder, UpdateDeadline,
};
pub use linker::Linker;
pub use module::Module;
pub use module_limits::ModuleLimits;
pub use resumable::{
    ResumableCall, ResumableCallEpochDeadline, ResumableCallHostTrap, ResumableCallOutOfFuel,
    TypedResumableCall, TypedResumableCallEpochDeadline, TypedResumableCallHostTrap,
    TypedResumableCallOutOfFuel,
};
pub use shared_memory::SharedMemory;
pub use snapshot::Snapshot;
pub use store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut};
pub use strategy::Strategy;
pub use typed::{TypedFunc, WasmParams, WasmResults, WasmTy};
pub use types::{
    ExportType, ExternType, Finality, FuncType, GlobalType, HeapType, ImportType, MemoryType,
    Mutability, RefType, TableType, TagType, ValType,
};
pub use values::{Ref, V128, Val};

pub use vm_interp::{
    CellProfile, CodeError, CodeSize, FuelCosts, FunctionProfile, Hotness,
    NATIVE_STACK_RESERVE_BYTES, UnknownOperator,
};
pub use vm_memory::{GrowError, Layout, MemoryError, WaitResult};

/// What a guest's call fails with that has thrown an exception which nobody has caught, and what a host function returns to throw
/// one: see [`Store::throw`].
pub use vm_interp::ThrownException;

/// Why a guest stopped.
///
/// What [`Error::downcast_ref`] and [`Error::trap`] find.
pub use vm_trap::TrapCode as Trap;

/// For hosts that own the signal handlers: see [`SignalHandlers::HostOwned`].
pub use vm_trap::try_handle;

/// The example of the project's README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ProjectReadme;
