#![doc = include_str!("../README.md")]

mod budget;
mod code;
mod context;
#[cfg(palisade_direct)]
mod direct;
mod machine;
mod profile;
mod registry;
pub mod semantics;
pub mod shapes;
mod token;
mod value;

pub use code::{
    Code, CodeError, CodeOptions, CodeSize, Hotness, SignalError, Threading, direct_availability,
    install_signal_handlers, register_access_sites, sanitizer,
};
pub use machine::{
    CallError, Entities, EntityError, Frame, Host, HostClosure, HostError, InstantiateError,
    InvalidCall, MAX_FRAMES, MAX_NATIVE_STACK_BYTES, Machine, MachineConfig, MachineError,
    MemoryMut, STACK_GUARD_BYTES, Trap, call,
};
pub use profile::{CellProfile, FunctionProfile};
pub use vm_trap::TrapCode;

pub use value::{FuncId, GlobalId, InstanceId, MemoryId, Raw, TableId, Val};
