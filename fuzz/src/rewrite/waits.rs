//! Waits that end.

use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, Function, Instruction, Module};
use wasmparser::{FunctionBody, Operator, Parser};

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
        let mut locals = Vec::new();
        for local in body.get_locals_reader()? {
            let (count, ty) = local?;
            locals.push((count, self.val_type(ty)?));
        }
        let mut function = Function::new(locals);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            if let Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } =
                operator
            {
                function.instruction(&Instruction::Drop);
                function.instruction(&Instruction::I64Const(NANOSECONDS));
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
