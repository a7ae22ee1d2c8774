//! What every numeric operator means: pure functions over slots.
//!
//! The token executor is made of them, and they are the oracle against which the direct executor's
//! handlers are tested. Specification: "Execution", "Numerics".
//!
//! Each function is named like its [`Op`] and takes and returns slots, as frames hold them: 32-bit
//! values in the low half. Results that are 32-bit values have a clear upper half.
//!
//! NaNs: where the specification leaves the payload open, the result is some arithmetic NaN (its
//! quiet bit is set).

pub mod vectors;

use vm_translate::Op;
use vm_trap::TrapCode;

/// A value that a slot can hold.
trait Slot: Copy {
    fn from_slot(bits: u64) -> Self;
    fn into_slot(self) -> u64;
}

macro_rules! slots {
    ($($ty:ty: $bits:ident => $from:expr, $value:ident => $into:expr;)*) => {$(
        impl Slot for $ty {
            #[inline(always)]
            fn from_slot($bits: u64) -> $ty {
                $from
            }

            #[inline(always)]
            fn into_slot(self) -> u64 {
                let $value = self;
                $into
            }
        }
    )*};
}

slots! {
    u64: bits => bits, value => value;
    i64: bits => bits as i64, value => value as u64;
    u32: bits => bits as u32, value => value.into();
    i32: bits => bits as i32, value => (value as u32).into();
    bool: bits => bits as u32 != 0, value => value.into();
    f32: bits => f32::from_bits(bits as u32), value => value.to_bits().into();
    f64: bits => f64::from_bits(bits), value => value.to_bits();
}

/// Defines the operators: a function each, and [`eval`] over all of them. First those that always
/// have a result, then those that may trap.
macro_rules! operators {
    (
        total {
            $($op:ident $name:ident ($($arg:ident: $ty:ty),*) -> $result:ty { $body:expr })*
        }
        traps {
            $($trap_op:ident $trap_name:ident ($($trap_arg:ident: $trap_ty:ty),*) -> $trap_result:ty
                { $trap_body:expr })*
        }
    ) => {
        $(
            #[doc = concat!("[`Op::", stringify!($op), "`] on slots.")]
            #[inline(always)]
            pub fn $name($($arg: u64),*) -> u64 {
                $(let $arg = <$ty>::from_slot($arg);)*
                let result: $result = $body;
                result.into_slot()
            }
        )*
        $(
            #[doc = concat!("[`Op::", stringify!($trap_op), "`] on slots.")]
            ///
            /// # Errors
            ///
            /// When the instruction traps.
            #[inline(always)]
            pub fn $trap_name($($trap_arg: u64),*) -> Result<u64, TrapCode> {
                $(let $trap_arg = <$trap_ty>::from_slot($trap_arg);)*
                let result: Result<$trap_result, TrapCode> = $trap_body;
                result.map(Slot::into_slot)
            }
        )*

        /// The result of an operator on slots. An operator with fewer than three operands ignores
        /// the rest.
        ///
        /// The operand of a load is what it reads, zero-extended; that of reading a global is its
        /// value.
        ///
        /// # Errors
        ///
        /// When the instruction traps. Loads do not trap here: there is no memory.
        pub fn eval(op: Op, a: u64, b: u64, c: u64) -> Result<u64, TrapCode> {
            let operands = [a, b, c];
            match op {
                $(Op::$op => {
                    let [$($arg,)* ..] = operands;
                    Ok($name($($arg),*))
                })*
                $(Op::$trap_op => {
                    let [$($trap_arg,)* ..] = operands;
                    $trap_name($($trap_arg),*)
                })*
                // The unchecked loads read the same.
                Op::I32LoadUnchecked => Ok(i32_load(a)),
                Op::I64LoadUnchecked => Ok(i64_load(a)),
                Op::F32LoadUnchecked => Ok(f32_load(a)),
                Op::F64LoadUnchecked => Ok(f64_load(a)),
                Op::I32Load8SUnchecked => Ok(i32_load8_s(a)),
                Op::I32Load8UUnchecked => Ok(i32_load8_u(a)),
                Op::I32Load16SUnchecked => Ok(i32_load16_s(a)),
                Op::I32Load16UUnchecked => Ok(i32_load16_u(a)),
                Op::I64Load8SUnchecked => Ok(i64_load8_s(a)),
                Op::I64Load8UUnchecked => Ok(i64_load8_u(a)),
                Op::I64Load16SUnchecked => Ok(i64_load16_s(a)),
                Op::I64Load16UUnchecked => Ok(i64_load16_u(a)),
                Op::I64Load32SUnchecked => Ok(i64_load32_s(a)),
                Op::I64Load32UUnchecked => Ok(i64_load32_u(a)),
                // Operators on vectors, which slots do not hold: the result's low half.
                _ => Ok(vectors::eval(op, operands.map(u128::from), 0) as u64),
            }
        }
    };
}

