//! Instructions, as the interpreter tells them apart.

use std::collections::HashMap;

use vm_translate::{AtomicOp, Effect, Op, StoreOp};
use wasmparser::{MemArg, Operator};

/// An instruction.
#[derive(Clone)]
pub(super) enum Step<'a> {
    Numeric(Op),
    /// With the number of a lane.
    Lane(Op, u8),
    /// Of so many bytes.
    Load(Op, MemArg, u32),
    /// Of so many bytes.
    Store(MemArg, u32),
    /// A load of so many bytes, of which an operator makes a vector.
    Into(Op, MemArg, u32),
    /// A load of so many bytes into the lane of a vector.
    LoadLane(Op, MemArg, u32, u8),
    /// A store of the lane of a vector, of so many bytes.
    StoreLane(MemArg, u32, u8),
    /// With the place that it accesses, if it does.
    Atomic(AtomicOp, Option<MemArg>),
    Other(Operator<'a>),
}

/// Relaxed instructions that in the deterministic profile are the same as others.
const RELAXED: &[(&str, Op)] = &[
    ("I8x16RelaxedSwizzle", Op::I8x16Swizzle),
    ("I32x4RelaxedTruncF32x4S", Op::I32x4TruncSatF32x4S),
    ("I32x4RelaxedTruncF32x4U", Op::I32x4TruncSatF32x4U),
    ("I32x4RelaxedTruncF64x2SZero", Op::I32x4TruncSatF64x2SZero),
    ("I32x4RelaxedTruncF64x2UZero", Op::I32x4TruncSatF64x2UZero),
    ("I8x16RelaxedLaneselect", Op::V128Bitselect),
    ("I16x8RelaxedLaneselect", Op::V128Bitselect),
    ("I32x4RelaxedLaneselect", Op::V128Bitselect),
    ("I64x2RelaxedLaneselect", Op::V128Bitselect),
    ("F32x4RelaxedMin", Op::F32x4Min),
    ("F32x4RelaxedMax", Op::F32x4Max),
    ("F64x2RelaxedMin", Op::F64x2Min),
    ("F64x2RelaxedMax", Op::F64x2Max),
    ("I16x8RelaxedQ15mulrS", Op::I16x8Q15MulrSatS),
];

/// Operators, loads and stores, by the names that they share with instructions.
pub(super) struct Names {
    ops: HashMap<String, Op>,
    stores: HashMap<String, StoreOp>,
    atomics: HashMap<String, AtomicOp>,
}

impl Names {
    pub(super) fn new() -> Names {
        let of_op = |op: &Op| (format!("{op:?}"), *op);
        let relaxed = RELAXED.iter().map(|(name, op)| ((*name).to_owned(), *op));
        Names {
            ops: Op::ALL.iter().map(of_op).chain(relaxed).collect(),
            stores: (StoreOp::ALL.iter().map(|op| (format!("{op:?}"), *op))).collect(),
            atomics: (AtomicOp::ALL.iter().map(|op| (format!("{op:?}"), *op))).collect(),
        }
    }

