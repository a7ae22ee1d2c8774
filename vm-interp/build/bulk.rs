//! `memory.copy`, `memory.fill` and `memory.size` of memory 0 where a dozen instructions do it.
//!
//! Compiled programs copy and fill a few bytes at a time all day, and a call into Rust takes several times as long as
//! that. Up to [`MOST`] bytes are moved here, all of them read before any is written, so that ranges may overlap. What is
//! longer, out of bounds, or of a shared memory, whose length a context does not have, goes on as any operation of the
//! machine: the cell is that of [`Fixed::Runtime`].

use vm_translate::Op;

use crate::asm::*;
use crate::fixed::Bulk;

/// The most bytes that are moved here: four vectors.
const MOST: i32 = 64;

/// The offset of the length of memory 0 in a context.
const MEMORY_LEN: i32 = 8;

/// Where the bytes go.
const TO: Reg = Reg::S0;
/// Where the bytes come from, or the byte.
const FROM: Reg = Reg::S1;
/// How many bytes there are.
const LEN: Reg = Reg::S2;
/// Short-lived.
const TEMP: Reg = Reg::Address;

const VECTORS: [Float; 4] = [
    Float::Vector(0),
    Float::Vector(1),
    Float::Vector(2),
    Float::Vector(3),
];

/// Writes the short way, whose three operands stand in adjacent slots from the address in [`Reg::S0`] on: it goes on with
/// the cell `bytes` further. What has no short way comes out behind, with the registers named above changed.
pub(crate) fn emit(asm: &mut impl Assembler, bulk: Bulk, bytes: u32) {
    let slow = asm.new_label();
    let slots = Reg::S0;
    let slot = |n: i32| Src::Mem(Mem::At(slots, 8 * n));
    asm.load(Width::W64, LEN, slot(2));
    match bulk {
        Bulk::Copy => asm.load(Width::W64, FROM, slot(1)),
        Bulk::Fill => {
            let byte = Extend {
                bytes: 1,
                signed: false,
                to: Width::W32,
            };
            asm.load_extend(byte, FROM, Mem::At(slots, 8));
        }
    }
    asm.load(Width::W64, TO, slot(0));

    // No sum wraps: what is left of the memory is compared with where the ranges begin.
    asm.load(
        Width::W64,
        TEMP,
        Src::Mem(Mem::At(Reg::Context, MEMORY_LEN)),
    );
    asm.compare(Width::W64, TEMP, Src::Reg(LEN));
    asm.jump_far_if(Cond::LtU, slow);
    asm.alu(Alu::Sub, Width::W64, TEMP, Src::Reg(LEN));
    asm.compare(Width::W64, TO, Src::Reg(TEMP));
    asm.jump_far_if(Cond::GtU, slow);
    if bulk == Bulk::Copy {
        asm.compare(Width::W64, FROM, Src::Reg(TEMP));
        asm.jump_far_if(Cond::GtU, slow);
    }
    jump_if_longer(asm, MOST, slow);

    asm.alu(Alu::Add, Width::W64, TO, Src::Reg(Reg::Memory));
    match bulk {
        Bulk::Copy => {
            asm.alu(Alu::Add, Width::W64, FROM, Src::Reg(Reg::Memory));
            copy(asm, bytes);
        }
        Bulk::Fill => fill(asm, bytes),
    }
    asm.bind(slow);
}

/// Writes what sets the slot whose address is in [`Reg::S0`] to the memory's pages, each of 2 to the power of the operand
/// at `shift` bytes.
pub(crate) fn size(asm: &mut impl Assembler, shift: u32) {
    let pages = Reg::S1;
    asm.load(
        Width::W64,
        pages,
        Src::Mem(Mem::At(Reg::Context, MEMORY_LEN)),
    );
    asm.shift(
        Shift::ShrU,
        Width::W64,
        pages,
        Src::Mem(Mem::Operand(shift)),
    );
    asm.store(Width::W64, Mem::At(Reg::S0, 0), pages);
}

/// Jumps if there are more than `most` bytes, of fewer than 2⁶³.
fn jump_if_longer(asm: &mut impl Assembler, most: i32, label: Label) {
    asm.address_of(TEMP, Mem::At(LEN, -(most + 1)));
    asm.test(Width::W64, TEMP);
    asm.jump_far_if(Cond::GeS, label);
}

/// Where it goes on by how many bytes there are. With three or two it goes on at once: as two pairs, which may be partly
/// the same.
struct Ways {
    /// More than half of [`MOST`].
    half: Label,
    /// A vector at least.
    quarter: Label,
    /// Eight at least.
    eighth: Label,
    /// Four at least.
    few: Label,
    /// One, or none.
    one: Label,
}

impl Ways {
    fn new(asm: &mut impl Assembler) -> Ways {
        Ways {
            half: asm.new_label(),
            quarter: asm.new_label(),
            eighth: asm.new_label(),
            few: asm.new_label(),
            one: asm.new_label(),
        }
    }

