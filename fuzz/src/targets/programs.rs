//! `programs`: what the random generator of vm-translate's tests makes, in every mode and by the oracle.

use crate::compare::{By, Case};
use crate::counts::Counts;
use crate::generate;
use crate::rewrite;
use crate::targets::{Finding, differential};

/// The body of the target.
///
/// # Errors
///
/// The first difference, or a program that is not valid.
pub fn run(data: &[u8], counts: &mut Counts) -> Result<(), Finding> {
    let word = |at: usize| {
        data.get(at..at + 8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    };
    let (Some(seed), Some(program)) = (word(0), word(8)) else {
        return Ok(());
    };
    // Half of them such that all of it is in the baseline tier. Of the older instructions for exceptions Wasmtime has none.
    let (text, by) = match program % 16 {
        0 | 1 => (generate::older_exceptions_module(program), By::FirstMode),
        n if n % 2 == 0 => (generate::module(program), By::Oracle),
        _ => (generate::baseline_module(program), By::Oracle),
    };
    let wasm = wat::parse_str(&text)
        .map_err(anyhow::Error::from)
        .and_then(|wasm| rewrite::export_all(&wasm));
    let wasm = wasm.map_err(|error| Finding {
        text: format!("program {program}: {error}"),
        files: vec![("wat", text.clone().into_bytes())],
    })?;
    differential::check(&Case { wasm, seed, by }, counts)
}
