//! Numeric operators, straight from the specification. Arguments and results are bits; those of
//! 32-bit types have clear upper halves.
//!
//! What most operators on vectors compute makes no difference to translation: here their result is some number
//! that depends on all that theirs does.

use super::{Trap, Value};
use vm_translate::{Op, Ty};

/// Applies an operator that neither reads memory nor globals.
pub fn apply(op: Op, args: &[Value], lane: u64) -> Result<Value, Trap> {
    if op.is_vector() {
        return Ok(vector(op, args, lane as u32));
    }
    let args: Vec<u64> = args.iter().map(|arg| *arg as u64).collect();
    number(op, &args).map(Value::from)
}

/// The lanes of a vector, so many bits each, through a function and back.
fn lanes(bits: u32, f: impl Fn(u32) -> u64) -> Value {
    let mask = u64::MAX >> (64 - bits);
    (0..128 / bits).fold(0, |all, n| all | Value::from(f(n) & mask) << (bits * n))
}

fn lane(vector: Value, bits: u32, n: u32) -> u64 {
    (vector >> (bits * n)) as u64 & (u64::MAX >> (64 - bits))
}

fn vector(op: Op, args: &[Value], at: u32) -> Value {
    let a = args[0];
    let b = args.get(1).copied().unwrap_or(0);
    let c = args.get(2).copied().unwrap_or(0);
    let each = |bits: u32, f: &dyn Fn(u64, u64) -> u64| {
        lanes(bits, |n| f(lane(a, bits, n), lane(b, bits, n)))
    };
    let all = |holds: bool| if holds { u64::MAX } else { 0 };
    let shift = b as u32;
    let replace = |bits: u32| lanes(bits, |n| if n == at { b as u64 } else { lane(a, bits, n) });
    match op {
        Op::SelectVector => {
            if c as u32 != 0 {
                a
            } else {
                b
            }
        }
        Op::V128Const => a | b << 64,
        Op::V128FromI64 => a,
        Op::V128Not => !a,
        Op::V128And => a & b,
        Op::V128AndNot => a & !b,
        Op::V128Or => a | b,
        Op::V128Xor => a ^ b,
        Op::V128Bitselect => a & c | b & !c,
        Op::V128AnyTrue => Value::from(a != 0),
        Op::I32x4AllTrue => Value::from((0..4).all(|n| lane(a, 32, n) != 0)),
        Op::I8x16Bitmask => (0..16).fold(0, |mask, n| mask | Value::from(lane(a, 8, n) >> 7) << n),
        Op::I8x16Splat => lanes(8, |_| a as u64),
        Op::I16x8Splat => lanes(16, |_| a as u64),
        Op::I32x4Splat => lanes(32, |_| a as u64),
        Op::I64x2Splat => lanes(64, |_| a as u64),
        Op::I32x4ExtractLane => lane(a, 32, at).into(),
        Op::I64x2ExtractLane => lane(a, 64, at).into(),
        Op::F32x4ExtractLane => lane(a, 32, at).into(),
        Op::F64x2ExtractLane => lane(a, 64, at).into(),
        Op::I8x16ExtractLaneS => Value::from(lane(a, 8, at) as i8 as i32 as u32),
        Op::I8x16ExtractLaneU => lane(a, 8, at).into(),
        Op::I16x8ExtractLaneS => Value::from(lane(a, 16, at) as i16 as i32 as u32),
        Op::I16x8ExtractLaneU => lane(a, 16, at).into(),
        Op::I8x16ReplaceLane => replace(8),
        Op::I16x8ReplaceLane => replace(16),
        Op::I32x4ReplaceLane | Op::F32x4ReplaceLane => replace(32),
        Op::I64x2ReplaceLane | Op::F64x2ReplaceLane => replace(64),
        Op::I8x16Shuffle => lanes(8, |n| match lane(c, 8, n) as u32 {
            index @ 0..16 => lane(a, 8, index),
            index => lane(b, 8, index - 16),
        }),
        Op::I8x16Add => each(8, &u64::wrapping_add),
        Op::I16x8Sub => each(16, &u64::wrapping_sub),
        Op::I32x4Add => each(32, &u64::wrapping_add),
        Op::I32x4Mul => each(32, &u64::wrapping_mul),
        Op::I64x2Add => each(64, &u64::wrapping_add),
        Op::I64x2Sub => each(64, &u64::wrapping_sub),
        Op::I8x16Eq => each(8, &|a, b| all(a == b)),
        Op::I32x4LtS => each(32, &|a, b| all((a as i32) < b as i32)),
        Op::I32x4GtS => each(32, &|a, b| all(a as i32 > b as i32)),
        Op::I32x4Shl => lanes(32, |n| lane(a, 32, n) << (shift % 32)),
        Op::I32x4ShrU => lanes(32, |n| lane(a, 32, n) >> (shift % 32)),
        Op::I64x2ShrS => lanes(64, |n| (lane(a, 64, n) as i64 >> (shift % 64)) as u64),
        Op::I16x8ExtendLowI8x16U => lanes(16, |n| lane(a, 8, n)),
        Op::I64x2ExtendLowI32x4S => lanes(64, |n| lane(a, 32, n) as i32 as u64),
        _ => any(op, args, at),
    }
}

