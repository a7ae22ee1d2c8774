//! The layers below, under the names that this crate uses for them.

pub(crate) use crate::stub::vm_interp::*;
pub(crate) use crate::stub::vm_translate::{
    ConstExpr, ConstOp, DataMode, ElemMode, Error as TranslateError, Export, ExternKind,
    ExternType, Features, FuncType, GlobalType, MemoryType, Module, RefType, TableType, ValType,
};
