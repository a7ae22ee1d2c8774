#![doc = include_str!("../README.md")]

mod budget;
mod code;
mod context;
#[cfg(palisade_direct)]
mod direct;
mod executor;
mod executors;
mod handlers;
mod machine;
mod options;
mod profile;
mod registers;
pub mod semantics;
pub mod shapes;
mod sites;
mod token;
mod value;

pub use code::{Code, CodeSize};
pub use executors::{
    SignalError, choose_interrupt_signal, direct_availability, install_interrupt_signal,
    install_signal_handlers, register_access_sites, sanitizer,
};
pub use machine::{
    CallError, Deadline, Entities, EntityError, Frame, FramesError, GuestException, GuestFrame,
    GuestFrames, Host, HostClosure, HostError, InstantiateError, InvalidCall, MAX_FRAMES, Machine,
    MachineConfig, MachineError, MemoryMut, NATIVE_STACK_RESERVE_BYTES, STACK_GUARD_BYTES, Stop,
    Suspended, Suspension, ThrownException, Trap, World,
};
pub use options::{CodeError, CodeOptions, Hotness, Threading};
pub use profile::{CellProfile, FunctionProfile};
pub use vm_translate::{FuelCosts, Point, PointKind, UnknownOperator};
pub use vm_trap::{Interrupt, TrapCode};

pub use value::{ExnId, FuncId, GlobalId, InstanceId, MemoryId, Raw, TableId, TagId, Val};
