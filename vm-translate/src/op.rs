//! The operators of the IR: one row each, from which the enums and their properties come.
//!
//! Names and meanings are those of the WebAssembly core specification, section "Instructions".
//! A load or a store exists twice: the checked form compares the effective address with the
//! memory's length before it touches anything; the `unchecked` form relies on the memory's guard.

use std::fmt;

/// The type of a value on the operand stack, as far as the IR tells types apart.
///
/// References are [`Ty::I64`]: they are one machine word and live where integers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    /// A 32-bit integer. In a slot or a register its upper half is zero.
    I32,
    /// A 64-bit integer or a reference.
    I64,
    /// A 32-bit float, in the low half of its slot; the upper half is unspecified.
    F32,
    /// A 64-bit float.
    F64,
    /// A vector of 128 bits: two consecutive slots, the low half first, and never a register.
    V128,
}

impl Ty {
    /// Whether values of this type live in float registers when they live in a register.
    pub const fn is_float(self) -> bool {
        matches!(self, Ty::F32 | Ty::F64)
    }

    /// How many slots a value of this type takes.
    pub const fn slots(self) -> u32 {
        match self {
            Ty::V128 => 2,
            _ => 1,
        }
    }
}

/// What, apart from its result, evaluating an operator can do or depend on.
///
/// It decides what may be reordered with what: see "What must never be reordered" in the
/// project's architecture document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Depends on its operands only.
    Pure,
    /// Depends on its operands only, and may trap.
    Traps,
    /// Reads linear memory, and may trap.
    Load {
        /// Bytes read.
        width: u32,
        /// Whether it relies on the memory's guard instead of comparing.
        unchecked: bool,
    },
    /// Reads a global.
    Global,
}

macro_rules! ops {
    ($($name:ident $text:literal ($($param:ident),*) -> $result:ident, $effect:expr;)*) => {
        /// An operator that computes one value from its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each is the instruction of its text form")]
        pub enum Op { $($name),* }

        impl Op {
            /// Every operator, in the order of its number.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            /// The operator's text form, as listings and the shape table write it.
            pub const fn name(self) -> &'static str {
                match self { $(Op::$name => $text),* }
            }

            /// The types of its operands.
            #[inline]
            pub const fn params(self) -> &'static [Ty] {
                match self { $(Op::$name => &[$(Ty::$param),*]),* }
            }

            /// The type of its result.
            #[inline]
            pub const fn result(self) -> Ty {
                match self { $(Op::$name => Ty::$result),* }
            }

            /// What else it does.
            #[inline]
            pub const fn effect(self) -> Effect {
                use Effect::*;
                match self { $(Op::$name => $effect),* }
            }
        }
    };
}