/// Operators that give the same if their operands change places, by what their names have after the point.
const SYMMETRIC: &[&str] = &[
    "add",
    "add_sat_s",
    "add_sat_u",
    "avgr_u",
    "q15mulr_sat_s",
    "mul",
    "dot_i16x8_s",
    "min",
    "min_s",
    "min_u",
    "max",
    "max_s",
    "max_u",
    "eq",
    "ne",
];

/// A number that depends on the operator and its operands, as the operator itself does.
fn any(op: Op, args: &[Value], at: u32) -> Value {
    let (shape, name) = op.name().split_once('.').unwrap();
    let mut args = args.to_vec();
    // More than is less than the other way round.
    let name = match name.strip_prefix("gt") {
        Some(rest) => {
            args.reverse();
            format!("lt{rest}")
        }
        None => name.to_owned(),
    };
    if SYMMETRIC.contains(&name.as_str()) || name.starts_with("extmul") {
        args.sort_unstable();
    }
    let mut hash: Value = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut mix = |bits: Value| {
        hash = (hash ^ bits).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        hash ^= hash >> 61;
    };
    for byte in shape.bytes().chain(name.bytes()) {
        mix(byte.into());
    }
    mix(at.into());
    args.into_iter().for_each(&mut mix);
    match op.result() {
        Ty::I32 | Ty::F32 => hash & 0xffff_ffff,
        Ty::I64 | Ty::F64 => hash & Value::from(u64::MAX),
        Ty::V128 => hash,
    }
}

