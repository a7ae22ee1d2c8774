//! Conversions between floats and integers that no instruction of the processor does alone: those that saturate, and those of
//! unsigned 64 bits.

use super::{X86_64, float_name, name, scalar};
use crate::asm::*;

/// The bits of 2⁶³ as a float, and those of its opposite.
fn two_to_63(width: Width) -> (u64, u64) {
    match width {
        Width::W32 => (0x5f00_0000, 0xdf00_0000),
        Width::W64 => (0x43e0_0000_0000_0000, 0xc3e0_0000_0000_0000),
    }
}

impl X86_64 {
    /// A constant float in `xmm8`, by `rcx`.
    fn constant(&mut self, width: Width, bits: u64) {
        match width {
            Width::W32 => {
                self.line(format_args!("mov ecx, {bits:#x}"));
                self.line(format_args!("movd xmm8, ecx"));
            }
            Width::W64 => {
                self.line(format_args!("mov rcx, {bits:#x}"));
                self.line(format_args!("movq xmm8, rcx"));
            }
        }
    }

    /// An unsigned integer of 64 bits to a float. Uses `rcx`.
    pub(super) fn unsigned_to_float(&mut self, to: Width, dst: Float, src: Reg) {
        let (s, float, src) = (scalar(to), float_name(dst), name(Width::W64, src));
        let (large, even, done) = (self.new_label(), self.new_label(), self.new_label());
        // The conversion keeps the upper half, and so waits for whoever wrote it.
        self.line(format_args!("xorps {float}, {float}"));
        self.line(format_args!("test {src}, {src}"));
        self.line(format_args!("js .L{}", large.0));
        self.line(format_args!("cvtsi2{s} {float}, {src}"));
        self.line(format_args!("jmp .L{}", done.0));
        self.bind(large);
        // Half of it, in which the last bit says whether anything has been lost, so that it is rounded once.
        self.line(format_args!("mov rcx, {src}"));
        self.line(format_args!("shr rcx, 1"));
        self.line(format_args!("jnc .L{}", even.0));
        self.line(format_args!("or rcx, 1"));
        self.bind(even);
        self.line(format_args!("cvtsi2{s} {float}, rcx"));
        self.line(format_args!("add{s} {float}, {float}"));
        self.bind(done);
    }

    /// A float to an unsigned integer of 64 bits: `saturates`, or with the traps of WebAssembly. Uses `rcx` and `xmm8`.
    pub(super) fn float_to_unsigned(
        &mut self,
        saturates: bool,
        into: Reg,
        from: Width,
        src: Float,
    ) {
        let (s, float, dst) = (scalar(from), float_name(src), name(Width::W64, into));
        let (large, over, done) = (self.new_label(), self.new_label(), self.new_label());
        let (positive, negative) = two_to_63(from);
        self.constant(from, positive);
        self.line(format_args!("ucomi{s} {float}, xmm8"));
        // Not if it is no number.
        self.line(format_args!("jae .L{}", large.0));
        self.line(format_args!("cvtt{s}2si {dst}, {float}"));
        self.line(format_args!("test {dst}, {dst}"));
        self.line(format_args!("jns .L{}", done.0));
        if saturates {
            self.zero(into);
            self.line(format_args!("jmp .L{}", done.0));
        } else {
            let invalid = self.exit_place(Exit::InvalidConversion);
            self.line(format_args!("ucomi{s} {float}, {float}"));
            self.line(format_args!("jp {invalid}"));
            self.exit(Exit::IntegerOverflow);
        }
        self.bind(large);
        self.constant(from, negative);
        self.line(format_args!("add{s} xmm8, {float}"));
        self.line(format_args!("cvtt{s}2si {dst}, xmm8"));
        self.line(format_args!("test {dst}, {dst}"));
        self.line(format_args!("js .L{}", over.0));
        self.line(format_args!("mov rcx, 0x8000000000000000"));
        self.line(format_args!("xor {dst}, rcx"));
        self.line(format_args!("jmp .L{}", done.0));
        self.bind(over);
        if saturates {
            self.zero(into);
            self.line(format_args!("not {dst}"));
        } else {
            self.exit(Exit::IntegerOverflow);
        }
        self.bind(done);
    }

    /// A float to the nearest integer that there is; what is no number to 0. Uses `rcx` and `xmm8`.
    pub(super) fn saturate(&mut self, to: Width, signed: bool, dst: Reg, from: Width, src: Float) {
        if (to, signed) == (Width::W64, false) {
            return self.float_to_unsigned(true, dst, from, src);
        }
        let (s, float) = (scalar(from), float_name(src));
        let (wide, narrow) = (name(Width::W64, dst), name(Width::W32, dst));
        let (good, zero, last) = (self.new_label(), self.new_label(), self.new_label());
        self.line(format_args!("cvtt{s}2si {wide}, {float}"));
        let (least, most): (u64, u64) = match (to, signed) {
            // In range just if 32 bits hold the 64-bit result.
            (Width::W32, true) => {
                self.line(format_args!("movsxd rcx, {narrow}"));
                self.line(format_args!("cmp {wide}, rcx"));
                (0x8000_0000, 0x7fff_ffff)
            }
            (Width::W32, false) => {
                self.line(format_args!("mov ecx, {narrow}"));
                self.line(format_args!("cmp {wide}, rcx"));
                (0, 0xffff_ffff)
            }
            // Failure gives the least integer, which is also a good result for its own value.
            (Width::W64, _) => {
                self.line(format_args!("mov rcx, {wide}"));
                self.line(format_args!("neg rcx"));
                (1 << 63, i64::MAX as u64)
            }
        };
        let in_range = if to == Width::W64 { "jno" } else { "je" };
        self.line(format_args!("{in_range} .L{}", good.0));
        self.line(format_args!("ucomi{s} {float}, {float}"));
        self.line(format_args!("jp .L{}", zero.0));
        self.line(format_args!("xorps xmm8, xmm8"));
        self.line(format_args!("ucomi{s} {float}, xmm8"));
        let result = name(to, dst);
        self.line(format_args!("mov {result}, {most:#x}"));
        self.line(format_args!("ja .L{}", last.0));
        self.line(format_args!("mov {result}, {least:#x}"));
        self.line(format_args!("jmp .L{}", last.0));
        self.bind(zero);
        self.zero(dst);
        self.line(format_args!("jmp .L{}", last.0));
        self.bind(good);
        if to == Width::W32 {
            self.load(Width::W32, dst, Src::Reg(dst));
        }
        self.bind(last);
    }
}
