//! Single lanes, and numbers that are computed of all of them.

use vm_translate::shape::Symbol;
use vm_translate::{Op, Ty};

use super::super::{Done, NoTemplate, Templates, Value};
use crate::asm::*;
use crate::operators::{extend, width};

/// Bytes of the lanes of an operator that accesses one.
fn lane_bytes(op: Op) -> u32 {
    match op {
        Op::I8x16ExtractLaneS | Op::I8x16ExtractLaneU | Op::I8x16ReplaceLane => 1,
        Op::I16x8ExtractLaneS | Op::I16x8ExtractLaneU | Op::I16x8ReplaceLane => 2,
        Op::I32x4ExtractLane
        | Op::I32x4ReplaceLane
        | Op::F32x4ExtractLane
        | Op::F32x4ReplaceLane => 4,
        _ => 8,
    }
}

/// The splat of a lane's number.
fn splat(op: Op) -> Op {
    match lane_bytes(op) {
        1 => Op::I8x16Splat,
        2 => Op::I16x8Splat,
        4 => Op::I32x4Splat,
        _ => Op::I64x2Splat,
    }
}

impl<A: Assembler> Templates<'_, A> {
    /// Evaluates an operator on a vector whose value is an integer.
    pub(in super::super) fn int_of_vector(
        &mut self,
        op: Op,
        at: u32,
        operands: &[Value],
        into: Reg,
    ) -> Done {
        if op.has_lane() {
            let bytes = lane_bytes(op);
            let lane = self.lane(op, at, &operands[0])?;
            self.asm.load_extend(extend(op, bytes), into, lane);
            return Ok(());
        }
        if let Some(cond) = self.vector_test(op, operands)? {
            self.asm.set_condition(cond, into);
            return Ok(());
        }
        let [vector, temp] = [self.take_vector()?, self.take_vector()?];
        self.vector(&operands[0], vector)?;
        if !self.asm.vector_bitmask(op, into, vector, temp) {
            return Err(NoTemplate(format!("no template for {op}")));
        }
        self.give_vectors(&[vector, temp]);
        Ok(())
    }

    /// Evaluates an operator on a vector whose value is a float.
    pub(in super::super) fn float_of_vector(
        &mut self,
        op: Op,
        at: u32,
        operands: &[Value],
        into: Float,
    ) -> Done {
        if !op.has_lane() {
            return Err(NoTemplate(format!("no template for {op}")));
        }
        let lane = self.lane(op, at, &operands[0])?;
        self.asm
            .float_load(width(op.result()), into, FloatSrc::Mem(lane));
        Ok(())
    }

    /// The condition that an operator's value is 1, if it is a test of a vector.
    pub(in super::super) fn vector_test(
        &mut self,
        op: Op,
        operands: &[Value],
    ) -> Result<Option<Cond>, NoTemplate> {
        if !matches!(
            op,
            Op::V128AnyTrue
                | Op::I8x16AllTrue
                | Op::I16x8AllTrue
                | Op::I32x4AllTrue
                | Op::I64x2AllTrue
        ) {
            return Ok(None);
        }
        let [vector, temp] = [self.take_vector()?, self.take_vector()?];
        self.vector(&operands[0], vector)?;
        let cond = self.asm.vector_test(op, vector, temp);
        self.give_vectors(&[vector, temp]);
        cond.map(Some)
            .ok_or_else(|| NoTemplate(format!("no template for {op}")))
    }

    /// Where the lane of a vector in slots stands, by way of [`Reg::Address`].
    fn lane(&mut self, op: Op, number: u32, vector: &Value) -> Result<Mem, NoTemplate> {
        let Value::Leaf {
            symbol: Symbol::Vector,
            at,
        } = vector
        else {
            return Err(NoTemplate(format!("{op} of a tree")));
        };
        let lane = self.take()?;
        self.asm
            .load(Width::W32, lane, Src::Mem(Mem::Operand(number)));
        let slots = self.slot(*at);
        self.asm.lane_address(Reg::Address, lane, lane_bytes(op));
        self.give(lane);
        Ok(slots)
    }

    pub(super) fn replace_lane(
        &mut self,
        op: Op,
        number: u32,
        operands: &[Value],
        into: Float,
    ) -> Done {
        self.vector(&operands[0], into)?;
        let value = self.take_vector()?;
        self.low_lane(&operands[1], op.params()[1], value)?;
        let temps = [self.take_vector()?, self.take_vector()?];
        if !self.asm.vector_op(splat(op), [value; 3], temps) {
            return Err(NoTemplate(format!("no template for {op}")));
        }
        let [lane, temp] = [self.take()?, self.take()?];
        self.asm
            .load(Width::W32, lane, Src::Mem(Mem::Operand(number)));
        self.asm
            .vector_replace(lane_bytes(op), into, value, lane, (temps[0], temp));
        self.give(temp);
        self.give(lane);
        self.give_vectors(&temps);
        self.give_vectors(&[value]);
        Ok(())
    }
}

/// Whether an operator's operand is a vector and its value is not.
pub(in super::super) fn takes_vector(op: Op) -> bool {
    op.params().first() == Some(&Ty::V128) && op.result() != Ty::V128
}
