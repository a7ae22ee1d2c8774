//! What operators on vectors mean.
//!
//! A vector is a `u128` whose lowest bits are lane 0. Numbers among the operands and results stand
//! in the lowest bits, as in a slot, and what is above is zero in results. Specification:
//! "Execution", "Numerics", and "Vector Instructions".
//!
//! Relaxed operators do what the deterministic profile prescribes: a multiplication and an addition
//! round each for itself, and products of a dot product are of signed lanes.

use std::array::from_fn;

use vm_translate::Op;

/// A number that `N` lanes of a vector can be read as.
trait Lane<const N: usize>: Copy {
    fn from_bits(bits: u64) -> Self;
    fn into_bits(self) -> u64;
}

macro_rules! lanes {
    ($($n:literal $unsigned:ty, $($ty:ty: $bits:ident => $from:expr, $value:ident => $into:expr;)*)*) => {$($(
        impl Lane<$n> for $ty {
            #[inline(always)]
            fn from_bits($bits: u64) -> $ty {
                let $bits = $bits as $unsigned;
                $from
            }

            #[inline(always)]
            fn into_bits(self) -> u64 {
                let $value = self;
                let bits: $unsigned = $into;
                bits.into()
            }
        }
    )*)*};
}

lanes! {
    16 u8, u8: bits => bits, value => value; i8: bits => bits as i8, value => value as u8;
    8 u16, u16: bits => bits, value => value; i16: bits => bits as i16, value => value as u16;
    4 u32, u32: bits => bits, value => value; i32: bits => bits as i32, value => value as u32;
        f32: bits => f32::from_bits(bits), value => value.to_bits();
    2 u64, u64: bits => bits, value => value; i64: bits => bits as i64, value => value as u64;
        f64: bits => f64::from_bits(bits), value => value.to_bits();
}

#[inline(always)]
fn split<T: Lane<N>, const N: usize>(vector: u128) -> [T; N] {
    from_fn(|lane| T::from_bits((vector >> (128 / N * lane)) as u64))
}

#[inline(always)]
fn join<T: Lane<N>, const N: usize>(lanes: [T; N]) -> u128 {
    (lanes.into_iter().enumerate()).fold(0, |vector, (lane, value)| {
        vector | u128::from(value.into_bits()) << (128 / N * lane)
    })
}

// What follows is not inlined: `eval` would save all registers for the sake of the largest of its operators.

#[inline(never)]
fn unary<T: Lane<N>, R: Lane<N>, const N: usize>(a: u128, f: impl Fn(T) -> R) -> u128 {
    join(split(a).map(f))
}

#[inline(never)]
fn binary<T: Lane<N>, R: Lane<N>, const N: usize>(a: u128, b: u128, f: impl Fn(T, T) -> R) -> u128 {
    let (a, b) = (split(a), split(b));
    join(from_fn(|lane| f(a[lane], b[lane])))
}

/// All bits of a lane are set where the comparison holds.
#[inline(never)]
fn compare<T: Lane<N>, const N: usize>(a: u128, b: u128, f: impl Fn(T, T) -> bool) -> u128 {
    binary(a, b, |a, b| {
        T::from_bits(if f(a, b) { u64::MAX } else { 0 })
    })
}

/// A lane, or one past the last if there is no such lane: validation allows none of these.
#[inline(never)]
fn extract<T: Lane<N>, R: Into<u128>, const N: usize>(
    a: u128,
    lane: usize,
    f: impl Fn(T) -> R,
) -> u128 {
    f(split(a)[lane % N]).into()
}

#[inline(never)]
fn replace<T: Lane<N>, const N: usize>(a: u128, lane: usize, value: T) -> u128 {
    let mut lanes = split(a);
    lanes[lane % N] = value;
    join(lanes)
}

#[inline(always)]
fn splat<T: Lane<N>, const N: usize>(value: T) -> u128 {
    join([value; N])
}

#[inline(never)]
fn all_true<T: Lane<N>, const N: usize>(a: u128) -> bool {
    split(a).into_iter().all(|lane: T| lane.into_bits() != 0)
}

#[inline(never)]
fn bitmask<T: Lane<N> + PartialOrd + Default, const N: usize>(a: u128) -> u32 {
    let negative = |lane: T| u32::from(lane < T::default());
    (split(a).into_iter().enumerate()).fold(0, |mask, (n, lane)| mask | negative(lane) << n)
}

