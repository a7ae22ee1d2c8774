//! Vector operators, by the instructions of x86-64-v2: up to SSE4.2, and no AVX.
//!
//! Operands of packed instructions in memory have to be aligned to 16 bytes, which slots and guest
//! addresses are not: vectors are loaded first. The constants here are aligned.

use std::fmt::Write as _;

use vm_translate::Op;

use super::{X86_64, float_name, mem, name};
use crate::asm::*;

/// Constants by their names: 32-bit words, lowest first.
const CONSTANTS: [(&str, [u32; 4]); 18] = [
    ("abs_ps", [0x7fff_ffff; 4]),
    ("abs_pd", [!0, 0x7fff_ffff, !0, 0x7fff_ffff]),
    ("sign_ps", [0x8000_0000; 4]),
    ("sign_pd", [0, 0x8000_0000, 0, 0x8000_0000]),
    ("nan_ps", [0x7fc0_0000; 4]),
    ("nan_pd", [0, 0x7ff8_0000, 0, 0x7ff8_0000]),
    ("bytes_1", [0x0101_0101; 4]),
    ("bytes_15", [0x0f0f_0f0f; 4]),
    ("bytes_16", [0x1010_1010; 4]),
    ("bytes_112", [0x7070_7070; 4]),
    ("words_1", [0x0001_0001; 4]),
    ("words_min", [0x8000_8000; 4]),
    ("low_words", [0x0000_ffff; 4]),
    // How many bits of each nibble are set.
    (
        "nibble_bits",
        [0x0201_0100, 0x0302_0201, 0x0302_0201, 0x0403_0302],
    ),
    // 2147483647 and 4294967295 as f64.
    (
        "max_i32_pd",
        [0xffc0_0000, 0x41df_ffff, 0xffc0_0000, 0x41df_ffff],
    ),
    (
        "max_u32_pd",
        [0xffe0_0000, 0x41ef_ffff, 0xffe0_0000, 0x41ef_ffff],
    ),
    // 2 to the 52nd, in whose mantissa's low bits an integer of 32 bits can be put, and the upper
    // half of it alone.
    ("two_52_pd", [0, 0x4330_0000, 0, 0x4330_0000]),
    ("two_52_high", [0x4330_0000; 4]),
];

/// The text of the constants, and the masks of lanes: a lane of ones between 16 bytes of zeros.
pub(super) fn constants() -> String {
    let mut text = String::new();
    for (name, words) in CONSTANTS {
        let words = words.map(|word| format!("{word:#x}")).join(", ");
        let _ = writeln!(text, "palisade_v_{name}:\t.long {words}");
    }
    for bytes in [1, 2, 4, 8] {
        let _ = writeln!(
            text,
            "\t.fill 16, 1, 0\npalisade_v_lane_{bytes}:\t.fill {bytes}, 1, 0xff\n\t.fill 16, 1, 0"
        );
    }
    text
}

/// A packed comparison's immediate.
const EQ: u8 = 0;
const LT: u8 = 1;
const LE: u8 = 2;
const UNORDERED: u8 = 3;
const NE: u8 = 4;
const ORDERED: u8 = 7;

/// Shuffles of four 32-bit lanes by an immediate.
const UPPER_HALF: u8 = 0xee;
const ODD: u8 = 0xf5;

