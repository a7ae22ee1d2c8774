//! The instructions that compute a value from their operands alone, by what they give.

use std::sync::LazyLock;

use vm_translate::{Effect, Op, Ty};

use super::{Random, Type};

/// An instruction.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) text: String,
    pub(super) params: Vec<Type>,
    pub(super) result: Type,
    /// How many lanes it can choose from, if it has to.
    pub(super) lanes: Option<usize>,
    /// Whether it divides integers: by anything but zero.
    pub(super) divides: bool,
}

/// Instructions of the deterministic profile that are the same as another: their operands, each a vector.
const RELAXED: &[(&str, usize)] = &[
    ("i8x16.relaxed_swizzle", 2),
    ("i32x4.relaxed_trunc_f32x4_s", 1),
    ("i32x4.relaxed_trunc_f32x4_u", 1),
    ("i32x4.relaxed_trunc_f64x2_s_zero", 1),
    ("i32x4.relaxed_trunc_f64x2_u_zero", 1),
    ("i8x16.relaxed_laneselect", 3),
    ("i16x8.relaxed_laneselect", 3),
    ("i32x4.relaxed_laneselect", 3),
    ("i64x2.relaxed_laneselect", 3),
    ("f32x4.relaxed_min", 2),
    ("f32x4.relaxed_max", 2),
    ("f64x2.relaxed_min", 2),
    ("f64x2.relaxed_max", 2),
    ("i16x8.relaxed_q15mulr_s", 2),
];

/// Those that programs have most of.
const USUAL: &[&str] = &[
    "i32.add",
    "i32.sub",
    "i32.mul",
    "i32.and",
    "i32.or",
    "i32.xor",
    "i32.shl",
    "i32.shr_s",
    "i32.shr_u",
    "i32.eqz",
    "i32.eq",
    "i32.ne",
    "i32.lt_s",
    "i32.lt_u",
    "i32.gt_s",
    "i32.ge_u",
    "i32.wrap_i64",
    "i64.eqz",
    "i64.lt_u",
    "i64.add",
    "i64.sub",
    "i64.mul",
    "i64.and",
    "i64.xor",
    "i64.shr_u",
    "i64.extend_i32_u",
    "i64.extend_i32_s",
    "f32.add",
    "f32.mul",
    "f32.convert_i32_s",
    "f64.add",
    "f64.sub",
    "f64.mul",
    "f64.div",
    "f64.lt",
    "f64.convert_i32_s",
    "i64.reinterpret_f64",
    "f64.reinterpret_i64",
    "i32.reinterpret_f32",
    "f32.reinterpret_i32",
    "i32x4.add",
    "i32x4.splat",
    "i64x2.splat",
    "v128.xor",
    "v128.not",
    "i32x4.extract_lane",
    "i64x2.extract_lane",
    "i64x2.replace_lane",
    "i32x4.replace_lane",
    "f64x2.splat",
];

pub(super) fn name(ty: Ty) -> Type {
    match ty {
        Ty::I32 => "i32",
        Ty::I64 => "i64",
        Ty::F32 => "f32",
        Ty::F64 => "f64",
        Ty::V128 => "v128",
    }
}

/// Every instruction, and which of them are usual.
static ALL: LazyLock<(Vec<Operator>, Vec<usize>)> = LazyLock::new(|| {
    let mut all: Vec<Operator> = Op::ALL.iter().filter_map(|op| operator(*op)).collect();
    all.extend(RELAXED.iter().map(|(text, params)| Operator {
        text: (*text).to_owned(),
        params: vec!["v128"; *params],
        result: "v128",
        lanes: None,
        divides: false,
    }));
    let find = |text: &&str| {
        let found = all.iter().position(|operator| operator.text == **text);
        found.unwrap_or_else(|| panic!("no operator {text}"))
    };
    let usual = USUAL.iter().map(find).collect();
    (all, usual)
});

/// The names of all.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.0.iter().map(|operator| operator.text.as_str())
}

/// Nothing for operators of the IR that no instruction is the name of.
fn operator(op: Op) -> Option<Operator> {
    let text = op.name();
    let own = matches!(
        op,
        Op::Select
            | Op::SelectFloat
            | Op::SelectVector
            | Op::V128Const
            | Op::V128FromI64
            | Op::I64MulHighU
            | Op::I32WrapAddress
            | Op::F32Canonical
            | Op::F64Canonical
            | Op::F32x4Canonical
            | Op::F64x2Canonical
            | Op::I8x16Shuffle
    );
    if own || matches!(op.effect(), Effect::Load { .. } | Effect::Global) {
        return None;
    }
    let lanes = op.has_lane().then(|| {
        let shape = text.split('.').next().unwrap();
        shape.split('x').nth(1).unwrap().parse().unwrap()
    });
    Some(Operator {
        text: text.to_owned(),
        params: op.params().iter().map(|ty| name(*ty)).collect(),
        result: name(op.result()),
        lanes,
        divides: text.contains(".div_") || text.contains(".rem_"),
    })
}

/// An instruction with this result, or with these operands.
pub(super) fn choose(
    random: &mut Random,
    baseline: bool,
    fits: impl Fn(&Operator) -> bool,
) -> Option<&'static Operator> {
    let (all, usual) = &*ALL;
    let scalar = |operator: &Operator| {
        operator.result != "v128" && operator.params.iter().all(|ty| *ty != "v128")
    };
    let fits = |operator: &Operator| fits(operator) && (!baseline || scalar(operator));
    let of_usual = random.chance(60);
    let mut fitting: Vec<&Operator> = Vec::new();
    if of_usual {
        fitting.extend(
            usual
                .iter()
                .map(|n| &all[*n])
                .filter(|operator| fits(operator)),
        );
    }
    if fitting.is_empty() {
        fitting.extend(all.iter().filter(|operator| fits(operator)));
    }
    (!fitting.is_empty()).then(|| random.of(&fitting))
}
