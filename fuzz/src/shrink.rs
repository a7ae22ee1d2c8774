//! Smaller modules that still differ.

use anyhow::{Result, anyhow, ensure};
use wasm_shrink::WasmShrink;

use crate::compare::{self, By, Case};
use crate::counts::Counts;

/// How many smaller modules are tried.
const ATTEMPTS: u32 = 3000;

/// The smallest module found in which a mode differs that differs in this one.
///
/// # Errors
///
/// If there is no difference, or this is no module.
pub fn shrink(wasm: Vec<u8>, seed: u64) -> Result<Vec<u8>> {
    let modes = |wasm: &[u8]| -> Vec<String> {
        let case = Case {
            wasm: wasm.to_vec(),
            seed,
            by: By::of(wasm),
        };
        let found = compare::differences(&case, &mut Counts::new(), usize::MAX);
        found
            .into_iter()
            .map(|difference| difference.mode)
            .collect()
    };
    let first = modes(&wasm);
    ensure!(!first.is_empty(), "there is no difference");
    let predicate = |wasm: &[u8]| Ok(modes(wasm).iter().any(|mode| first.contains(mode)));
    let shrunk = WasmShrink::default()
        .attempts(ATTEMPTS)
        .run(wasm, predicate);
    Ok(shrunk.map_err(|error| anyhow!("{error:#}"))?.output)
}