/// The one instruction that is an operator on two vectors.
fn binary(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::V128And => "pand",
        Op::V128Or => "por",
        Op::V128Xor => "pxor",
        Op::V128Const => "punpcklqdq",
        Op::I8x16Add => "paddb",
        Op::I8x16AddSatS => "paddsb",
        Op::I8x16AddSatU => "paddusb",
        Op::I8x16Sub => "psubb",
        Op::I8x16SubSatS => "psubsb",
        Op::I8x16SubSatU => "psubusb",
        Op::I8x16MinS => "pminsb",
        Op::I8x16MinU => "pminub",
        Op::I8x16MaxS => "pmaxsb",
        Op::I8x16MaxU => "pmaxub",
        Op::I8x16AvgrU => "pavgb",
        Op::I8x16Eq => "pcmpeqb",
        Op::I8x16GtS => "pcmpgtb",
        Op::I8x16NarrowI16x8S => "packsswb",
        Op::I8x16NarrowI16x8U => "packuswb",
        Op::I16x8Add => "paddw",
        Op::I16x8AddSatS => "paddsw",
        Op::I16x8AddSatU => "paddusw",
        Op::I16x8Sub => "psubw",
        Op::I16x8SubSatS => "psubsw",
        Op::I16x8SubSatU => "psubusw",
        Op::I16x8Mul => "pmullw",
        Op::I16x8MinS => "pminsw",
        Op::I16x8MinU => "pminuw",
        Op::I16x8MaxS => "pmaxsw",
        Op::I16x8MaxU => "pmaxuw",
        Op::I16x8AvgrU => "pavgw",
        Op::I16x8Eq => "pcmpeqw",
        Op::I16x8GtS => "pcmpgtw",
        Op::I16x8NarrowI32x4S => "packssdw",
        Op::I16x8NarrowI32x4U => "packusdw",
        Op::I32x4Add => "paddd",
        Op::I32x4Sub => "psubd",
        Op::I32x4Mul => "pmulld",
        Op::I32x4MinS => "pminsd",
        Op::I32x4MinU => "pminud",
        Op::I32x4MaxS => "pmaxsd",
        Op::I32x4MaxU => "pmaxud",
        Op::I32x4Eq => "pcmpeqd",
        Op::I32x4GtS => "pcmpgtd",
        Op::I32x4DotI16x8S => "pmaddwd",
        Op::I64x2Add => "paddq",
        Op::I64x2Sub => "psubq",
        Op::I64x2Eq => "pcmpeqq",
        Op::I64x2GtS => "pcmpgtq",
        Op::F32x4Add => "addps",
        Op::F32x4Sub => "subps",
        Op::F32x4Mul => "mulps",
        Op::F32x4Div => "divps",
        Op::F64x2Add => "addpd",
        Op::F64x2Sub => "subpd",
        Op::F64x2Mul => "mulpd",
        Op::F64x2Div => "divpd",
        _ => return None,
    })
}

/// The instruction of an operator that takes its operands the other way round.
fn reversed(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::V128AndNot => "pandn",
        Op::I8x16LtS => "pcmpgtb",
        Op::I16x8LtS => "pcmpgtw",
        Op::I32x4LtS => "pcmpgtd",
        Op::I64x2LtS => "pcmpgtq",
        // The second operand wins unless the first is really less: so does the instruction's.
        Op::F32x4PMin => "minps",
        Op::F32x4PMax => "maxps",
        Op::F64x2PMin => "minpd",
        Op::F64x2PMax => "maxpd",
        _ => return None,
    })
}

/// The instruction that makes an operator of one vector, from the same register or another.
fn unary(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::I8x16Abs => "pabsb",
        Op::I16x8Abs => "pabsw",
        Op::I32x4Abs => "pabsd",
        Op::I16x8ExtendLowI8x16S => "pmovsxbw",
        Op::I16x8ExtendLowI8x16U => "pmovzxbw",
        Op::I32x4ExtendLowI16x8S => "pmovsxwd",
        Op::I32x4ExtendLowI16x8U => "pmovzxwd",
        Op::I64x2ExtendLowI32x4S => "pmovsxdq",
        Op::I64x2ExtendLowI32x4U => "pmovzxdq",
        Op::F32x4Sqrt => "sqrtps",
        Op::F64x2Sqrt => "sqrtpd",
        Op::F32x4ConvertI32x4S => "cvtdq2ps",
        Op::F64x2ConvertLowI32x4S => "cvtdq2pd",
        Op::F32x4DemoteF64x2Zero => "cvtpd2ps",
        Op::F64x2PromoteLowF32x4 => "cvtps2pd",
        Op::I64x2Splat | Op::F64x2Splat => "punpcklqdq",
        _ => return None,
    })
}

/// The extension of the lower half that does the same as one of the upper half.
fn lower_half(op: Op) -> Option<Op> {
    Some(match op {
        Op::I16x8ExtendHighI8x16S => Op::I16x8ExtendLowI8x16S,
        Op::I16x8ExtendHighI8x16U => Op::I16x8ExtendLowI8x16U,
        Op::I32x4ExtendHighI16x8S => Op::I32x4ExtendLowI16x8S,
        Op::I32x4ExtendHighI16x8U => Op::I32x4ExtendLowI16x8U,
        Op::I64x2ExtendHighI32x4S => Op::I64x2ExtendLowI32x4S,
        Op::I64x2ExtendHighI32x4U => Op::I64x2ExtendLowI32x4U,
        _ => return None,
    })
}

