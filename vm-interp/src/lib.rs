#![doc = include_str!("../README.md")]

mod code;
mod context;
mod machine;
mod registry;
pub mod semantics;
mod token;
mod value;

pub use code::{Code, CodeError, CodeOptions, Threading};
pub use machine::{
    CallError, Entities, EntityError, Frame, Host, HostError, InstantiateError, InvalidCall,
    MAX_FRAMES, MAX_NATIVE_STACK_BYTES, Machine, MachineConfig, MachineError, MemoryMut, Trap,
    call,
};
pub use vm_trap::TrapCode;

pub use value::{FuncId, GlobalId, InstanceId, MemoryId, Raw, TableId, Val};
