//! Every load and store of the language, with what it does to bytes.

/// A load: its name, the bytes it reads, the type of its result, and the result's bits.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) result: &'static str,
    /// Of exactly as many bytes as it reads.
    pub(crate) value: fn(&[u8]) -> u128,
}

/// A store: its name, the bytes it writes, the type of its value. It writes the value's lowest bytes.
pub(crate) struct Store {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) value: &'static str,
}

/// The bytes as an unsigned number.
fn unsigned(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The bytes as a signed number, in as many bits as asked for.
fn signed(bytes: &[u8], bits: u32) -> u128 {
    let shift = 128 - 8 * bytes.len() as u32;
    let number = (unsigned(bytes) << shift).cast_signed() >> shift;
    number.cast_unsigned() & (u128::MAX >> (128 - bits))
}

/// Each part of the bytes, extended to twice its bits.
fn extended(bytes: &[u8], part: usize, extend: fn(&[u8], u32) -> u128) -> u128 {
    let bits = 16 * part as u32;
    bytes
        .chunks(part)
        .rev()
        .fold(0, |vector, part| vector << bits | extend(part, bits))
}

/// The bytes again and again.
fn splat(bytes: &[u8]) -> u128 {
    unsigned(&bytes.repeat(16 / bytes.len()))
}

fn zero_extend(bytes: &[u8], _: u32) -> u128 {
    unsigned(bytes)
}

const fn load(
    name: &'static str,
    width: usize,
    result: &'static str,
    value: fn(&[u8]) -> u128,
) -> Load {
    Load {
        name,
        width,
        result,
        value,
    }
}

pub(crate) const LOADS: [Load; 14] = [
    load("i32.load", 4, "i32", unsigned),
    load("i64.load", 8, "i64", unsigned),
    load("f32.load", 4, "f32", unsigned),
    load("f64.load", 8, "f64", unsigned),
    load("i32.load8_s", 1, "i32", |b| signed(b, 32)),
    load("i32.load8_u", 1, "i32", unsigned),
    load("i32.load16_s", 2, "i32", |b| signed(b, 32)),
    load("i32.load16_u", 2, "i32", unsigned),
    load("i64.load8_s", 1, "i64", |b| signed(b, 64)),
    load("i64.load8_u", 1, "i64", unsigned),
    load("i64.load16_s", 2, "i64", |b| signed(b, 64)),
    load("i64.load16_u", 2, "i64", unsigned),
    load("i64.load32_s", 4, "i64", |b| signed(b, 64)),
    load("i64.load32_u", 4, "i64", unsigned),
];

/// The loads of vectors, lanes left out: those need a vector, too.
pub(crate) const VECTOR_LOADS: [Load; 13] = [
    load("v128.load", 16, "v128", unsigned),
    load("v128.load8x8_s", 8, "v128", |b| extended(b, 1, signed)),
    load("v128.load8x8_u", 8, "v128", |b| extended(b, 1, zero_extend)),
    load("v128.load16x4_s", 8, "v128", |b| extended(b, 2, signed)),
    load("v128.load16x4_u", 8, "v128", |b| {
        extended(b, 2, zero_extend)
    }),
    load("v128.load32x2_s", 8, "v128", |b| extended(b, 4, signed)),
    load("v128.load32x2_u", 8, "v128", |b| {
        extended(b, 4, zero_extend)
    }),
    load("v128.load8_splat", 1, "v128", splat),
    load("v128.load16_splat", 2, "v128", splat),
    load("v128.load32_splat", 4, "v128", splat),
    load("v128.load64_splat", 8, "v128", splat),
    load("v128.load32_zero", 4, "v128", unsigned),
    load("v128.load64_zero", 8, "v128", unsigned),
];

/// The lanes that are loaded and stored: suffix of the name, and bytes. Lane 0 each time.
pub(crate) const LANES: [(&str, usize); 4] = [("8", 1), ("16", 2), ("32", 4), ("64", 8)];

const fn store(name: &'static str, width: usize, value: &'static str) -> Store {
    Store { name, width, value }
}

pub(crate) const STORES: [Store; 9] = [
    store("i32.store", 4, "i32"),
    store("i64.store", 8, "i64"),
    store("f32.store", 4, "f32"),
    store("f64.store", 8, "f64"),
    store("i32.store8", 1, "i32"),
    store("i32.store16", 2, "i32"),
    store("i64.store8", 1, "i64"),
    store("i64.store16", 2, "i64"),
    store("i64.store32", 4, "i64"),
];

/// An expression of this type as two of i64: the lower and the upper half of its bits.
pub(crate) fn halves(ty: &str, expression: &str) -> String {
    let low = match ty {
        "i32" => format!("(i64.extend_i32_u {expression})"),
        "i64" => expression.to_owned(),
        "f32" => format!("(i64.extend_i32_u (i32.reinterpret_f32 {expression}))"),
        "f64" => format!("(i64.reinterpret_f64 {expression})"),
        "v128" => {
            return format!(
                "(local.set $vector {expression}) \
                 (i64x2.extract_lane 0 (local.get $vector)) \
                 (i64x2.extract_lane 1 (local.get $vector))"
            );
        }
        other => panic!("no type of values: {other}"),
    };
    format!("{low} (i64.const 0)")
}

/// An expression of this type from two of i64: the inverse of [`halves`].
pub(crate) fn joined(ty: &str, low: &str, high: &str) -> String {
    match ty {
        "i32" => format!("(i32.wrap_i64 {low})"),
        "i64" => low.to_owned(),
        "f32" => format!("(f32.reinterpret_i32 (i32.wrap_i64 {low}))"),
        "f64" => format!("(f64.reinterpret_i64 {low})"),
        "v128" => format!("(i64x2.replace_lane 1 (i64x2.splat {low}) {high})"),
        other => panic!("no type of values: {other}"),
    }
}

/// A function for each load, which returns the two halves of what it has loaded, and for each store, as text: with addresses of this type, and
/// what stands between an instruction's name and its operands.
pub(crate) fn functions(address: &str, how: &str) -> String {
    let mut text = String::new();
    for access in LOADS {
        let load = format!("({} {how} (local.get 0))", access.name);
        let halves = halves(access.result, &load);
        text += &format!(
            "(func (export \"{}\") (param {address}) (result i64 i64) {halves})",
            access.name
        );
    }
    for access in STORES {
        let value = joined(access.value, "(local.get 1)", "(local.get 1)");
        text += &format!(
            "(func (export \"{0}\") (param {address} i64) ({0} {how} (local.get 0) {value}))",
            access.name
        );
    }
    text
}
