//! Values of scripts: arguments made, results compared.

use anyhow::{Result, bail};
use vm_engine::{ExternRef, Store, Val};
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// The engine's value for an argument of a call.
pub(crate) fn argument(store: &mut Store<()>, argument: &WastArg<'_>) -> Result<Val> {
    let WastArg::Core(argument) = argument else {
        bail!("an argument of the component model: {argument:?}");
    };
    Ok(match argument {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::RefNull(ty) => match abstract_type(ty) {
            Some(AbstractHeapType::Func | AbstractHeapType::NoFunc) => Val::FuncRef(None),
            Some(AbstractHeapType::Extern | AbstractHeapType::NoExtern) => Val::ExternRef(None),
            Some(AbstractHeapType::Exn | AbstractHeapType::NoExn) => Val::ExnRef(None),
            _ => bail!("a null of an unknown type: {ty:?}"),
        },
        WastArgCore::RefExtern(value) => Val::ExternRef(Some(ExternRef::new(store, *value)?)),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
        WastArgCore::RefHost(_) => {
            bail!("an argument of an unknown type: {argument:?}")
        }
    })
}

/// Fails, with both values in the message, unless `actual` is what the script expects.
pub(crate) fn expect(store: &Store<()>, actual: &[Val], expected: &[WastRet<'_>]) -> Result<()> {
    if actual.len() != expected.len() {
        bail!(
            "returned {} values where {} are expected",
            actual.len(),
            expected.len()
        );
    }
    for (actual, expected) in actual.iter().zip(expected) {
        let WastRet::Core(expected) = expected else {
            bail!("a result of the component model: {expected:?}");
        };
        if !matches(store, actual, expected)? {
            bail!("returned {} where {expected:?} is expected", show(actual));
        }
    }
    Ok(())
}

fn matches(store: &Store<()>, actual: &Val, expected: &WastRetCore<'_>) -> Result<bool> {
    Ok(match (actual, expected) {
        (_, WastRetCore::Either(options)) => {
            for option in options {
                if matches(store, actual, option)? {
                    return Ok(true);
                }
            }
            false
        }
        (Val::I32(actual), WastRetCore::I32(expected)) => actual == expected,
        (Val::I64(actual), WastRetCore::I64(expected)) => actual == expected,
        (Val::F32(bits), WastRetCore::F32(expected)) => matches32(*bits, expected),
        (Val::F64(bits), WastRetCore::F64(expected)) => matches64(*bits, expected),
        (Val::V128(vector), WastRetCore::V128(expected)) => {
            matches_vector(vector.as_u128(), expected)
        }
        (
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None),
            WastRetCore::RefNull(None),
        ) => true,
        (Val::ExnRef(None), WastRetCore::RefNull(Some(ty))) => {
            matches!(
                abstract_type(ty),
                Some(AbstractHeapType::Exn | AbstractHeapType::NoExn)
            )
        }
        (Val::FuncRef(None), WastRetCore::RefNull(Some(ty))) => {
            matches!(
                abstract_type(ty),
                Some(AbstractHeapType::Func | AbstractHeapType::NoFunc)
            )
        }
        (Val::ExternRef(None), WastRetCore::RefNull(Some(ty))) => {
            matches!(
                abstract_type(ty),
                Some(AbstractHeapType::Extern | AbstractHeapType::NoExtern)
            )
        }
        (Val::FuncRef(Some(_)), WastRetCore::RefFunc(None)) => true,
        (Val::FuncRef(Some(_)), WastRetCore::RefFunc(Some(index))) => {
            bail!("a function named in a script: {index:?}")
        }
        (Val::ExternRef(Some(_)), WastRetCore::RefExtern(None)) => true,
        (Val::ExternRef(Some(actual)), WastRetCore::RefExtern(Some(expected))) => {
            actual.data(store)?.downcast_ref::<u32>() == Some(expected)
        }
        _ => false,
    })
}

fn matches32(bits: u32, expected: &NanPattern<F32>) -> bool {
    match expected {
        NanPattern::CanonicalNan => is_canonical_nan32(bits),
        NanPattern::ArithmeticNan => is_arithmetic_nan32(bits),
        NanPattern::Value(value) => bits == value.bits,
    }
}

