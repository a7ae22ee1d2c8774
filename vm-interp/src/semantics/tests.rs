//! Values at the edges, against the specification's words rather than against Rust's.

use std::hint::black_box;

use super::*;

const QUIET32: u32 = 0x7fc0_0000;
const SIGNALLING32: u32 = 0x7fa0_0000;
const QUIET64: u64 = 0x7ff8_0000_0000_0000;
const SIGNALLING64: u64 = 0x7ff4_0000_0000_0000;

fn value32(bits: u32) -> u64 {
    bits.into()
}

fn f32s(value: f32) -> u64 {
    value32(value.to_bits())
}

fn f64s(value: f64) -> u64 {
    value.to_bits()
}

fn arithmetic32(bits: u64) -> bool {
    bits & u64::from(QUIET32) == u64::from(QUIET32)
}

fn arithmetic64(bits: u64) -> bool {
    bits & QUIET64 == QUIET64
}

#[test]
fn every_operator_has_a_meaning_and_32_bit_results_have_a_clear_upper_half() {
    for &op in Op::ALL {
        for a in [0, 1, u64::MAX, 1 << 63, 0x8000_0000, 0xffff_ffff_0000_0001] {
            for b in [0, 1, u64::MAX, 0x8000_0000] {
                let is_load = matches!(op.effect(), vm_translate::Effect::Load { .. });
                let Ok(result) = eval(op, a, b, 1) else {
                    assert!(op.may_trap() && !is_load, "{op}");
                    continue;
                };
                if op.result() == vm_translate::Ty::I32 {
                    assert!(
                        result <= u64::from(u32::MAX),
                        "{op} {a:#x} {b:#x}: {result:#x}"
                    );
                }
            }
        }
    }
}

#[test]
fn operators_ignore_the_upper_half_of_32_bit_operands() {
    const JUNK: u64 = 0xdead_beef_0000_0000;
    for &op in Op::ALL {
        let narrow =
            |ty: &vm_translate::Ty| matches!(ty, vm_translate::Ty::I32 | vm_translate::Ty::F32);
        // What loads and reads of globals are given is not an operand.
        if op.has_immediate() || !op.params().iter().all(narrow) {
            continue;
        }
        for (a, b) in [
            (7, 3),
            (0x8000_0000, 0xffff_ffff),
            (0x3f80_0000, 0x4000_0000),
        ] {
            assert_eq!(eval(op, a, b, 0), eval(op, a | JUNK, b | JUNK, 0), "{op}");
        }
    }
}

#[test]
fn division_traps_on_zero_and_on_overflow() {
    let zero = Err(TrapCode::IntegerDivideByZero);
    for op in [Op::I32DivS, Op::I32DivU, Op::I32RemS, Op::I32RemU] {
        assert_eq!(eval(op, 1, 0, 0), zero);
    }
    for op in [Op::I64DivS, Op::I64DivU, Op::I64RemS, Op::I64RemU] {
        assert_eq!(eval(op, 1, 0, 0), zero);
    }
    let minus_one = u64::from(u32::MAX);
    assert_eq!(
        i32_div_s(0x8000_0000, minus_one),
        Err(TrapCode::IntegerOverflow)
    );
    assert_eq!(i32_rem_s(0x8000_0000, minus_one), Ok(0));
    assert_eq!(i64_div_s(1 << 63, u64::MAX), Err(TrapCode::IntegerOverflow));
    assert_eq!(i64_rem_s(1 << 63, u64::MAX), Ok(0));
    // Towards zero, and the remainder has the sign of the dividend.
    assert_eq!(
        i32_div_s(-7i32 as u32 as u64, 2),
        Ok(u64::from(-3i32 as u32))
    );
    assert_eq!(
        i32_rem_s(-7i32 as u32 as u64, 2),
        Ok(u64::from(-1i32 as u32))
    );
}

#[test]
fn shift_counts_are_modulo_the_width() {
    assert_eq!(i32_shl(1, 33), 2);
    assert_eq!(i32_shr_u(0x8000_0000, 32), 0x8000_0000);
    assert_eq!(i32_shr_s(0x8000_0000, 63), 0xffff_ffff);
    assert_eq!(i32_rotl(0x8000_0001, 33), 3);
    assert_eq!(i32_rotr(3, 1), 0x8000_0001);
    assert_eq!(i64_shl(1, 65), 2);
    assert_eq!(i64_shl(1, 1 << 32 | 1), 2);
    assert_eq!(i64_rotl(1 << 63, 1), 1);
    assert_eq!(i64_rotr(1, 64), 1);
}