    fn choose(&self, asm: &mut impl Assembler) {
        jump_if_longer(asm, MOST / 2, self.half);
        jump_if_longer(asm, 15, self.quarter);
        jump_if_longer(asm, 7, self.eighth);
        jump_if_longer(asm, 3, self.few);
        asm.address_of(TEMP, Mem::At(LEN, -2));
        asm.test(Width::W64, TEMP);
        asm.jump_far_if(Cond::LtS, self.one);
    }
}

fn copy(asm: &mut impl Assembler, bytes: u32) {
    let ways = Ways::new(asm);
    let narrow = |bytes| Extend {
        bytes,
        signed: false,
        to: Width::W32,
    };
    ways.choose(asm);
    asm.load_extend(narrow(2), TEMP, Mem::At(FROM, 0));
    asm.alu(Alu::Add, Width::W64, FROM, Src::Reg(LEN));
    asm.load_extend(narrow(2), FROM, Mem::At(FROM, -2));
    asm.store_narrow(2, Mem::At(TO, 0), TEMP);
    asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
    asm.store_narrow(2, Mem::At(TO, -2), FROM);
    asm.dispatch(bytes);

    asm.bind(ways.one);
    let none = asm.new_label();
    asm.test(Width::W64, LEN);
    asm.jump_if(Cond::Eq, none);
    asm.load_extend(narrow(1), TEMP, Mem::At(FROM, 0));
    asm.store_narrow(1, Mem::At(TO, 0), TEMP);
    asm.bind(none);
    asm.dispatch(bytes);

    for (label, width, bytes_each) in [(ways.few, Width::W32, 4), (ways.eighth, Width::W64, 8)] {
        asm.bind(label);
        let [first, last, ..] = VECTORS;
        asm.float_load(width, first, FloatSrc::Mem(Mem::At(FROM, 0)));
        asm.alu(Alu::Add, Width::W64, FROM, Src::Reg(LEN));
        asm.float_load(width, last, FloatSrc::Mem(Mem::At(FROM, -bytes_each)));
        asm.float_store(width, Mem::At(TO, 0), first);
        asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
        asm.float_store(width, Mem::At(TO, -bytes_each), last);
        asm.dispatch(bytes);
    }
    for (label, each) in [(ways.quarter, 1), (ways.half, 2)] {
        asm.bind(label);
        let (first, last) = VECTORS[..2 * each].split_at(each);
        let from_start = || (0..).step_by(16);
        let from_end = || (0..).step_by(16).map(|at| at - 16 * each as i32);
        for (vector, at) in first.iter().zip(from_start()) {
            asm.vector_load(*vector, Mem::At(FROM, at));
        }
        asm.alu(Alu::Add, Width::W64, FROM, Src::Reg(LEN));
        for (vector, at) in last.iter().zip(from_end()) {
            asm.vector_load(*vector, Mem::At(FROM, at));
        }
        for (vector, at) in first.iter().zip(from_start()) {
            asm.vector_store(Mem::At(TO, at), *vector);
        }
        asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
        for (vector, at) in last.iter().zip(from_end()) {
            asm.vector_store(Mem::At(TO, at), *vector);
        }
        asm.dispatch(bytes);
    }
}

fn fill(asm: &mut impl Assembler, bytes: u32) {
    let ways = Ways::new(asm);
    let [value, temp, other, _] = VECTORS;
    asm.float_from_bits(Width::W32, value, FROM);
    let splat = asm.vector_op(Op::I8x16Splat, [value, temp, other], [temp, other]);
    assert!(splat, "every back end has the vectors of all bytes");
    ways.choose(asm);
    asm.float_to_bits(Width::W32, FROM, value);
    asm.store_narrow(2, Mem::At(TO, 0), FROM);
    asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
    asm.store_narrow(2, Mem::At(TO, -2), FROM);
    asm.dispatch(bytes);

    asm.bind(ways.one);
    let none = asm.new_label();
    asm.test(Width::W64, LEN);
    asm.jump_if(Cond::Eq, none);
    asm.store_narrow(1, Mem::At(TO, 0), FROM);
    asm.bind(none);
    asm.dispatch(bytes);

    for (label, width, bytes_each) in [(ways.few, Width::W32, 4), (ways.eighth, Width::W64, 8)] {
        asm.bind(label);
        asm.float_store(width, Mem::At(TO, 0), value);
        asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
        asm.float_store(width, Mem::At(TO, -bytes_each), value);
        asm.dispatch(bytes);
    }
    for (label, each) in [(ways.quarter, 1), (ways.half, 2)] {
        asm.bind(label);
        for n in 0..each {
            asm.vector_store(Mem::At(TO, 16 * n), value);
        }
        asm.alu(Alu::Add, Width::W64, TO, Src::Reg(LEN));
        for n in 1..=each {
            asm.vector_store(Mem::At(TO, -16 * n), value);
        }
        asm.dispatch(bytes);
    }
}
