//! Which instructions are rare operations, that the executor has a function for.

use wasmparser::Operator;

use crate::Module;
use crate::ir::RuntimeOp;
use crate::op::Ty;

use super::operators::Unchecked;

/// A rare operation as an instruction asks for it: its operands are at the top of the stack, its results replace
/// them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) op: RuntimeOp,
    /// As [`Root::Runtime`](crate::ir::Root::Runtime) has them.
    pub(super) imm: [u32; 2],
    pub(super) operands: usize,
    pub(super) results: &'static [Ty],
}

/// Of a 64-bit index of a table the 32-bit one that is as good.
const CLAMP_INDEX: Operation = Operation {
    op: RuntimeOp::ClampIndex,
    imm: [0, 0],
    operands: 1,
    results: &[Ty::I32],
};

/// The operation that gives, for the index of a table, a reference to the function there that is to be called as one of a type, if
/// functions of other types may be: whether they may is more than a comparison.
fn table_function(module: &Module, table: u32, ty: u32) -> Option<Operation> {
    let has_subtypes = !module.types()[ty as usize].is_final();
    has_subtypes.then_some(Operation {
        op: RuntimeOp::TableFunction,
        imm: [table, ty],
        operands: 1,
        results: &[Ty::I64],
    })
}

/// What is to be done with the index of a table before a function of a type is called by it, one after the other; and whether that
/// leaves a reference to the function.
pub(super) fn before_indirect(
    module: &Module,
    table: u32,
    ty: u32,
) -> (impl Iterator<Item = Operation> + use<>, bool) {
    let clamp = (index_type(module, table) == Ty::I64).then_some(CLAMP_INDEX);
    let find = table_function(module, table, ty);
    (clamp.into_iter().chain(find), find.is_some())
}

/// The operation that an instruction is, if it is one.
pub(super) fn operation(module: &Module, operator: &Operator<'_>) -> Option<Operation> {
    let address = |memory: u32| match module.memories()[memory as usize].memory64 {
        true => &[Ty::I64][..],
        false => &[Ty::I32],
    };
    let index = |table: u32| match index_type(module, table) {
        Ty::I64 => &[Ty::I64][..],
        _ => &[Ty::I32],
    };
    let reference = &[Ty::I64][..];
    let two = &[Ty::I64, Ty::I64][..];
    let (op, imm, operands, results) = match *operator {
        Operator::RefFunc { function_index } => {
            (RuntimeOp::RefFunc, [function_index, 0], 0, reference)
        }

        Operator::MemorySize { mem } => (RuntimeOp::MemorySize, [mem, 0], 0, address(mem)),
        Operator::MemoryGrow { mem } => (RuntimeOp::MemoryGrow, [mem, 0], 1, address(mem)),
        Operator::MemoryFill { mem } => (RuntimeOp::MemoryFill, [mem, 0], 3, &[][..]),
        Operator::MemoryCopy { dst_mem, src_mem } => {
            (RuntimeOp::MemoryCopy, [dst_mem, src_mem], 3, &[][..])
        }
        Operator::MemoryInit { data_index, mem } => {
            (RuntimeOp::MemoryInit, [data_index, mem], 3, &[][..])
        }
        Operator::DataDrop { data_index } => (RuntimeOp::DataDrop, [data_index, 0], 0, &[][..]),

        Operator::TableGet { table } => (RuntimeOp::TableGet, [table, 0], 1, reference),
        Operator::TableSet { table } => (RuntimeOp::TableSet, [table, 0], 2, &[][..]),
        Operator::TableSize { table } => (RuntimeOp::TableSize, [table, 0], 0, index(table)),
        Operator::TableGrow { table } => (RuntimeOp::TableGrow, [table, 0], 2, index(table)),
        Operator::TableFill { table } => (RuntimeOp::TableFill, [table, 0], 3, &[][..]),
        Operator::TableCopy {
            dst_table,
            src_table,
        } => (RuntimeOp::TableCopy, [dst_table, src_table], 3, &[][..]),
        Operator::TableInit { elem_index, table } => {
            (RuntimeOp::TableInit, [elem_index, table], 3, &[][..])
        }
        Operator::ElemDrop { elem_index } => (RuntimeOp::ElemDrop, [elem_index, 0], 0, &[][..]),

        Operator::I64Add128 => (RuntimeOp::I64Add128, [0, 0], 4, two),
        Operator::I64Sub128 => (RuntimeOp::I64Sub128, [0, 0], 4, two),
        Operator::I64MulWideS => (RuntimeOp::I64MulWideS, [0, 0], 2, two),
        Operator::I64MulWideU => (RuntimeOp::I64MulWideU, [0, 0], 2, two),

        _ => return None,
    };
    Some(Operation {
        op,
        imm,
        operands,
        results,
    })
}

/// The type of a table's indices.
fn index_type(module: &Module, table: u32) -> Ty {
    match module.tables()[table as usize].table64 {
        true => Ty::I64,
        false => Ty::I32,
    }
}

/// How an access reaches its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is one of memory 0 with a 32-bit address.
    Direct,
    /// It is like one, once the upper half of its 64-bit address is known to be zero: the memory has never more than 4 GiB, as its type says,
    /// and neither has the offset.
    Narrow,
    /// By the memory's cell.
    Cell,
}

/// How an access of so many bytes reaches its memory. If threads share memory 0, its length can change at any time and is in its cell alone, so
/// that only accesses that need no check do without that.
pub(super) fn reach(
    module: &Module,
    unchecked: Unchecked<'_>,
    memory: u32,
    offset: u64,
    width: u32,
) -> Reach {
    let ty = &module.memories()[memory as usize];
    if memory != 0 || ty.shared && !unchecked.is(offset, width) {
        return Reach::Cell;
    }
    if !ty.memory64 {
        return Reach::Direct;
    }
    let most = 1 << (32 - ty.page_size_log2);
    let has_less = ty.maximum.is_some_and(|maximum| maximum <= most);
    match has_less && offset <= u32::MAX.into() {
        true => Reach::Narrow,
        false => Reach::Cell,
    }
}