ops! {
    I32Eqz "i32.eqz" (I32) -> I32, Pure;
    I32Eq "i32.eq" (I32, I32) -> I32, Pure;
    I32Ne "i32.ne" (I32, I32) -> I32, Pure;
    I32LtS "i32.lt_s" (I32, I32) -> I32, Pure;
    I32LtU "i32.lt_u" (I32, I32) -> I32, Pure;
    I32GtS "i32.gt_s" (I32, I32) -> I32, Pure;
    I32GtU "i32.gt_u" (I32, I32) -> I32, Pure;
    I32LeS "i32.le_s" (I32, I32) -> I32, Pure;
    I32LeU "i32.le_u" (I32, I32) -> I32, Pure;
    I32GeS "i32.ge_s" (I32, I32) -> I32, Pure;
    I32GeU "i32.ge_u" (I32, I32) -> I32, Pure;
    I32Clz "i32.clz" (I32) -> I32, Pure;
    I32Ctz "i32.ctz" (I32) -> I32, Pure;
    I32Popcnt "i32.popcnt" (I32) -> I32, Pure;
    I32Add "i32.add" (I32, I32) -> I32, Pure;
    I32Sub "i32.sub" (I32, I32) -> I32, Pure;
    I32Mul "i32.mul" (I32, I32) -> I32, Pure;
    I32DivS "i32.div_s" (I32, I32) -> I32, Traps;
    I32DivU "i32.div_u" (I32, I32) -> I32, Traps;
    I32RemS "i32.rem_s" (I32, I32) -> I32, Traps;
    I32RemU "i32.rem_u" (I32, I32) -> I32, Traps;
    I32And "i32.and" (I32, I32) -> I32, Pure;
    I32Or "i32.or" (I32, I32) -> I32, Pure;
    I32Xor "i32.xor" (I32, I32) -> I32, Pure;
    I32Shl "i32.shl" (I32, I32) -> I32, Pure;
    I32ShrS "i32.shr_s" (I32, I32) -> I32, Pure;
    I32ShrU "i32.shr_u" (I32, I32) -> I32, Pure;
    I32Rotl "i32.rotl" (I32, I32) -> I32, Pure;
    I32Rotr "i32.rotr" (I32, I32) -> I32, Pure;
    I64Eqz "i64.eqz" (I64) -> I32, Pure;
    I64Eq "i64.eq" (I64, I64) -> I32, Pure;
    I64Ne "i64.ne" (I64, I64) -> I32, Pure;
    I64LtS "i64.lt_s" (I64, I64) -> I32, Pure;
    I64LtU "i64.lt_u" (I64, I64) -> I32, Pure;
    I64GtS "i64.gt_s" (I64, I64) -> I32, Pure;
    I64GtU "i64.gt_u" (I64, I64) -> I32, Pure;
    I64LeS "i64.le_s" (I64, I64) -> I32, Pure;
    I64LeU "i64.le_u" (I64, I64) -> I32, Pure;
    I64GeS "i64.ge_s" (I64, I64) -> I32, Pure;
    I64GeU "i64.ge_u" (I64, I64) -> I32, Pure;
    I64Clz "i64.clz" (I64) -> I64, Pure;
    I64Ctz "i64.ctz" (I64) -> I64, Pure;
    I64Popcnt "i64.popcnt" (I64) -> I64, Pure;
    I64Add "i64.add" (I64, I64) -> I64, Pure;
    I64Sub "i64.sub" (I64, I64) -> I64, Pure;
    I64Mul "i64.mul" (I64, I64) -> I64, Pure;
    // The upper half of the product of 128 bits: no instruction of WebAssembly, but helpers that
    // compute it are recognised.
    I64MulHighU "i64.mul_high_u" (I64, I64) -> I64, Pure;
    I64DivS "i64.div_s" (I64, I64) -> I64, Traps;
    I64DivU "i64.div_u" (I64, I64) -> I64, Traps;
    I64RemS "i64.rem_s" (I64, I64) -> I64, Traps;
    I64RemU "i64.rem_u" (I64, I64) -> I64, Traps;
    I64And "i64.and" (I64, I64) -> I64, Pure;
    I64Or "i64.or" (I64, I64) -> I64, Pure;
    I64Xor "i64.xor" (I64, I64) -> I64, Pure;
    I64Shl "i64.shl" (I64, I64) -> I64, Pure;
    I64ShrS "i64.shr_s" (I64, I64) -> I64, Pure;
    I64ShrU "i64.shr_u" (I64, I64) -> I64, Pure;
    I64Rotl "i64.rotl" (I64, I64) -> I64, Pure;
    I64Rotr "i64.rotr" (I64, I64) -> I64, Pure;
    F32Eq "f32.eq" (F32, F32) -> I32, Pure;
    F32Ne "f32.ne" (F32, F32) -> I32, Pure;
    F32Lt "f32.lt" (F32, F32) -> I32, Pure;
    F32Gt "f32.gt" (F32, F32) -> I32, Pure;
    F32Le "f32.le" (F32, F32) -> I32, Pure;
    F32Ge "f32.ge" (F32, F32) -> I32, Pure;
    F32Abs "f32.abs" (F32) -> F32, Pure;
    F32Neg "f32.neg" (F32) -> F32, Pure;
    F32Ceil "f32.ceil" (F32) -> F32, Pure;
    F32Floor "f32.floor" (F32) -> F32, Pure;
    F32Trunc "f32.trunc" (F32) -> F32, Pure;
    F32Nearest "f32.nearest" (F32) -> F32, Pure;
    F32Sqrt "f32.sqrt" (F32) -> F32, Pure;
    F32Add "f32.add" (F32, F32) -> F32, Pure;
    F32Sub "f32.sub" (F32, F32) -> F32, Pure;
    F32Mul "f32.mul" (F32, F32) -> F32, Pure;
    F32Div "f32.div" (F32, F32) -> F32, Pure;
    F32Min "f32.min" (F32, F32) -> F32, Pure;
    F32Max "f32.max" (F32, F32) -> F32, Pure;
    F32Copysign "f32.copysign" (F32, F32) -> F32, Pure;
    F64Eq "f64.eq" (F64, F64) -> I32, Pure;
    F64Ne "f64.ne" (F64, F64) -> I32, Pure;
    F64Lt "f64.lt" (F64, F64) -> I32, Pure;
    F64Gt "f64.gt" (F64, F64) -> I32, Pure;
    F64Le "f64.le" (F64, F64) -> I32, Pure;
    F64Ge "f64.ge" (F64, F64) -> I32, Pure;
    F64Abs "f64.abs" (F64) -> F64, Pure;
    F64Neg "f64.neg" (F64) -> F64, Pure;
    F64Ceil "f64.ceil" (F64) -> F64, Pure;
    F64Floor "f64.floor" (F64) -> F64, Pure;
    F64Trunc "f64.trunc" (F64) -> F64, Pure;
    F64Nearest "f64.nearest" (F64) -> F64, Pure;
    F64Sqrt "f64.sqrt" (F64) -> F64, Pure;
    F64Add "f64.add" (F64, F64) -> F64, Pure;
    F64Sub "f64.sub" (F64, F64) -> F64, Pure;
    F64Mul "f64.mul" (F64, F64) -> F64, Pure;
    F64Div "f64.div" (F64, F64) -> F64, Pure;
    F64Min "f64.min" (F64, F64) -> F64, Pure;
    F64Max "f64.max" (F64, F64) -> F64, Pure;
    F64Copysign "f64.copysign" (F64, F64) -> F64, Pure;
    I32WrapI64 "i32.wrap_i64" (I64) -> I32, Pure;
    I32TruncF32S "i32.trunc_f32_s" (F32) -> I32, Traps;
    I32TruncF32U "i32.trunc_f32_u" (F32) -> I32, Traps;
    I32TruncSatF32S "i32.trunc_sat_f32_s" (F32) -> I32, Pure;
    I32TruncSatF32U "i32.trunc_sat_f32_u" (F32) -> I32, Pure;
    I32TruncF64S "i32.trunc_f64_s" (F64) -> I32, Traps;
    I32TruncF64U "i32.trunc_f64_u" (F64) -> I32, Traps;
    I32TruncSatF64S "i32.trunc_sat_f64_s" (F64) -> I32, Pure;
    I32TruncSatF64U "i32.trunc_sat_f64_u" (F64) -> I32, Pure;
    I64TruncF32S "i64.trunc_f32_s" (F32) -> I64, Traps;
    I64TruncF32U "i64.trunc_f32_u" (F32) -> I64, Traps;
    I64TruncSatF32S "i64.trunc_sat_f32_s" (F32) -> I64, Pure;
    I64TruncSatF32U "i64.trunc_sat_f32_u" (F32) -> I64, Pure;
    I64TruncF64S "i64.trunc_f64_s" (F64) -> I64, Traps;
    I64TruncF64U "i64.trunc_f64_u" (F64) -> I64, Traps;
    I64TruncSatF64S "i64.trunc_sat_f64_s" (F64) -> I64, Pure;
    I64TruncSatF64U "i64.trunc_sat_f64_u" (F64) -> I64, Pure;
    I64ExtendI32S "i64.extend_i32_s" (I32) -> I64, Pure;
    I64ExtendI32U "i64.extend_i32_u" (I32) -> I64, Pure;
    F32ConvertI32S "f32.convert_i32_s" (I32) -> F32, Pure;
    F32ConvertI32U "f32.convert_i32_u" (I32) -> F32, Pure;
    F32ConvertI64S "f32.convert_i64_s" (I64) -> F32, Pure;
    F32ConvertI64U "f32.convert_i64_u" (I64) -> F32, Pure;
    F64ConvertI32S "f64.convert_i32_s" (I32) -> F64, Pure;
    F64ConvertI32U "f64.convert_i32_u" (I32) -> F64, Pure;
    F64ConvertI64S "f64.convert_i64_s" (I64) -> F64, Pure;
    F64ConvertI64U "f64.convert_i64_u" (I64) -> F64, Pure;
    F32DemoteF64 "f32.demote_f64" (F64) -> F32, Pure;
    F64PromoteF32 "f64.promote_f32" (F32) -> F64, Pure;
    I32ReinterpretF32 "i32.reinterpret_f32" (F32) -> I32, Pure;
    I64ReinterpretF64 "i64.reinterpret_f64" (F64) -> I64, Pure;
    F32ReinterpretI32 "f32.reinterpret_i32" (I32) -> F32, Pure;
    F64ReinterpretI64 "f64.reinterpret_i64" (I64) -> F64, Pure;
    I32Extend8S "i32.extend8_s" (I32) -> I32, Pure;
    I32Extend16S "i32.extend16_s" (I32) -> I32, Pure;
    I64Extend8S "i64.extend8_s" (I64) -> I64, Pure;
    I64Extend16S "i64.extend16_s" (I64) -> I64, Pure;
    I64Extend32S "i64.extend32_s" (I64) -> I64, Pure;
    I32Load "i32.load" (I32) -> I32, Load { width: 4, unchecked: false };
    I64Load "i64.load" (I32) -> I64, Load { width: 8, unchecked: false };
    F32Load "f32.load" (I32) -> F32, Load { width: 4, unchecked: false };
    F64Load "f64.load" (I32) -> F64, Load { width: 8, unchecked: false };
    I32Load8S "i32.load8_s" (I32) -> I32, Load { width: 1, unchecked: false };
    I32Load8U "i32.load8_u" (I32) -> I32, Load { width: 1, unchecked: false };
    I32Load16S "i32.load16_s" (I32) -> I32, Load { width: 2, unchecked: false };
    I32Load16U "i32.load16_u" (I32) -> I32, Load { width: 2, unchecked: false };
    I64Load8S "i64.load8_s" (I32) -> I64, Load { width: 1, unchecked: false };
    I64Load8U "i64.load8_u" (I32) -> I64, Load { width: 1, unchecked: false };
    I64Load16S "i64.load16_s" (I32) -> I64, Load { width: 2, unchecked: false };
    I64Load16U "i64.load16_u" (I32) -> I64, Load { width: 2, unchecked: false };
    I64Load32S "i64.load32_s" (I32) -> I64, Load { width: 4, unchecked: false };
    I64Load32U "i64.load32_u" (I32) -> I64, Load { width: 4, unchecked: false };
    I32LoadUnchecked "i32.load.unchecked" (I32) -> I32, Load { width: 4, unchecked: true };
    I64LoadUnchecked "i64.load.unchecked" (I32) -> I64, Load { width: 8, unchecked: true };
    F32LoadUnchecked "f32.load.unchecked" (I32) -> F32, Load { width: 4, unchecked: true };
    F64LoadUnchecked "f64.load.unchecked" (I32) -> F64, Load { width: 8, unchecked: true };
    I32Load8SUnchecked "i32.load8_s.unchecked" (I32) -> I32, Load { width: 1, unchecked: true };
    I32Load8UUnchecked "i32.load8_u.unchecked" (I32) -> I32, Load { width: 1, unchecked: true };
    I32Load16SUnchecked "i32.load16_s.unchecked" (I32) -> I32, Load { width: 2, unchecked: true };
    I32Load16UUnchecked "i32.load16_u.unchecked" (I32) -> I32, Load { width: 2, unchecked: true };
    I64Load8SUnchecked "i64.load8_s.unchecked" (I32) -> I64, Load { width: 1, unchecked: true };
    I64Load8UUnchecked "i64.load8_u.unchecked" (I32) -> I64, Load { width: 1, unchecked: true };
    I64Load16SUnchecked "i64.load16_s.unchecked" (I32) -> I64, Load { width: 2, unchecked: true };
    I64Load16UUnchecked "i64.load16_u.unchecked" (I32) -> I64, Load { width: 2, unchecked: true };
    I64Load32SUnchecked "i64.load32_s.unchecked" (I32) -> I64, Load { width: 4, unchecked: true };
    I64Load32UUnchecked "i64.load32_u.unchecked" (I32) -> I64, Load { width: 4, unchecked: true };
    GlobalGet "global.get" () -> I64, Global;
    GlobalGetFloat "global.get.float" () -> F64, Global;
    Select "select" (I64, I64, I32) -> I64, Pure;
    SelectFloat "select.float" (F64, F64, I32) -> F64, Pure;
    GlobalGetVector "global.get.vector" () -> V128, Global;
    SelectVector "select.vector" (V128, V128, I32) -> V128, Pure;
    V128Load "v128.load" (I32) -> V128, Load { width: 16, unchecked: false };
    V128LoadUnchecked "v128.load.unchecked" (I32) -> V128, Load { width: 16, unchecked: true };
    V128Const "v128.const" (I64, I64) -> V128, Pure;
    V128FromI64 "v128.from_i64" (I64) -> V128, Pure;
    I8x16Shuffle "i8x16.shuffle" (V128, V128, V128) -> V128, Pure;
    I8x16ExtractLaneS "i8x16.extract_lane_s" (V128) -> I32, Pure;
    I8x16ExtractLaneU "i8x16.extract_lane_u" (V128) -> I32, Pure;
    I8x16ReplaceLane "i8x16.replace_lane" (V128, I32) -> V128, Pure;
    I16x8ExtractLaneS "i16x8.extract_lane_s" (V128) -> I32, Pure;
    I16x8ExtractLaneU "i16x8.extract_lane_u" (V128) -> I32, Pure;
    I16x8ReplaceLane "i16x8.replace_lane" (V128, I32) -> V128, Pure;
    I32x4ExtractLane "i32x4.extract_lane" (V128) -> I32, Pure;
    I32x4ReplaceLane "i32x4.replace_lane" (V128, I32) -> V128, Pure;
    I64x2ExtractLane "i64x2.extract_lane" (V128) -> I64, Pure;
    I64x2ReplaceLane "i64x2.replace_lane" (V128, I64) -> V128, Pure;
    F32x4ExtractLane "f32x4.extract_lane" (V128) -> F32, Pure;
    F32x4ReplaceLane "f32x4.replace_lane" (V128, F32) -> V128, Pure;
    F64x2ExtractLane "f64x2.extract_lane" (V128) -> F64, Pure;
    F64x2ReplaceLane "f64x2.replace_lane" (V128, F64) -> V128, Pure;
    I8x16Swizzle "i8x16.swizzle" (V128, V128) -> V128, Pure;
    I8x16Splat "i8x16.splat" (I32) -> V128, Pure;
    I16x8Splat "i16x8.splat" (I32) -> V128, Pure;
    I32x4Splat "i32x4.splat" (I32) -> V128, Pure;
    I64x2Splat "i64x2.splat" (I64) -> V128, Pure;
    F32x4Splat "f32x4.splat" (F32) -> V128, Pure;
    F64x2Splat "f64x2.splat" (F64) -> V128, Pure;
    I8x16Eq "i8x16.eq" (V128, V128) -> V128, Pure;
    I8x16Ne "i8x16.ne" (V128, V128) -> V128, Pure;
    I8x16LtS "i8x16.lt_s" (V128, V128) -> V128, Pure;
    I8x16LtU "i8x16.lt_u" (V128, V128) -> V128, Pure;
    I8x16GtS "i8x16.gt_s" (V128, V128) -> V128, Pure;
    I8x16GtU "i8x16.gt_u" (V128, V128) -> V128, Pure;
    I8x16LeS "i8x16.le_s" (V128, V128) -> V128, Pure;
    I8x16LeU "i8x16.le_u" (V128, V128) -> V128, Pure;
    I8x16GeS "i8x16.ge_s" (V128, V128) -> V128, Pure;
    I8x16GeU "i8x16.ge_u" (V128, V128) -> V128, Pure;
    I16x8Eq "i16x8.eq" (V128, V128) -> V128, Pure;
    I16x8Ne "i16x8.ne" (V128, V128) -> V128, Pure;
    I16x8LtS "i16x8.lt_s" (V128, V128) -> V128, Pure;
    I16x8LtU "i16x8.lt_u" (V128, V128) -> V128, Pure;
    I16x8GtS "i16x8.gt_s" (V128, V128) -> V128, Pure;
    I16x8GtU "i16x8.gt_u" (V128, V128) -> V128, Pure;
    I16x8LeS "i16x8.le_s" (V128, V128) -> V128, Pure;
    I16x8LeU "i16x8.le_u" (V128, V128) -> V128, Pure;
    I16x8GeS "i16x8.ge_s" (V128, V128) -> V128, Pure;
    I16x8GeU "i16x8.ge_u" (V128, V128) -> V128, Pure;
    I32x4Eq "i32x4.eq" (V128, V128) -> V128, Pure;
    I32x4Ne "i32x4.ne" (V128, V128) -> V128, Pure;
    I32x4LtS "i32x4.lt_s" (V128, V128) -> V128, Pure;
    I32x4LtU "i32x4.lt_u" (V128, V128) -> V128, Pure;
    I32x4GtS "i32x4.gt_s" (V128, V128) -> V128, Pure;
    I32x4GtU "i32x4.gt_u" (V128, V128) -> V128, Pure;
    I32x4LeS "i32x4.le_s" (V128, V128) -> V128, Pure;
    I32x4LeU "i32x4.le_u" (V128, V128) -> V128, Pure;
    I32x4GeS "i32x4.ge_s" (V128, V128) -> V128, Pure;
    I32x4GeU "i32x4.ge_u" (V128, V128) -> V128, Pure;
    I64x2Eq "i64x2.eq" (V128, V128) -> V128, Pure;
    I64x2Ne "i64x2.ne" (V128, V128) -> V128, Pure;
    I64x2LtS "i64x2.lt_s" (V128, V128) -> V128, Pure;
    I64x2GtS "i64x2.gt_s" (V128, V128) -> V128, Pure;
    I64x2LeS "i64x2.le_s" (V128, V128) -> V128, Pure;
    I64x2GeS "i64x2.ge_s" (V128, V128) -> V128, Pure;
    F32x4Eq "f32x4.eq" (V128, V128) -> V128, Pure;
    F32x4Ne "f32x4.ne" (V128, V128) -> V128, Pure;
    F32x4Lt "f32x4.lt" (V128, V128) -> V128, Pure;
    F32x4Gt "f32x4.gt" (V128, V128) -> V128, Pure;
    F32x4Le "f32x4.le" (V128, V128) -> V128, Pure;
    F32x4Ge "f32x4.ge" (V128, V128) -> V128, Pure;
    F64x2Eq "f64x2.eq" (V128, V128) -> V128, Pure;
    F64x2Ne "f64x2.ne" (V128, V128) -> V128, Pure;
    F64x2Lt "f64x2.lt" (V128, V128) -> V128, Pure;
    F64x2Gt "f64x2.gt" (V128, V128) -> V128, Pure;
    F64x2Le "f64x2.le" (V128, V128) -> V128, Pure;
    F64x2Ge "f64x2.ge" (V128, V128) -> V128, Pure;
    V128Not "v128.not" (V128) -> V128, Pure;
    V128And "v128.and" (V128, V128) -> V128, Pure;
    V128AndNot "v128.andnot" (V128, V128) -> V128, Pure;
    V128Or "v128.or" (V128, V128) -> V128, Pure;
    V128Xor "v128.xor" (V128, V128) -> V128, Pure;
    V128Bitselect "v128.bitselect" (V128, V128, V128) -> V128, Pure;
    V128AnyTrue "v128.any_true" (V128) -> I32, Pure;
    I8x16Abs "i8x16.abs" (V128) -> V128, Pure;
    I8x16Neg "i8x16.neg" (V128) -> V128, Pure;
    I8x16Popcnt "i8x16.popcnt" (V128) -> V128, Pure;
    I8x16AllTrue "i8x16.all_true" (V128) -> I32, Pure;
    I8x16Bitmask "i8x16.bitmask" (V128) -> I32, Pure;
    I8x16NarrowI16x8S "i8x16.narrow_i16x8_s" (V128, V128) -> V128, Pure;
    I8x16NarrowI16x8U "i8x16.narrow_i16x8_u" (V128, V128) -> V128, Pure;
    I8x16Shl "i8x16.shl" (V128, I32) -> V128, Pure;
    I8x16ShrS "i8x16.shr_s" (V128, I32) -> V128, Pure;
    I8x16ShrU "i8x16.shr_u" (V128, I32) -> V128, Pure;
    I8x16Add "i8x16.add" (V128, V128) -> V128, Pure;
    I8x16AddSatS "i8x16.add_sat_s" (V128, V128) -> V128, Pure;
    I8x16AddSatU "i8x16.add_sat_u" (V128, V128) -> V128, Pure;
    I8x16Sub "i8x16.sub" (V128, V128) -> V128, Pure;
    I8x16SubSatS "i8x16.sub_sat_s" (V128, V128) -> V128, Pure;
    I8x16SubSatU "i8x16.sub_sat_u" (V128, V128) -> V128, Pure;
    I8x16MinS "i8x16.min_s" (V128, V128) -> V128, Pure;
    I8x16MinU "i8x16.min_u" (V128, V128) -> V128, Pure;
    I8x16MaxS "i8x16.max_s" (V128, V128) -> V128, Pure;
    I8x16MaxU "i8x16.max_u" (V128, V128) -> V128, Pure;
    I8x16AvgrU "i8x16.avgr_u" (V128, V128) -> V128, Pure;
    I16x8ExtAddPairwiseI8x16S "i16x8.extadd_pairwise_i8x16_s" (V128) -> V128, Pure;
    I16x8ExtAddPairwiseI8x16U "i16x8.extadd_pairwise_i8x16_u" (V128) -> V128, Pure;
    I16x8Abs "i16x8.abs" (V128) -> V128, Pure;
    I16x8Neg "i16x8.neg" (V128) -> V128, Pure;
    I16x8Q15MulrSatS "i16x8.q15mulr_sat_s" (V128, V128) -> V128, Pure;
    I16x8AllTrue "i16x8.all_true" (V128) -> I32, Pure;
    I16x8Bitmask "i16x8.bitmask" (V128) -> I32, Pure;
    I16x8NarrowI32x4S "i16x8.narrow_i32x4_s" (V128, V128) -> V128, Pure;
    I16x8NarrowI32x4U "i16x8.narrow_i32x4_u" (V128, V128) -> V128, Pure;
    I16x8ExtendLowI8x16S "i16x8.extend_low_i8x16_s" (V128) -> V128, Pure;
    I16x8ExtendHighI8x16S "i16x8.extend_high_i8x16_s" (V128) -> V128, Pure;
    I16x8ExtendLowI8x16U "i16x8.extend_low_i8x16_u" (V128) -> V128, Pure;
    I16x8ExtendHighI8x16U "i16x8.extend_high_i8x16_u" (V128) -> V128, Pure;
    I16x8Shl "i16x8.shl" (V128, I32) -> V128, Pure;
    I16x8ShrS "i16x8.shr_s" (V128, I32) -> V128, Pure;
    I16x8ShrU "i16x8.shr_u" (V128, I32) -> V128, Pure;
    I16x8Add "i16x8.add" (V128, V128) -> V128, Pure;
    I16x8AddSatS "i16x8.add_sat_s" (V128, V128) -> V128, Pure;
    I16x8AddSatU "i16x8.add_sat_u" (V128, V128) -> V128, Pure;
    I16x8Sub "i16x8.sub" (V128, V128) -> V128, Pure;
    I16x8SubSatS "i16x8.sub_sat_s" (V128, V128) -> V128, Pure;
    I16x8SubSatU "i16x8.sub_sat_u" (V128, V128) -> V128, Pure;
    I16x8Mul "i16x8.mul" (V128, V128) -> V128, Pure;
    I16x8MinS "i16x8.min_s" (V128, V128) -> V128, Pure;
    I16x8MinU "i16x8.min_u" (V128, V128) -> V128, Pure;
    I16x8MaxS "i16x8.max_s" (V128, V128) -> V128, Pure;
    I16x8MaxU "i16x8.max_u" (V128, V128) -> V128, Pure;
    I16x8AvgrU "i16x8.avgr_u" (V128, V128) -> V128, Pure;
    I16x8ExtMulLowI8x16S "i16x8.extmul_low_i8x16_s" (V128, V128) -> V128, Pure;
    I16x8ExtMulHighI8x16S "i16x8.extmul_high_i8x16_s" (V128, V128) -> V128, Pure;
    I16x8ExtMulLowI8x16U "i16x8.extmul_low_i8x16_u" (V128, V128) -> V128, Pure;
    I16x8ExtMulHighI8x16U "i16x8.extmul_high_i8x16_u" (V128, V128) -> V128, Pure;
    I32x4ExtAddPairwiseI16x8S "i32x4.extadd_pairwise_i16x8_s" (V128) -> V128, Pure;
    I32x4ExtAddPairwiseI16x8U "i32x4.extadd_pairwise_i16x8_u" (V128) -> V128, Pure;
    I32x4Abs "i32x4.abs" (V128) -> V128, Pure;
    I32x4Neg "i32x4.neg" (V128) -> V128, Pure;
    I32x4AllTrue "i32x4.all_true" (V128) -> I32, Pure;
    I32x4Bitmask "i32x4.bitmask" (V128) -> I32, Pure;
    I32x4ExtendLowI16x8S "i32x4.extend_low_i16x8_s" (V128) -> V128, Pure;
    I32x4ExtendHighI16x8S "i32x4.extend_high_i16x8_s" (V128) -> V128, Pure;
    I32x4ExtendLowI16x8U "i32x4.extend_low_i16x8_u" (V128) -> V128, Pure;
    I32x4ExtendHighI16x8U "i32x4.extend_high_i16x8_u" (V128) -> V128, Pure;
    I32x4Shl "i32x4.shl" (V128, I32) -> V128, Pure;
    I32x4ShrS "i32x4.shr_s" (V128, I32) -> V128, Pure;
    I32x4ShrU "i32x4.shr_u" (V128, I32) -> V128, Pure;
    I32x4Add "i32x4.add" (V128, V128) -> V128, Pure;
    I32x4Sub "i32x4.sub" (V128, V128) -> V128, Pure;
    I32x4Mul "i32x4.mul" (V128, V128) -> V128, Pure;
    I32x4MinS "i32x4.min_s" (V128, V128) -> V128, Pure;
    I32x4MinU "i32x4.min_u" (V128, V128) -> V128, Pure;
    I32x4MaxS "i32x4.max_s" (V128, V128) -> V128, Pure;
    I32x4MaxU "i32x4.max_u" (V128, V128) -> V128, Pure;
    I32x4DotI16x8S "i32x4.dot_i16x8_s" (V128, V128) -> V128, Pure;
    I32x4ExtMulLowI16x8S "i32x4.extmul_low_i16x8_s" (V128, V128) -> V128, Pure;
    I32x4ExtMulHighI16x8S "i32x4.extmul_high_i16x8_s" (V128, V128) -> V128, Pure;
    I32x4ExtMulLowI16x8U "i32x4.extmul_low_i16x8_u" (V128, V128) -> V128, Pure;
    I32x4ExtMulHighI16x8U "i32x4.extmul_high_i16x8_u" (V128, V128) -> V128, Pure;
    I64x2Abs "i64x2.abs" (V128) -> V128, Pure;
    I64x2Neg "i64x2.neg" (V128) -> V128, Pure;
    I64x2AllTrue "i64x2.all_true" (V128) -> I32, Pure;
    I64x2Bitmask "i64x2.bitmask" (V128) -> I32, Pure;
    I64x2ExtendLowI32x4S "i64x2.extend_low_i32x4_s" (V128) -> V128, Pure;
    I64x2ExtendHighI32x4S "i64x2.extend_high_i32x4_s" (V128) -> V128, Pure;
    I64x2ExtendLowI32x4U "i64x2.extend_low_i32x4_u" (V128) -> V128, Pure;
    I64x2ExtendHighI32x4U "i64x2.extend_high_i32x4_u" (V128) -> V128, Pure;
    I64x2Shl "i64x2.shl" (V128, I32) -> V128, Pure;
    I64x2ShrS "i64x2.shr_s" (V128, I32) -> V128, Pure;
    I64x2ShrU "i64x2.shr_u" (V128, I32) -> V128, Pure;
    I64x2Add "i64x2.add" (V128, V128) -> V128, Pure;
    I64x2Sub "i64x2.sub" (V128, V128) -> V128, Pure;
    I64x2Mul "i64x2.mul" (V128, V128) -> V128, Pure;
    I64x2ExtMulLowI32x4S "i64x2.extmul_low_i32x4_s" (V128, V128) -> V128, Pure;
    I64x2ExtMulHighI32x4S "i64x2.extmul_high_i32x4_s" (V128, V128) -> V128, Pure;
    I64x2ExtMulLowI32x4U "i64x2.extmul_low_i32x4_u" (V128, V128) -> V128, Pure;
    I64x2ExtMulHighI32x4U "i64x2.extmul_high_i32x4_u" (V128, V128) -> V128, Pure;
    F32x4Ceil "f32x4.ceil" (V128) -> V128, Pure;
    F32x4Floor "f32x4.floor" (V128) -> V128, Pure;
    F32x4Trunc "f32x4.trunc" (V128) -> V128, Pure;
    F32x4Nearest "f32x4.nearest" (V128) -> V128, Pure;
    F32x4Abs "f32x4.abs" (V128) -> V128, Pure;
    F32x4Neg "f32x4.neg" (V128) -> V128, Pure;
    F32x4Sqrt "f32x4.sqrt" (V128) -> V128, Pure;
    F32x4Add "f32x4.add" (V128, V128) -> V128, Pure;
    F32x4Sub "f32x4.sub" (V128, V128) -> V128, Pure;
    F32x4Mul "f32x4.mul" (V128, V128) -> V128, Pure;
    F32x4Div "f32x4.div" (V128, V128) -> V128, Pure;
    F32x4Min "f32x4.min" (V128, V128) -> V128, Pure;
    F32x4Max "f32x4.max" (V128, V128) -> V128, Pure;
    F32x4PMin "f32x4.pmin" (V128, V128) -> V128, Pure;
    F32x4PMax "f32x4.pmax" (V128, V128) -> V128, Pure;
    F64x2Ceil "f64x2.ceil" (V128) -> V128, Pure;
    F64x2Floor "f64x2.floor" (V128) -> V128, Pure;
    F64x2Trunc "f64x2.trunc" (V128) -> V128, Pure;
    F64x2Nearest "f64x2.nearest" (V128) -> V128, Pure;
    F64x2Abs "f64x2.abs" (V128) -> V128, Pure;
    F64x2Neg "f64x2.neg" (V128) -> V128, Pure;
    F64x2Sqrt "f64x2.sqrt" (V128) -> V128, Pure;
    F64x2Add "f64x2.add" (V128, V128) -> V128, Pure;
    F64x2Sub "f64x2.sub" (V128, V128) -> V128, Pure;
    F64x2Mul "f64x2.mul" (V128, V128) -> V128, Pure;
    F64x2Div "f64x2.div" (V128, V128) -> V128, Pure;
    F64x2Min "f64x2.min" (V128, V128) -> V128, Pure;
    F64x2Max "f64x2.max" (V128, V128) -> V128, Pure;
    F64x2PMin "f64x2.pmin" (V128, V128) -> V128, Pure;
    F64x2PMax "f64x2.pmax" (V128, V128) -> V128, Pure;
    I32x4TruncSatF32x4S "i32x4.trunc_sat_f32x4_s" (V128) -> V128, Pure;
    I32x4TruncSatF32x4U "i32x4.trunc_sat_f32x4_u" (V128) -> V128, Pure;
    F32x4ConvertI32x4S "f32x4.convert_i32x4_s" (V128) -> V128, Pure;
    F32x4ConvertI32x4U "f32x4.convert_i32x4_u" (V128) -> V128, Pure;
    I32x4TruncSatF64x2SZero "i32x4.trunc_sat_f64x2_s_zero" (V128) -> V128, Pure;
    I32x4TruncSatF64x2UZero "i32x4.trunc_sat_f64x2_u_zero" (V128) -> V128, Pure;
    F64x2ConvertLowI32x4S "f64x2.convert_low_i32x4_s" (V128) -> V128, Pure;
    F64x2ConvertLowI32x4U "f64x2.convert_low_i32x4_u" (V128) -> V128, Pure;
    F32x4DemoteF64x2Zero "f32x4.demote_f64x2_zero" (V128) -> V128, Pure;
    F64x2PromoteLowF32x4 "f64x2.promote_low_f32x4" (V128) -> V128, Pure;
    F32x4RelaxedMadd "f32x4.relaxed_madd" (V128, V128, V128) -> V128, Pure;
    F32x4RelaxedNmadd "f32x4.relaxed_nmadd" (V128, V128, V128) -> V128, Pure;
    F64x2RelaxedMadd "f64x2.relaxed_madd" (V128, V128, V128) -> V128, Pure;
    F64x2RelaxedNmadd "f64x2.relaxed_nmadd" (V128, V128, V128) -> V128, Pure;
    I16x8RelaxedDotI8x16I7x16S "i16x8.relaxed_dot_i8x16_i7x16_s" (V128, V128) -> V128, Pure;
    I32x4RelaxedDotI8x16I7x16AddS "i32x4.relaxed_dot_i8x16_i7x16_add_s" (V128, V128, V128) -> V128, Pure;
    // No instructions of WebAssembly: what makes any NaN the canonical one, see `Op::canonical`.
    F32Canonical "f32.canonical" (F32) -> F32, Pure;
    F64Canonical "f64.canonical" (F64) -> F64, Pure;
    F32x4Canonical "f32x4.canonical" (V128) -> V128, Pure;
    F64x2Canonical "f64x2.canonical" (V128) -> V128, Pure;
    // Another one: a 64-bit address as the 32-bit one that it is, or a trap as of an access out of bounds.
    I32WrapAddress "i32.wrap_address" (I64) -> I32, Traps;
}

