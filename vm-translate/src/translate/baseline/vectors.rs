//! Instructions on vectors: see the module of the same name of the other tier.

use wasmparser::{MemArg, Operator};

use crate::op::{Op, StoreOp, Ty};

use super::super::operators::memory;
use super::super::vectors::{Vector, halves};
use super::Baseline;
use super::sink::BaselineSink;
use super::values::Value;

impl<K: BaselineSink> Baseline<'_, K> {
    /// Translates an instruction on vectors; answers whether it is one.
    pub(super) fn vector(&mut self, operator: &Operator<'_>) -> bool {
        let Some(vector) = Vector::of(operator) else {
            return false;
        };
        match vector {
            Vector::Const(bytes) => self.vector_constant(bytes),
            Vector::Shuffle(lanes) => {
                self.vector_constant(lanes);
                self.apply(Op::I8x16Shuffle, 0);
            }
            Vector::Load(memarg) => self.load(Op::V128Load, memory(memarg), memarg.offset),
            Vector::LoadInto(load, op, memarg) => self.load_into(load, op, memarg),
            Vector::LoadHalf(extend, memarg) => {
                self.load_into(Op::I64Load, Op::V128FromI64, memarg);
                self.apply(extend, 0);
            }
            Vector::LoadLane(load, op, memarg, lane) => self.load_lane(load, op, memarg, lane),
            Vector::Store(memarg) => {
                self.store(StoreOp::V128Store, memory(memarg), memarg.offset);
            }
            Vector::StoreLane(op, store, memarg, lane) => {
                self.apply(op, lane.into());
                self.store(store, memory(memarg), memarg.offset);
            }
            Vector::Operator(op) => {
                self.apply(op, 0);
                self.canonicalize(op);
            }
            Vector::Lane(op, lane) => self.apply(op, lane.into()),
        }
        true
    }

    fn vector_constant(&mut self, bytes: [u8; 16]) {
        for half in halves(bytes) {
            self.push(Value::Const(half), Ty::I64);
        }
        self.apply(Op::V128Const, 0);
    }

    fn load_into(&mut self, load: Op, op: Op, memarg: MemArg) {
        self.load(load, memory(memarg), memarg.offset);
        self.apply(op, 0);
    }

    /// The vector stands above the address, and stays where it is while its operator takes it first.
    fn load_lane(&mut self, load: Op, replace: Op, memarg: MemArg, lane: u8) {
        let vector = self.pop();
        self.load(load, memory(memarg), memarg.offset);
        let number = self.pop();
        self.stack.extend([vector, number]);
        self.apply(replace, lane.into());
    }
}
