//! Relaxed multiply-adds in two steps.

use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, Instruction, Module, ValType};
use wasmparser::{FunctionBody, Operator, Parser};

use super::{each_operator, parameters};

/// The same module with every relaxed multiply-add as a multiplication and an addition, each rounded; nothing if it
/// has none.
///
/// That is what they mean in the deterministic profile (core specification, 4.3.4 "Relaxed Operations"), and in
/// Palisade. Wasmtime's deterministic setting means the fused operation.
///
/// # Errors
///
/// If this is no module.
pub fn unfused(wasm: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut unfused = Unfused {
        parameters: parameters(wasm)?.into_iter(),
        found: false,
    };
    let mut module = Module::new();
    unfused
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(unfused.found.then(|| module.finish()))
}

struct Unfused {
    parameters: std::vec::IntoIter<u32>,
    found: bool,
}

impl Reencode for Unfused {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        let parameters = self.parameters.next().unwrap_or(0);
        let more = [ValType::V128, ValType::V128];
        each_operator(
            self,
            code,
            &body,
            parameters,
            &more,
            |unfused, function, operator, first| {
                match steps(&operator) {
                    Some([negate, multiply, add]) => {
                        unfused.found = true;
                        function.instruction(&Instruction::LocalSet(first));
                        function.instruction(&Instruction::LocalSet(first + 1));
                        function.instruction(&negate);
                        function.instruction(&Instruction::LocalGet(first + 1));
                        function.instruction(&multiply);
                        function.instruction(&Instruction::LocalGet(first));
                        function.instruction(&add);
                    }
                    None => {
                        function.instruction(&unfused.instruction(operator)?);
                    }
                }
                Ok(())
            },
        )
    }
}

/// What happens to the first factor, to the factors, and to the product and the third operand.
fn steps(operator: &Operator<'_>) -> Option<[Instruction<'static>; 3]> {
    use Instruction as I;
    Some(match operator {
        Operator::F32x4RelaxedMadd => [I::Nop, I::F32x4Mul, I::F32x4Add],
        Operator::F32x4RelaxedNmadd => [I::F32x4Neg, I::F32x4Mul, I::F32x4Add],
        Operator::F64x2RelaxedMadd => [I::Nop, I::F64x2Mul, I::F64x2Add],
        Operator::F64x2RelaxedNmadd => [I::F64x2Neg, I::F64x2Mul, I::F64x2Add],
        _ => return None,
    })
}