impl Op {
    /// The operator with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Op> {
        Op::ALL.get(usize::from(number)).copied()
    }

    /// Bytes of memory that it reads.
    pub(crate) const fn bytes_read(self) -> u32 {
        match self.effect() {
            Effect::Load { width, .. } => width,
            _ => 0,
        }
    }

    /// Whether evaluating it may trap.
    pub const fn may_trap(self) -> bool {
        matches!(self.effect(), Effect::Traps | Effect::Load { .. })
    }

    /// If the specification leaves it open which NaN its result is, the operator that makes that the canonical one: positive, with the
    /// payload that has its first bit set alone. (Specification: "Numerics", "Floating-Point Operations", "NaN Propagation".)
    pub const fn canonical(self) -> Option<Op> {
        Some(match self {
            Op::F32Ceil | Op::F32Floor | Op::F32Trunc | Op::F32Nearest | Op::F32Sqrt => {
                Op::F32Canonical
            }
            Op::F32Add | Op::F32Sub | Op::F32Mul | Op::F32Div | Op::F32Min | Op::F32Max => {
                Op::F32Canonical
            }
            Op::F64Ceil | Op::F64Floor | Op::F64Trunc | Op::F64Nearest | Op::F64Sqrt => {
                Op::F64Canonical
            }
            Op::F64Add | Op::F64Sub | Op::F64Mul | Op::F64Div | Op::F64Min | Op::F64Max => {
                Op::F64Canonical
            }
            Op::F32DemoteF64 => Op::F32Canonical,
            Op::F64PromoteF32 => Op::F64Canonical,
            Op::F32x4Ceil | Op::F32x4Floor | Op::F32x4Trunc | Op::F32x4Nearest => {
                Op::F32x4Canonical
            }
            Op::F32x4Sqrt | Op::F32x4Add | Op::F32x4Sub | Op::F32x4Mul | Op::F32x4Div => {
                Op::F32x4Canonical
            }
            Op::F32x4Min | Op::F32x4Max | Op::F32x4DemoteF64x2Zero => Op::F32x4Canonical,
            Op::F32x4RelaxedMadd | Op::F32x4RelaxedNmadd => Op::F32x4Canonical,
            Op::F64x2Ceil | Op::F64x2Floor | Op::F64x2Trunc | Op::F64x2Nearest => {
                Op::F64x2Canonical
            }
            Op::F64x2Sqrt | Op::F64x2Add | Op::F64x2Sub | Op::F64x2Mul | Op::F64x2Div => {
                Op::F64x2Canonical
            }
            Op::F64x2Min | Op::F64x2Max | Op::F64x2PromoteLowF32x4 => Op::F64x2Canonical,
            Op::F64x2RelaxedMadd | Op::F64x2RelaxedNmadd => Op::F64x2Canonical,
            _ => return None,
        })
    }

    /// Of a comparison of integers, the one that is true when it is false.
    pub const fn inverted(self) -> Option<Op> {
        Some(match self {
            Op::I32Eq => Op::I32Ne,
            Op::I32Ne => Op::I32Eq,
            Op::I32LtS => Op::I32GeS,
            Op::I32LtU => Op::I32GeU,
            Op::I32GtS => Op::I32LeS,
            Op::I32GtU => Op::I32LeU,
            Op::I32LeS => Op::I32GtS,
            Op::I32LeU => Op::I32GtU,
            Op::I32GeS => Op::I32LtS,
            Op::I32GeU => Op::I32LtU,
            Op::I64Eq => Op::I64Ne,
            Op::I64Ne => Op::I64Eq,
            Op::I64LtS => Op::I64GeS,
            Op::I64LtU => Op::I64GeU,
            Op::I64GtS => Op::I64LeS,
            Op::I64GtU => Op::I64LeU,
            Op::I64LeS => Op::I64GtS,
            Op::I64LeU => Op::I64GtU,
            Op::I64GeS => Op::I64LtS,
            Op::I64GeU => Op::I64LtU,
            _ => return None,
        })
    }

    /// Of an operator on two operands, the one that gives the same if they change places: of
    /// integers and of vectors. (Of floats in vectors a NaN may have another payload then, which
    /// the specification leaves open.)
    pub const fn mirrored(self) -> Option<Op> {
        Some(match self {
            Op::I32Eq | Op::I32Ne | Op::I64Eq | Op::I64Ne => self,
            Op::I32Add | Op::I32Mul | Op::I32And | Op::I32Or | Op::I32Xor => self,
            Op::I64Add | Op::I64Mul | Op::I64And | Op::I64Or | Op::I64Xor => self,
            Op::I32LtS => Op::I32GtS,
            Op::I32LtU => Op::I32GtU,
            Op::I32GtS => Op::I32LtS,
            Op::I32GtU => Op::I32LtU,
            Op::I32LeS => Op::I32GeS,
            Op::I32LeU => Op::I32GeU,
            Op::I32GeS => Op::I32LeS,
            Op::I32GeU => Op::I32LeU,
            Op::I64LtS => Op::I64GtS,
            Op::I64LtU => Op::I64GtU,
            Op::I64GtS => Op::I64LtS,
            Op::I64GtU => Op::I64LtU,
            Op::I64LeS => Op::I64GeS,
            Op::I64LeU => Op::I64GeU,
            Op::I64GeS => Op::I64LeS,
            Op::I64GeU => Op::I64LeU,
            _ => return self.mirrored_vector(),
        })
    }

    const fn mirrored_vector(self) -> Option<Op> {
        Some(match self {
            Op::V128And | Op::V128Or | Op::V128Xor => self,
            Op::I8x16Add | Op::I16x8Add | Op::I32x4Add | Op::I64x2Add => self,
            Op::I8x16AddSatS | Op::I8x16AddSatU | Op::I16x8AddSatS | Op::I16x8AddSatU => self,
            Op::I8x16AvgrU | Op::I16x8AvgrU | Op::I16x8Q15MulrSatS => self,
            Op::I16x8Mul | Op::I32x4Mul | Op::I64x2Mul | Op::I32x4DotI16x8S => self,
            Op::I8x16MinS | Op::I8x16MinU | Op::I8x16MaxS | Op::I8x16MaxU => self,
            Op::I16x8MinS | Op::I16x8MinU | Op::I16x8MaxS | Op::I16x8MaxU => self,
            Op::I32x4MinS | Op::I32x4MinU | Op::I32x4MaxS | Op::I32x4MaxU => self,
            Op::I16x8ExtMulLowI8x16S | Op::I16x8ExtMulHighI8x16S => self,
            Op::I16x8ExtMulLowI8x16U | Op::I16x8ExtMulHighI8x16U => self,
            Op::I32x4ExtMulLowI16x8S | Op::I32x4ExtMulHighI16x8S => self,
            Op::I32x4ExtMulLowI16x8U | Op::I32x4ExtMulHighI16x8U => self,
            Op::I64x2ExtMulLowI32x4S | Op::I64x2ExtMulHighI32x4S => self,
            Op::I64x2ExtMulLowI32x4U | Op::I64x2ExtMulHighI32x4U => self,
            Op::I8x16Eq | Op::I16x8Eq | Op::I32x4Eq | Op::I64x2Eq => self,
            Op::I8x16Ne | Op::I16x8Ne | Op::I32x4Ne | Op::I64x2Ne => self,
            Op::I8x16LtS => Op::I8x16GtS,
            Op::I8x16GtS => Op::I8x16LtS,
            Op::I16x8LtS => Op::I16x8GtS,
            Op::I16x8GtS => Op::I16x8LtS,
            Op::I32x4LtS => Op::I32x4GtS,
            Op::I32x4GtS => Op::I32x4LtS,
            Op::F32x4Add | Op::F32x4Mul | Op::F32x4Min | Op::F32x4Max => self,
            Op::F64x2Add | Op::F64x2Mul | Op::F64x2Min | Op::F64x2Max => self,
            Op::F32x4Eq | Op::F32x4Ne | Op::F64x2Eq | Op::F64x2Ne => self,
            Op::F32x4Lt => Op::F32x4Gt,
            Op::F32x4Gt => Op::F32x4Lt,
            Op::F64x2Lt => Op::F64x2Gt,
            Op::F64x2Gt => Op::F64x2Lt,
            _ => return None,
        })
    }

    /// Of a load, the form that relies on the memory's guard; of anything else, itself.
    pub const fn to_unchecked(self) -> Op {
        match self {
            Op::I32Load => Op::I32LoadUnchecked,
            Op::I64Load => Op::I64LoadUnchecked,
            Op::F32Load => Op::F32LoadUnchecked,
            Op::F64Load => Op::F64LoadUnchecked,
            Op::I32Load8S => Op::I32Load8SUnchecked,
            Op::I32Load8U => Op::I32Load8UUnchecked,
            Op::I32Load16S => Op::I32Load16SUnchecked,
            Op::I32Load16U => Op::I32Load16UUnchecked,
            Op::I64Load8S => Op::I64Load8SUnchecked,
            Op::I64Load8U => Op::I64Load8UUnchecked,
            Op::I64Load16S => Op::I64Load16SUnchecked,
            Op::I64Load16U => Op::I64Load16UUnchecked,
            Op::I64Load32S => Op::I64Load32SUnchecked,
            Op::I64Load32U => Op::I64Load32UUnchecked,
            Op::V128Load => Op::V128LoadUnchecked,
            _ => self,
        }
    }

    /// Whether it carries an immediate: a load its offset, a global its index, an access of a
    /// vector's lane the lane's number.
    pub const fn has_immediate(self) -> bool {
        matches!(self.effect(), Effect::Load { .. } | Effect::Global) || self.has_lane()
    }

    /// Whether it reads or replaces the lane of a vector that its immediate says.
    pub const fn has_lane(self) -> bool {
        matches!(
            self,
            Op::I8x16ExtractLaneS
                | Op::I8x16ExtractLaneU
                | Op::I8x16ReplaceLane
                | Op::I16x8ExtractLaneS
                | Op::I16x8ExtractLaneU
                | Op::I16x8ReplaceLane
                | Op::I32x4ExtractLane
                | Op::I32x4ReplaceLane
                | Op::I64x2ExtractLane
                | Op::I64x2ReplaceLane
                | Op::F32x4ExtractLane
                | Op::F32x4ReplaceLane
                | Op::F64x2ExtractLane
                | Op::F64x2ReplaceLane
        )
    }

    /// Whether an operand or the result is a vector.
    pub const fn is_vector(self) -> bool {
        let (params, mut n) = (self.params(), 0);
        while n < params.len() {
            if matches!(params[n], Ty::V128) {
                return true;
            }
            n += 1;
        }
        matches!(self.result(), Ty::V128)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! stores {
    ($($name:ident $text:literal $ty:ident, $width:literal, $unchecked:literal;)*) => {
        /// A store to linear memory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each is the instruction of its text form")]
        pub enum StoreOp { $($name),* }

        impl StoreOp {
            /// Every store, in the order of its number.
            pub const ALL: &'static [StoreOp] = &[$(StoreOp::$name),*];

            /// The store's text form.
            pub const fn name(self) -> &'static str {
                match self { $(StoreOp::$name => $text),* }
            }

            /// The type of the value stored (before it is wrapped to the width).
            pub const fn value(self) -> Ty {
                match self { $(StoreOp::$name => Ty::$ty),* }
            }

            /// Bytes written.
            pub const fn width(self) -> u32 {
                match self { $(StoreOp::$name => $width),* }
            }

            /// Whether it relies on the memory's guard instead of comparing.
            pub const fn unchecked(self) -> bool {
                match self { $(StoreOp::$name => $unchecked),* }
            }
        }
    };
}

