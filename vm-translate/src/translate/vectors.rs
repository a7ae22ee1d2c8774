//! Instructions on vectors.
//!
//! Accesses of memory other than of a whole vector are made of what there is already: a load or a
//! store of a number of the same width, and an operator that makes a vector of it or takes a lane.
//! So they are checked, and unchecked, just like those.
//!
//! Relaxed instructions do what the deterministic profile of the specification says (section
//! "Numerics", "Relaxed Operations"): most then are the same as an instruction that is not relaxed.

use wasmparser::{MemArg, Operator};

use crate::op::{Op, StoreOp, Ty};

use super::Translator;
use super::expr::Effects;
use super::operators::memory;

/// What a tier has for instructions on vectors.
pub(super) trait Vectors {
    /// Half of a vector, as an integer constant.
    fn half(&mut self, bits: u64);

    /// Applies an operator with an immediate: what it takes is on the stack.
    fn apply_with(&mut self, op: Op, immediate: u64);

    /// Applies an operator without one.
    fn apply_plain(&mut self, op: Op);

    fn load_from(&mut self, op: Op, memarg: MemArg);

    fn store_in(&mut self, op: StoreOp, memarg: MemArg);

    /// A load of a number into a lane of the vector at the top of the stack, which an operator replaces.
    fn load_lane(&mut self, load: Op, replace: Op, memarg: MemArg, lane: u8);

    /// Translates an instruction on vectors; answers whether it is one.
    fn vector(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::V128Const { value } => self.vector_constant(*value.bytes()),
            Operator::I8x16Shuffle { lanes } => {
                self.vector_constant(lanes);
                self.apply_with(Op::I8x16Shuffle, 0);
            }

            Operator::V128Load { memarg } => self.load_from(Op::V128Load, memarg),
            Operator::V128Load8x8S { memarg } => {
                self.load_half(Op::I16x8ExtendLowI8x16S, memarg);
            }
            Operator::V128Load8x8U { memarg } => {
                self.load_half(Op::I16x8ExtendLowI8x16U, memarg);
            }
            Operator::V128Load16x4S { memarg } => {
                self.load_half(Op::I32x4ExtendLowI16x8S, memarg);
            }
            Operator::V128Load16x4U { memarg } => {
                self.load_half(Op::I32x4ExtendLowI16x8U, memarg);
            }
            Operator::V128Load32x2S { memarg } => {
                self.load_half(Op::I64x2ExtendLowI32x4S, memarg);
            }
            Operator::V128Load32x2U { memarg } => {
                self.load_half(Op::I64x2ExtendLowI32x4U, memarg);
            }
            Operator::V128Load8Splat { memarg } => {
                self.load_into(Op::I32Load8U, Op::I8x16Splat, memarg);
            }
            Operator::V128Load16Splat { memarg } => {
                self.load_into(Op::I32Load16U, Op::I16x8Splat, memarg);
            }
            Operator::V128Load32Splat { memarg } => {
                self.load_into(Op::I32Load, Op::I32x4Splat, memarg);
            }
            Operator::V128Load64Splat { memarg } => {
                self.load_into(Op::I64Load, Op::I64x2Splat, memarg);
            }
            Operator::V128Load32Zero { memarg } => {
                self.load_into(Op::I64Load32U, Op::V128FromI64, memarg);
            }
            Operator::V128Load64Zero { memarg } => {
                self.load_into(Op::I64Load, Op::V128FromI64, memarg);
            }
            Operator::V128Load8Lane { memarg, lane } => {
                self.load_lane(Op::I32Load8U, Op::I8x16ReplaceLane, memarg, lane);
            }
            Operator::V128Load16Lane { memarg, lane } => {
                self.load_lane(Op::I32Load16U, Op::I16x8ReplaceLane, memarg, lane);
            }
            Operator::V128Load32Lane { memarg, lane } => {
                self.load_lane(Op::I32Load, Op::I32x4ReplaceLane, memarg, lane);
            }
            Operator::V128Load64Lane { memarg, lane } => {
                self.load_lane(Op::I64Load, Op::I64x2ReplaceLane, memarg, lane);
            }
            Operator::V128Store { memarg } => self.store_in(StoreOp::V128Store, memarg),
            Operator::V128Store8Lane { memarg, lane } => {
                self.apply_with(Op::I8x16ExtractLaneU, lane.into());
                self.store_in(StoreOp::I32Store8, memarg);
            }
            Operator::V128Store16Lane { memarg, lane } => {
                self.apply_with(Op::I16x8ExtractLaneU, lane.into());
                self.store_in(StoreOp::I32Store16, memarg);
            }
            Operator::V128Store32Lane { memarg, lane } => {
                self.apply_with(Op::I32x4ExtractLane, lane.into());
                self.store_in(StoreOp::I32Store, memarg);
            }
            Operator::V128Store64Lane { memarg, lane } => {
                self.apply_with(Op::I64x2ExtractLane, lane.into());
                self.store_in(StoreOp::I64Store, memarg);
            }

            _ => {
                if let Some(op) = operator_of(operator) {
                    self.apply_plain(op);
                } else if let Some((op, lane)) = lane(operator) {
                    self.apply_with(op, lane.into());
                } else {
                    return false;
                }
            }
        }
        true
    }

    fn vector_constant(&mut self, bytes: [u8; 16]) {
        let bits = u128::from_le_bytes(bytes);
        self.half(bits as u64);
        self.half((bits >> 64) as u64);
        self.apply_with(Op::V128Const, 0);
    }

    /// A load of a number, of which an operator makes a vector.
    fn load_into(&mut self, load: Op, op: Op, memarg: MemArg) {
        self.load_from(load, memarg);
        self.apply_with(op, 0);
    }

    /// A load of the lower half of a vector, whose lanes an operator extends.
    fn load_half(&mut self, extend: Op, memarg: MemArg) {
        self.load_into(Op::I64Load, Op::V128FromI64, memarg);
        self.apply_with(extend, 0);
    }
}

