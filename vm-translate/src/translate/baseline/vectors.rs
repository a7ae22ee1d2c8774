//! Instructions on vectors.

use wasmparser::MemArg;

use crate::op::{Op, StoreOp, Ty};

use super::super::operators::memory;
use super::super::vectors::Vectors;
use super::Baseline;
use super::sink::BaselineSink;
use super::values::Value;

impl<K: BaselineSink> Vectors for Baseline<'_, K> {
    fn half(&mut self, bits: u64) {
        self.push(Value::Const(bits), Ty::I64);
    }

    fn apply_with(&mut self, op: Op, immediate: u64) {
        self.apply(op, immediate);
    }

    fn apply_plain(&mut self, op: Op) {
        self.apply(op, 0);
        self.canonicalize(op);
    }

    fn load_from(&mut self, op: Op, memarg: MemArg) {
        self.load(op, memory(memarg), memarg.offset);
    }

    fn store_in(&mut self, op: StoreOp, memarg: MemArg) {
        self.store(op, memory(memarg), memarg.offset);
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
