//! The layers below, under the names that this crate uses for them.

pub(crate) use vm_interp::{
    CallError, Code, CodeError, CodeOptions, CodeSize, Deadline, Entities, EntityError, ExnId,
    Frame, FramesError, FuncId, FunctionProfile, GlobalId, GuestException, GuestFrame, GuestFrames,
    Host, HostClosure, HostError, InstanceId, InstantiateError, Interrupt, Machine, MachineError,
    MemoryId, Point, PointKind, Raw, STACK_GUARD_BYTES, Stop, Suspended, Suspension, TableId,
    TagId, Threading, ThrownException, Val, World, choose_interrupt_signal, direct_availability,
    install_interrupt_signal, install_signal_handlers, register_access_sites, sanitizer,
};
pub(crate) use vm_translate::{
    Binary, ConstExpr, ConstOp, DataMode, ElemMode, ElemSegment, Error as TranslateError, Export,
    ExternKind, ExternType, Features, FuncType, GlobalType, HeapType, MemoryType, Module, RefType,
    RegisteredType, TableType, ValType,
};
