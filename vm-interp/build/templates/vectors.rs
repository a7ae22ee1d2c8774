//! Trees whose value is a vector.

use vm_translate::shape::Symbol;
use vm_translate::{Effect, Op};

use super::{Done, NoTemplate, Templates, Value};
use crate::asm::*;

impl<A: Assembler> Templates<'_, A> {
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
            _ => Err(NoTemplate(format!("no template for {op}"))),
        }
    }
}
