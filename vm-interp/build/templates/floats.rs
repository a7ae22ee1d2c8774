//! Trees of the float kind.

use vm_translate::shape::Symbol;
use vm_translate::{Effect, Op, Ty};

use super::vectors::takes_vector;
use super::{Condition, Done, NoTemplate, Templates, Value};
use crate::asm::*;
use crate::operators::*;

impl<A: Assembler> Templates<'_, A> {
    /// A tree of the float kind as a register, like [`Templates::register`].
    pub(super) fn float_register(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(Float, Option<Float>), NoTemplate> {
        if let Value::Leaf {
            symbol: Symbol::Float(n),
            ..
        } = value
        {
            return Ok((Float::Value(*n), None));
        }
        let float = self.take_float()?;
        self.float(value, ty, float)?;
        Ok((float, Some(float)))
    }

    /// A tree of the float kind as an operand, like [`Templates::operand`].
    pub(super) fn float_operand(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(FloatSrc, Option<Float>), NoTemplate> {
        match value {
            Value::Leaf {
                symbol: Symbol::Slot,
                at,
            } => Ok((FloatSrc::Mem(self.slot(*at)), None)),
            Value::Leaf {
                symbol: Symbol::Const32 | Symbol::Const64,
                at,
            } => Ok((FloatSrc::Mem(Mem::Operand(*at)), None)),
            _ => {
                let (float, held) = self.float_register(value, ty)?;
                Ok((FloatSrc::Reg(float), held))
            }
        }
    }

    /// Evaluates a tree of the float kind into a register.
    pub(super) fn float(&mut self, value: &Value, ty: Ty, into: Float) -> Done {
        let (op, at, operands) = match value {
            Value::Leaf { .. } => {
                if let Value::Leaf {
                    symbol: Symbol::Float(n),
                    ..
                } = value
                {
                    let from = FloatSrc::Reg(Float::Value(*n));
                    self.asm.float_load(width(ty), into, from);
                } else {
                    let (src, _) = self.float_operand(value, ty)?;
                    self.asm.float_load(width(ty), into, src);
                }
                return Ok(());
            }
            Value::Op { op, at, operands } => (*op, *at, &operands[..]),
        };
        if takes_vector(op) {
            return self.float_of_vector(op, at, operands, into);
        }
        let w = width(op.result());
        if let Some(alu) = float_alu(op) {
            self.float(&operands[0], ty, into)?;
            let (src, held) = self.float_operand(&operands[1], ty)?;
            self.asm.float_alu(alu, w, into, src);
            self.release_float(held);
        } else if let Some(unary) = float_unary(op) {
            let (src, held) = self.float_operand(&operands[0], ty)?;
            self.asm.float_unary(unary, w, into, src);
            self.release_float(held);
        } else if let Effect::Load { width, unchecked } = op.effect() {
            let address = self.address(&operands[0], at, width, unchecked)?;
            let from = FloatSrc::Mem(Mem::Guest(address));
            self.asm.float_load(w, into, from);
        } else {
            match op {
                Op::GlobalGetFloat => {
                    let value = FloatSrc::Mem(self.global(at));
                    self.asm.float_load(Width::W64, into, value);
                }
                Op::SelectFloat => {
                    self.float(&operands[0], Ty::F64, into)?;
                    let (other, held) = self.float_register(&operands[1], Ty::F64)?;
                    let (first, second) = (self.asm.new_label(), self.asm.new_label());
                    match self.truth(&operands[2])? {
                        Condition::Int(cond) => self.asm.jump_if(cond, first),
                        Condition::Float(cond, w, a, b) => {
                            self.asm.float_jump_unless(cond, w, a, b, second);
                            self.asm.jump_always(first);
                        }
                    }
                    self.asm.bind(second);
                    let other = FloatSrc::Reg(other);
                    self.asm.float_load(Width::W64, into, other);
                    self.asm.bind(first);
                    self.release_float(held);
                }
                Op::F32ReinterpretI32 | Op::F64ReinterpretI64 => {
                    let (reg, held) = self.register(&operands[0], op.params()[0])?;
                    self.asm.float_from_bits(w, into, reg);
                    self.release(held);
                }
                Op::F32DemoteF64 | Op::F64PromoteF32 => {
                    let (src, held) = self.float_operand(&operands[0], op.params()[0])?;
                    self.asm.float_resize(w, into, src);
                    self.release_float(held);
                }
                Op::F32ConvertI64U | Op::F64ConvertI64U => {
                    let (reg, held) = self.register(&operands[0], Ty::I64)?;
                    self.asm.float_from_unsigned(w, into, reg);
                    self.release(held);
                }
                _ => {
                    let Some(signed) = conversion(op) else {
                        return Err(NoTemplate(format!("no template for {op}")));
                    };
                    let ty = op.params()[0];
                    let (reg, held) = self.register(&operands[0], ty)?;
                    // An unsigned 32-bit integer is a 64-bit one: its upper half is zero.
                    let from = if signed { width(ty) } else { Width::W64 };
                    self.asm.float_from_int(w, into, from, reg);
                    self.release(held);
                }
            }
        }
        Ok(())
    }
}
