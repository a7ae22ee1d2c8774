//! Segments and constant expressions.

use std::ops::Range;

use wasmparser::{DataKind, ElementItems, ElementKind, Operator};

use crate::types::TypeSpace;
use crate::{Error, HeapType, RefType};

/// An instruction of a constant expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstOp {
    /// An integer.
    I32(i32),
    /// An integer.
    I64(i64),
    /// The bits of a float.
    F32(u32),
    /// The bits of a float.
    F64(u64),
    /// A vector; its first lane is the lowest.
    V128(u128),
    /// The value of a global.
    GlobalGet(u32),
    /// A null reference.
    RefNull(HeapType),
    /// A reference to a function.
    RefFunc(u32),
    /// `i32.add` of the two values on top of the stack; this one and the following are those of
    /// the proposal extended-const.
    I32Add,
    /// `i32.sub`.
    I32Sub,
    /// `i32.mul`.
    I32Mul,
    /// `i64.add`.
    I64Add,
    /// `i64.sub`.
    I64Sub,
    /// `i64.mul`.
    I64Mul,
}

/// A constant expression: instructions to be evaluated in order on an operand stack, which leave
/// one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstExpr(ConstOps);

/// Nearly all are one instruction, and element segments have very many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ConstOps {
    One(ConstOp),
    Many(Box<[ConstOp]>),
}

impl ConstExpr {
    /// The instructions.
    pub fn ops(&self) -> &[ConstOp] {
        match &self.0 {
            ConstOps::One(op) => std::slice::from_ref(op),
            ConstOps::Many(ops) => ops,
        }
    }

    pub(crate) fn from_wasm(
        expr: &wasmparser::ConstExpr<'_>,
        space: TypeSpace<'_>,
    ) -> Result<ConstExpr, Error> {
        let mut ops = Vec::new();
        for op in expr.get_operators_reader().into_iter_with_offsets() {
            let (op, offset) = op?;
            ops.push(match op {
                Operator::I32Const { value } => ConstOp::I32(value),
                Operator::I64Const { value } => ConstOp::I64(value),
                Operator::F32Const { value } => ConstOp::F32(value.bits()),
                Operator::F64Const { value } => ConstOp::F64(value.bits()),
                Operator::V128Const { value } => ConstOp::V128(u128::from_le_bytes(*value.bytes())),
                Operator::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
                Operator::RefFunc { function_index } => ConstOp::RefFunc(function_index),
                Operator::RefNull { hty } => {
                    let ty = HeapType::from_wasm(hty, space);
                    ConstOp::RefNull(ty.ok_or_else(|| unknown("reference type", offset))?)
                }
                Operator::I32Add => ConstOp::I32Add,
                Operator::I32Sub => ConstOp::I32Sub,
                Operator::I32Mul => ConstOp::I32Mul,
                Operator::I64Add => ConstOp::I64Add,
                Operator::I64Sub => ConstOp::I64Sub,
                Operator::I64Mul => ConstOp::I64Mul,
                Operator::End => continue,
                _ => return Err(unknown("instruction of a constant expression", offset)),
            });
        }
        Ok(ConstExpr(match *ops {
            [op] => ConstOps::One(op),
            _ => ConstOps::Many(ops.into()),
        }))
    }
}

/// A segment of data for memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSegment {
    /// Where in the module's bytes the data is; see [`Module::data`](crate::Module::data).
    pub bytes: Range<usize>,
    /// When it is used.
    pub mode: DataMode,
}

/// When a data segment is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataMode {
    /// By `memory.init`.
    Passive,
    /// At instantiation.
    Active {
        /// The memory it is copied into.
        memory: u32,
        /// To which address.
        offset: ConstExpr,
    },
}

/// A segment of references for tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElemSegment {
    /// What its items are.
    pub ty: RefType,
    /// The items.
    pub items: ElemItems,
    /// When it is used.
    pub mode: ElemMode,
}

/// The items of an element segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElemItems(Items);

/// A segment may have ten million items of a byte each, nearly always functions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Items {
    /// References to functions, or null references of a type, which [`NULL`] stands for.
    Refs(Box<[u32]>, HeapType),
    Exprs(Box<[ConstExpr]>),
}

/// No function has this index.
const NULL: u32 = u32::MAX;