fn matches64(bits: u64, expected: &NanPattern<F64>) -> bool {
    match expected {
        NanPattern::CanonicalNan => is_canonical_nan64(bits),
        NanPattern::ArithmeticNan => is_arithmetic_nan64(bits),
        NanPattern::Value(value) => bits == value.bits,
    }
}

/// Lane by lane: a lane of floats may be any of some NaNs.
fn matches_vector(bits: u128, expected: &V128Pattern) -> bool {
    let lane = |width: usize, n: usize| (bits >> (width * n)) as u64;
    match expected {
        V128Pattern::I8x16(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| lane(8, n) as i8 == *expected),
        V128Pattern::I16x8(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| lane(16, n) as i16 == *expected),
        V128Pattern::I32x4(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| lane(32, n) as i32 == *expected),
        V128Pattern::I64x2(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| lane(64, n) as i64 == *expected),
        V128Pattern::F32x4(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| matches32(lane(32, n) as u32, expected)),
        V128Pattern::F64x2(lanes) => (0..)
            .zip(lanes)
            .all(|(n, expected)| matches64(lane(64, n), expected)),
    }
}

/// The heap type, if it is an abstract and unshared one.
fn abstract_type(ty: &HeapType<'_>) -> Option<AbstractHeapType> {
    match ty {
        HeapType::Abstract { shared: false, ty } => Some(*ty),
        _ => None,
    }
}

// NaN patterns: https://webassembly.github.io/spec/core/syntax/values.html#floating-point
// Canonical: the payload is the quiet bit alone. Arithmetic: the quiet bit is set. Either sign.

const QUIET_NAN_32: u32 = 0x7fc0_0000;
const QUIET_NAN_64: u64 = 0x7ff8_0000_0000_0000;

fn is_canonical_nan32(bits: u32) -> bool {
    bits & 0x7fff_ffff == QUIET_NAN_32
}

fn is_arithmetic_nan32(bits: u32) -> bool {
    bits & QUIET_NAN_32 == QUIET_NAN_32
}

fn is_canonical_nan64(bits: u64) -> bool {
    bits & 0x7fff_ffff_ffff_ffff == QUIET_NAN_64
}

fn is_arithmetic_nan64(bits: u64) -> bool {
    bits & QUIET_NAN_64 == QUIET_NAN_64
}

/// Floats with their bits, since scripts compare these.
fn show(value: &Val) -> String {
    match value {
        Val::F32(bits) => format!("f32 {} (bits {bits:#010x})", f32::from_bits(*bits)),
        Val::F64(bits) => format!("f64 {} (bits {bits:#018x})", f64::from_bits(*bits)),
        Val::V128(vector) => format!("v128 (bits {:#034x})", vector.as_u128()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_nans_have_one_payload_and_either_sign() {
        assert!(is_canonical_nan32(0x7fc0_0000));
        assert!(is_canonical_nan32(0xffc0_0000));
        assert!(!is_canonical_nan32(0x7fc0_0001));
        assert!(!is_canonical_nan32(0x7f80_0000), "infinity");
        assert!(is_canonical_nan64(0x7ff8_0000_0000_0000));
        assert!(is_canonical_nan64(0xfff8_0000_0000_0000));
        assert!(!is_canonical_nan64(0x7ff8_0000_0000_0001));
        assert!(!is_canonical_nan64(0x7ff0_0000_0000_0000), "infinity");
    }

    #[test]
    fn arithmetic_nans_are_the_quiet_ones() {
        assert!(is_arithmetic_nan32(0x7fc0_0001));
        assert!(is_arithmetic_nan32(0xffff_ffff));
        assert!(!is_arithmetic_nan32(0x7fa0_0000), "signalling");
        assert!(!is_arithmetic_nan32(0x3f80_0000), "a number");
        assert!(is_arithmetic_nan64(0x7ff8_0000_0000_0001));
        assert!(!is_arithmetic_nan64(0x7ff4_0000_0000_0000), "signalling");
    }
}
