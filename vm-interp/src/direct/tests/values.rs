//! Operands, what results should be, and how they are compared.

use std::collections::VecDeque;

use vm_translate::{Op, Ty};
use vm_trap::TrapCode;

use super::shape::Tree;
use crate::semantics;

/// Values whose corners operators are known by: least and greatest of every width, and shift
/// counts up to and beyond it.
pub(super) const INTS: [u64; 24] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Lanes of 8 and 16 bits.
pub(super) const BYTES: [u8; 12] = [0, 1, 2, 7, 8, 0x0f, 0x10, 0x7e, 0x7f, 0x80, 0x81, 0xff];
pub(super) const WORDS: [u16; 12] = [
    0, 1, 2, 15, 16, 0xff, 0x100, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff,
];

const NUMBERS: [f64; 25] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -3.5,
    1e-310,
    1e-42,
    f64::MIN_POSITIVE,
    f64::MAX,
    f32::MAX as f64,
    f64::INFINITY,
    f64::NEG_INFINITY,
    2_147_483_647.0,
    -2_147_483_648.9,
    2_147_483_648.0,
    4_294_967_295.5,
    4_294_967_296.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1.844_674_407_370_955_2e19,
    -0.9,
];

/// The NaNs: canonical, arithmetic with another payload, signalling; of either sign.
const NANS_32: [u32; 6] = [
    0x7fc0_0000,
    0xffc0_0000,
    0x7fc0_0001,
    0xffff_ffff,
    0x7f80_0001,
    0xffbf_ffff,
];
const NANS_64: [u64; 6] = [
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff8_0000_0000_0001,
    0xffff_ffff_ffff_ffff,
    0x7ff0_0000_0000_0001,
    0xfff7_ffff_ffff_ffff,
];

/// The corners of a type other than a vector, as slots hold them.
pub(super) fn corners(ty: Ty) -> Vec<u64> {
    let mut corners: Vec<u64> = match ty {
        Ty::I32 => INTS.iter().map(|bits| u64::from(*bits as u32)).collect(),
        Ty::I64 | Ty::V128 => INTS.to_vec(),
        Ty::F32 => {
            let numbers = NUMBERS.iter().map(|number| (*number as f32).to_bits());
            numbers.chain(NANS_32).map(u64::from).collect()
        }
        Ty::F64 => {
            let numbers = NUMBERS.iter().map(|number| number.to_bits());
            numbers.chain(NANS_64).collect()
        }
    };
    corners.sort_unstable();
    corners.dedup();
    corners
}

/// The lanes that a vector is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Lanes {
    pub(super) const ALL: [Lanes; 6] = [
        Lanes::I8,
        Lanes::I16,
        Lanes::I32,
        Lanes::I64,
        Lanes::F32,
        Lanes::F64,
    ];

    pub(super) fn bits(self) -> usize {
        match self {
            Lanes::I8 => 8,
            Lanes::I16 => 16,
            Lanes::I32 | Lanes::F32 => 32,
            Lanes::I64 | Lanes::F64 => 64,
        }
    }

    pub(super) fn corners(self) -> Vec<u64> {
        match self {
            Lanes::I8 => BYTES.iter().copied().map(u64::from).collect(),
            Lanes::I16 => WORDS.iter().copied().map(u64::from).collect(),
            Lanes::I32 => corners(Ty::I32),
            Lanes::I64 => corners(Ty::I64),
            Lanes::F32 => corners(Ty::F32),
            Lanes::F64 => corners(Ty::F64),
        }
    }

    /// A vector of these lanes, each as `lane` says.
    pub(super) fn vector(self, mut lane: impl FnMut(usize) -> u64) -> u128 {
        let bits = self.bits();
        let mask = u64::MAX >> (64 - bits);
        (0..128 / bits).fold(0, |vector, n| {
            vector | u128::from(lane(n) & mask) << (bits * n)
        })
    }

    /// Those of a shape's name, such as `i8x16`.
    fn named(name: &str) -> Option<Lanes> {
        Some(match name {
            "i8x16" => Lanes::I8,
            "i16x8" => Lanes::I16,
            "i32x4" => Lanes::I32,
            "i64x2" => Lanes::I64,
            "f32x4" => Lanes::F32,
            "f64x2" => Lanes::F64,
            _ => return None,
        })
    }

    /// Those of an operator's vector operands: named last if the operator changes them.
    pub(super) fn of_operands(op: Op) -> Option<Lanes> {
        let (shape, rest) = op.name().split_once('.')?;
        let changed = rest.split('_').find_map(Lanes::named);
        changed.or(Lanes::named(shape))
    }

    /// Those of an operator's result.
    fn of_result(op: Op) -> Option<Lanes> {
        Lanes::named(op.name().split('.').next()?)
    }
}