fn number(op: Op, args: &[u64]) -> Result<u64, Trap> {
    let arg = |n: usize| args[n];
    let (a32, b32) = (arg(0) as u32, args.get(1).map_or(0, |b| *b as u32));
    let (a, b) = (arg(0), args.get(1).copied().unwrap_or(0));
    let (sa32, sb32, sa, sb) = (a32 as i32, b32 as i32, a as i64, b as i64);
    let f = |bits: u64| f32::from_bits(bits as u32);
    let d = f64::from_bits;
    let f32_bits = |value: f32| {
        u64::from(if value.is_nan() {
            0x7fc0_0000
        } else {
            value.to_bits()
        })
    };
    let f64_bits = |value: f64| {
        if value.is_nan() {
            0x7ff8_0000_0000_0000
        } else {
            value.to_bits()
        }
    };
    let truncate = |value: f64, low: f64, high: f64| {
        if value.is_nan() {
            Err(Trap::BadConversion)
        } else if value.trunc() < low || value.trunc() > high {
            Err(Trap::Overflow)
        } else {
            Ok(value)
        }
    };
    let bool = u64::from;
    let int = u64::from;
    let signed_32 = |value| truncate(value, i32::MIN.into(), i32::MAX.into());
    let unsigned_32 = |value| truncate(value, 0.0, u32::MAX.into());
    // The least that is too much is a power of two, the most that is not is the float before.
    let signed_64 = |value| truncate(value, i64::MIN as f64, 2f64.powi(63).next_down());
    let unsigned_64 = |value| truncate(value, 0.0, 2f64.powi(64).next_down());
    Ok(match op {
        Op::I32Eqz => bool(a32 == 0),
        Op::I32Eq => bool(a32 == b32),
        Op::I32Ne => bool(a32 != b32),
        Op::I32LtS => bool(sa32 < sb32),
        Op::I32LtU => bool(a32 < b32),
        Op::I32GtS => bool(sa32 > sb32),
        Op::I32GtU => bool(a32 > b32),
        Op::I32LeS => bool(sa32 <= sb32),
        Op::I32LeU => bool(a32 <= b32),
        Op::I32GeS => bool(sa32 >= sb32),
        Op::I32GeU => bool(a32 >= b32),
        Op::I32Clz => int(a32.leading_zeros()),
        Op::I32Ctz => int(a32.trailing_zeros()),
        Op::I32Popcnt => int(a32.count_ones()),
        Op::I32Add => int(a32.wrapping_add(b32)),
        Op::I32Sub => int(a32.wrapping_sub(b32)),
        Op::I32Mul => int(a32.wrapping_mul(b32)),
        Op::I32DivS | Op::I32DivU | Op::I32RemS | Op::I32RemU if b32 == 0 => {
            return Err(Trap::DivideByZero);
        }
        Op::I32DivS => int(sa32.checked_div(sb32).ok_or(Trap::Overflow)? as u32),
        Op::I32DivU => int(a32 / b32),
        Op::I32RemS => int(sa32.wrapping_rem(sb32) as u32),
        Op::I32RemU => int(a32 % b32),
        Op::I32And => int(a32 & b32),
        Op::I32Or => int(a32 | b32),
        Op::I32Xor => int(a32 ^ b32),
        Op::I32Shl => int(a32.wrapping_shl(b32)),
        Op::I32ShrS => int(sa32.wrapping_shr(b32) as u32),
        Op::I32ShrU => int(a32.wrapping_shr(b32)),
        Op::I32Rotl => int(a32.rotate_left(b32 % 32)),
        Op::I32Rotr => int(a32.rotate_right(b32 % 32)),
        Op::I64Eqz => bool(a == 0),
        Op::I64Eq => bool(a == b),
        Op::I64Ne => bool(a != b),
        Op::I64LtS => bool(sa < sb),
        Op::I64LtU => bool(a < b),
        Op::I64GtS => bool(sa > sb),
        Op::I64GtU => bool(a > b),
        Op::I64LeS => bool(sa <= sb),
        Op::I64LeU => bool(a <= b),
        Op::I64GeS => bool(sa >= sb),
        Op::I64GeU => bool(a >= b),
        Op::I64Clz => int(a.leading_zeros()),
        Op::I64Ctz => int(a.trailing_zeros()),
        Op::I64Popcnt => int(a.count_ones()),
        Op::I64Add => a.wrapping_add(b),
        Op::I64Sub => a.wrapping_sub(b),
        Op::I64Mul => a.wrapping_mul(b),
        Op::I64DivS | Op::I64DivU | Op::I64RemS | Op::I64RemU if b == 0 => {
            return Err(Trap::DivideByZero);
        }
        Op::I64DivS => sa.checked_div(sb).ok_or(Trap::Overflow)? as u64,
        Op::I64DivU => a / b,
        Op::I64RemS => sa.wrapping_rem(sb) as u64,
        Op::I64RemU => a % b,
        Op::I64And => a & b,
        Op::I64Or => a | b,
        Op::I64Xor => a ^ b,
        Op::I64Shl => a.wrapping_shl(b32),
        Op::I64ShrS => sa.wrapping_shr(b32) as u64,
        Op::I64ShrU => a.wrapping_shr(b32),
        Op::I64Rotl => a.rotate_left(b32 % 64),
        Op::I64MulHighU => ((u128::from(a) * u128::from(b)) >> 64) as u64,
        Op::I64Rotr => a.rotate_right(b32 % 64),
        Op::F32Eq => bool(f(a) == f(b)),
        Op::F32Ne => bool(f(a) != f(b)),
        Op::F32Lt => bool(f(a) < f(b)),
        Op::F32Gt => bool(f(a) > f(b)),
        Op::F32Le => bool(f(a) <= f(b)),
        Op::F32Ge => bool(f(a) >= f(b)),
        Op::F64Eq => bool(d(a) == d(b)),
        Op::F64Ne => bool(d(a) != d(b)),
        Op::F64Lt => bool(d(a) < d(b)),
        Op::F64Gt => bool(d(a) > d(b)),
        Op::F64Le => bool(d(a) <= d(b)),
        Op::F64Ge => bool(d(a) >= d(b)),
        Op::F32Neg => a ^ 0x8000_0000,
        Op::F32Abs => a & !0x8000_0000,
        Op::F32Copysign => a & !0x8000_0000 | b & 0x8000_0000,
        Op::F32Ceil => f32_bits(f(a).ceil()),
        Op::F32Floor => f32_bits(f(a).floor()),
        Op::F32Trunc => f32_bits(f(a).trunc()),
        Op::F32Nearest => f32_bits(f(a).round_ties_even()),
        Op::F32Sqrt => f32_bits(f(a).sqrt()),
        // Which zero is the lesser one makes no difference here.
        Op::F32Min | Op::F32Max => any(op, &[a.into(), b.into()], 0) as u64,
        Op::F32Add => f32_bits(f(a) + f(b)),
        Op::F32Sub => f32_bits(f(a) - f(b)),
        Op::F32Mul => f32_bits(f(a) * f(b)),
        Op::F32Div => f32_bits(f(a) / f(b)),
        Op::F64Neg => a ^ (1 << 63),
        Op::F64Abs => a & !(1 << 63),
        Op::F64Copysign => a & !(1 << 63) | b & (1 << 63),
        Op::F64Ceil => f64_bits(d(a).ceil()),
        Op::F64Floor => f64_bits(d(a).floor()),
        Op::F64Trunc => f64_bits(d(a).trunc()),
        Op::F64Nearest => f64_bits(d(a).round_ties_even()),
        Op::F64Sqrt => f64_bits(d(a).sqrt()),
        // Which zero is the lesser one makes no difference here.
        Op::F64Min | Op::F64Max => any(op, &[a.into(), b.into()], 0) as u64,
        Op::F64Add => f64_bits(d(a) + d(b)),
        Op::F64Sub => f64_bits(d(a) - d(b)),
        Op::F64Mul => f64_bits(d(a) * d(b)),
        Op::F64Div => f64_bits(d(a) / d(b)),
        Op::F32Canonical if f(a).is_nan() => 0x7fc0_0000,
        Op::F32Canonical => a,
        Op::F64Canonical if d(a).is_nan() => 0x7ff8_0000_0000_0000,
        Op::F64Canonical => a,
        Op::I32WrapI64 => int(a32),
        Op::I32WrapAddress if a >> 32 != 0 => return Err(Trap::MemoryOutOfBounds),
        Op::I32WrapAddress => int(a32),
        Op::I64ExtendI32S => sa32 as u64,
        Op::I64ExtendI32U => int(a32),
        Op::I32TruncF32S => int(signed_32(f(a).into())? as i32 as u32),
        Op::I32TruncF32U => int(unsigned_32(f(a).into())? as u32),
        Op::I32TruncF64S => int(signed_32(d(a))? as i32 as u32),
        Op::I32TruncF64U => int(unsigned_32(d(a))? as u32),
        Op::I64TruncF32S => signed_64(f(a).into())? as i64 as u64,
        Op::I64TruncF32U => unsigned_64(f(a).into())? as u64,
        Op::I64TruncF64S => signed_64(d(a))? as i64 as u64,
        Op::I64TruncF64U => unsigned_64(d(a))? as u64,
        Op::I32TruncSatF32S => int(f(a) as i32 as u32),
        Op::I32TruncSatF32U => int(f(a) as u32),
        Op::I32TruncSatF64S => int(d(a) as i32 as u32),
        Op::I32TruncSatF64U => int(d(a) as u32),
        Op::I64TruncSatF32S => f(a) as i64 as u64,
        Op::I64TruncSatF32U => f(a) as u64,
        Op::I64TruncSatF64S => d(a) as i64 as u64,
        Op::I64TruncSatF64U => d(a) as u64,
        Op::F32ConvertI32S => f32_bits(sa32 as f32),
        Op::F32ConvertI32U => f32_bits(a32 as f32),
        Op::F32ConvertI64S => f32_bits(sa as f32),
        Op::F32ConvertI64U => f32_bits(a as f32),
        Op::F64ConvertI32S => f64_bits(sa32.into()),
        Op::F64ConvertI32U => f64_bits(a32.into()),
        Op::F64ConvertI64S => f64_bits(sa as f64),
        Op::F64ConvertI64U => f64_bits(a as f64),
        Op::F32DemoteF64 => f32_bits(d(a) as f32),
        Op::F64PromoteF32 => f64_bits(f(a).into()),
        Op::I32ReinterpretF32 | Op::F32ReinterpretI32 => int(a32),
        Op::I64ReinterpretF64 | Op::F64ReinterpretI64 => a,
        Op::I32Extend8S => int(sa32 as i8 as i32 as u32),
        Op::I32Extend16S => int(sa32 as i16 as i32 as u32),
        Op::I64Extend8S => sa as i8 as u64,
        Op::I64Extend16S => sa as i16 as u64,
        Op::I64Extend32S => sa as i32 as u64,
        Op::Select | Op::SelectFloat => {
            if args[2] as u32 != 0 {
                a
            } else {
                b
            }
        }
        _ => panic!("{op} is no operator on numbers"),
    })
}

