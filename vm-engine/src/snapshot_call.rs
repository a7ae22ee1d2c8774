//! Calls that wait, and values, as snapshots have them.

use serde::{Deserialize, Serialize};

use crate::low::{self, FuncId, Module};

/// The format of snapshots that this version writes and reads.
pub(crate) const FORMAT: u32 = 3;

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Call {
    /// The function that the host has called.
    pub(crate) func: u32,
    pub(crate) why: Why,
    /// The functions that are running, from that one on.
    pub(crate) frames: Vec<Frame>,
    /// The exceptions that values of the frames refer to. One refers to earlier ones only.
    pub(crate) exceptions: Vec<Exception>,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Exception {
    /// The index of its tag in the module.
    pub(crate) tag: u32,
    pub(crate) values: Vec<Value>,
}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) enum Why {
    /// The results of a host function, which has failed.
    Host {
        /// What its error said.
        error: String,
    },
    OutOfFuel {
        required: u64,
    },
    Epoch,
}

/// A function that is running.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Frame {
    pub(crate) func: u32,
    /// Where, in the module's bytes.
    pub(crate) offset: u32,
    pub(crate) kind: Kind,
    pub(crate) locals: Vec<Value>,
    pub(crate) operands: Vec<Value>,
}

/// What a function has stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) enum Kind {
    Call,
    Fuel,
    Epoch,
    Bulk,
}

/// A value that does not depend on a store.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    Func(Option<u32>),
    /// Nothing but null can be written down.
    Extern,
    /// Of a call's frames, one of the call's exceptions.
    Exn(Option<u32>),
}

impl Value {
    /// A value, if it is one that can be written down: `index` says which of its module's functions one is. A reference to an
    /// exception has to be a number in a list.
    pub(crate) fn of(value: low::Val, index: impl Fn(FuncId) -> Option<u32>) -> Option<Value> {
        Some(match value {
            low::Val::I32(value) => Value::I32(value),
            low::Val::I64(value) => Value::I64(value),
            low::Val::F32(bits) => Value::F32(bits),
            low::Val::F64(bits) => Value::F64(bits),
            low::Val::V128(bits) => Value::V128(bits),
            low::Val::FuncRef(None) => Value::Func(None),
            low::Val::FuncRef(Some(func)) => Value::Func(Some(index(func)?)),
            low::Val::ExternRef(None) => Value::Extern,
            low::Val::ExnRef(None) => Value::Exn(None),
            low::Val::ExnRef(Some(exception)) => {
                Value::Exn(Some(u32::try_from(exception.number()).ok()?))
            }
            low::Val::ExternRef(Some(_)) => return None,
        })
    }

    /// Whether a global of this type of a module can have it.
    pub(crate) fn is_of(self, module: &Module, ty: low::ValType) -> bool {
        let reference = |top| ty.as_ref_type().filter(|ty| ty.heap.top() == top);
        match self {
            Value::I32(_) => ty == low::ValType::I32,
            Value::I64(_) => ty == low::ValType::I64,
            Value::F32(_) => ty == low::ValType::F32,
            Value::F64(_) => ty == low::ValType::F64,
            Value::V128(_) => ty == low::ValType::V128,
            Value::Func(func) => {
                reference(low::HeapType::Func).is_some_and(|ty| is_of(module, func, ty))
            }
            Value::Extern => reference(low::HeapType::Extern).is_some_and(|ty| ty.nullable),
            // Globals have none that can be written down.
            Value::Exn(number) => {
                number.is_none() && reference(low::HeapType::Exn).is_some_and(|ty| ty.nullable)
            }
        }
    }

    /// Whether the module has the function that it refers to, if it does, and so many exceptions are enough for it.
    pub(crate) fn exists_in(self, module: &Module, exceptions: usize) -> bool {
        match self {
            Value::Func(Some(func)) => func < module.func_count(),
            Value::Exn(Some(exception)) => (exception as usize) < exceptions,
            _ => true,
        }
    }

    /// The value in an instance, of which `func` says the functions: it has all that the value refers to.
    pub(crate) fn low(self, func: impl FnOnce(u32) -> FuncId) -> low::Val {
        match self {
            Value::I32(value) => low::Val::I32(value),
            Value::I64(value) => low::Val::I64(value),
            Value::F32(bits) => low::Val::F32(bits),
            Value::F64(bits) => low::Val::F64(bits),
            Value::V128(bits) => low::Val::V128(bits),
            Value::Func(index) => low::Val::FuncRef(index.map(func)),
            Value::Extern => low::Val::ExternRef(None),
            Value::Exn(number) => low::Val::ExnRef(number.map(low::ExnId::at)),
        }
    }
}

impl Kind {
    pub(crate) fn of(kind: low::PointKind) -> Kind {
        match kind {
            low::PointKind::Call => Kind::Call,
            low::PointKind::Fuel => Kind::Fuel,
            low::PointKind::Epoch => Kind::Epoch,
            low::PointKind::Bulk => Kind::Bulk,
        }
    }

    pub(crate) fn low(self) -> low::PointKind {
        match self {
            Kind::Call => low::PointKind::Call,
            Kind::Fuel => low::PointKind::Fuel,
            Kind::Epoch => low::PointKind::Epoch,
            Kind::Bulk => low::PointKind::Bulk,
        }
    }
}

impl Call {
    /// Whether what it refers to is there, and it waits for what its innermost function has stopped at.
    pub(crate) fn check(&self, module: &Module) -> bool {
        let values = |frame: &Frame| {
            let mut values = frame.locals.iter().chain(&frame.operands);
            values.all(|value| value.exists_in(module, self.exceptions.len()))
        };
        let mut exceptions = self.exceptions.iter().enumerate();
        let exceptions = exceptions.all(|(number, exception)| {
            let mut values = exception.values.iter();
            exception.tag < module.tag_count()
                && values.all(|value| value.exists_in(module, number))
        });
        let innermost = self.frames.last().map(|frame| frame.kind);
        let waits = matches!(
            (&self.why, innermost),
            (Why::Host { .. }, None | Some(Kind::Call))
                | (Why::OutOfFuel { .. }, Some(Kind::Fuel | Kind::Bulk))
                | (Why::Epoch, Some(Kind::Epoch))
        );
        let is_own = (module.imported_funcs()..module.func_count()).contains(&self.func);
        is_own && waits && exceptions && self.frames.iter().all(values)
    }
}

/// Whether a function of a module, or null, is of a type: of references to the host's things there is only null here.
pub(crate) fn is_of(module: &Module, func: Option<u32>, ty: low::RefType) -> bool {
    match func {
        None => ty.nullable,
        Some(func) if func < module.func_count() => {
            let heap = low::HeapType::Concrete(module.func_type(func).id());
            low::RefType::new(false, heap).matches(ty)
        }
        Some(_) => false,
    }
}