/// Operands by chance, most of them corners; first of all those that are given. Not a good source
/// of randomness, but the same in every run.
pub(super) struct Random {
    state: u64,
    pub(super) given: VecDeque<u128>,
}

impl Random {
    pub(super) fn new() -> Random {
        Random {
            state: 0x9e37_79b9_7f4a_7c15,
            given: VecDeque::new(),
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one_of(&mut self, corners: &[u64]) -> u64 {
        if self.below(4) == 0 {
            self.next()
        } else {
            corners[self.below(corners.len())]
        }
    }

    /// Bits of a value of the type: of a vector all of them, of anything else a slot's.
    pub(super) fn value(&mut self, ty: Ty, corners: &Corners) -> u128 {
        if let Some(given) = self.given.pop_front() {
            return given;
        }
        match ty {
            Ty::V128 => {
                // Lanes of one kind, each with a corner of its own.
                let n = self.below(Lanes::ALL.len());
                Lanes::ALL[n].vector(|_| self.one_of(&corners.lanes[n]))
            }
            Ty::I32 | Ty::F32 => u128::from(self.one_of(&corners.types[ty as usize]) as u32),
            Ty::I64 | Ty::F64 => self.one_of(&corners.types[ty as usize]).into(),
        }
    }
}

/// The corners of everything, made once.
pub(super) struct Corners {
    types: [Vec<u64>; 4],
    lanes: [Vec<u64>; 6],
}

impl Corners {
    pub(super) fn new() -> Corners {
        Corners {
            types: [Ty::I32, Ty::I64, Ty::F32, Ty::F64].map(corners),
            lanes: Lanes::ALL.map(Lanes::corners),
        }
    }
}

/// What an operator makes of its operands, by the semantics that all executors share.
pub(super) fn result(op: Op, operands: [u128; 3], lane: usize) -> Result<u128, TrapCode> {
    if op.is_vector() {
        return Ok(semantics::vectors::eval(op, operands, lane));
    }
    let [a, b, c] = operands.map(|operand| operand as u64);
    semantics::eval(op, a, b, c).map(u128::from)
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bit by bit, as far as an f32 goes: what is in a register beyond it is nobody's.
    Bits32,
    /// Bit by bit.
    Bits64,
    Bits128,
    /// Float by float: which NaN it is, the specification leaves open, up to its class.
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Kind {
    /// How an operator's value is compared.
    pub(super) fn of_op(op: Op) -> Kind {
        let bits = match op.result() {
            Ty::V128 => Kind::Bits128,
            _ => Kind::Bits64,
        };
        match (rounds(op), op.result(), Lanes::of_result(op)) {
            (true, Ty::F32, _) => Kind::F32,
            (false, Ty::F32, _) if op.params().first() == Some(&Ty::F32) => Kind::Bits32,
            (true, Ty::F64, _) => Kind::F64,
            (true, Ty::V128, Some(Lanes::F32)) => Kind::F32x4,
            (true, Ty::V128, Some(Lanes::F64)) => Kind::F64x2,
            _ => bits,
        }
    }

    /// How a tree's value is compared: like that of the first operator in it that makes less than all
    /// of a slot, or NaNs.
    pub(super) fn of(tree: &Tree) -> Kind {
        match tree {
            Tree::Leaf(_, Ty::V128) => Kind::Bits128,
            Tree::Leaf(..) => Kind::Bits64,
            Tree::Op(op, operands) => {
                let bits = Kind::of_op(*op);
                let inner = || operands.iter().map(Kind::of).find(|kind| !kind.is_whole());
                match (bits, op.result()) {
                    (Kind::Bits32 | Kind::Bits64, Ty::F32 | Ty::F64) | (Kind::Bits128, _) => {
                        inner().unwrap_or(bits)
                    }
                    _ => bits,
                }
            }
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Kind::Bits64 | Kind::Bits128)
    }
}

/// Whether an operator computes NaNs: it is floating-point arithmetic, and no move of bits.
fn rounds(op: Op) -> bool {
    let Some((shape, name)) = op.name().split_once('.') else {
        return false;
    };
    let arithmetic = matches!(
        name,
        "add"
            | "sub"
            | "mul"
            | "div"
            | "min"
            | "max"
            | "sqrt"
            | "ceil"
            | "floor"
            | "trunc"
            | "nearest"
            | "demote_f64"
            | "promote_f32"
            | "demote_f64x2_zero"
            | "promote_low_f32x4"
            | "relaxed_madd"
            | "relaxed_nmadd"
    );
    arithmetic && shape.starts_with('f')
}

/// Whether a NaN is canonical: nothing in its payload but the quiet bit.
fn canonical32(bits: u32) -> bool {
    bits << 1 == 0x7fc0_0000 << 1
}

fn canonical64(bits: u64) -> bool {
    bits << 1 == 0x7ff8_0000_0000_0000 << 1
}

/// Whether a NaN among the operands of floating-point arithmetic is not canonical: then any
/// arithmetic NaN may come out, else only canonical ones.
pub(super) fn payloads(op: Op, operands: &[u128]) -> bool {
    let lane32 = |bits: u32| f32::from_bits(bits).is_nan() && !canonical32(bits);
    let lane64 = |bits: u64| f64::from_bits(bits).is_nan() && !canonical64(bits);
    rounds(op)
        && op.params().iter().zip(operands).any(|(ty, bits)| {
            let narrow = match ty {
                Ty::F32 => return lane32(*bits as u32),
                Ty::F64 => return lane64(*bits as u64),
                _ => Lanes::of_operands(op) == Some(Lanes::F32),
            };
            if narrow {
                (0..4).any(|n| lane32((bits >> (32 * n)) as u32))
            } else {
                (0..2).any(|n| lane64((bits >> (64 * n)) as u64))
            }
        })
}

/// Whether `got` is as good as `expected`; NaNs may have other payloads than the canonical one if
/// `payloads` says so.
pub(super) fn same(kind: Kind, payloads: bool, got: u128, expected: u128) -> bool {
    let lane32 = |n: u32| {
        let (got, expected) = ((got >> (32 * n)) as u32, (expected >> (32 * n)) as u32);
        let arithmetic = f32::from_bits(got).is_nan() && got & 1 << 22 != 0;
        let allowed = arithmetic && (payloads || canonical32(got));
        got == expected || (f32::from_bits(expected).is_nan() && allowed)
    };
    let lane64 = |n: u32| {
        let (got, expected) = ((got >> (64 * n)) as u64, (expected >> (64 * n)) as u64);
        let arithmetic = f64::from_bits(got).is_nan() && got & 1 << 51 != 0;
        let allowed = arithmetic && (payloads || canonical64(got));
        got == expected || (f64::from_bits(expected).is_nan() && allowed)
    };
    match kind {
        Kind::Bits32 => got as u32 == expected as u32,
        Kind::Bits64 => got as u64 == expected as u64,
        Kind::Bits128 => got == expected,
        Kind::F32 => lane32(0),
        Kind::F64 => lane64(0),
        Kind::F32x4 => (0..4).all(lane32),
        Kind::F64x2 => (0..2).all(lane64),
    }
}

#[test]
fn nan_classes_are_told_apart() {
    let nan = u128::from(f32::NAN.to_bits());
    // Canonical for canonical, of either sign.
    assert!(same(Kind::F32, false, 0xffc0_0000, nan));
    // Another payload only if one went in.
    assert!(!same(Kind::F32, false, 0x7fc0_0001, nan));
    assert!(same(Kind::F32, true, 0x7fc0_0001, nan));
    // Never a signalling one, never a number.
    assert!(!same(Kind::F32, true, 0x7f80_0001, nan));
    assert!(!same(Kind::F32, true, 0x7f80_0000, nan));
    // And bits are bits for what only moves them.
    assert_eq!(Kind::of_op(Op::F32x4Abs), Kind::Bits128);
    assert_eq!(Kind::of_op(Op::F32x4Lt), Kind::Bits128);
    assert_eq!(Kind::of_op(Op::F32x4PMin), Kind::Bits128);
    assert_eq!(Kind::of_op(Op::F64x2PromoteLowF32x4), Kind::F64x2);
    assert!(payloads(Op::F64x2PromoteLowF32x4, &[0x7f80_0001 << 32]));
    assert!(!payloads(Op::F64x2PromoteLowF32x4, &[0x7fc0_0000 << 32]));
}