/// A rounding's instruction and its immediate; bit 3 keeps the inexact flag quiet.
fn rounding(op: Op) -> Option<(&'static str, u8)> {
    Some(match op {
        Op::F32x4Nearest => ("roundps", 8),
        Op::F32x4Floor => ("roundps", 9),
        Op::F32x4Ceil => ("roundps", 10),
        Op::F32x4Trunc => ("roundps", 11),
        Op::F64x2Nearest => ("roundpd", 8),
        Op::F64x2Floor => ("roundpd", 9),
        Op::F64x2Ceil => ("roundpd", 10),
        Op::F64x2Trunc => ("roundpd", 11),
        _ => return None,
    })
}

/// A packed comparison: its instruction, its immediate, and whether the operands change places.
fn float_comparison(op: Op) -> Option<(&'static str, u8, bool)> {
    Some(match op {
        Op::F32x4Eq => ("cmpps", EQ, false),
        Op::F32x4Ne => ("cmpps", NE, false),
        Op::F32x4Lt => ("cmpps", LT, false),
        Op::F32x4Le => ("cmpps", LE, false),
        Op::F32x4Gt => ("cmpps", LT, true),
        Op::F32x4Ge => ("cmpps", LE, true),
        Op::F64x2Eq => ("cmppd", EQ, false),
        Op::F64x2Ne => ("cmppd", NE, false),
        Op::F64x2Lt => ("cmppd", LT, false),
        Op::F64x2Le => ("cmppd", LE, false),
        Op::F64x2Gt => ("cmppd", LT, true),
        Op::F64x2Ge => ("cmppd", LE, true),
        _ => return None,
    })
}

/// The comparison whose value is the operator's with all bits inverted.
fn negated(op: Op) -> Option<Op> {
    Some(match op {
        Op::I8x16Ne => Op::I8x16Eq,
        Op::I8x16LeS => Op::I8x16GtS,
        Op::I8x16GeS => Op::I8x16LtS,
        Op::I8x16LtU => Op::I8x16GeU,
        Op::I8x16GtU => Op::I8x16LeU,
        Op::I16x8Ne => Op::I16x8Eq,
        Op::I16x8LeS => Op::I16x8GtS,
        Op::I16x8GeS => Op::I16x8LtS,
        Op::I16x8LtU => Op::I16x8GeU,
        Op::I16x8GtU => Op::I16x8LeU,
        Op::I32x4Ne => Op::I32x4Eq,
        Op::I32x4LeS => Op::I32x4GtS,
        Op::I32x4GeS => Op::I32x4LtS,
        Op::I32x4LtU => Op::I32x4GeU,
        Op::I32x4GtU => Op::I32x4LeU,
        Op::I64x2Ne => Op::I64x2Eq,
        Op::I64x2LeS => Op::I64x2GtS,
        Op::I64x2GeS => Op::I64x2LtS,
        _ => return None,
    })
}

/// The minimum or maximum that is equal to the first operand just if the comparison holds, and
/// the instruction that compares them.
fn by_extremum(op: Op) -> Option<(&'static str, &'static str)> {
    Some(match op {
        Op::I8x16LeU => ("pminub", "pcmpeqb"),
        Op::I8x16GeU => ("pmaxub", "pcmpeqb"),
        Op::I16x8LeU => ("pminuw", "pcmpeqw"),
        Op::I16x8GeU => ("pmaxuw", "pcmpeqw"),
        Op::I32x4LeU => ("pminud", "pcmpeqd"),
        Op::I32x4GeU => ("pmaxud", "pcmpeqd"),
        _ => return None,
    })
}