#[test]
fn bit_counts_of_zero() {
    assert_eq!((i32_clz(0), i32_ctz(0), i32_popcnt(0)), (32, 32, 0));
    assert_eq!((i64_clz(0), i64_ctz(0), i64_popcnt(0)), (64, 64, 0));
}

#[test]
fn min_and_max_order_zeros_and_pass_nans_on() {
    let (plus, minus) = (0.0, -0.0);
    for (a, b) in [(plus, minus), (minus, plus)] {
        assert_eq!(f32_min(f32s(a as f32), f32s(b as f32)), f32s(-0.0));
        assert_eq!(f32_max(f32s(a as f32), f32s(b as f32)), f32s(0.0));
        assert_eq!(f64_min(f64s(a), f64s(b)), f64s(-0.0));
        assert_eq!(f64_max(f64s(a), f64s(b)), f64s(0.0));
    }
    // The optimiser may divide by a constant 1 without making a NaN quiet; guests' operands are
    // not constants.
    let (one32, one64) = black_box((f32s(1.0), f64s(1.0)));
    for nan in [QUIET32, SIGNALLING32] {
        for f in [f32_min, f32_max, f32_add, f32_div] {
            assert!(arithmetic32(f(value32(nan), one32)));
            assert!(arithmetic32(f(one32, value32(nan))));
        }
    }
    for nan in [QUIET64, SIGNALLING64] {
        for f in [f64_min, f64_max, f64_sub, f64_mul] {
            assert!(arithmetic64(f(nan, one64)));
            assert!(arithmetic64(f(one64, nan)));
        }
    }
    assert_eq!(
        f64_min(one64, f64s(f64::NEG_INFINITY)),
        f64s(f64::NEG_INFINITY)
    );
    assert_eq!(f64_max(f64s(-1.0), f64s(-2.0)), f64s(-1.0));
}

#[test]
fn rounding_keeps_signs_ties_to_even_and_quiets_nans() {
    assert_eq!(f64_nearest(f64s(0.5)), f64s(0.0));
    assert_eq!(f64_nearest(f64s(-0.5)), f64s(-0.0));
    assert_eq!(f64_nearest(f64s(1.5)), f64s(2.0));
    assert_eq!(f64_nearest(f64s(2.5)), f64s(2.0));
    assert_eq!(
        f64_nearest(f64s(4503599627370497.5)),
        f64s(4503599627370498.0)
    );
    assert_eq!(f32_nearest(f32s(-3.5)), f32s(-4.0));
    assert_eq!(f32_ceil(f32s(-0.5)), f32s(-0.0));
    assert_eq!(f32_trunc(f32s(-0.9)), f32s(-0.0));
    assert_eq!(f32_floor(f32s(-0.1)), f32s(-1.0));
    for f in [f32_ceil, f32_floor, f32_trunc, f32_nearest, f32_sqrt] {
        assert!(arithmetic32(f(value32(SIGNALLING32))));
        assert_eq!(f(f32s(f32::INFINITY)), f32s(f32::INFINITY));
    }
    for f in [f64_ceil, f64_floor, f64_trunc, f64_nearest, f64_sqrt] {
        assert!(arithmetic64(f(SIGNALLING64)));
    }
    assert!(arithmetic64(f64_promote_f32(value32(SIGNALLING32))));
    assert!(arithmetic32(f32_demote_f64(SIGNALLING64)));
}

#[test]
fn sign_operations_only_touch_the_sign() {
    assert_eq!(
        f32_neg(value32(SIGNALLING32)),
        value32(SIGNALLING32 | 1 << 31)
    );
    assert_eq!(
        f32_abs(value32(SIGNALLING32 | 1 << 31)),
        value32(SIGNALLING32)
    );
    assert_eq!(
        f32_copysign(value32(SIGNALLING32), f32s(-1.0)),
        value32(SIGNALLING32 | 1 << 31)
    );
    assert_eq!(f64_neg(SIGNALLING64), SIGNALLING64 | 1 << 63);
    assert_eq!(
        f64_copysign(SIGNALLING64 | 1 << 63, f64s(0.0)),
        SIGNALLING64
    );
}