    pub(super) fn step<'a>(&self, operator: Operator<'a>) -> Step<'a> {
        match operator {
            Operator::V128Load8Splat { memarg } => Step::Into(Op::I8x16Splat, memarg, 1),
            Operator::V128Load16Splat { memarg } => Step::Into(Op::I16x8Splat, memarg, 2),
            Operator::V128Load32Splat { memarg } => Step::Into(Op::I32x4Splat, memarg, 4),
            Operator::V128Load64Splat { memarg } => Step::Into(Op::I64x2Splat, memarg, 8),
            Operator::V128Load32Zero { memarg } => Step::Into(Op::V128FromI64, memarg, 4),
            Operator::V128Load64Zero { memarg } => Step::Into(Op::V128FromI64, memarg, 8),
            Operator::V128Load8x8S { memarg } => Step::Into(Op::I16x8ExtendLowI8x16S, memarg, 8),
            Operator::V128Load8x8U { memarg } => Step::Into(Op::I16x8ExtendLowI8x16U, memarg, 8),
            Operator::V128Load16x4S { memarg } => Step::Into(Op::I32x4ExtendLowI16x8S, memarg, 8),
            Operator::V128Load16x4U { memarg } => Step::Into(Op::I32x4ExtendLowI16x8U, memarg, 8),
            Operator::V128Load32x2S { memarg } => Step::Into(Op::I64x2ExtendLowI32x4S, memarg, 8),
            Operator::V128Load32x2U { memarg } => Step::Into(Op::I64x2ExtendLowI32x4U, memarg, 8),
            Operator::V128Load8Lane { memarg, lane } => {
                Step::LoadLane(Op::I8x16ReplaceLane, memarg, 1, lane)
            }
            Operator::V128Load16Lane { memarg, lane } => {
                Step::LoadLane(Op::I16x8ReplaceLane, memarg, 2, lane)
            }
            Operator::V128Load32Lane { memarg, lane } => {
                Step::LoadLane(Op::I32x4ReplaceLane, memarg, 4, lane)
            }
            Operator::V128Load64Lane { memarg, lane } => {
                Step::LoadLane(Op::I64x2ReplaceLane, memarg, 8, lane)
            }
            Operator::V128Store8Lane { memarg, lane } => Step::StoreLane(memarg, 1, lane),
            Operator::V128Store16Lane { memarg, lane } => Step::StoreLane(memarg, 2, lane),
            Operator::V128Store32Lane { memarg, lane } => Step::StoreLane(memarg, 4, lane),
            Operator::V128Store64Lane { memarg, lane } => Step::StoreLane(memarg, 8, lane),
            operator => self.named(operator),
        }
    }

    fn named<'a>(&self, operator: Operator<'a>) -> Step<'a> {
        let text = format!("{operator:?}");
        let name = &*name(&operator);
        let access = |operator: &Operator<'a>| {
            let mut memarg = None;
            macro_rules! find {
                ($($name:ident)*) => {
                    match operator { $(Operator::$name { memarg: arg } => memarg = Some(*arg),)* _ => {} }
                };
            }
            find! {
                I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U I64Load8S
                I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U V128Load I32Store I64Store
                F32Store F64Store I32Store8 I32Store16 I64Store8 I64Store16 I64Store32 V128Store
            }
            memarg.expect("an access has an address")
        };
        if let Some(store) = self.stores.get(name) {
            return Step::Store(access(&operator), store.width());
        }
        if let Some(op) = self.atomics.get(name) {
            return Step::Atomic(*op, atomic_access(&operator));
        }
        match self.ops.get(name) {
            // Their operands are not those of the instruction of that name.
            None | Some(Op::V128Const | Op::I8x16Shuffle | Op::Select | Op::GlobalGet) => {
                Step::Other(operator)
            }
            Some(op) if op.has_lane() => {
                let at = text.find("lane: ").expect("a lane has a number") + "lane: ".len();
                let lane = text[at..].trim_end_matches([' ', '}']);
                Step::Lane(*op, lane.parse().unwrap())
            }
            Some(op) => match op.effect() {
                Effect::Load { width, .. } => Step::Load(*op, access(&operator), width),
                _ => Step::Numeric(*op),
            },
        }
    }
}

/// The name of an instruction.
pub(super) fn name(operator: &Operator<'_>) -> String {
    let text = format!("{operator:?}");
    let name = text.split([' ', ',']).next();
    name.unwrap_or_default().to_owned()
}

/// Where an atomic instruction accesses memory, if it does.
fn atomic_access(operator: &Operator<'_>) -> Option<MemArg> {
    macro_rules! find {
        ($($name:ident)*) => {
            match operator {
                $(Operator::$name { memarg } => Some(*memarg),)*
                _ => None,
            }
        };
    }
    find! {
        MemoryAtomicNotify MemoryAtomicWait32 MemoryAtomicWait64 I32AtomicLoad I32AtomicLoad8U
        I32AtomicLoad16U I32AtomicStore I32AtomicStore8 I32AtomicStore16 I32AtomicRmwAdd
        I32AtomicRmw8AddU I32AtomicRmw16AddU I32AtomicRmwSub I32AtomicRmw8SubU
        I32AtomicRmw16SubU I32AtomicRmwAnd I32AtomicRmw8AndU I32AtomicRmw16AndU I32AtomicRmwOr
        I32AtomicRmw8OrU I32AtomicRmw16OrU I32AtomicRmwXor I32AtomicRmw8XorU I32AtomicRmw16XorU
        I32AtomicRmwXchg I32AtomicRmw8XchgU I32AtomicRmw16XchgU I32AtomicRmwCmpxchg
        I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU I64AtomicLoad I64AtomicLoad8U
        I64AtomicLoad16U I64AtomicLoad32U I64AtomicStore I64AtomicStore8 I64AtomicStore16
        I64AtomicStore32 I64AtomicRmwAdd I64AtomicRmw8AddU I64AtomicRmw16AddU I64AtomicRmw32AddU
        I64AtomicRmwSub I64AtomicRmw8SubU I64AtomicRmw16SubU I64AtomicRmw32SubU I64AtomicRmwAnd
        I64AtomicRmw8AndU I64AtomicRmw16AndU I64AtomicRmw32AndU I64AtomicRmwOr I64AtomicRmw8OrU
        I64AtomicRmw16OrU I64AtomicRmw32OrU I64AtomicRmwXor I64AtomicRmw8XorU I64AtomicRmw16XorU
        I64AtomicRmw32XorU I64AtomicRmwXchg I64AtomicRmw8XchgU I64AtomicRmw16XchgU
        I64AtomicRmw32XchgU I64AtomicRmwCmpxchg I64AtomicRmw8CmpxchgU I64AtomicRmw16CmpxchgU
        I64AtomicRmw32CmpxchgU
    }
}
