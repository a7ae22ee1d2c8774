//! What the operators of the IR are to a machine: which of its operations each one is.

use vm_translate::{Op, Ty};

use crate::asm::*;

pub(crate) fn width(ty: Ty) -> Width {
    match ty {
        Ty::I32 | Ty::F32 => Width::W32,
        // Of a vector, the words that it is made of.
        Ty::I64 | Ty::F64 | Ty::V128 => Width::W64,
    }
}

pub(crate) fn alu(op: Op) -> Option<Alu> {
    Some(match op {
        Op::I32Add | Op::I64Add => Alu::Add,
        Op::I32Sub | Op::I64Sub => Alu::Sub,
        Op::I32Mul | Op::I64Mul => Alu::Mul,
        Op::I32And | Op::I64And => Alu::And,
        Op::I32Or | Op::I64Or => Alu::Or,
        Op::I32Xor | Op::I64Xor => Alu::Xor,
        _ => return None,
    })
}

pub(crate) fn shift(op: Op) -> Option<Shift> {
    Some(match op {
        Op::I32Shl | Op::I64Shl => Shift::Shl,
        Op::I32ShrS | Op::I64ShrS => Shift::ShrS,
        Op::I32ShrU | Op::I64ShrU => Shift::ShrU,
        Op::I32Rotl | Op::I64Rotl => Shift::Rotl,
        Op::I32Rotr | Op::I64Rotr => Shift::Rotr,
        _ => return None,
    })
}

pub(crate) fn unary(op: Op) -> Option<Unary> {
    Some(match op {
        Op::I32Clz | Op::I64Clz => Unary::Clz,
        Op::I32Ctz | Op::I64Ctz => Unary::Ctz,
        Op::I32Popcnt | Op::I64Popcnt => Unary::Popcnt,
        Op::I32Extend8S | Op::I64Extend8S => Unary::Extend8,
        Op::I32Extend16S | Op::I64Extend16S => Unary::Extend16,
        Op::I64Extend32S | Op::I64ExtendI32S => Unary::Extend32,
        _ => return None,
    })
}

pub(crate) fn div(op: Op) -> Option<Div> {
    Some(match op {
        Op::I32DivS | Op::I64DivS => Div::DivS,
        Op::I32DivU | Op::I64DivU => Div::DivU,
        Op::I32RemS | Op::I64RemS => Div::RemS,
        Op::I32RemU | Op::I64RemU => Div::RemU,
        _ => return None,
    })
}

pub(crate) fn int_condition(op: Op) -> Option<Cond> {
    Some(match op {
        Op::I32Eq | Op::I64Eq => Cond::Eq,
        Op::I32Ne | Op::I64Ne => Cond::Ne,
        Op::I32LtS | Op::I64LtS => Cond::LtS,
        Op::I32LtU | Op::I64LtU => Cond::LtU,
        Op::I32GtS | Op::I64GtS => Cond::GtS,
        Op::I32GtU | Op::I64GtU => Cond::GtU,
        Op::I32LeS | Op::I64LeS => Cond::LeS,
        Op::I32LeU | Op::I64LeU => Cond::LeU,
        Op::I32GeS | Op::I64GeS => Cond::GeS,
        Op::I32GeU | Op::I64GeU => Cond::GeU,
        _ => return None,
    })
}

pub(crate) fn float_condition(op: Op) -> Option<FloatCond> {
    Some(match op {
        Op::F32Eq | Op::F64Eq => FloatCond::Eq,
        Op::F32Ne | Op::F64Ne => FloatCond::Ne,
        Op::F32Lt | Op::F64Lt => FloatCond::Lt,
        Op::F32Gt | Op::F64Gt => FloatCond::Gt,
        Op::F32Le | Op::F64Le => FloatCond::Le,
        Op::F32Ge | Op::F64Ge => FloatCond::Ge,
        _ => return None,
    })
}

pub(crate) fn comparison(op: Op) -> bool {
    matches!(op, Op::I32Eqz | Op::I64Eqz)
        || int_condition(op).is_some()
        || float_condition(op).is_some()
}

pub(crate) fn float_alu(op: Op) -> Option<FloatAlu> {
    Some(match op {
        Op::F32Add | Op::F64Add => FloatAlu::Add,
        Op::F32Sub | Op::F64Sub => FloatAlu::Sub,
        Op::F32Mul | Op::F64Mul => FloatAlu::Mul,
        Op::F32Div | Op::F64Div => FloatAlu::Div,
        Op::F32Min | Op::F64Min => FloatAlu::Min,
        Op::F32Max | Op::F64Max => FloatAlu::Max,
        Op::F32Copysign | Op::F64Copysign => FloatAlu::Copysign,
        _ => return None,
    })
}

pub(crate) fn float_unary(op: Op) -> Option<FloatUnary> {
    Some(match op {
        Op::F32Abs | Op::F64Abs => FloatUnary::Abs,
        Op::F32Neg | Op::F64Neg => FloatUnary::Neg,
        Op::F32Sqrt | Op::F64Sqrt => FloatUnary::Sqrt,
        Op::F32Canonical | Op::F64Canonical => FloatUnary::Canonical,
        Op::F32Ceil | Op::F64Ceil => FloatUnary::Ceil,
        Op::F32Floor | Op::F64Floor => FloatUnary::Floor,
        Op::F32Trunc | Op::F64Trunc => FloatUnary::Trunc,
        Op::F32Nearest | Op::F64Nearest => FloatUnary::Nearest,
        _ => return None,
    })
}

/// Whether a conversion from an integer is of a signed one; unsigned 64 bits are another matter.
pub(crate) fn conversion(op: Op) -> Option<bool> {
    Some(match op {
        Op::F32ConvertI32S | Op::F64ConvertI32S | Op::F32ConvertI64S | Op::F64ConvertI64S => true,
        Op::F32ConvertI32U | Op::F64ConvertI32U => false,
        _ => return None,
    })
}

/// The width of a trapping conversion to an integer and whether it is signed.
pub(crate) fn truncation(op: Op) -> Option<(Width, bool)> {
    Some(match op {
        Op::I32TruncF32S | Op::I32TruncF64S => (Width::W32, true),
        Op::I32TruncF32U | Op::I32TruncF64U => (Width::W32, false),
        Op::I64TruncF32S | Op::I64TruncF64S => (Width::W64, true),
        Op::I64TruncF32U | Op::I64TruncF64U => (Width::W64, false),
        _ => return None,
    })
}

/// The same of a conversion that saturates.
pub(crate) fn saturation(op: Op) -> Option<(Width, bool)> {
    Some(match op {
        Op::I32TruncSatF32S | Op::I32TruncSatF64S => (Width::W32, true),
        Op::I32TruncSatF32U | Op::I32TruncSatF64U => (Width::W32, false),
        Op::I64TruncSatF32S | Op::I64TruncSatF64S => (Width::W64, true),
        Op::I64TruncSatF32U | Op::I64TruncSatF64U => (Width::W64, false),
        _ => return None,
    })
}

/// How a load's bytes become a value, read off its name.
pub(crate) fn extend(op: Op, bytes: u32) -> Extend {
    let name = op.name().trim_end_matches(".unchecked");
    Extend {
        bytes,
        signed: name.ends_with("_s"),
        to: width(op.result()),
    }
}