operators! {
    total {
        I32Eqz i32_eqz(a: u32) -> bool { a == 0 }
        I32Eq i32_eq(a: u32, b: u32) -> bool { a == b }
        I32Ne i32_ne(a: u32, b: u32) -> bool { a != b }
        I32LtS i32_lt_s(a: i32, b: i32) -> bool { a < b }
        I32LtU i32_lt_u(a: u32, b: u32) -> bool { a < b }
        I32GtS i32_gt_s(a: i32, b: i32) -> bool { a > b }
        I32GtU i32_gt_u(a: u32, b: u32) -> bool { a > b }
        I32LeS i32_le_s(a: i32, b: i32) -> bool { a <= b }
        I32LeU i32_le_u(a: u32, b: u32) -> bool { a <= b }
        I32GeS i32_ge_s(a: i32, b: i32) -> bool { a >= b }
        I32GeU i32_ge_u(a: u32, b: u32) -> bool { a >= b }
        I32Clz i32_clz(a: u32) -> u32 { a.leading_zeros() }
        I32Ctz i32_ctz(a: u32) -> u32 { a.trailing_zeros() }
        I32Popcnt i32_popcnt(a: u32) -> u32 { a.count_ones() }
        I32Add i32_add(a: u32, b: u32) -> u32 { a.wrapping_add(b) }
        I32Sub i32_sub(a: u32, b: u32) -> u32 { a.wrapping_sub(b) }
        I32Mul i32_mul(a: u32, b: u32) -> u32 { a.wrapping_mul(b) }
        I32And i32_and(a: u32, b: u32) -> u32 { a & b }
        I32Or i32_or(a: u32, b: u32) -> u32 { a | b }
        I32Xor i32_xor(a: u32, b: u32) -> u32 { a ^ b }
        I32Shl i32_shl(a: u32, b: u32) -> u32 { a.wrapping_shl(b) }
        I32ShrS i32_shr_s(a: i32, b: u32) -> i32 { a.wrapping_shr(b) }
        I32ShrU i32_shr_u(a: u32, b: u32) -> u32 { a.wrapping_shr(b) }
        I32Rotl i32_rotl(a: u32, b: u32) -> u32 { a.rotate_left(b & 31) }
        I32Rotr i32_rotr(a: u32, b: u32) -> u32 { a.rotate_right(b & 31) }
        I64Eqz i64_eqz(a: u64) -> bool { a == 0 }
        I64Eq i64_eq(a: u64, b: u64) -> bool { a == b }
        I64Ne i64_ne(a: u64, b: u64) -> bool { a != b }
        I64LtS i64_lt_s(a: i64, b: i64) -> bool { a < b }
        I64LtU i64_lt_u(a: u64, b: u64) -> bool { a < b }
        I64GtS i64_gt_s(a: i64, b: i64) -> bool { a > b }
        I64GtU i64_gt_u(a: u64, b: u64) -> bool { a > b }
        I64LeS i64_le_s(a: i64, b: i64) -> bool { a <= b }
        I64LeU i64_le_u(a: u64, b: u64) -> bool { a <= b }
        I64GeS i64_ge_s(a: i64, b: i64) -> bool { a >= b }
        I64GeU i64_ge_u(a: u64, b: u64) -> bool { a >= b }
        I64Clz i64_clz(a: u64) -> u32 { a.leading_zeros() }
        I64Ctz i64_ctz(a: u64) -> u32 { a.trailing_zeros() }
        I64Popcnt i64_popcnt(a: u64) -> u32 { a.count_ones() }
        I64Add i64_add(a: u64, b: u64) -> u64 { a.wrapping_add(b) }
        I64Sub i64_sub(a: u64, b: u64) -> u64 { a.wrapping_sub(b) }
        I64Mul i64_mul(a: u64, b: u64) -> u64 { a.wrapping_mul(b) }
        I64MulHighU i64_mul_high_u(a: u64, b: u64) -> u64 { ((u128::from(a) * u128::from(b)) >> 64) as u64 }
        I64And i64_and(a: u64, b: u64) -> u64 { a & b }
        I64Or i64_or(a: u64, b: u64) -> u64 { a | b }
        I64Xor i64_xor(a: u64, b: u64) -> u64 { a ^ b }
        I64Shl i64_shl(a: u64, b: u64) -> u64 { a.wrapping_shl(b as u32) }
        I64ShrS i64_shr_s(a: i64, b: u64) -> i64 { a.wrapping_shr(b as u32) }
        I64ShrU i64_shr_u(a: u64, b: u64) -> u64 { a.wrapping_shr(b as u32) }
        I64Rotl i64_rotl(a: u64, b: u64) -> u64 { a.rotate_left(b as u32 & 63) }
        I64Rotr i64_rotr(a: u64, b: u64) -> u64 { a.rotate_right(b as u32 & 63) }
        F32Eq f32_eq(a: f32, b: f32) -> bool { a == b }
        F32Ne f32_ne(a: f32, b: f32) -> bool { a != b }
        F32Lt f32_lt(a: f32, b: f32) -> bool { a < b }
        F32Gt f32_gt(a: f32, b: f32) -> bool { a > b }
        F32Le f32_le(a: f32, b: f32) -> bool { a <= b }
        F32Ge f32_ge(a: f32, b: f32) -> bool { a >= b }
        F32Abs f32_abs(a: u32) -> u32 { a & !F32_SIGN }
        F32Neg f32_neg(a: u32) -> u32 { a ^ F32_SIGN }
        F32Ceil f32_ceil(a: f32) -> f32 { quiet32(a, f32::ceil) }
        F32Floor f32_floor(a: f32) -> f32 { quiet32(a, f32::floor) }
        F32Trunc f32_trunc(a: f32) -> f32 { quiet32(a, f32::trunc) }
        F32Nearest f32_nearest(a: f32) -> f32 { quiet32(a, f32::round_ties_even) }
        F32Sqrt f32_sqrt(a: f32) -> f32 { quiet32(a, f32::sqrt) }
        F32Add f32_add(a: f32, b: f32) -> f32 { a + b }
        F32Sub f32_sub(a: f32, b: f32) -> f32 { a - b }
        F32Mul f32_mul(a: f32, b: f32) -> f32 { a * b }
        F32Div f32_div(a: f32, b: f32) -> f32 { a / b }
        F32Min f32_min(a: f32, b: f32) -> f32 {
            if a < b {
                a
            } else if b < a {
                b
            } else if a == b {
                // Equal, or zeros of different sign: the negative one is less.
                f32::from_bits(a.to_bits() | b.to_bits())
            } else {
                a + b
            }
        }
        F32Max f32_max(a: f32, b: f32) -> f32 {
            if a > b {
                a
            } else if b > a {
                b
            } else if a == b {
                f32::from_bits(a.to_bits() & b.to_bits())
            } else {
                a + b
            }
        }
        F32Copysign f32_copysign(a: u32, b: u32) -> u32 { a & !F32_SIGN | b & F32_SIGN }
        F64Eq f64_eq(a: f64, b: f64) -> bool { a == b }
        F64Ne f64_ne(a: f64, b: f64) -> bool { a != b }
        F64Lt f64_lt(a: f64, b: f64) -> bool { a < b }
        F64Gt f64_gt(a: f64, b: f64) -> bool { a > b }
        F64Le f64_le(a: f64, b: f64) -> bool { a <= b }
        F64Ge f64_ge(a: f64, b: f64) -> bool { a >= b }
        F64Abs f64_abs(a: u64) -> u64 { a & !F64_SIGN }
        F64Neg f64_neg(a: u64) -> u64 { a ^ F64_SIGN }
        F64Ceil f64_ceil(a: f64) -> f64 { quiet64(a, f64::ceil) }
        F64Floor f64_floor(a: f64) -> f64 { quiet64(a, f64::floor) }
        F64Trunc f64_trunc(a: f64) -> f64 { quiet64(a, f64::trunc) }
        F64Nearest f64_nearest(a: f64) -> f64 { quiet64(a, f64::round_ties_even) }
        F64Sqrt f64_sqrt(a: f64) -> f64 { quiet64(a, f64::sqrt) }
        F64Add f64_add(a: f64, b: f64) -> f64 { a + b }
        F64Sub f64_sub(a: f64, b: f64) -> f64 { a - b }
        F64Mul f64_mul(a: f64, b: f64) -> f64 { a * b }
        F64Div f64_div(a: f64, b: f64) -> f64 { a / b }
        F64Min f64_min(a: f64, b: f64) -> f64 {
            if a < b {
                a
            } else if b < a {
                b
            } else if a == b {
                f64::from_bits(a.to_bits() | b.to_bits())
            } else {
                a + b
            }
        }
        F64Max f64_max(a: f64, b: f64) -> f64 {
            if a > b {
                a
            } else if b > a {
                b
            } else if a == b {
                f64::from_bits(a.to_bits() & b.to_bits())
            } else {
                a + b
            }
        }
        F64Copysign f64_copysign(a: u64, b: u64) -> u64 { a & !F64_SIGN | b & F64_SIGN }
        F32Canonical f32_canonical(a: f32) -> f32 {
            if a.is_nan() { f32::from_bits(0x7fc0_0000) } else { a }
        }
        F64Canonical f64_canonical(a: f64) -> f64 {
            if a.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { a }
        }
        I32WrapI64 i32_wrap_i64(a: u64) -> u32 { a as u32 }
        I32TruncSatF32S i32_trunc_sat_f32_s(a: f32) -> i32 { a as i32 }
        I32TruncSatF32U i32_trunc_sat_f32_u(a: f32) -> u32 { a as u32 }
        I32TruncSatF64S i32_trunc_sat_f64_s(a: f64) -> i32 { a as i32 }
        I32TruncSatF64U i32_trunc_sat_f64_u(a: f64) -> u32 { a as u32 }
        I64TruncSatF32S i64_trunc_sat_f32_s(a: f32) -> i64 { a as i64 }
        I64TruncSatF32U i64_trunc_sat_f32_u(a: f32) -> u64 { a as u64 }
        I64TruncSatF64S i64_trunc_sat_f64_s(a: f64) -> i64 { a as i64 }
        I64TruncSatF64U i64_trunc_sat_f64_u(a: f64) -> u64 { a as u64 }
        I64ExtendI32S i64_extend_i32_s(a: i32) -> i64 { a.into() }
        I64ExtendI32U i64_extend_i32_u(a: u32) -> u64 { a.into() }
        F32ConvertI32S f32_convert_i32_s(a: i32) -> f32 { a as f32 }
        F32ConvertI32U f32_convert_i32_u(a: u32) -> f32 { a as f32 }
        F32ConvertI64S f32_convert_i64_s(a: i64) -> f32 { a as f32 }
        F32ConvertI64U f32_convert_i64_u(a: u64) -> f32 { a as f32 }
        F64ConvertI32S f64_convert_i32_s(a: i32) -> f64 { a.into() }
        F64ConvertI32U f64_convert_i32_u(a: u32) -> f64 { a.into() }
        F64ConvertI64S f64_convert_i64_s(a: i64) -> f64 { a as f64 }
        F64ConvertI64U f64_convert_i64_u(a: u64) -> f64 { a as f64 }
        F32DemoteF64 f32_demote_f64(a: f64) -> f32 { a as f32 }
        F64PromoteF32 f64_promote_f32(a: f32) -> f64 { a.into() }
        I32ReinterpretF32 i32_reinterpret_f32(a: u32) -> u32 { a }
        I64ReinterpretF64 i64_reinterpret_f64(a: u64) -> u64 { a }
        F32ReinterpretI32 f32_reinterpret_i32(a: u32) -> u32 { a }
        F64ReinterpretI64 f64_reinterpret_i64(a: u64) -> u64 { a }
        I32Extend8S i32_extend8_s(a: u32) -> i32 { (a as i8).into() }
        I32Extend16S i32_extend16_s(a: u32) -> i32 { (a as i16).into() }
        I64Extend8S i64_extend8_s(a: u64) -> i64 { (a as i8).into() }
        I64Extend16S i64_extend16_s(a: u64) -> i64 { (a as i16).into() }
        I64Extend32S i64_extend32_s(a: u64) -> i64 { (a as i32).into() }
        I32Load i32_load(a: u32) -> u32 { a }
        I64Load i64_load(a: u64) -> u64 { a }
        F32Load f32_load(a: u32) -> u32 { a }
        F64Load f64_load(a: u64) -> u64 { a }
        I32Load8S i32_load8_s(a: u64) -> i32 { (a as i8).into() }
        I32Load8U i32_load8_u(a: u64) -> u32 { (a as u8).into() }
        I32Load16S i32_load16_s(a: u64) -> i32 { (a as i16).into() }
        I32Load16U i32_load16_u(a: u64) -> u32 { (a as u16).into() }
        I64Load8S i64_load8_s(a: u64) -> i64 { (a as i8).into() }
        I64Load8U i64_load8_u(a: u64) -> u64 { (a as u8).into() }
        I64Load16S i64_load16_s(a: u64) -> i64 { (a as i16).into() }
        I64Load16U i64_load16_u(a: u64) -> u64 { (a as u16).into() }
        I64Load32S i64_load32_s(a: u64) -> i64 { (a as i32).into() }
        I64Load32U i64_load32_u(a: u64) -> u64 { (a as u32).into() }
        GlobalGet global_get(a: u64) -> u64 { a }
        GlobalGetFloat global_get_float(a: u64) -> u64 { a }
        Select select(a: u64, b: u64, c: bool) -> u64 { if c { a } else { b } }
        SelectFloat select_float(a: u64, b: u64, c: bool) -> u64 { if c { a } else { b } }

    }
    traps {

        I32DivS i32_div_s(a: i32, b: i32) -> i32 {
            if b == 0 {
                Err(TrapCode::IntegerDivideByZero)
            } else {
                a.checked_div(b).ok_or(TrapCode::IntegerOverflow)
            }
        }
        I32DivU i32_div_u(a: u32, b: u32) -> u32 {
            a.checked_div(b).ok_or(TrapCode::IntegerDivideByZero)
        }
        I32RemS i32_rem_s(a: i32, b: i32) -> i32 {
            if b == 0 { Err(TrapCode::IntegerDivideByZero) } else { Ok(a.wrapping_rem(b)) }
        }
        I32RemU i32_rem_u(a: u32, b: u32) -> u32 {
            a.checked_rem(b).ok_or(TrapCode::IntegerDivideByZero)
        }
        I64DivS i64_div_s(a: i64, b: i64) -> i64 {
            if b == 0 {
                Err(TrapCode::IntegerDivideByZero)
            } else {
                a.checked_div(b).ok_or(TrapCode::IntegerOverflow)
            }
        }
        I64DivU i64_div_u(a: u64, b: u64) -> u64 {
            a.checked_div(b).ok_or(TrapCode::IntegerDivideByZero)
        }
        I64RemS i64_rem_s(a: i64, b: i64) -> i64 {
            if b == 0 { Err(TrapCode::IntegerDivideByZero) } else { Ok(a.wrapping_rem(b)) }
        }
        I64RemU i64_rem_u(a: u64, b: u64) -> u64 {
            a.checked_rem(b).ok_or(TrapCode::IntegerDivideByZero)
        }
        I32WrapAddress i32_wrap_address(a: u64) -> u32 {
            u32::try_from(a).map_err(|_| TrapCode::MemoryOutOfBounds)
        }
        I32TruncF32S i32_trunc_f32_s(a: f32) -> i32 {
            in_range(a.into(), -2147483649.0, 2147483648.0).map(|()| a as i32)
        }
        I32TruncF32U i32_trunc_f32_u(a: f32) -> u32 {
            in_range(a.into(), -1.0, 4294967296.0).map(|()| a as u32)
        }
        I32TruncF64S i32_trunc_f64_s(a: f64) -> i32 {
            in_range(a, -2147483649.0, 2147483648.0).map(|()| a as i32)
        }
        I32TruncF64U i32_trunc_f64_u(a: f64) -> u32 {
            in_range(a, -1.0, 4294967296.0).map(|()| a as u32)
        }
        I64TruncF32S i64_trunc_f32_s(a: f32) -> i64 {
            in_range(a.into(), BELOW_I64, 9223372036854775808.0).map(|()| a as i64)
        }
        I64TruncF32U i64_trunc_f32_u(a: f32) -> u64 {
            in_range(a.into(), -1.0, 18446744073709551616.0).map(|()| a as u64)
        }
        I64TruncF64S i64_trunc_f64_s(a: f64) -> i64 {
            in_range(a, BELOW_I64, 9223372036854775808.0).map(|()| a as i64)
        }
        I64TruncF64U i64_trunc_f64_u(a: f64) -> u64 {
            in_range(a, -1.0, 18446744073709551616.0).map(|()| a as u64)
        }
    }
}

const F32_SIGN: u32 = 1 << 31;
const F64_SIGN: u64 = 1 << 63;

/// The largest `f64` below the least `i64`: there is none between them.
const BELOW_I64: f64 = (-9223372036854775808.0f64).next_down();

/// Whether a float truncates to something strictly between two bounds.
#[inline(always)]
fn in_range(value: f64, low: f64, high: f64) -> Result<(), TrapCode> {
    if value > low && value < high {
        Ok(())
    } else if value.is_nan() {
        Err(TrapCode::InvalidConversionToInteger)
    } else {
        Err(TrapCode::IntegerOverflow)
    }
}

/// A function of a float, except that NaNs only become quiet: not every platform's functions do
/// that, and the specification asks for it.
#[inline(always)]
fn quiet32(value: f32, function: fn(f32) -> f32) -> f32 {
    if value.is_nan() {
        f32::from_bits(value.to_bits() | 1 << 22)
    } else {
        function(value)
    }
}

/// As [`quiet32`].
#[inline(always)]
fn quiet64(value: f64, function: fn(f64) -> f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(value.to_bits() | 1 << 51)
    } else {
        function(value)
    }
}

#[cfg(test)]
mod tests;