impl ElemItems {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Items::Refs(refs, _) => refs.len(),
            Items::Exprs(exprs) => exprs.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = ConstExpr> + '_ {
        let ty = match self.0 {
            Items::Refs(_, ty) => ty,
            Items::Exprs(_) => HeapType::Func,
        };
        let refs = self.refs().map(move |func| match func {
            Some(func) => ConstOp::RefFunc(func),
            None => ConstOp::RefNull(ty),
        });
        let refs = refs.map(|op| ConstExpr(ConstOps::One(op)));
        refs.chain(self.exprs().iter().cloned())
    }

    /// If all of them are references to functions or null, these: the functions' indices, or nothing for null. Else
    /// none.
    pub fn refs(&self) -> impl ExactSizeIterator<Item = Option<u32>> + '_ {
        let refs: &[u32] = match &self.0 {
            Items::Refs(refs, _) => refs,
            Items::Exprs(_) => &[],
        };
        refs.iter().map(|func| (*func != NULL).then_some(*func))
    }

    /// If some of them are more than that, all of them. Else none.
    pub fn exprs(&self) -> &[ConstExpr] {
        match &self.0 {
            Items::Refs(..) => &[],
            Items::Exprs(exprs) => exprs,
        }
    }

    /// Those of a segment of this type.
    fn of(
        ty: HeapType,
        exprs: impl ExactSizeIterator<Item = Result<ConstExpr, Error>>,
    ) -> Result<ElemItems, Error> {
        let count = exprs.len();
        let mut refs = Vec::new();
        let mut others = Vec::new();
        for expr in exprs {
            let expr = expr?;
            let simple = match expr.0 {
                ConstOps::One(ConstOp::RefFunc(func)) if func != NULL => Some(func),
                ConstOps::One(ConstOp::RefNull(_)) => Some(NULL),
                _ => None,
            };
            match simple {
                Some(func) if others.is_empty() => refs.push(func),
                _ => {
                    if others.is_empty() {
                        let before = ElemItems(Items::Refs(std::mem::take(&mut refs).into(), ty));
                        others.reserve(count);
                        others.extend(before.iter());
                    }
                    others.push(expr);
                }
            }
        }
        Ok(ElemItems(match others.is_empty() {
            true => Items::Refs(refs.into(), ty),
            false => Items::Exprs(others.into()),
        }))
    }
}

/// When an element segment is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElemMode {
    /// By `table.init`.
    Passive,
    /// Never: it only declares functions that `ref.func` may refer to.
    Declared,
    /// At instantiation.
    Active {
        /// The table it is copied into.
        table: u32,
        /// From which index on.
        offset: ConstExpr,
    },
}

impl DataSegment {
    pub(crate) fn from_wasm(
        data: &wasmparser::Data<'_>,
        space: TypeSpace<'_>,
    ) -> Result<DataSegment, Error> {
        let end = data.range.end as usize;
        Ok(DataSegment {
            bytes: end - data.data.len()..end,
            mode: match &data.kind {
                DataKind::Passive => DataMode::Passive,
                DataKind::Active {
                    memory_index,
                    offset_expr,
                } => DataMode::Active {
                    memory: *memory_index,
                    offset: ConstExpr::from_wasm(offset_expr, space)?,
                },
            },
        })
    }
}

impl ElemSegment {
    pub(crate) fn from_wasm(
        element: &wasmparser::Element<'_>,
        offset: u64,
        space: TypeSpace<'_>,
    ) -> Result<ElemSegment, Error> {
        let (ty, items) = match &element.items {
            ElementItems::Functions(functions) => {
                // Each takes a byte at least.
                let bytes = functions.range();
                let most = (bytes.end - bytes.start).min(functions.count().into());
                let mut funcs = Vec::with_capacity(most as usize);
                for func in functions.clone() {
                    funcs.push(func?);
                }
                let items = Items::Refs(funcs.into(), HeapType::Func);
                // None of them is null.
                let ty = RefType::new(false, HeapType::Func);
                (ty, ElemItems(items))
            }
            ElementItems::Expressions(ty, exprs) => {
                let ty = RefType::from_wasm(*ty, space)
                    .ok_or_else(|| unknown("reference type", offset))?;
                let items = exprs
                    .clone()
                    .into_iter()
                    .map(|expr| ConstExpr::from_wasm(&expr?, space));
                (ty, ElemItems::of(ty.heap.top(), items)?)
            }
        };
        let mode = match &element.kind {
            ElementKind::Passive => ElemMode::Passive,
            ElementKind::Declared => ElemMode::Declared,
            ElementKind::Active {
                table_index,
                offset_expr,
            } => ElemMode::Active {
                table: table_index.unwrap_or(0),
                offset: ConstExpr::from_wasm(offset_expr, space)?,
            },
        };
        Ok(ElemSegment { ty, items, mode })
    }
}

/// The error for what the validator lets through and is not there: see [`Features::validated`](crate::Features).
pub(crate) fn unknown(what: &str, offset: u64) -> Error {
    Error::MissingFeature {
        proposal: "gc".to_owned(),
        message: format!("{what} of objects"),
        offset,
    }
}
