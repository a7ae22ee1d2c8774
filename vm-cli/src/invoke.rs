//! Values of WebAssembly as text, for `palisade run --invoke`.

use vm_engine::{FuncType, Val, ValType};

/// The arguments of a function. The error says which one does not fit.
pub(crate) fn params(name: &str, ty: &FuncType, args: &[&str]) -> Result<Vec<Val>, String> {
    let expected = ty.params().len();
    if args.len() != expected {
        let found = args.len();
        return Err(format!(
            "`{name}` has the type {ty} and so needs {expected} arguments, but {found} were given"
        ));
    }
    ty.params()
        .zip(args)
        .enumerate()
        .map(|(index, (ty, arg))| {
            value(&ty, arg).ok_or_else(|| {
                let position = index + 1;
                format!(
                    "argument {position} of `{name}` must be {}, not `{arg}`",
                    kind(&ty)
                )
            })
        })
        .collect()
}

fn kind(ty: &ValType) -> String {
    match ty {
        ValType::I32 | ValType::I64 => format!("an integer that fits in {ty}"),
        ValType::F32 | ValType::F64 => format!("a number ({ty})"),
        ValType::V128 => format!("an unsigned integer that fits in {ty}"),
        ValType::Ref(ty) if ty.is_nullable() => format!("`null` ({ty})"),
        ValType::Ref(_) => format!("a reference ({ty}), which cannot be written down"),
    }
}

/// One value of a type. Integers may be signed or unsigned, as long as they
/// have no more bits than the type.
fn value(ty: &ValType, text: &str) -> Option<Val> {
    match ty {
        ValType::I32 => {
            let number = integer(text)?;
            let signed = i32::try_from(number).ok();
            let unsigned = || u32::try_from(number).ok().map(u32::cast_signed);
            signed.or_else(unsigned).map(Val::I32)
        }
        ValType::I64 => {
            let number = integer(text)?;
            let signed = i64::try_from(number).ok();
            let unsigned = || u64::try_from(number).ok().map(u64::cast_signed);
            signed.or_else(unsigned).map(Val::I64)
        }
        ValType::F32 => text
            .parse()
            .ok()
            .map(|number: f32| Val::F32(number.to_bits())),
        ValType::F64 => text
            .parse()
            .ok()
            .map(|number: f64| Val::F64(number.to_bits())),
        ValType::V128 => vector(text).map(|bits| Val::V128(bits.into())),
        ValType::Ref(_) if text == "null" => Val::default_for_ty(ty),
        ValType::Ref(_) => None,
    }
}

/// All bits of a vector as one number, of which the lowest are lane 0.
fn vector(text: &str) -> Option<u128> {
    match text.strip_prefix("0x") {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            u128::from_str_radix(digits, 16).ok()
        }
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // Neither a second sign nor nothing.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => {
            i128::from_str_radix(digits, 16).ok()?
        }
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// A value as it is printed: integers signed, floats by the shortest decimal
/// that reads back the same, vectors as one number in hexadecimal.
pub(crate) fn text(value: &Val) -> String {
    match value {
        Val::I32(number) => number.to_string(),
        Val::I64(number) => number.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::V128(vector) => format!("{:#034x}", vector.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => "null".to_owned(),
        Val::FuncRef(Some(_)) => "funcref".to_owned(),
        Val::ExternRef(Some(_)) => "externref".to_owned(),
        Val::ExnRef(Some(_)) => "exnref".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(ty: &ValType, text: &str) -> Option<String> {
        value(ty, text).map(|value| super::text(&value))
    }

    #[test]
    fn integers_are_signed_or_unsigned_with_the_bits_of_the_type() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-1", Some("-1")),
            ("4294967295", Some("-1")),
            ("0xffffffff", Some("-1")),
            ("-0x80000000", Some("-2147483648")),
            ("2147483647", Some("2147483647")),
            ("4294967296", None),
            ("-2147483649", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("0x", None),
            ("0x-1", None),
            ("+1", None),
            ("1.5", None),
            ("one", None),
            ("99999999999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(number(&ValType::I32, text).as_deref(), expected, "{text}");
        }
        let largest = "18446744073709551615";
        assert_eq!(number(&ValType::I64, largest).as_deref(), Some("-1"));
    }

    #[test]
    fn floats_are_printed_so_that_they_read_back_the_same() {
        for text in ["1", "-0", "0.1", "1.5", "inf", "-inf", "NaN"] {
            assert_eq!(number(&ValType::F32, text).as_deref(), Some(text));
            assert_eq!(number(&ValType::F64, text).as_deref(), Some(text));
        }
        assert_eq!(number(&ValType::F64, "x"), None);
    }

    #[test]
    fn vectors_are_numbers_of_128_bits() {
        let all = "0xffffffffffffffffffffffffffffffff";
        for (text, expected) in [
            ("1", Some("0x00000000000000000000000000000001")),
            (all, Some(all)),
            ("0x100000000000000000000000000000000", None),
            ("-1", None),
            ("+1", None),
            ("0x", None),
            ("0x+1", None),
            ("", None),
        ] {
            assert_eq!(number(&ValType::V128, text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn of_references_only_null_can_be_written() {
        assert_eq!(number(&ValType::FUNCREF, "null").as_deref(), Some("null"));
        assert_eq!(number(&ValType::EXTERNREF, "null").as_deref(), Some("null"));
        assert_eq!(number(&ValType::EXTERNREF, "0"), None);
    }
}
