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
}

impl Ty {
    /// Whether values of this type live in float registers when they live in a register.
    pub const fn is_float(self) -> bool {
        matches!(self, Ty::F32 | Ty::F64)
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
            pub const fn params(self) -> &'static [Ty] {
                match self { $(Op::$name => &[$(Ty::$param),*]),* }
            }

            /// The type of its result.
            pub const fn result(self) -> Ty {
                match self { $(Op::$name => Ty::$result),* }
            }

            /// What else it does.
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
}

impl Op {
    /// The operator with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Op> {
        Op::ALL.get(usize::from(number)).copied()
    }

    /// Whether evaluating it may trap.
    pub const fn may_trap(self) -> bool {
        matches!(self.effect(), Effect::Traps | Effect::Load { .. })
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

    /// Of an operator on two integers, the one that gives the same if they change places.
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
            _ => self,
        }
    }

    /// Whether it carries an immediate: a load its offset, a global its index.
    pub const fn has_immediate(self) -> bool {
        matches!(self.effect(), Effect::Load { .. } | Effect::Global)
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
            _ => self,
        }
    }
}

impl fmt::Display for StoreOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
