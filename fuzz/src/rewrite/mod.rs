//! Modules made fit for comparison: with everything exported, with canonical NaNs, without fused multiplications, without long waits.

mod exports;
mod nans;
mod unfused;
mod waits;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, Function, ValType};
use wasmparser::{CompositeInnerType, FunctionBody, Operator, Parser, Payload};

pub use exports::export_all;
pub use nans::canonical_nans;
pub use unfused::unfused;
pub use waits::short_waits;

/// How many parameters each function has that the module defines.
fn parameters(wasm: &[u8]) -> Result<Vec<u32>> {
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        let params = match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => ty.params().len(),
                            _ => 0,
                        };
                        types.push(params as u32);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    functions.push(
                        *types
                            .get(ty? as usize)
                            .ok_or_else(|| anyhow!("no such type"))?,
                    );
                }
            }
            _ => {}
        }
    }
    Ok(functions)
}

/// Adds a body to the code with some more locals, and each of its operators as `operator` writes it, which is told the number of the
/// first of these locals.
fn each_operator<T: Reencode>(
    reencoder: &mut T,
    code: &mut CodeSection,
    body: &FunctionBody<'_>,
    parameters: u32,
    more: &[ValType],
    mut operator: impl FnMut(
        &mut T,
        &mut Function,
        Operator<'_>,
        u32,
    ) -> Result<(), reencode::Error<T::Error>>,
) -> Result<(), reencode::Error<T::Error>> {
    let (mut function, first) = with_locals(reencoder, body, parameters, more)?;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        operator(reencoder, &mut function, operators.read()?, first)?;
    }
    code.function(&function);
    Ok(())
}

/// A function with the body's locals and some more, and the number of the first of those.
fn with_locals<T: Reencode>(
    reencoder: &mut T,
    body: &FunctionBody<'_>,
    parameters: u32,
    more: &[ValType],
) -> Result<(Function, u32), reencode::Error<T::Error>> {
    let mut locals = Vec::new();
    let mut first = parameters;
    for local in body.get_locals_reader()? {
        let (count, ty) = local?;
        first += count;
        locals.push((count, reencoder.val_type(ty)?));
    }
    locals.extend(more.iter().map(|ty| (1, *ty)));
    Ok((Function::new(locals), first))
}
