//! Values as those of both engines can be compared: without a store.

use std::fmt;

use vm_engine::ValType;

/// A value of any type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector.
    V128(u128),
    /// Null, or a function.
    Func(Option<Function>),
    /// Null, or the number that the host gave the reference.
    Extern(Option<u32>),
    /// An exception, or null: whether it is one.
    Exn(bool),
}

/// Which function a reference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The export of this number: the first, if it is exported under several names.
    Export(usize),
    /// No export, or the instance is still being made.
    Other,
}

/// References to the host's objects are numbers below this one.
pub const EXTERNS: u32 = 4;

impl Value {
    /// Zero, or null.
    pub fn zero(ty: ValType) -> Value {
        match ty {
            ValType::I32 => Value::I32(0),
            ValType::I64 => Value::I64(0),
            ValType::F32 => Value::F32(0),
            ValType::F64 => Value::F64(0),
            ValType::V128 => Value::V128(0),
            ValType::Ref(ty) if ty.heap_type().top().is_extern() => Value::Extern(None),
            ValType::Ref(ty) if ty.heap_type().top().is_exn() => Value::Exn(false),
            ValType::Ref(_) => Value::Func(None),
        }
    }

    /// A value of a type, often one at an edge. A NaN is the canonical one; a function is null.
    pub fn random(ty: ValType, random: &mut fastrand::Rng) -> Value {
        match ty {
            ValType::I32 => Value::I32(integer(random) as i32),
            ValType::I64 => Value::I64(integer(random) as i64),
            ValType::F32 => Value::F32(canonical_f32(match random.u8(..4) {
                0 => random.u32(..),
                _ => (random.choice(FLOATS).unwrap_or(0.0) as f32).to_bits(),
            })),
            ValType::F64 => Value::F64(canonical_f64(match random.u8(..4) {
                0 => random.u64(..),
                _ => random.choice(FLOATS).unwrap_or(0.0).to_bits(),
            })),
            ValType::V128 => {
                Value::V128(u128::from(integer(random)) << 64 | u128::from(integer(random)))
            }
            ValType::Ref(ty) if ty.heap_type().is_extern() => {
                let is_some = random.bool() || !ty.is_nullable();
                Value::Extern(is_some.then(|| random.u32(..EXTERNS)))
            }
            ty @ ValType::Ref(_) => Value::zero(ty),
        }
    }
}

const FLOATS: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    7.25,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MIN_POSITIVE,
    f32::MAX as f64,
    4_294_967_296.0,
    -2_147_483_649.0,
    1e300,
];

/// Powers of two and their neighbours, small numbers, any.
fn integer(random: &mut fastrand::Rng) -> u64 {
    match random.u8(..4) {
        0 => random.u64(..),
        1 => (1u64 << random.u32(..64)).wrapping_add_signed(random.i64(-1..=1)),
        2 => random.u64(..70_000),
        _ => random.i64(-2..=4) as u64,
    }
}

fn canonical_f32(bits: u32) -> u32 {
    match f32::from_bits(bits).is_nan() {
        true => 0x7fc0_0000,
        false => bits,
    }
}

fn canonical_f64(bits: u64) -> u64 {
    match f64::from_bits(bits).is_nan() {
        true => 0x7ff8_0000_0000_0000,
        false => bits,
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::I32(value) => write!(f, "i32 {value}"),
            Value::I64(value) => write!(f, "i64 {value}"),
            Value::F32(bits) => write!(f, "f32 {:?} ({bits:#x})", f32::from_bits(*bits)),
            Value::F64(bits) => write!(f, "f64 {:?} ({bits:#x})", f64::from_bits(*bits)),
            Value::V128(bits) => write!(f, "v128 {bits:#034x}"),
            Value::Func(None) => f.write_str("func null"),
            Value::Func(Some(function)) => write!(f, "func {function:?}"),
            Value::Exn(false) => f.write_str("exn null"),
            Value::Exn(true) => f.write_str("exn"),
            Value::Extern(None) => f.write_str("extern null"),
            Value::Extern(Some(number)) => write!(f, "extern {number}"),
        }
    }
}
