//! Trees with vectors in them.
//!
//! A vector is loaded into a scratch register, and what is computed of it stays in one until the
//! root takes it: vectors have no registers that outlive a cell.

mod lanes;

pub(super) use lanes::takes_vector;

use vm_translate::shape::Symbol;
use vm_translate::{Effect, Op, Ty};

use super::{Condition, Done, NoTemplate, Templates, Value};
use crate::asm::*;
use crate::operators::width;

impl<A: Assembler> Templates<'_, A> {
    fn take_vector(&mut self) -> Result<Float, NoTemplate> {
        self.free_vectors
            .pop()
            .ok_or_else(|| NoTemplate("too many vectors at once".into()))
    }

    fn give_vectors(&mut self, vectors: &[Float]) {
        self.free_vectors.extend(vectors.iter().rev());
    }

    /// Evaluates a tree whose value is a vector into a register.
    pub(super) fn vector(&mut self, value: &Value, into: Float) -> Done {
        let (op, at, operands) = match value {
            Value::Leaf {
                symbol: Symbol::Vector,
                at,
            } => {
                let slots = self.slot(*at);
                self.asm.vector_load(into, slots);
                return Ok(());
            }
            Value::Leaf { symbol, .. } => {
                return Err(NoTemplate(format!("{symbol:?} as a vector")));
            }
            Value::Op { op, at, operands } => (*op, *at, &operands[..]),
        };
        if let Effect::Load { width, unchecked } = op.effect() {
            let address = self.address(&operands[0], at, width, unchecked)?;
            self.asm.vector_load(into, Mem::Guest(address));
            return Ok(());
        }
        match op {
            Op::GlobalGetVector => {
                let cell = self.global(at);
                self.asm.vector_load(into, cell);
                Ok(())
            }
            Op::V128Const if let Some(at) = adjacent_halves(operands) => {
                self.asm.vector_load(into, Mem::Operand(at));
                Ok(())
            }
            Op::SelectVector => self.select_vector(operands, into),
            _ if op.has_lane() => self.replace_lane(op, at, operands, into),
            _ if op.params().last() == Some(&Ty::I32) && op.params().len() == 2 => {
                self.vector_shift(op, operands, into)
            }
            _ => self.vector_op(op, operands, into),
        }
    }

    fn vector_op(&mut self, op: Op, operands: &[Value], into: Float) -> Done {
        // What an operator has no use for is named all the same, but not taken.
        let mut values = [into; 3];
        for (n, (operand, ty)) in operands.iter().zip(op.params()).enumerate() {
            if n > 0 {
                values[n] = self.take_vector()?;
            }
            match ty {
                Ty::V128 => self.vector(operand, values[n])?,
                _ => self.low_lane(operand, *ty, values[n])?,
            }
        }
        let temps = [self.take_vector()?, self.take_vector()?];
        if !self.asm.vector_op(op, values, temps) {
            return Err(NoTemplate(format!("no template for {op}")));
        }
        self.give_vectors(&temps);
        self.give_vectors(values.get(1..operands.len()).unwrap_or(&[]));
        Ok(())
    }

    fn vector_shift(&mut self, op: Op, operands: &[Value], into: Float) -> Done {
        self.vector(&operands[0], into)?;
        let count = self.take()?;
        self.int(&operands[1], Ty::I32, count)?;
        let temps = [self.take_vector()?, self.take_vector()?];
        if !self.asm.vector_shift(op, into, count, temps) {
            return Err(NoTemplate(format!("no template for {op}")));
        }
        self.give_vectors(&temps);
        self.give(count);
        Ok(())
    }

    fn select_vector(&mut self, operands: &[Value], into: Float) -> Done {
        self.vector(&operands[0], into)?;
        let other = self.take_vector()?;
        self.vector(&operands[1], other)?;
        let (first, second) = (self.asm.new_label(), self.asm.new_label());
        match self.truth(&operands[2])? {
            Condition::Int(cond) => self.asm.jump_if(cond, first),
            Condition::Float(cond, w, a, b) => {
                self.asm.float_jump_unless(cond, w, a, b, second);
                self.asm.jump_always(first);
            }
        }
        self.asm.bind(second);
        self.asm.vector_move(into, other);
        self.asm.bind(first);
        self.give_vectors(&[other]);
        Ok(())
    }

    /// Evaluates a tree whose value is a number into the low bits of a register.
    fn low_lane(&mut self, value: &Value, ty: Ty, into: Float) -> Done {
        let w = width(ty);
        let load = match value {
            Value::Op { op, at, operands } => match op.effect() {
                // All bits of the number are in memory: they need not pass through an integer.
                Effect::Load { width, unchecked }
                    if width == 4 && w == Width::W32 || width == 8 =>
                {
                    Some((width, unchecked, *at, &operands[0]))
                }
                _ => None,
            },
            Value::Leaf { .. } => None,
        };
        if let Some((width, unchecked, at, address)) = load {
            let address = self.address(address, at, width, unchecked)?;
            self.asm
                .float_load(w, into, FloatSrc::Mem(Mem::Guest(address)));
        } else if ty.is_float() {
            self.float(value, ty, into)?;
        } else {
            let (reg, held) = self.register(value, ty)?;
            self.asm.float_from_bits(w, into, reg);
            self.release(held);
        }
        Ok(())
    }
}

/// Where a constant vector stands in the cell, if it does as a whole.
fn adjacent_halves(operands: &[Value]) -> Option<u32> {
    match operands {
        [
            Value::Leaf {
                symbol: Symbol::Const64,
                at,
            },
            Value::Leaf {
                symbol: Symbol::Const64,
                ..
            },
        ] => Some(*at),
        _ => None,
    }
}