/// Which half of a vector's lanes.
const LOW: bool = false;
const HIGH: bool = true;

#[inline(always)]
fn extend<T: Lane<M>, R: Lane<N>, const M: usize, const N: usize>(
    a: u128,
    high: bool,
    f: impl Fn(T) -> R,
) -> u128 {
    extend_both(a, a, high, |a, _| f(a))
}

#[inline(never)]
fn extend_both<T: Lane<M>, R: Lane<N>, const M: usize, const N: usize>(
    a: u128,
    b: u128,
    high: bool,
    f: impl Fn(T, T) -> R,
) -> u128 {
    let (a, b) = (split(a), split(b));
    let first = if high { N } else { 0 };
    join(from_fn(|lane| f(a[first + lane], b[first + lane])))
}

/// The lanes of one vector and then those of the other, each made half as wide.
#[inline(never)]
fn narrow<T: Lane<N>, R: Lane<M>, const N: usize, const M: usize>(
    a: u128,
    b: u128,
    f: impl Fn(T) -> R,
) -> u128 {
    let (a, b) = (split(a), split(b));
    join(from_fn(|lane| {
        f(if lane < N { a[lane] } else { b[lane - N] })
    }))
}

/// Each two neighbours become one lane.
#[inline(never)]
fn pairs<T: Lane<M>, R: Lane<N>, const M: usize, const N: usize>(
    a: u128,
    f: impl Fn(T, T) -> R,
) -> u128 {
    let a = split(a);
    join(from_fn(|lane| f(a[2 * lane], a[2 * lane + 1])))
}

/// A function of slots on each 32-bit lane.
#[inline(always)]
fn each32(a: u128, f: impl Fn(u64) -> u64) -> u128 {
    unary(a, |a: u32| f(a.into()) as u32)
}

/// A function of slots on each 64-bit lane.
#[inline(always)]
fn each64(a: u128, f: impl Fn(u64) -> u64) -> u128 {
    unary(a, |a: u64| f(a))
}

#[inline(always)]
fn both32(a: u128, b: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    binary(a, b, |a: u32, b: u32| f(a.into(), b.into()) as u32)
}

#[inline(always)]
fn both64(a: u128, b: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    binary(a, b, |a: u64, b: u64| f(a, b))
}

/// The two lower 32-bit lanes, made 64-bit lanes.
#[inline(always)]
fn widen_floats(a: u128, f: impl Fn(u64) -> u64) -> u128 {
    extend(a, LOW, |a: u32| f(a.into()))
}

/// The two 64-bit lanes, made 32-bit lanes; the two upper ones are zero.
#[inline(always)]
fn narrow_floats(a: u128, f: impl Fn(u64) -> u64) -> u128 {
    let [first, second]: [u64; 2] = split(a);
    join([f(first) as u32, f(second) as u32, 0, 0])
}

fn swizzle(a: u128, indices: u128) -> u128 {
    let a: [u8; 16] = split(a);
    unary(indices, |index: u8| {
        a.get(usize::from(index)).copied().unwrap_or(0)
    })
}

fn shuffle(a: u128, b: u128, indices: u128) -> u128 {
    let lanes: [[u8; 16]; 2] = [split(a), split(b)];
    let lanes = lanes.as_flattened();
    // Validation allows no other index.
    unary(indices, |index: u8| lanes[usize::from(index) % 32])
}

fn q15_multiply(a: i16, b: i16) -> i16 {
    let product = i32::from(a) * i32::from(b);
    // Only the least number times itself is too large.
    ((product + 0x4000) >> 15).min(i16::MAX.into()) as i16
}

fn dot(a: u128, b: u128) -> u128 {
    let (a, b): ([i16; 8], [i16; 8]) = (split(a), split(b));
    let product = |lane: usize| i32::from(a[lane]) * i32::from(b[lane]);
    join(from_fn(|lane| {
        product(2 * lane).wrapping_add(product(2 * lane + 1))
    }))
}

fn relaxed_dot(a: u128, b: u128) -> u128 {
    let (a, b): ([i8; 16], [i8; 16]) = (split(a), split(b));
    let product = |lane: usize| i16::from(a[lane]) * i16::from(b[lane]);
    join(from_fn(|lane| {
        product(2 * lane).saturating_add(product(2 * lane + 1))
    }))
}

