//! What templates of vector operators are written against.
//!
//! Vectors live in scratch registers while a handler runs, and nowhere longer. Which of the
//! machine's instructions make an operator is the back end's business: only it knows what is
//! cheap.

use vm_translate::Op;

use super::{Cond, Float, Mem, Reg};

pub(crate) trait VectorAssembler {
    /// `dst` = the 16 bytes at `mem`, wherever they are.
    fn vector_load(&mut self, dst: Float, mem: Mem);
    fn vector_store(&mut self, mem: Mem, src: Float);
    fn vector_move(&mut self, dst: Float, src: Float);

    /// `values[0] = op(values…)`, of which there are as many as the operator has operands. A
    /// number among them, as of a splat, is in the low bits of its register. May change all
    /// registers that it is given. Answers whether it has instructions for the operator.
    fn vector_op(&mut self, op: Op, values: [Float; 3], temps: [Float; 2]) -> bool;

    /// `a = op(a, count)`, a shift of every lane, the count modulo the lanes' width. May change
    /// all registers that it is given.
    fn vector_shift(&mut self, op: Op, a: Float, count: Reg, temps: [Float; 2]) -> bool;

    /// Replaces the lane of `bytes` bytes of `a` whose number is in `lane`, by those lanes of
    /// `value`, which are all the same. May change all registers that it is given.
    fn vector_replace(
        &mut self,
        bytes: u32,
        a: Float,
        value: Float,
        lane: Reg,
        temps: (Float, Reg),
    );

    /// `address += lane * bytes`.
    fn lane_address(&mut self, address: Reg, lane: Reg, bytes: u32);

    /// `dst` = the highest bit of every lane of `a`. May change all registers that it is given.
    fn vector_bitmask(&mut self, op: Op, dst: Reg, a: Float, temp: Float) -> bool;

    /// Tests a vector as `v128.any_true` and `all_true` do, and answers the condition that then
    /// holds if the operator's value is 1. May change all registers that it is given.
    fn vector_test(&mut self, op: Op, a: Float, temp: Float) -> Option<Cond>;
}