#[test]
fn conversions_to_integers_trap_outside_of_their_range() {
    let overflow = Err(TrapCode::IntegerOverflow);
    let nan = Err(TrapCode::InvalidConversionToInteger);

    assert_eq!(i32_trunc_f64_s(f64s(-2147483648.9)), Ok(0x8000_0000));
    assert_eq!(i32_trunc_f64_s(f64s(-2147483649.0)), overflow);
    assert_eq!(i32_trunc_f64_s(f64s(2147483647.9)), Ok(0x7fff_ffff));
    assert_eq!(i32_trunc_f64_s(f64s(2147483648.0)), overflow);
    assert_eq!(i32_trunc_f64_u(f64s(-0.9)), Ok(0));
    assert_eq!(i32_trunc_f64_u(f64s(-1.0)), overflow);
    assert_eq!(i32_trunc_f64_u(f64s(4294967295.9)), Ok(0xffff_ffff));
    assert_eq!(i32_trunc_f64_u(f64s(4294967296.0)), overflow);

    assert_eq!(i32_trunc_f32_s(f32s(-2147483648.0)), Ok(0x8000_0000));
    assert_eq!(
        i32_trunc_f32_s(f32s((-2147483648.0f32).next_down())),
        overflow
    );
    assert_eq!(i32_trunc_f32_s(f32s(2147483648.0)), overflow);
    assert_eq!(i32_trunc_f32_u(f32s(4294967296.0)), overflow);

    let least = -9223372036854775808.0f64;
    assert_eq!(i64_trunc_f64_s(f64s(least)), Ok(1 << 63));
    assert_eq!(i64_trunc_f64_s(f64s(least.next_down())), overflow);
    assert_eq!(i64_trunc_f64_s(f64s(-least)), overflow);
    assert_eq!(i64_trunc_f32_s(f32s(least as f32)), Ok(1 << 63));
    assert_eq!(i64_trunc_f32_s(f32s((least as f32).next_down())), overflow);
    assert_eq!(i64_trunc_f64_u(f64s(18446744073709551616.0)), overflow);
    assert_eq!(
        i64_trunc_f64_u(f64s(18446744073709549568.0)),
        Ok(18446744073709549568)
    );
    assert_eq!(i64_trunc_f32_u(f32s(-1.0)), overflow);

    for op in [
        Op::I32TruncF32S,
        Op::I32TruncF32U,
        Op::I64TruncF32S,
        Op::I64TruncF32U,
    ] {
        assert_eq!(eval(op, value32(QUIET32), 0, 0), nan);
        assert_eq!(eval(op, f32s(f32::INFINITY), 0, 0), overflow);
    }
    for op in [
        Op::I32TruncF64S,
        Op::I32TruncF64U,
        Op::I64TruncF64S,
        Op::I64TruncF64U,
    ] {
        assert_eq!(eval(op, QUIET64, 0, 0), nan);
        assert_eq!(eval(op, f64s(f64::NEG_INFINITY), 0, 0), overflow);
    }
}

#[test]
fn saturating_conversions_clamp() {
    assert_eq!(i32_trunc_sat_f32_s(value32(QUIET32)), 0);
    assert_eq!(i32_trunc_sat_f64_s(f64s(1e10)), 0x7fff_ffff);
    assert_eq!(i32_trunc_sat_f64_s(f64s(-1e10)), 0x8000_0000);
    assert_eq!(i32_trunc_sat_f64_u(f64s(-1.0)), 0);
    assert_eq!(i64_trunc_sat_f64_u(f64s(f64::INFINITY)), u64::MAX);
    assert_eq!(i64_trunc_sat_f32_s(f32s(f32::NEG_INFINITY)), 1 << 63);
}

#[test]
fn conversions_from_integers_round_to_nearest() {
    assert_eq!(f32_convert_i32_s(16777217), f32s(16777216.0));
    assert_eq!(f32_convert_i32_u(u64::from(u32::MAX)), f32s(4294967296.0));
    assert_eq!(f64_convert_i64_u(u64::MAX), f64s(18446744073709551616.0));
    assert_eq!(
        f64_convert_i64_s(9007199254740993),
        f64s(9007199254740992.0)
    );
    assert_eq!(
        f32_convert_i64_u(0x8000_0080_0000_0001),
        f32s(9223373136366403584.0)
    );
}

#[test]
fn extensions() {
    assert_eq!(i32_extend8_s(0x80), 0xffff_ff80);
    assert_eq!(i32_extend16_s(0x7fff), 0x7fff);
    assert_eq!(i64_extend32_s(0x8000_0000), 0xffff_ffff_8000_0000);
    assert_eq!(i64_extend_i32_s(0x8000_0000), 0xffff_ffff_8000_0000);
    assert_eq!(i64_extend_i32_u(0xffff_ffff_8000_0000), 0x8000_0000);
    assert_eq!(i32_load8_s(0x80), 0xffff_ff80);
    assert_eq!(i64_load16_s(0x8000), 0xffff_ffff_ffff_8000);
    assert_eq!(i64_load32_u(0xffff_ffff), 0xffff_ffff);
}