impl Vectors for Translator<'_> {
    fn half(&mut self, bits: u64) {
        self.constant(Ty::I64, bits);
    }

    fn apply_with(&mut self, op: Op, immediate: u64) {
        self.apply(op, immediate);
    }

    /// What is computed goes to its right, so that half as many shapes do.
    fn apply_plain(&mut self, op: Op) {
        let tree = |n: usize| self.stack.is_tree(self.stack.len() - n);
        match op.mirrored() {
            Some(mirrored) if tree(2) && !tree(1) => self.apply_ordered(mirrored, 0, &[1, 0]),
            _ => self.apply(op, 0),
        }
        self.canonicalize(op);
    }

    fn load_from(&mut self, op: Op, memarg: MemArg) {
        self.load(op, memory(memarg), memarg.offset);
    }

    fn store_in(&mut self, op: StoreOp, memarg: MemArg) {
        self.store_to(op, memory(memarg), memarg.offset);
    }

    fn load_lane(&mut self, load: Op, replace: Op, memarg: MemArg, lane: u8) {
        let top = self.stack.len() - 1;
        // The vector changes places with what is loaded: only one of them may trap.
        if self.stack.entry(top).effects.any_of(Effects::TRAPS) {
            self.materialise(top);
        }
        self.load_below_top(load, memory(memarg), memarg.offset);
        self.apply_ordered(replace, lane.into(), &[1, 0]);
    }
}

