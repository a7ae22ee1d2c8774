//! Waits that end.

use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, Instruction, Module};
use wasmparser::{FunctionBody, Operator, Parser};

use super::each_operator;

/// Nobody is there to wake a guest, so it waits no longer than this.
const NANOSECONDS: i64 = 1000;

/// The same module, but no atomic wait is longer than a moment.
///
/// # Errors
///
/// If this is no module.
pub fn short_waits(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::new();
    Short
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(module.finish())
}

struct Short;

impl Reencode for Short {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        each_operator(self, code, &body, 0, &[], |short, function, operator, _| {
            if let Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } =
                operator
            {
                function.instruction(&Instruction::Drop);
                function.instruction(&Instruction::I64Const(NANOSECONDS));
            }
            function.instruction(&short.instruction(operator)?);
            Ok(())
        })
    }
}