stores! {
    I32Store "i32.store" I32, 4, false;
    I64Store "i64.store" I64, 8, false;
    F32Store "f32.store" F32, 4, false;
    F64Store "f64.store" F64, 8, false;
    I32Store8 "i32.store8" I32, 1, false;
    I32Store16 "i32.store16" I32, 2, false;
    I64Store8 "i64.store8" I64, 1, false;
    I64Store16 "i64.store16" I64, 2, false;
    I64Store32 "i64.store32" I64, 4, false;
    I32StoreUnchecked "i32.store.unchecked" I32, 4, true;
    I64StoreUnchecked "i64.store.unchecked" I64, 8, true;
    F32StoreUnchecked "f32.store.unchecked" F32, 4, true;
    F64StoreUnchecked "f64.store.unchecked" F64, 8, true;
    I32Store8Unchecked "i32.store8.unchecked" I32, 1, true;
    I32Store16Unchecked "i32.store16.unchecked" I32, 2, true;
    I64Store8Unchecked "i64.store8.unchecked" I64, 1, true;
    I64Store16Unchecked "i64.store16.unchecked" I64, 2, true;
    I64Store32Unchecked "i64.store32.unchecked" I64, 4, true;
    V128Store "v128.store" V128, 16, false;
    V128StoreUnchecked "v128.store.unchecked" V128, 16, true;
}

impl StoreOp {
    /// The form that relies on the memory's guard.
    pub const fn to_unchecked(self) -> StoreOp {
        match self {
            StoreOp::I32Store => StoreOp::I32StoreUnchecked,
            StoreOp::I64Store => StoreOp::I64StoreUnchecked,
            StoreOp::F32Store => StoreOp::F32StoreUnchecked,
            StoreOp::F64Store => StoreOp::F64StoreUnchecked,
            StoreOp::I32Store8 => StoreOp::I32Store8Unchecked,
            StoreOp::I32Store16 => StoreOp::I32Store16Unchecked,
            StoreOp::I64Store8 => StoreOp::I64Store8Unchecked,
            StoreOp::I64Store16 => StoreOp::I64Store16Unchecked,
            StoreOp::I64Store32 => StoreOp::I64Store32Unchecked,
            StoreOp::V128Store => StoreOp::V128StoreUnchecked,
            _ => self,
        }
    }
}

impl fmt::Display for StoreOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