/// A product of wide lanes: for 8 bits, how to extend a half; for 16 bits, the instruction for the
/// products' upper halves; for 32 bits, the instruction for products of even lanes.
enum Product {
    Of8 { extend: &'static str },
    Of16 { upper: &'static str },
    Of32 { even: &'static str },
}

/// Which product an operator is, and whether of the upper half.
fn product(op: Op) -> Option<(Product, bool)> {
    let of8 = |extend| Product::Of8 { extend };
    let of16 = |upper| Product::Of16 { upper };
    let of32 = |even| Product::Of32 { even };
    Some(match op {
        Op::I16x8ExtMulLowI8x16S => (of8("pmovsxbw"), false),
        Op::I16x8ExtMulHighI8x16S => (of8("pmovsxbw"), true),
        Op::I16x8ExtMulLowI8x16U => (of8("pmovzxbw"), false),
        Op::I16x8ExtMulHighI8x16U => (of8("pmovzxbw"), true),
        Op::I32x4ExtMulLowI16x8S => (of16("pmulhw"), false),
        Op::I32x4ExtMulHighI16x8S => (of16("pmulhw"), true),
        Op::I32x4ExtMulLowI16x8U => (of16("pmulhuw"), false),
        Op::I32x4ExtMulHighI16x8U => (of16("pmulhuw"), true),
        Op::I64x2ExtMulLowI32x4S => (of32("pmuldq"), false),
        Op::I64x2ExtMulHighI32x4S => (of32("pmuldq"), true),
        Op::I64x2ExtMulLowI32x4U => (of32("pmuludq"), false),
        Op::I64x2ExtMulHighI32x4U => (of32("pmuludq"), true),
        _ => return None,
    })
}

impl X86_64 {
    /// An instruction on two registers.
    fn packed(&mut self, instruction: &str, to: Float, from: Float) {
        let (to, from) = (float_name(to), float_name(from));
        self.line(format_args!("{instruction} {to}, {from}"));
    }

    /// The same with an immediate.
    fn packed_by(&mut self, instruction: &str, to: Float, from: Float, immediate: u8) {
        let (to, from) = (float_name(to), float_name(from));
        self.line(format_args!("{instruction} {to}, {from}, {immediate}"));
    }

    /// An instruction with one of the constants.
    fn packed_constant(&mut self, instruction: &str, to: Float, constant: &str) {
        let to = float_name(to);
        self.line(format_args!(
            "{instruction} {to}, [rip + palisade_v_{constant}]"
        ));
    }

    /// An instruction on a register by an immediate.
    fn packed_shift(&mut self, instruction: &str, to: Float, bits: u8) {
        self.line(format_args!("{instruction} {}, {bits}", float_name(to)));
    }

    fn clear(&mut self, to: Float) {
        self.packed("pxor", to, to);
    }

    fn ones(&mut self, to: Float) {
        self.packed("pcmpeqd", to, to);
    }

    /// Inverts all bits.
    fn invert(&mut self, a: Float, temp: Float) {
        self.ones(temp);
        self.packed("pxor", a, temp);
    }

    /// `a = b - a` by an instruction, from zero.
    fn negate(&mut self, instruction: &str, a: Float, temp: Float) {
        self.clear(temp);
        self.packed(instruction, temp, a);
        self.vector_move(a, temp);
    }

    /// The lesser or greater of floats, with signed zeros, and with NaNs made canonical.
    fn extremum(&mut self, suffix: &str, less: bool, a: Float, b: Float, temp: Float) {
        let instruction = if less { "min" } else { "max" };
        // Either order: they differ where one has the wrong zero or passes over a NaN.
        self.vector_move(temp, b);
        self.packed(&format!("{instruction}{suffix}"), temp, a);
        self.packed(&format!("{instruction}{suffix}"), a, b);
        if less {
            self.packed("orps", temp, a);
            self.packed_by(&format!("cmp{suffix}"), a, temp, UNORDERED);
            self.packed("orps", temp, a);
        } else {
            self.packed("xorps", a, temp);
            self.packed("orps", temp, a);
            self.packed(&format!("sub{suffix}"), temp, a);
            self.packed_by(&format!("cmp{suffix}"), a, temp, UNORDERED);
        }
        // Of a NaN keep sign, exponent and the quiet bit.
        let (shift, bits) = if suffix == "ps" {
            ("psrld", 10)
        } else {
            ("psrlq", 13)
        };
        self.packed_shift(shift, a, bits);
        self.packed("andnps", a, temp);
    }

    /// Makes NaNs the canonical ones.
    fn canonical(&mut self, suffix: &str, a: Float, temp: Float) {
        self.vector_move(temp, a);
        self.packed_by(&format!("cmp{suffix}"), temp, temp, ORDERED);
        self.packed("andps", a, temp);
        self.packed_constant("andnps", temp, &format!("nan_{suffix}"));
        self.packed("orps", a, temp);
    }

    fn product(&mut self, product: Product, upper: bool, a: Float, b: Float, temp: Float) {
        match product {
            Product::Of8 { extend } => {
                for float in [a, b] {
                    if upper {
                        self.packed_by("pshufd", float, float, UPPER_HALF);
                    }
                    self.packed(extend, float, float);
                }
                self.packed("pmullw", a, b);
            }
            Product::Of16 { upper: instruction } => {
                self.vector_move(temp, a);
                self.packed(instruction, temp, b);
                self.packed("pmullw", a, b);
                let interleave = if upper { "punpckhwd" } else { "punpcklwd" };
                self.packed(interleave, a, temp);
            }
            Product::Of32 { even } => {
                // The two lanes of the half become the even ones.
                let spread = if upper { 0xfa } else { 0x50 };
                for float in [a, b] {
                    self.packed_by("pshufd", float, float, spread);
                }
                self.packed(even, a, b);
            }
        }
    }

    /// 64-bit products from those of 32-bit halves.
    fn multiply_64(&mut self, a: Float, b: Float, [high, other]: [Float; 2]) {
        self.vector_move(high, a);
        self.packed_shift("psrlq", high, 32);
        self.packed("pmuludq", high, b);
        self.vector_move(other, b);
        self.packed_shift("psrlq", other, 32);
        self.packed("pmuludq", other, a);
        self.packed("paddq", high, other);
        self.packed_shift("psllq", high, 32);
        self.packed("pmuludq", a, b);
        self.packed("paddq", a, high);
    }

    fn count_bits(&mut self, a: Float, [table, upper]: [Float; 2]) {
        self.vector_move(upper, a);
        self.packed_constant("pand", a, "bytes_15");
        self.packed_shift("psrlw", upper, 4);
        self.packed_constant("pand", upper, "bytes_15");
        self.packed_constant("movaps", table, "nibble_bits");
        self.packed("pshufb", table, a);
        self.packed_constant("movaps", a, "nibble_bits");
        self.packed("pshufb", a, upper);
        self.packed("paddb", a, table);
    }

    /// Conversions to integers: NaN becomes zero, what is too large or too small the nearest.
    fn truncation(&mut self, op: Op, a: Float, [temp, other]: [Float; 2]) -> bool {
        match op {
            Op::I32x4TruncSatF32x4S => {
                // The instruction answers the least integer for all that does not fit: right, but
                // for NaN, which becomes 0 before, and what is too large, which is inverted.
                self.vector_move(temp, a);
                self.packed_by("cmpps", temp, temp, EQ);
                self.packed("andps", a, temp);
                self.packed("pxor", temp, a);
                self.packed("cvttps2dq", a, a);
                self.packed("pand", temp, a);
                self.packed_shift("psrad", temp, 31);
                self.packed("pxor", a, temp);
            }
            Op::I32x4TruncSatF32x4U => {
                // What is too large for a signed integer is converted in two parts.
                self.clear(temp);
                self.packed("maxps", a, temp);
                self.ones(other);
                self.packed_shift("psrld", other, 1);
                self.packed("cvtdq2ps", other, other);
                self.vector_move(temp, a);
                self.packed("cvttps2dq", a, a);
                self.packed("subps", temp, other);
                self.packed_by("cmpps", other, temp, LE);
                self.packed("cvttps2dq", temp, temp);
                self.packed("pxor", temp, other);
                self.clear(other);
                self.packed("pmaxsd", temp, other);
                self.packed("paddd", a, temp);
            }
            Op::I32x4TruncSatF64x2SZero => {
                self.vector_move(temp, a);
                self.packed_by("cmppd", temp, temp, EQ);
                self.packed_constant("andps", temp, "max_i32_pd");
                // Of a NaN the second operand is taken: zero.
                self.packed("minpd", a, temp);
                self.packed("cvttpd2dq", a, a);
            }
            Op::I32x4TruncSatF64x2UZero => {
                self.clear(temp);
                self.packed("maxpd", a, temp);
                self.packed_constant("minpd", a, "max_u32_pd");
                self.packed_by("roundpd", a, a, 11);
                self.packed_constant("addpd", a, "two_52_pd");
                self.packed_by("shufps", a, temp, 0x88);
            }
            _ => return false,
        }
        true
    }

    /// Conversions of unsigned integers to floats.
    fn conversion(&mut self, op: Op, a: Float, temp: Float) -> bool {
        match op {
            Op::F32x4ConvertI32x4U => {
                // The lower 16 bits and the rest are converted exactly, so the sum rounds once.
                self.clear(temp);
                self.packed_by("pblendw", temp, a, 0x55);
                self.packed("psubd", a, temp);
                self.packed("cvtdq2ps", temp, temp);
                self.packed_shift("psrld", a, 1);
                self.packed("cvtdq2ps", a, a);
                self.packed("addps", a, a);
                self.packed("addps", a, temp);
            }
            Op::F64x2ConvertLowI32x4U => {
                self.packed_constant("unpcklps", a, "two_52_high");
                self.packed_constant("subpd", a, "two_52_pd");
            }
            _ => return false,
        }
        true
    }

    fn multiply_add(&mut self, op: Op, [a, b, c]: [Float; 3]) -> bool {
        let (suffix, negated) = match op {
            Op::F32x4RelaxedMadd => ("ps", false),
            Op::F32x4RelaxedNmadd => ("ps", true),
            Op::F64x2RelaxedMadd => ("pd", false),
            Op::F64x2RelaxedNmadd => ("pd", true),
            _ => return false,
        };
        if negated {
            self.packed_constant("xorps", a, &format!("sign_{suffix}"));
        }
        self.packed(&format!("mul{suffix}"), a, b);
        self.packed(&format!("add{suffix}"), a, c);
        true
    }

    /// Sums of neighbours, and products before.
    fn pairwise(&mut self, op: Op, [a, b, c]: [Float; 3], [temp, other]: [Float; 2]) -> bool {
        match op {
            Op::I16x8ExtAddPairwiseI8x16S => {
                // Of the instruction's operands the first is unsigned, the second signed.
                self.packed_constant("movaps", temp, "bytes_1");
                self.packed("pmaddubsw", temp, a);
                self.vector_move(a, temp);
            }
            Op::I16x8ExtAddPairwiseI8x16U => self.packed_constant("pmaddubsw", a, "bytes_1"),
            Op::I32x4ExtAddPairwiseI16x8S => self.packed_constant("pmaddwd", a, "words_1"),
            Op::I32x4ExtAddPairwiseI16x8U => {
                self.vector_move(temp, a);
                self.packed_constant("pand", a, "low_words");
                self.packed_shift("psrld", temp, 16);
                self.packed("paddd", a, temp);
            }
            Op::I16x8RelaxedDotI8x16I7x16S | Op::I32x4RelaxedDotI8x16I7x16AddS => {
                self.vector_move(temp, a);
                self.vector_move(other, b);
                for float in [temp, other] {
                    self.packed_by("pshufd", float, float, UPPER_HALF);
                }
                for float in [a, b, temp, other] {
                    self.packed("pmovsxbw", float, float);
                }
                self.packed("pmullw", a, b);
                self.packed("pmullw", temp, other);
                self.packed("phaddsw", a, temp);
                if op == Op::I32x4RelaxedDotI8x16I7x16AddS {
                    self.packed_constant("pmaddwd", a, "words_1");
                    self.packed("paddd", a, c);
                }
            }
            _ => return false,
        }
        true
    }

    /// Lanes moved about.
    fn permutation(&mut self, op: Op, [a, b, c]: [Float; 3], temp: Float) -> bool {
        match op {
            Op::I8x16Splat => {
                self.clear(temp);
                self.packed("pshufb", a, temp);
            }
            Op::I16x8Splat => {
                self.packed_by("pshuflw", a, a, 0);
                self.packed("punpcklqdq", a, a);
            }
            Op::I32x4Splat | Op::F32x4Splat => self.packed_by("pshufd", a, a, 0),
            Op::I8x16Swizzle => {
                // The instruction answers zero where the index's highest bit is set.
                self.packed_constant("paddusb", b, "bytes_112");
                self.packed("pshufb", a, b);
            }
            Op::I8x16Shuffle => {
                // Each half of the indices, which are below 32, has the highest bit set for lanes
                // of the other vector.
                self.vector_move(temp, c);
                self.packed_constant("paddb", temp, "bytes_112");
                self.packed_constant("psubb", c, "bytes_16");
                self.packed("pshufb", a, temp);
                self.packed("pshufb", b, c);
                self.packed("por", a, b);
            }
            _ => return false,
        }
        true
    }

    /// What needs no table: a few instructions each.
    fn sequence(&mut self, op: Op, [a, b, c]: [Float; 3], [temp, _]: [Float; 2]) -> bool {
        match op {
            // The number is in the low half, and the upper half is zero.
            Op::V128FromI64 => {}
            Op::V128Not => self.invert(a, temp),
            Op::V128Bitselect => {
                self.packed("pand", a, c);
                self.packed("pandn", c, b);
                self.packed("por", a, c);
            }
            Op::I64x2Abs => {
                self.packed_by("pshufd", temp, a, ODD);
                self.packed_shift("psrad", temp, 31);
                self.packed("pxor", a, temp);
                self.packed("psubq", a, temp);
            }
            Op::I8x16Neg => self.negate("psubb", a, temp),
            Op::I16x8Neg => self.negate("psubw", a, temp),
            Op::I32x4Neg => self.negate("psubd", a, temp),
            Op::I64x2Neg => self.negate("psubq", a, temp),
            Op::I16x8Q15MulrSatS => {
                // Too large is only the square of the least number: the one lane that is least.
                self.packed("pmulhrsw", a, b);
                self.packed_constant("movaps", temp, "words_min");
                self.packed("pcmpeqw", temp, a);
                self.packed("pxor", a, temp);
            }
            Op::F32x4Abs => self.packed_constant("andps", a, "abs_ps"),
            Op::F64x2Abs => self.packed_constant("andps", a, "abs_pd"),
            Op::F32x4Neg => self.packed_constant("xorps", a, "sign_ps"),
            Op::F64x2Neg => self.packed_constant("xorps", a, "sign_pd"),
            Op::F32x4Canonical => self.canonical("ps", a, temp),
            Op::F64x2Canonical => self.canonical("pd", a, temp),
            Op::F32x4Min => self.extremum("ps", true, a, b, temp),
            Op::F32x4Max => self.extremum("ps", false, a, b, temp),
            Op::F64x2Min => self.extremum("pd", true, a, b, temp),
            Op::F64x2Max => self.extremum("pd", false, a, b, temp),
            _ => return false,
        }
        true
    }
}

impl VectorAssembler for X86_64 {
    fn vector_load(&mut self, dst: Float, m: Mem) {
        self.line(format_args!("movups {}, {}", float_name(dst), mem(m)));
    }

    fn vector_store(&mut self, m: Mem, src: Float) {
        self.line(format_args!("movups {}, {}", mem(m), float_name(src)));
    }

    fn vector_move(&mut self, dst: Float, src: Float) {
        if dst != src {
            self.packed("movaps", dst, src);
        }
    }

    fn vector_op(&mut self, op: Op, values: [Float; 3], temps: [Float; 2]) -> bool {
        let [a, b, _] = values;
        let temp = temps[0];
        if let Some(instruction) = binary(op) {
            self.packed(instruction, a, b);
        } else if let Some(instruction) = reversed(op) {
            self.packed(instruction, b, a);
            self.vector_move(a, b);
        } else if let Some(instruction) = unary(op) {
            self.packed(instruction, a, a);
        } else if let Some(lower) = lower_half(op) {
            self.packed_by("pshufd", a, a, UPPER_HALF);
            return self.vector_op(lower, values, temps);
        } else if let Some((instruction, immediate)) = rounding(op) {
            self.packed_by(instruction, a, a, immediate);
        } else if let Some((instruction, immediate, swapped)) = float_comparison(op) {
            let (first, second) = if swapped { (b, a) } else { (a, b) };
            self.packed_by(instruction, first, second, immediate);
            self.vector_move(a, first);
        } else if let Some((extremum, equal)) = by_extremum(op) {
            self.packed(extremum, b, a);
            self.packed(equal, a, b);
        } else if let Some(negated) = negated(op) {
            let known = self.vector_op(negated, values, temps);
            self.invert(a, temp);
            return known;
        } else if let Some((product, upper)) = product(op) {
            self.product(product, upper, a, b, temp);
        } else if op == Op::I64x2Mul {
            self.multiply_64(a, b, temps);
        } else if op == Op::I8x16Popcnt {
            self.count_bits(a, temps);
        } else {
            return self.sequence(op, values, temps)
                || self.permutation(op, values, temp)
                || self.pairwise(op, values, temps)
                || self.truncation(op, a, temps)
                || self.conversion(op, a, temp)
                || self.multiply_add(op, values);
        }
        true
    }

    fn vector_shift(&mut self, op: Op, a: Float, count: Reg, temps: [Float; 2]) -> bool {
        let [bits, temp] = temps;
        let mask = match op {
            Op::I8x16Shl | Op::I8x16ShrS | Op::I8x16ShrU => 7,
            Op::I16x8Shl | Op::I16x8ShrS | Op::I16x8ShrU => 15,
            Op::I32x4Shl | Op::I32x4ShrS | Op::I32x4ShrU => 31,
            Op::I64x2Shl | Op::I64x2ShrS | Op::I64x2ShrU => 63,
            _ => return false,
        };
        let count = name(Width::W32, count);
        let bits_name = float_name(bits);
        self.line(format_args!("and {count}, {mask}"));
        if op == Op::I8x16ShrS {
            // As the upper halves of words, whose lower halves shift out.
            self.line(format_args!("add {count}, 8"));
        }
        self.line(format_args!("movd {bits_name}, {count}"));
        match op {
            Op::I16x8Shl => self.packed("psllw", a, bits),
            Op::I16x8ShrS => self.packed("psraw", a, bits),
            Op::I16x8ShrU => self.packed("psrlw", a, bits),
            Op::I32x4Shl => self.packed("pslld", a, bits),
            Op::I32x4ShrS => self.packed("psrad", a, bits),
            Op::I32x4ShrU => self.packed("psrld", a, bits),
            Op::I64x2Shl => self.packed("psllq", a, bits),
            Op::I64x2ShrU => self.packed("psrlq", a, bits),
            Op::I64x2ShrS => {
                // The sign bit, where it has come to, is inverted and subtracted: so it spreads.
                self.packed_constant("movaps", temp, "sign_pd");
                self.packed("psrlq", temp, bits);
                self.packed("psrlq", a, bits);
                self.packed("pxor", a, temp);
                self.packed("psubq", a, temp);
            }
            Op::I8x16ShrS => {
                self.vector_move(temp, a);
                self.packed("punpckhbw", temp, temp);
                self.packed("punpcklbw", a, a);
                self.packed("psraw", temp, bits);
                self.packed("psraw", a, bits);
                self.packed("packsswb", a, temp);
            }
            _ => {
                // Words are shifted, and what crosses into another byte is masked away: by bytes
                // of ones shifted right, packed from words.
                let shl = op == Op::I8x16Shl;
                self.ones(temp);
                self.packed_shift("psrlw", temp, 8);
                self.packed("psrlw", temp, bits);
                self.packed("packuswb", temp, temp);
                if shl {
                    self.packed("pand", a, temp);
                    self.packed("psllw", a, bits);
                } else {
                    self.packed("psrlw", a, bits);
                    self.packed("pand", a, temp);
                }
            }
        }
        true
    }

    fn vector_replace(
        &mut self,
        bytes: u32,
        a: Float,
        value: Float,
        lane: Reg,
        (mask, temp): (Float, Reg),
    ) {
        let lane = name(Width::W64, lane);
        let temp = name(Width::W64, temp);
        self.line(format_args!("lea {temp}, [rip + palisade_v_lane_{bytes}]"));
        self.line(format_args!("shl {lane}, {}", bytes.ilog2()));
        self.line(format_args!("sub {temp}, {lane}"));
        self.line(format_args!("movups {}, [{temp}]", float_name(mask)));
        self.packed("pand", value, mask);
        self.packed("pandn", mask, a);
        self.packed("por", mask, value);
        self.vector_move(a, mask);
    }

    fn lane_address(&mut self, address: Reg, lane: Reg, bytes: u32) {
        let address = name(Width::W64, address);
        let lane = name(Width::W64, lane);
        self.line(format_args!("lea {address}, [{address} + {bytes}*{lane}]"));
    }

    fn vector_bitmask(&mut self, op: Op, dst: Reg, a: Float, temp: Float) -> bool {
        let instruction = match op {
            Op::I8x16Bitmask => "pmovmskb",
            Op::I16x8Bitmask => {
                // The upper eight bytes are zero.
                self.clear(temp);
                self.packed("packsswb", a, temp);
                "pmovmskb"
            }
            Op::I32x4Bitmask => "movmskps",
            Op::I64x2Bitmask => "movmskpd",
            _ => return false,
        };
        let dst = name(Width::W32, dst);
        self.line(format_args!("{instruction} {dst}, {}", float_name(a)));
        true
    }

    fn vector_test(&mut self, op: Op, a: Float, temp: Float) -> Option<Cond> {
        let compare = match op {
            Op::V128AnyTrue => {
                self.packed("ptest", a, a);
                return Some(Cond::Ne);
            }
            Op::I8x16AllTrue => "pcmpeqb",
            Op::I16x8AllTrue => "pcmpeqw",
            Op::I32x4AllTrue => "pcmpeqd",
            Op::I64x2AllTrue => "pcmpeqq",
            _ => return None,
        };
        self.clear(temp);
        self.packed(compare, temp, a);
        self.packed("ptest", temp, temp);
        Some(Cond::Eq)
    }
}
