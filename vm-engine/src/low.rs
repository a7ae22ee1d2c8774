//! The layers below, under the names that this crate uses for them.

pub(crate) use vm_interp::{
    CallError, Code, CodeError, CodeOptions, Entities, Frame, FuncId, GlobalId, Host, HostError,
    InstanceId, InstantiateError, Machine, MachineConfig, MemoryId, Raw, TableId, Threading, Val,
    call, direct_availability, install_signal_handlers, register_access_sites, sanitizer,
};
pub(crate) use vm_translate::{
    ConstExpr, ConstOp, DataMode, ElemMode, Error as TranslateError, Export, ExternKind,
    ExternType, Features, FuncType, GlobalType, MemoryType, Module, RefType, TableType, ValType,
};
