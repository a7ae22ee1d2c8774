//! One WebAssembly instruction at a time.

use wasmparser::{MemArg, MemArgTarget, Operator};

use crate::atomic::atomic;
use crate::ir::{Node, Place, Root, Slot};
use crate::op::{Op, StoreOp, Ty};
use crate::{Effect, Error};

use super::Translator;
use super::code::{Code, Kind, Step};
use super::expr::{Effects, Facts, Term};
use super::runtime::{Reach, operation, reach};
use super::vectors::Vectors as _;

impl Translator<'_> {
    /// Translates the next instruction. Answers no after the last one.
    #[inline(always)]
    pub(super) fn instruction(&mut self, code: &mut Code<'_>) -> Result<bool, Error> {
        self.offset = code.offset();
        if self.unreachable.is_some() {
            return self.skip(code);
        }
        if self.offset == self.pieces.next() {
            let cost = self.pieces.charge();
            self.consume_fuel(cost);
        }
        let Some(kind) = code.kind() else {
            return Ok(false);
        };
        match kind {
            Kind::Numeric(op) => self.numeric(op),
            Kind::LocalGet => self.push_local(self.locals.get(code.unsigned() as u32)),
            Kind::LocalSet => {
                let place = self.set_local(code.unsigned());
                let top = self.stack.len() - 1;
                self.copy_entry(top, place);
                self.stack.truncate(top);
            }
            Kind::LocalTee => {
                let place = self.set_local(code.unsigned());
                let top = self.stack.len() - 1;
                if self.stack.is_const(top) {
                    self.copy_entry(top, place);
                } else {
                    self.emit_entry(top, place);
                }
            }
            Kind::I32Const => {
                let value = code.signed() as u32;
                self.constant(Ty::I32, value.into());
            }
            Kind::I64Const => {
                let value = code.signed() as u64;
                self.constant(Ty::I64, value);
            }
            Kind::Load(op) => match code.access() {
                Some(offset) => self.load(op, 0, offset),
                None => self.operator(&code.operator()?)?,
            },
            Kind::Store(op) => match code.access() {
                Some(offset) => self.store_to(op, 0, offset),
                None => self.operator(&code.operator()?)?,
            },
            Kind::End => self.end(),
            Kind::Other => {
                self.operator(&code.operator()?)?;
                // The other instructions need few slots and few instructions each, so until the
                // next of these they are as bounded as the body and the operand stack.
                self.check_limits()?;
            }
        }
        Ok(true)
    }

    /// The same where nothing can be reached.
    fn skip(&mut self, code: &mut Code<'_>) -> Result<bool, Error> {
        match code.next() {
            Some(Step::End) => match &mut self.unreachable {
                Some(depth) if *depth > 0 => *depth -= 1,
                _ => self.end(),
            },
            Some(Step::Other) => self.operator(&code.operator()?)?,
            Some(_) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Translates an instruction that its opcode alone does not tell.
    pub(super) fn operator(&mut self, operator: &Operator<'_>) -> Result<(), Error> {
        if let Some(depth) = &mut self.unreachable {
            match operator {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. }
                | Operator::Try { .. } => {
                    *depth += 1;
                    self.blocks += 1;
                }
                Operator::Else if *depth == 0 => self.else_(),
                Operator::Catch { tag_index } if *depth == 0 => self.catch(Some(*tag_index)),
                Operator::CatchAll if *depth == 0 => self.catch(None),
                Operator::Delegate { relative_depth } => match depth {
                    0 => self.delegate(*relative_depth),
                    _ => *depth -= 1,
                },
                _ => {}
            }
            return Ok(());
        }
        match *operator {
            Operator::Nop => {}
            Operator::Unreachable => self.unreachable(),
            Operator::Block { blockty } => self.block(blockty),
            Operator::Loop { blockty } => self.loop_(blockty),
            Operator::If { blockty } => self.if_(blockty),
            Operator::Else => self.else_(),
            Operator::Br { relative_depth } => self.br(relative_depth),
            Operator::BrIf { relative_depth } => self.br_if(relative_depth),
            Operator::BrTable { ref targets } => self.br_table(targets)?,
            Operator::Return => self.return_(),
            Operator::Call { function_index } => self.call(function_index),
            Operator::CallIndirect {
                type_index,
                table_index,
            } => self.call_indirect(table_index, type_index),
            Operator::ReturnCall { function_index } => self.return_call(function_index),
            Operator::ReturnCallIndirect {
                type_index,
                table_index,
            } => self.return_call_indirect(table_index, type_index),

            Operator::CallRef { type_index } => self.call_ref(type_index),
            Operator::ReturnCallRef { type_index } => self.return_call_ref(type_index),
            Operator::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            Operator::RefAsNonNull => self.ref_as_non_null(),
            Operator::TryTable { ref try_table } => self.try_table(try_table),
            Operator::Throw { tag_index } => self.throw(tag_index),
            Operator::ThrowRef => self.throw_ref(),
            Operator::Try { blockty } => self.try_(blockty),
            Operator::Catch { tag_index } => self.catch(Some(tag_index)),
            Operator::CatchAll => self.catch(None),
            Operator::Delegate { relative_depth } => self.delegate(relative_depth),
            Operator::Rethrow { relative_depth } => self.rethrow(relative_depth),

            Operator::Drop => self.drop_(),
            Operator::Select | Operator::TypedSelect { .. } => self.select(),
            Operator::GlobalGet { global_index } => {
                let ty = self.module.globals()[global_index as usize].content.ty();
                let op = match ty {
                    Ty::V128 => Op::GlobalGetVector,
                    ty if ty.is_float() => Op::GlobalGetFloat,
                    _ => Op::GlobalGet,
                };
                let node = Node::Op(op, global_index.into());
                let offset = self.offset;
                self.push_leaf(ty, Term { node, offset });
            }
            Operator::GlobalSet { global_index } => {
                let top = self.stack.len() - 1;
                self.compute(Effects::TRAPS | Effects::GLOBAL, top);
                let root = Root::GlobalSet {
                    global: global_index,
                    kind: match self.stack.entry(top).ty {
                        Ty::V128 => Ty::V128,
                        ty if ty.is_float() => Ty::F64,
                        _ => Ty::I64,
                    },
                };
                self.lower_entries(root, top..top + 1);
                self.stack.truncate(top);
                self.check_unaffected(Effects::TRAPS | Effects::GLOBAL, Slot::MAX);
            }

            Operator::F32Const { value } => self.constant(Ty::F32, value.bits().into()),
            Operator::F64Const { value } => self.constant(Ty::F64, value.bits()),
            Operator::RefNull { .. } => self.constant(Ty::I64, 0),
            Operator::RefIsNull => self.numeric(Op::I64Eqz),

            _ => {
                if let Some(operation) = operation(self.module, operator) {
                    self.runtime(&operation);
                } else if let Some((op, memarg)) = load(operator) {
                    self.load(op, memory(memarg), memarg.offset);
                } else if let Some((op, memarg)) = store(operator) {
                    self.store_to(op, memory(memarg), memarg.offset);
                } else if let Some(op) = numeric(operator) {
                    self.numeric(op);
                } else if let Some((op, access)) = atomic(operator) {
                    self.atomic(op, access);
                } else if !self.vector(operator) {
                    // Validation lets no instruction of a proposal through that is off, and
                    // those that can be on are all above.
                    return Err(Error::Invalid {
                        message: "an instruction that is not implemented".to_owned(),
                        offset: self.offset.into(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn store_to(&mut self, op: StoreOp, memory: u32, offset: u64) {
        match self.reach_of(memory, offset, op.width()) {
            Reach::Direct => {}
            Reach::Narrow => {
                // The value comes before the access, and so do its traps before the address's.
                let value = self.stack.len() - 1;
                if self.stack.entry(value).effects.any_of(Effects::TRAPS) {
                    self.materialise(value);
                }
                self.apply_below_top(Op::I32WrapAddress, 0);
            }
            Reach::Cell => return self.memory_store(op, memory, offset),
        }
        let op = self.unchecked.store(op, offset);
        self.store(Root::Store { op, offset });
    }

    pub(super) fn load(&mut self, op: Op, memory: u32, offset: u64) {
        match self.reach_of(memory, offset, op.bytes_read()) {
            Reach::Direct => {}
            Reach::Narrow => self.apply(Op::I32WrapAddress, 0),
            Reach::Cell => return self.memory_load(op, memory, offset, 0),
        }
        self.apply(self.unchecked.load(op, offset), offset);
    }

    /// A load whose address stands below the entry at the top, which may not trap.
    pub(super) fn load_below_top(&mut self, op: Op, memory: u32, offset: u64) {
        match self.reach_of(memory, offset, op.bytes_read()) {
            Reach::Direct => {}
            Reach::Narrow => self.apply_below_top(Op::I32WrapAddress, 0),
            Reach::Cell => return self.memory_load(op, memory, offset, 1),
        }
        self.apply_below_top(self.unchecked.load(op, offset), offset);
    }

    fn reach_of(&self, memory: u32, offset: u64, width: u32) -> Reach {
        match reach(self.module, self.unchecked, memory, offset, width) {
            Reach::Narrow if !self.shapes.wraps_addresses() => Reach::Cell,
            reach => reach,
        }
    }

    pub(super) fn constant(&mut self, ty: Ty, bits: u64) {
        let node = Node::Const(bits);
        let offset = self.offset;
        self.push_const(ty, Term { node, offset });
    }

    /// Prepares the setting of a local from the top of the stack, and says where it lives.
    fn set_local(&mut self, local: u64) -> Place {
        let local = self.locals.get(local as u32);
        self.before_set(local, self.stack.len() - 1);
        local.place
    }

    fn drop_(&mut self) {
        let top = self.stack.len() - 1;
        if self.stack.entry(top).effects.any_of(Effects::TRAPS) {
            self.materialise(top);
        }
        self.stack.truncate(top);
    }

    fn select(&mut self) {
        let condition = self.stack.len() - 1;
        let ty = self.stack.entry(condition - 1).ty;
        let traps = |index: usize| self.stack.entry(index).effects.any_of(Effects::TRAPS);
        let negated = self.stack.terms(condition)[0].op() == Some(Op::I32Eqz);
        let op = match ty {
            Ty::V128 => Op::SelectVector,
            ty if ty.is_float() => Op::SelectFloat,
            _ => Op::Select,
        };
        if negated && !(traps(condition - 1) && traps(condition - 2)) {
            self.stack.strip_top(Ty::I32);
            self.apply_ordered(op, 0, &[1, 0, 2]);
        } else {
            self.apply(op, 0);
        }
        self.stack.set_top_type(ty);
    }

    /// Applies a numeric operator.
    pub(super) fn numeric(&mut self, op: Op) {
        let top = self.stack.len() - 1;
        if op == Op::I32Eqz
            && let Some(inverted) = self.stack.terms(top)[0].op().and_then(Op::inverted)
        {
            self.stack.set_top_op(inverted);
            return;
        }
        // A constant goes to the right, so that half as many shapes do.
        if Facts::of(op).arity == 2
            && self.stack.is_const(top - 1)
            && !self.stack.is_const(top)
            && let Some(mirrored) = op.mirrored()
        {
            self.apply_ordered(mirrored, 0, &[1, 0]);
            return self.canonicalize(op);
        }
        self.apply(op, 0);
        self.canonicalize(op);
    }
}

/// Which accesses of memory 0 need no check, see [`TranslateOptions::unchecked`](super::TranslateOptions). The
/// only place that decides it.
#[derive(Clone, Copy)]
pub(super) struct Unchecked<'a>(pub(super) Option<&'a dyn Fn(u64, u32) -> bool>);

impl Unchecked<'_> {
    pub(super) fn is(self, offset: u64, width: u32) -> bool {
        self.0.is_some_and(|unchecked| unchecked(offset, width))
    }

    /// A load, given in its checked form, as it is to be done with this offset.
    pub(super) fn load(self, op: Op, offset: u64) -> Op {
        match op.effect() {
            Effect::Load { width, .. } if self.is(offset, width) => op.to_unchecked(),
            _ => op,
        }
    }

    /// The same for a store.
    pub(super) fn store(self, op: StoreOp, offset: u64) -> StoreOp {
        if self.is(offset, op.width()) {
            op.to_unchecked()
        } else {
            op
        }
    }
}

/// The memory that an access is for.
pub(super) fn memory(memarg: MemArg) -> u32 {
    match memarg.target {
        // Arrays have no accesses as long as their proposal is off.
        MemArgTarget::Memory(index) | MemArgTarget::Array(index) => index,
    }
}

/// The checked form of a load.
pub(super) fn load(operator: &Operator<'_>) -> Option<(Op, MemArg)> {
    macro_rules! table {
        ($($name:ident)*) => {
            match *operator {
                $(Operator::$name { memarg } => Some((Op::$name, memarg)),)*
                _ => None,
            }
        };
    }
    table! {
        I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U
        I64Load8S I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U
    }
}

/// The checked form of a store.
pub(super) fn store(operator: &Operator<'_>) -> Option<(StoreOp, MemArg)> {
    macro_rules! table {
        ($($name:ident)*) => {
            match *operator {
                $(Operator::$name { memarg } => Some((StoreOp::$name, memarg)),)*
                _ => None,
            }
        };
    }
    table! {
        I32Store I64Store F32Store F64Store I32Store8 I32Store16
        I64Store8 I64Store16 I64Store32
    }
}

pub(super) fn numeric(operator: &Operator<'_>) -> Option<Op> {
    macro_rules! table {
        ($($name:ident)*) => {
            match operator {
                $(Operator::$name => Some(Op::$name),)*
                _ => None,
            }
        };
    }
    table! {
        I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU
        I32Clz I32Ctz I32Popcnt I32Add I32Sub I32Mul I32DivS I32DivU I32RemS I32RemU
        I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr
        I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU
        I64Clz I64Ctz I64Popcnt I64Add I64Sub I64Mul I64DivS I64DivU I64RemS I64RemU
        I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
        F32Eq F32Ne F32Lt F32Gt F32Le F32Ge
        F32Abs F32Neg F32Ceil F32Floor F32Trunc F32Nearest F32Sqrt
        F32Add F32Sub F32Mul F32Div F32Min F32Max F32Copysign
        F64Eq F64Ne F64Lt F64Gt F64Le F64Ge
        F64Abs F64Neg F64Ceil F64Floor F64Trunc F64Nearest F64Sqrt
        F64Add F64Sub F64Mul F64Div F64Min F64Max F64Copysign
        I32WrapI64 I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U
        I32TruncSatF32S I32TruncSatF32U I32TruncSatF64S I32TruncSatF64U
        I64TruncF32S I64TruncF32U I64TruncF64S I64TruncF64U
        I64TruncSatF32S I64TruncSatF32U I64TruncSatF64S I64TruncSatF64U
        I64ExtendI32S I64ExtendI32U
        F32ConvertI32S F32ConvertI32U F32ConvertI64S F32ConvertI64U
        F64ConvertI32S F64ConvertI32U F64ConvertI64S F64ConvertI64U
        F32DemoteF64 F64PromoteF32
        I32ReinterpretF32 I64ReinterpretF64 F32ReinterpretI32 F64ReinterpretI64
        I32Extend8S I32Extend16S I64Extend8S I64Extend16S I64Extend32S
    }
}
