//! Canonical NaNs.

use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, Ieee32, Ieee64, Instruction, Module, ValType};
use wasmparser::{FunctionBody, Operator, Parser};

use super::{each_operator, parameters};

/// The same module, but wherever an operator makes a NaN it is the canonical one.
///
/// # Errors
///
/// If this is no module.
pub fn canonical_nans(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut canonical = Canonical {
        parameters: parameters(wasm)?.into_iter(),
    };
    let mut module = Module::new();
    canonical
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(module.finish())
}

struct Canonical {
    parameters: std::vec::IntoIter<u32>,
}

impl Reencode for Canonical {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        let parameters = self.parameters.next().unwrap_or(0);
        // One of each type for what has just been computed.
        let more = [ValType::F32, ValType::F64, ValType::V128];
        each_operator(
            self,
            code,
            &body,
            parameters,
            &more,
            |canonical, function, operator, first| {
                let result = float_result(&operator);
                function.instruction(&canonical.instruction(operator)?);
                if let Some(result) = result {
                    for instruction in canonicalise(result, first) {
                        function.instruction(&instruction);
                    }
                }
                Ok(())
            },
        )
    }
}

/// What an operator's result is made of, if it may be a NaN of its own.
#[derive(Clone, Copy)]
enum Float {
    F32,
    F64,
    F32x4,
    F64x2,
}

fn float_result(operator: &Operator<'_>) -> Option<Float> {
    use Operator as O;
    Some(match operator {
        O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest | O::F32Sqrt => Float::F32,
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max => Float::F32,
        O::F32DemoteF64 => Float::F32,
        O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest | O::F64Sqrt => Float::F64,
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max => Float::F64,
        O::F64PromoteF32 => Float::F64,
        O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest | O::F32x4Sqrt => {
            Float::F32x4
        }
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Min | O::F32x4Max => {
            Float::F32x4
        }
        O::F32x4RelaxedMadd | O::F32x4RelaxedNmadd | O::F32x4RelaxedMin | O::F32x4RelaxedMax => {
            Float::F32x4
        }
        O::F32x4DemoteF64x2Zero => Float::F32x4,
        O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest | O::F64x2Sqrt => {
            Float::F64x2
        }
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Min | O::F64x2Max => {
            Float::F64x2
        }
        O::F64x2RelaxedMadd | O::F64x2RelaxedNmadd | O::F64x2RelaxedMin | O::F64x2RelaxedMax => {
            Float::F64x2
        }
        O::F64x2PromoteLowF32x4 => Float::F64x2,
        _ => return None,
    })
}

const F32_NAN: u32 = 0x7fc0_0000;
const F64_NAN: u64 = 0x7ff8_0000_0000_0000;

/// Replaces what is on top of the stack by the canonical NaN, where it is unequal to itself. `first` is the first of
/// three locals.
fn canonicalise(float: Float, first: u32) -> Vec<Instruction<'static>> {
    use Instruction as I;
    let (local, nan, equal, choose) = match float {
        Float::F32 => (
            first,
            I::F32Const(Ieee32::new(F32_NAN)),
            I::F32Eq,
            I::Select,
        ),
        Float::F64 => (
            first + 1,
            I::F64Const(Ieee64::new(F64_NAN)),
            I::F64Eq,
            I::Select,
        ),
        Float::F32x4 => {
            let nans = i128::from(F32_NAN) * 0x1_0000_0001_0000_0001_0000_0001;
            (first + 2, I::V128Const(nans), I::F32x4Eq, I::V128Bitselect)
        }
        Float::F64x2 => {
            let nans = i128::from(F64_NAN) << 64 | i128::from(F64_NAN);
            (first + 2, I::V128Const(nans), I::F64x2Eq, I::V128Bitselect)
        }
    };
    vec![
        I::LocalTee(local),
        nan,
        I::LocalGet(local),
        I::LocalGet(local),
        equal,
        choose,
    ]
}
