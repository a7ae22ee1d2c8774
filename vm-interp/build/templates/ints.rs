//! Trees of the integer kind.

use vm_translate::shape::Symbol;
use vm_translate::{Effect, Op, Ty};

use super::vectors::takes_vector;
use super::{Condition, Done, NoTemplate, Templates, Value};
use crate::asm::*;
use crate::operators::*;

impl<A: Assembler> Templates<'_, A> {
    /// A tree as the second operand of an instruction: a leaf as it is, anything else in a
    /// scratch register, which the caller gives back.
    pub(super) fn operand(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(Src, Option<Reg>), NoTemplate> {
        match value {
            Value::Leaf { symbol, at } => Ok((self.leaf(*symbol, *at, ty)?, None)),
            Value::Op { .. } => {
                let reg = self.take()?;
                self.int(value, ty, reg)?;
                Ok((Src::Reg(reg), Some(reg)))
            }
        }
    }

    /// A tree as a register: a leaf register as it is, anything else in a scratch register,
    /// which the caller gives back.
    pub(super) fn register(
        &mut self,
        value: &Value,
        ty: Ty,
    ) -> Result<(Reg, Option<Reg>), NoTemplate> {
        if let Value::Leaf {
            symbol: Symbol::Int(n),
            ..
        } = value
        {
            return Ok((Reg::Value(*n), None));
        }
        let reg = self.take()?;
        self.int(value, ty, reg)?;
        Ok((reg, Some(reg)))
    }

    /// Evaluates a tree of the integer kind into a register.
    pub(super) fn int(&mut self, value: &Value, ty: Ty, into: Reg) -> Done {
        let (op, at, operands) = match value {
            Value::Leaf { symbol, at } => {
                if *symbol == Symbol::Const32 && ty == Ty::I64 {
                    self.asm.load_signed32(into, Mem::Operand(*at));
                    return Ok(());
                }
                let src = self.leaf(*symbol, *at, ty)?;
                self.asm.load(width(ty), into, src);
                return Ok(());
            }
            Value::Op { op, at, operands } => (*op, *at, &operands[..]),
        };
        if takes_vector(op) {
            return self.int_of_vector(op, at, operands, into);
        }
        let w = width(op.result());
        if let Some(alu) = alu(op) {
            self.int(&operands[0], op.params()[0], into)?;
            let (src, held) = self.operand(&operands[1], op.params()[1])?;
            self.asm.alu(alu, w, into, src);
            self.release(held);
        } else if let Some(shift) = shift(op) {
            self.int(&operands[0], op.params()[0], into)?;
            // The count's low bits count: the low half of whatever it is will do.
            let (src, held) = self.operand(&operands[1], Ty::I32)?;
            self.asm.shift(shift, w, into, src);
            self.release(held);
        } else if let Some(unary) = unary(op) {
            self.int(&operands[0], op.params()[0], into)?;
            self.asm.unary(unary, w, into, into);
        } else if let Some(div) = div(op) {
            let (dividend, divisor) = self.leaves_beside_scratch(op, operands, into)?;
            self.asm.trap_site(false);
            self.asm.div(div, w, into, Src::Reg(dividend), divisor);
        } else if op == Op::I64MulHighU {
            let (a, b) = self.leaves_beside_scratch(op, operands, into)?;
            self.asm.load(w, Reg::S0, Src::Reg(a));
            self.asm.mul_wide(false, b);
            if into != Reg::S1 {
                self.asm.load(w, into, Src::Reg(Reg::S1));
            }
        } else if comparison(op) {
            let condition = self.condition(op, operands)?;
            match condition {
                Condition::Int(cond) => self.asm.set_condition(cond, into),
                Condition::Float(cond, w, a, b) => {
                    self.asm.float_set_condition(cond, w, a, b, into);
                }
            }
        } else if let Effect::Load { width, unchecked } = op.effect() {
            let address = self.address(&operands[0], at, width, unchecked)?;
            self.asm
                .load_extend(extend(op, width), into, Mem::Guest(address));
        } else {
            match op {
                Op::GlobalGet => {
                    let value = Src::Mem(self.global(at));
                    self.asm.load(Width::W64, into, value);
                }
                Op::Select => {
                    self.int(&operands[0], Ty::I64, into)?;
                    let (other, held) = self.register(&operands[1], Ty::I64)?;
                    match self.truth(&operands[2])? {
                        Condition::Int(cond) => {
                            self.asm.move_unless(cond, Width::W64, into, other);
                        }
                        Condition::Float(cond, w, a, b) => {
                            let (first, second) = (self.asm.new_label(), self.asm.new_label());
                            self.asm.float_jump_unless(cond, w, a, b, second);
                            self.asm.jump_always(first);
                            self.asm.bind(second);
                            self.asm.load(Width::W64, into, Src::Reg(other));
                            self.asm.bind(first);
                        }
                    }
                    self.release(held);
                }
                // An i32's upper half is zero already, whoever made it.
                Op::I64ExtendI32U => self.int(&operands[0], Ty::I32, into)?,
                Op::I32WrapI64 => {
                    if let Value::Op { .. } = operands[0] {
                        self.int(&operands[0], Ty::I64, into)?;
                        self.asm.load(Width::W32, into, Src::Reg(into));
                    } else {
                        self.int(&operands[0], Ty::I32, into)?;
                    }
                }
                Op::I32WrapAddress => {
                    self.int(&operands[0], Ty::I64, into)?;
                    self.asm.trap_site(false);
                    // What is equal to its lower half has no other.
                    let lower = self.take()?;
                    self.asm.load(Width::W32, lower, Src::Reg(into));
                    self.asm.compare(Width::W64, lower, Src::Reg(into));
                    self.asm.exit_if(Cond::Ne, Exit::MemoryOutOfBounds);
                    self.give(lower);
                }
                Op::I32ReinterpretF32 | Op::I64ReinterpretF64 => {
                    let ty = op.params()[0];
                    let (float, held) = self.float_register(&operands[0], ty)?;
                    self.asm.float_to_bits(w, into, float);
                    self.release_float(held);
                }
                _ => {
                    let (traps, (to, signed)) = match (truncation(op), saturation(op)) {
                        (Some(to), _) => (true, to),
                        (_, Some(to)) => (false, to),
                        _ => return Err(NoTemplate(format!("no template for {op}"))),
                    };
                    let ty = op.params()[0];
                    let (float, held) = self.float_register(&operands[0], ty)?;
                    if traps {
                        self.asm.trap_site(false);
                        self.asm.float_to_int(to, signed, into, width(ty), float);
                    } else {
                        self.asm.float_saturate(to, signed, into, width(ty), float);
                    }
                    self.release_float(held);
                }
            }
        }
        Ok(())
    }

    /// The two operands of an operator that has `S0` and `S1` for itself: the first in another
    /// register.
    fn leaves_beside_scratch(
        &mut self,
        op: Op,
        operands: &[Value],
        into: Reg,
    ) -> Result<(Reg, Src), NoTemplate> {
        let ty = op.params()[0];
        let [
            Value::Leaf { symbol, at },
            Value::Leaf {
                symbol: second,
                at: second_at,
            },
        ] = operands
        else {
            return Err(NoTemplate(format!("{op} of trees")));
        };
        let ours = |reg| into == reg || self.free.contains(&reg);
        if !(ours(Reg::S0) && ours(Reg::S1) && ours(Reg::S2)) {
            return Err(NoTemplate(format!("{op} inside a tree")));
        }
        let first = match symbol {
            Symbol::Int(n) => Reg::Value(*n),
            _ => {
                let src = self.leaf(*symbol, *at, ty)?;
                self.asm.load(width(ty), Reg::S2, src);
                Reg::S2
            }
        };
        Ok((first, self.leaf(*second, *second_at, ty)?))
    }
}