/// The bytes a load reads and what becomes of them.
pub fn extend(op: Op, value: Value) -> Value {
    let bits = value as u64;
    Value::from(match op {
        Op::V128Load | Op::V128LoadUnchecked => return value,
        Op::I32Load8S | Op::I32Load8SUnchecked => u64::from(bits as i8 as i32 as u32),
        Op::I32Load16S | Op::I32Load16SUnchecked => u64::from(bits as i16 as i32 as u32),
        Op::I64Load8S | Op::I64Load8SUnchecked => bits as i8 as u64,
        Op::I64Load16S | Op::I64Load16SUnchecked => bits as i16 as u64,
        Op::I64Load32S | Op::I64Load32SUnchecked => bits as i32 as u64,
        _ => bits,
    })
}

/// The bytes that an atomic access leaves, as a number. By the instruction's name, so that nothing is believed of what else is
/// known of it.
pub fn atomic(op: vm_translate::AtomicOp, found: u64, [value, replacement]: [u64; 2]) -> u64 {
    let name = op.name();
    let bits = ["8", "16", "32"].into_iter().find(|bits| {
        let narrow = ["load", "store", "rmw"];
        (narrow.iter()).any(|what| name.contains(&format!("{what}{bits}")))
    });
    let bits = match bits {
        Some(bits) => bits.parse::<u32>().unwrap(),
        None if name.starts_with("i32") => 32,
        None => 64,
    };
    let low = |value: u64| (u128::from(value) % (1_u128 << bits)) as u64;
    let action = name.trim_end_matches("_u").rsplit('.').next().unwrap();
    low(
        match action.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "load" => found,
            "store" | "xchg" => value,
            "add" => found.wrapping_add(value),
            "sub" => found.wrapping_sub(value),
            "and" => found & value,
            "or" => found | value,
            "xor" => found ^ value,
            "cmpxchg" if low(value) == found => replacement,
            "cmpxchg" => found,
            other => panic!("{other} of {name} is not an access"),
        },
    )
}