fn relaxed_dot_add(a: u128, b: u128, c: u128) -> u128 {
    let sums = pairs(relaxed_dot(a, b), |a: i16, b: i16| {
        i32::from(a) + i32::from(b)
    });
    binary(sums, c, i32::wrapping_add)
}

/// The result of an operator on vectors; zero for operators on numbers. An operator with fewer
/// than three operands ignores the rest, and `lane` is the immediate of those that have one.
///
/// The operand of a load is what it reads; that of reading a global is its value.
pub fn eval(op: Op, operands: [u128; 3], lane: usize) -> u128 {
    let [a, b, c] = operands;
    match op {
        Op::V128Load | Op::V128LoadUnchecked | Op::GlobalGetVector => a,
        Op::SelectVector => {
            if c as u32 != 0 {
                a
            } else {
                b
            }
        }
        Op::V128Const => u128::from(a as u64) | b << 64,
        Op::V128FromI64 => u128::from(a as u64),
        Op::I8x16Shuffle => shuffle(a, b, c),
        Op::I8x16ExtractLaneS => extract(a, lane, |a: i8| i32::from(a) as u32),
        Op::I8x16ExtractLaneU => extract(a, lane, |a: u8| a),
        Op::I8x16ReplaceLane => replace(a, lane, b as u8),
        Op::I16x8ExtractLaneS => extract(a, lane, |a: i16| i32::from(a) as u32),
        Op::I16x8ExtractLaneU => extract(a, lane, |a: u16| a),
        Op::I16x8ReplaceLane => replace(a, lane, b as u16),
        Op::I32x4ExtractLane => extract(a, lane, |a: u32| a),
        Op::I32x4ReplaceLane => replace(a, lane, b as u32),
        Op::I64x2ExtractLane => extract(a, lane, |a: u64| a),
        Op::I64x2ReplaceLane => replace(a, lane, b as u64),
        Op::F32x4ExtractLane => extract(a, lane, |a: u32| a),
        Op::F32x4ReplaceLane => replace(a, lane, b as u32),
        Op::F64x2ExtractLane => extract(a, lane, |a: u64| a),
        Op::F64x2ReplaceLane => replace(a, lane, b as u64),
        Op::I8x16Swizzle => swizzle(a, b),
        Op::I8x16Splat => splat(a as u8),
        Op::I16x8Splat => splat(a as u16),
        Op::I32x4Splat => splat(a as u32),
        Op::I64x2Splat => splat(a as u64),
        Op::F32x4Splat => splat(a as u32),
        Op::F64x2Splat => splat(a as u64),
        Op::I8x16Eq => compare(a, b, |a: u8, b| a == b),
        Op::I8x16Ne => compare(a, b, |a: u8, b| a != b),
        Op::I8x16LtS => compare(a, b, |a: i8, b| a < b),
        Op::I8x16LtU => compare(a, b, |a: u8, b| a < b),
        Op::I8x16GtS => compare(a, b, |a: i8, b| a > b),
        Op::I8x16GtU => compare(a, b, |a: u8, b| a > b),
        Op::I8x16LeS => compare(a, b, |a: i8, b| a <= b),
        Op::I8x16LeU => compare(a, b, |a: u8, b| a <= b),
        Op::I8x16GeS => compare(a, b, |a: i8, b| a >= b),
        Op::I8x16GeU => compare(a, b, |a: u8, b| a >= b),
        Op::I16x8Eq => compare(a, b, |a: u16, b| a == b),
        Op::I16x8Ne => compare(a, b, |a: u16, b| a != b),
        Op::I16x8LtS => compare(a, b, |a: i16, b| a < b),
        Op::I16x8LtU => compare(a, b, |a: u16, b| a < b),
        Op::I16x8GtS => compare(a, b, |a: i16, b| a > b),
        Op::I16x8GtU => compare(a, b, |a: u16, b| a > b),
        Op::I16x8LeS => compare(a, b, |a: i16, b| a <= b),
        Op::I16x8LeU => compare(a, b, |a: u16, b| a <= b),
        Op::I16x8GeS => compare(a, b, |a: i16, b| a >= b),
        Op::I16x8GeU => compare(a, b, |a: u16, b| a >= b),
        Op::I32x4Eq => compare(a, b, |a: u32, b| a == b),
        Op::I32x4Ne => compare(a, b, |a: u32, b| a != b),
        Op::I32x4LtS => compare(a, b, |a: i32, b| a < b),
        Op::I32x4LtU => compare(a, b, |a: u32, b| a < b),
        Op::I32x4GtS => compare(a, b, |a: i32, b| a > b),
        Op::I32x4GtU => compare(a, b, |a: u32, b| a > b),
        Op::I32x4LeS => compare(a, b, |a: i32, b| a <= b),
        Op::I32x4LeU => compare(a, b, |a: u32, b| a <= b),
        Op::I32x4GeS => compare(a, b, |a: i32, b| a >= b),
        Op::I32x4GeU => compare(a, b, |a: u32, b| a >= b),
        Op::I64x2Eq => compare(a, b, |a: u64, b| a == b),
        Op::I64x2Ne => compare(a, b, |a: u64, b| a != b),
        Op::I64x2LtS => compare(a, b, |a: i64, b| a < b),
        Op::I64x2GtS => compare(a, b, |a: i64, b| a > b),
        Op::I64x2LeS => compare(a, b, |a: i64, b| a <= b),
        Op::I64x2GeS => compare(a, b, |a: i64, b| a >= b),
        Op::F32x4Eq => compare(a, b, |a: f32, b| a == b),
        Op::F32x4Ne => compare(a, b, |a: f32, b| a != b),
        Op::F32x4Lt => compare(a, b, |a: f32, b| a < b),
        Op::F32x4Gt => compare(a, b, |a: f32, b| a > b),
        Op::F32x4Le => compare(a, b, |a: f32, b| a <= b),
        Op::F32x4Ge => compare(a, b, |a: f32, b| a >= b),
        Op::F64x2Eq => compare(a, b, |a: f64, b| a == b),
        Op::F64x2Ne => compare(a, b, |a: f64, b| a != b),
        Op::F64x2Lt => compare(a, b, |a: f64, b| a < b),
        Op::F64x2Gt => compare(a, b, |a: f64, b| a > b),
        Op::F64x2Le => compare(a, b, |a: f64, b| a <= b),
        Op::F64x2Ge => compare(a, b, |a: f64, b| a >= b),
        Op::V128Not => !a,
        Op::V128And => a & b,
        Op::V128AndNot => a & !b,
        Op::V128Or => a | b,
        Op::V128Xor => a ^ b,
        Op::V128Bitselect => a & c | b & !c,
        Op::V128AnyTrue => (a != 0).into(),
        Op::I8x16Abs => unary(a, i8::wrapping_abs),
        Op::I8x16Neg => unary(a, i8::wrapping_neg),
        Op::I8x16Popcnt => unary(a, |a: u8| a.count_ones() as u8),
        Op::I8x16AllTrue => all_true::<u8, _>(a).into(),
        Op::I8x16Bitmask => bitmask::<i8, _>(a).into(),
        Op::I8x16NarrowI16x8S => {
            narrow(a, b, |a: i16| a.clamp(i8::MIN.into(), i8::MAX.into()) as i8)
        }
        Op::I8x16NarrowI16x8U => {
            narrow(a, b, |a: i16| a.clamp(u8::MIN.into(), u8::MAX.into()) as u8)
        }
        Op::I8x16Shl => unary(a, |a: u8| a.wrapping_shl(b as u32)),
        Op::I8x16ShrS => unary(a, |a: i8| a.wrapping_shr(b as u32)),
        Op::I8x16ShrU => unary(a, |a: u8| a.wrapping_shr(b as u32)),
        Op::I8x16Add => binary(a, b, u8::wrapping_add),
        Op::I8x16AddSatS => binary(a, b, i8::saturating_add),
        Op::I8x16AddSatU => binary(a, b, u8::saturating_add),
        Op::I8x16Sub => binary(a, b, u8::wrapping_sub),
        Op::I8x16SubSatS => binary(a, b, i8::saturating_sub),
        Op::I8x16SubSatU => binary(a, b, u8::saturating_sub),
        Op::I8x16MinS => binary(a, b, |a: i8, b| a.min(b)),
        Op::I8x16MinU => binary(a, b, |a: u8, b| a.min(b)),
        Op::I8x16MaxS => binary(a, b, |a: i8, b| a.max(b)),
        Op::I8x16MaxU => binary(a, b, |a: u8, b| a.max(b)),
        Op::I8x16AvgrU => binary(a, b, |a: u8, b: u8| {
            (u16::from(a) + u16::from(b)).div_ceil(2) as u8
        }),
        Op::I16x8ExtAddPairwiseI8x16S => pairs(a, |a: i8, b: i8| i16::from(a) + i16::from(b)),
        Op::I16x8ExtAddPairwiseI8x16U => pairs(a, |a: u8, b: u8| u16::from(a) + u16::from(b)),
        Op::I16x8Abs => unary(a, i16::wrapping_abs),
        Op::I16x8Neg => unary(a, i16::wrapping_neg),
        Op::I16x8Q15MulrSatS => binary(a, b, q15_multiply),
        Op::I16x8AllTrue => all_true::<u16, _>(a).into(),
        Op::I16x8Bitmask => bitmask::<i16, _>(a).into(),
        Op::I16x8NarrowI32x4S => narrow(a, b, |a: i32| {
            a.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        }),
        Op::I16x8NarrowI32x4U => narrow(a, b, |a: i32| {
            a.clamp(u16::MIN.into(), u16::MAX.into()) as u16
        }),
        Op::I16x8ExtendLowI8x16S => extend(a, LOW, |a: i8| i16::from(a)),
        Op::I16x8ExtendHighI8x16S => extend(a, HIGH, |a: i8| i16::from(a)),
        Op::I16x8ExtendLowI8x16U => extend(a, LOW, |a: u8| u16::from(a)),
        Op::I16x8ExtendHighI8x16U => extend(a, HIGH, |a: u8| u16::from(a)),
        Op::I16x8Shl => unary(a, |a: u16| a.wrapping_shl(b as u32)),
        Op::I16x8ShrS => unary(a, |a: i16| a.wrapping_shr(b as u32)),
        Op::I16x8ShrU => unary(a, |a: u16| a.wrapping_shr(b as u32)),
        Op::I16x8Add => binary(a, b, u16::wrapping_add),
        Op::I16x8AddSatS => binary(a, b, i16::saturating_add),
        Op::I16x8AddSatU => binary(a, b, u16::saturating_add),
        Op::I16x8Sub => binary(a, b, u16::wrapping_sub),
        Op::I16x8SubSatS => binary(a, b, i16::saturating_sub),
        Op::I16x8SubSatU => binary(a, b, u16::saturating_sub),
        Op::I16x8Mul => binary(a, b, u16::wrapping_mul),
        Op::I16x8MinS => binary(a, b, |a: i16, b| a.min(b)),
        Op::I16x8MinU => binary(a, b, |a: u16, b| a.min(b)),
        Op::I16x8MaxS => binary(a, b, |a: i16, b| a.max(b)),
        Op::I16x8MaxU => binary(a, b, |a: u16, b| a.max(b)),
        Op::I16x8AvgrU => binary(a, b, |a: u16, b: u16| {
            (u32::from(a) + u32::from(b)).div_ceil(2) as u16
        }),
        Op::I16x8ExtMulLowI8x16S => {
            extend_both(a, b, LOW, |a: i8, b: i8| i16::from(a) * i16::from(b))
        }
        Op::I16x8ExtMulHighI8x16S => {
            extend_both(a, b, HIGH, |a: i8, b: i8| i16::from(a) * i16::from(b))
        }
        Op::I16x8ExtMulLowI8x16U => {
            extend_both(a, b, LOW, |a: u8, b: u8| u16::from(a) * u16::from(b))
        }
        Op::I16x8ExtMulHighI8x16U => {
            extend_both(a, b, HIGH, |a: u8, b: u8| u16::from(a) * u16::from(b))
        }
        Op::I32x4ExtAddPairwiseI16x8S => pairs(a, |a: i16, b: i16| i32::from(a) + i32::from(b)),
        Op::I32x4ExtAddPairwiseI16x8U => pairs(a, |a: u16, b: u16| u32::from(a) + u32::from(b)),
        Op::I32x4Abs => unary(a, i32::wrapping_abs),
        Op::I32x4Neg => unary(a, i32::wrapping_neg),
        Op::I32x4AllTrue => all_true::<u32, _>(a).into(),
        Op::I32x4Bitmask => bitmask::<i32, _>(a).into(),
        Op::I32x4ExtendLowI16x8S => extend(a, LOW, |a: i16| i32::from(a)),
        Op::I32x4ExtendHighI16x8S => extend(a, HIGH, |a: i16| i32::from(a)),
        Op::I32x4ExtendLowI16x8U => extend(a, LOW, |a: u16| u32::from(a)),
        Op::I32x4ExtendHighI16x8U => extend(a, HIGH, |a: u16| u32::from(a)),
        Op::I32x4Shl => unary(a, |a: u32| a.wrapping_shl(b as u32)),
        Op::I32x4ShrS => unary(a, |a: i32| a.wrapping_shr(b as u32)),
        Op::I32x4ShrU => unary(a, |a: u32| a.wrapping_shr(b as u32)),
        Op::I32x4Add => binary(a, b, u32::wrapping_add),
        Op::I32x4Sub => binary(a, b, u32::wrapping_sub),
        Op::I32x4Mul => binary(a, b, u32::wrapping_mul),
        Op::I32x4MinS => binary(a, b, |a: i32, b| a.min(b)),
        Op::I32x4MinU => binary(a, b, |a: u32, b| a.min(b)),
        Op::I32x4MaxS => binary(a, b, |a: i32, b| a.max(b)),
        Op::I32x4MaxU => binary(a, b, |a: u32, b| a.max(b)),
        Op::I32x4DotI16x8S => dot(a, b),
        Op::I32x4ExtMulLowI16x8S => {
            extend_both(a, b, LOW, |a: i16, b: i16| i32::from(a) * i32::from(b))
        }
        Op::I32x4ExtMulHighI16x8S => {
            extend_both(a, b, HIGH, |a: i16, b: i16| i32::from(a) * i32::from(b))
        }
        Op::I32x4ExtMulLowI16x8U => {
            extend_both(a, b, LOW, |a: u16, b: u16| u32::from(a) * u32::from(b))
        }
        Op::I32x4ExtMulHighI16x8U => {
            extend_both(a, b, HIGH, |a: u16, b: u16| u32::from(a) * u32::from(b))
        }
        Op::I64x2Abs => unary(a, i64::wrapping_abs),
        Op::I64x2Neg => unary(a, i64::wrapping_neg),
        Op::I64x2AllTrue => all_true::<u64, _>(a).into(),
        Op::I64x2Bitmask => bitmask::<i64, _>(a).into(),
        Op::I64x2ExtendLowI32x4S => extend(a, LOW, |a: i32| i64::from(a)),
        Op::I64x2ExtendHighI32x4S => extend(a, HIGH, |a: i32| i64::from(a)),
        Op::I64x2ExtendLowI32x4U => extend(a, LOW, |a: u32| u64::from(a)),
        Op::I64x2ExtendHighI32x4U => extend(a, HIGH, |a: u32| u64::from(a)),
        Op::I64x2Shl => unary(a, |a: u64| a.wrapping_shl(b as u32)),
        Op::I64x2ShrS => unary(a, |a: i64| a.wrapping_shr(b as u32)),
        Op::I64x2ShrU => unary(a, |a: u64| a.wrapping_shr(b as u32)),
        Op::I64x2Add => binary(a, b, u64::wrapping_add),
        Op::I64x2Sub => binary(a, b, u64::wrapping_sub),
        Op::I64x2Mul => binary(a, b, u64::wrapping_mul),
        Op::I64x2ExtMulLowI32x4S => {
            extend_both(a, b, LOW, |a: i32, b: i32| i64::from(a) * i64::from(b))
        }
        Op::I64x2ExtMulHighI32x4S => {
            extend_both(a, b, HIGH, |a: i32, b: i32| i64::from(a) * i64::from(b))
        }
        Op::I64x2ExtMulLowI32x4U => {
            extend_both(a, b, LOW, |a: u32, b: u32| u64::from(a) * u64::from(b))
        }
        Op::I64x2ExtMulHighI32x4U => {
            extend_both(a, b, HIGH, |a: u32, b: u32| u64::from(a) * u64::from(b))
        }
        Op::F32x4Ceil => each32(a, super::f32_ceil),
        Op::F32x4Floor => each32(a, super::f32_floor),
        Op::F32x4Trunc => each32(a, super::f32_trunc),
        Op::F32x4Nearest => each32(a, super::f32_nearest),
        Op::F32x4Abs => each32(a, super::f32_abs),
        Op::F32x4Neg => each32(a, super::f32_neg),
        Op::F32x4Sqrt => each32(a, super::f32_sqrt),
        Op::F32x4Add => both32(a, b, super::f32_add),
        Op::F32x4Sub => both32(a, b, super::f32_sub),
        Op::F32x4Mul => both32(a, b, super::f32_mul),
        Op::F32x4Div => both32(a, b, super::f32_div),
        Op::F32x4Min => both32(a, b, super::f32_min),
        Op::F32x4Max => both32(a, b, super::f32_max),
        Op::F32x4PMin => binary(a, b, |a: f32, b| if b < a { b } else { a }),
        Op::F32x4PMax => binary(a, b, |a: f32, b| if a < b { b } else { a }),
        Op::F64x2Ceil => each64(a, super::f64_ceil),
        Op::F64x2Floor => each64(a, super::f64_floor),
        Op::F64x2Trunc => each64(a, super::f64_trunc),
        Op::F64x2Nearest => each64(a, super::f64_nearest),
        Op::F64x2Abs => each64(a, super::f64_abs),
        Op::F64x2Neg => each64(a, super::f64_neg),
        Op::F64x2Sqrt => each64(a, super::f64_sqrt),
        Op::F64x2Add => both64(a, b, super::f64_add),
        Op::F64x2Sub => both64(a, b, super::f64_sub),
        Op::F64x2Mul => both64(a, b, super::f64_mul),
        Op::F64x2Div => both64(a, b, super::f64_div),
        Op::F64x2Min => both64(a, b, super::f64_min),
        Op::F64x2Max => both64(a, b, super::f64_max),
        Op::F64x2PMin => binary(a, b, |a: f64, b| if b < a { b } else { a }),
        Op::F64x2PMax => binary(a, b, |a: f64, b| if a < b { b } else { a }),
        Op::I32x4TruncSatF32x4S => each32(a, super::i32_trunc_sat_f32_s),
        Op::I32x4TruncSatF32x4U => each32(a, super::i32_trunc_sat_f32_u),
        Op::F32x4ConvertI32x4S => each32(a, super::f32_convert_i32_s),
        Op::F32x4ConvertI32x4U => each32(a, super::f32_convert_i32_u),
        Op::I32x4TruncSatF64x2SZero => narrow_floats(a, super::i32_trunc_sat_f64_s),
        Op::I32x4TruncSatF64x2UZero => narrow_floats(a, super::i32_trunc_sat_f64_u),
        Op::F64x2ConvertLowI32x4S => widen_floats(a, super::f64_convert_i32_s),
        Op::F64x2ConvertLowI32x4U => widen_floats(a, super::f64_convert_i32_u),
        Op::F32x4DemoteF64x2Zero => narrow_floats(a, super::f32_demote_f64),
        Op::F64x2PromoteLowF32x4 => widen_floats(a, super::f64_promote_f32),
        Op::F32x4RelaxedMadd => both32(both32(a, b, super::f32_mul), c, super::f32_add),
        Op::F32x4RelaxedNmadd => both32(
            both32(each32(a, super::f32_neg), b, super::f32_mul),
            c,
            super::f32_add,
        ),
        Op::F64x2RelaxedMadd => both64(both64(a, b, super::f64_mul), c, super::f64_add),
        Op::F64x2RelaxedNmadd => both64(
            both64(each64(a, super::f64_neg), b, super::f64_mul),
            c,
            super::f64_add,
        ),
        Op::F32x4Canonical => each32(a, super::f32_canonical),
        Op::F64x2Canonical => each64(a, super::f64_canonical),
        Op::I16x8RelaxedDotI8x16I7x16S => relaxed_dot(a, b),
        Op::I32x4RelaxedDotI8x16I7x16AddS => relaxed_dot_add(a, b, c),
        _ => 0,
    }
}