/// The operator of an instruction without immediates.
fn operator_of(operator: &Operator<'_>) -> Option<Op> {
    macro_rules! table {
        ($($name:ident)* ; $($relaxed:ident => $same:ident,)*) => {
            match operator {
                $(Operator::$name => Some(Op::$name),)*
                $(Operator::$relaxed => Some(Op::$same),)*
                _ => None,
            }
        };
    }
    table! {
        I8x16Swizzle I8x16Splat I16x8Splat I32x4Splat I64x2Splat F32x4Splat F64x2Splat
        I8x16Eq I8x16Ne I8x16LtS I8x16LtU I8x16GtS I8x16GtU I8x16LeS I8x16LeU I8x16GeS
        I8x16GeU I16x8Eq I16x8Ne I16x8LtS I16x8LtU I16x8GtS I16x8GtU I16x8LeS I16x8LeU
        I16x8GeS I16x8GeU I32x4Eq I32x4Ne I32x4LtS I32x4LtU I32x4GtS I32x4GtU I32x4LeS
        I32x4LeU I32x4GeS I32x4GeU I64x2Eq I64x2Ne I64x2LtS I64x2GtS I64x2LeS I64x2GeS
        F32x4Eq F32x4Ne F32x4Lt F32x4Gt F32x4Le F32x4Ge F64x2Eq F64x2Ne F64x2Lt F64x2Gt
        F64x2Le F64x2Ge V128Not V128And V128AndNot V128Or V128Xor V128Bitselect
        V128AnyTrue I8x16Abs I8x16Neg I8x16Popcnt I8x16AllTrue I8x16Bitmask
        I8x16NarrowI16x8S I8x16NarrowI16x8U I8x16Shl I8x16ShrS I8x16ShrU I8x16Add
        I8x16AddSatS I8x16AddSatU I8x16Sub I8x16SubSatS I8x16SubSatU I8x16MinS I8x16MinU
        I8x16MaxS I8x16MaxU I8x16AvgrU I16x8ExtAddPairwiseI8x16S
        I16x8ExtAddPairwiseI8x16U I16x8Abs I16x8Neg I16x8Q15MulrSatS I16x8AllTrue
        I16x8Bitmask I16x8NarrowI32x4S I16x8NarrowI32x4U I16x8ExtendLowI8x16S
        I16x8ExtendHighI8x16S I16x8ExtendLowI8x16U I16x8ExtendHighI8x16U I16x8Shl
        I16x8ShrS I16x8ShrU I16x8Add I16x8AddSatS I16x8AddSatU I16x8Sub I16x8SubSatS
        I16x8SubSatU I16x8Mul I16x8MinS I16x8MinU I16x8MaxS I16x8MaxU I16x8AvgrU
        I16x8ExtMulLowI8x16S I16x8ExtMulHighI8x16S I16x8ExtMulLowI8x16U
        I16x8ExtMulHighI8x16U I32x4ExtAddPairwiseI16x8S I32x4ExtAddPairwiseI16x8U
        I32x4Abs I32x4Neg I32x4AllTrue I32x4Bitmask I32x4ExtendLowI16x8S
        I32x4ExtendHighI16x8S I32x4ExtendLowI16x8U I32x4ExtendHighI16x8U I32x4Shl
        I32x4ShrS I32x4ShrU I32x4Add I32x4Sub I32x4Mul I32x4MinS I32x4MinU I32x4MaxS
        I32x4MaxU I32x4DotI16x8S I32x4ExtMulLowI16x8S I32x4ExtMulHighI16x8S
        I32x4ExtMulLowI16x8U I32x4ExtMulHighI16x8U I64x2Abs I64x2Neg I64x2AllTrue
        I64x2Bitmask I64x2ExtendLowI32x4S I64x2ExtendHighI32x4S I64x2ExtendLowI32x4U
        I64x2ExtendHighI32x4U I64x2Shl I64x2ShrS I64x2ShrU I64x2Add I64x2Sub I64x2Mul
        I64x2ExtMulLowI32x4S I64x2ExtMulHighI32x4S I64x2ExtMulLowI32x4U
        I64x2ExtMulHighI32x4U F32x4Ceil F32x4Floor F32x4Trunc F32x4Nearest F32x4Abs
        F32x4Neg F32x4Sqrt F32x4Add F32x4Sub F32x4Mul F32x4Div F32x4Min F32x4Max
        F32x4PMin F32x4PMax F64x2Ceil F64x2Floor F64x2Trunc F64x2Nearest F64x2Abs
        F64x2Neg F64x2Sqrt F64x2Add F64x2Sub F64x2Mul F64x2Div F64x2Min F64x2Max
        F64x2PMin F64x2PMax I32x4TruncSatF32x4S I32x4TruncSatF32x4U F32x4ConvertI32x4S
        F32x4ConvertI32x4U I32x4TruncSatF64x2SZero I32x4TruncSatF64x2UZero
        F64x2ConvertLowI32x4S F64x2ConvertLowI32x4U F32x4DemoteF64x2Zero
        F64x2PromoteLowF32x4 F32x4RelaxedMadd F32x4RelaxedNmadd F64x2RelaxedMadd
        F64x2RelaxedNmadd I16x8RelaxedDotI8x16I7x16S I32x4RelaxedDotI8x16I7x16AddS
        ;
        I8x16RelaxedSwizzle => I8x16Swizzle,
        I32x4RelaxedTruncF32x4S => I32x4TruncSatF32x4S,
        I32x4RelaxedTruncF32x4U => I32x4TruncSatF32x4U,
        I32x4RelaxedTruncF64x2SZero => I32x4TruncSatF64x2SZero,
        I32x4RelaxedTruncF64x2UZero => I32x4TruncSatF64x2UZero,
        I8x16RelaxedLaneselect => V128Bitselect,
        I16x8RelaxedLaneselect => V128Bitselect,
        I32x4RelaxedLaneselect => V128Bitselect,
        I64x2RelaxedLaneselect => V128Bitselect,
        F32x4RelaxedMin => F32x4Min,
        F32x4RelaxedMax => F32x4Max,
        F64x2RelaxedMin => F64x2Min,
        F64x2RelaxedMax => F64x2Max,
        I16x8RelaxedQ15mulrS => I16x8Q15MulrSatS,
    }
}

/// The operator of an access of a lane, and the lane.
fn lane(operator: &Operator<'_>) -> Option<(Op, u8)> {
    macro_rules! table {
        ($($name:ident)*) => {
            match *operator {
                $(Operator::$name { lane } => Some((Op::$name, lane)),)*
                _ => None,
            }
        };
    }
    table! {
        I8x16ExtractLaneS I8x16ExtractLaneU I8x16ReplaceLane I16x8ExtractLaneS
        I16x8ExtractLaneU I16x8ReplaceLane I32x4ExtractLane I32x4ReplaceLane
        I64x2ExtractLane I64x2ReplaceLane F32x4ExtractLane F32x4ReplaceLane
        F64x2ExtractLane F64x2ReplaceLane
    }
}
