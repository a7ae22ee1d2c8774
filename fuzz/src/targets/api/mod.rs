//! `api`: sequences of what an embedder can do, by a model of what has to come of it, in every mode.

mod flaw;
mod model;
mod ops;
mod real;

use std::fmt::Write as _;

use arbitrary::Unstructured;

pub use flaw::Flaw;
use ops::ops;

use crate::counts::Counts;
use crate::modes;
use crate::targets::Finding;

/// How many operations there are at most.
const OPS: usize = 100;
/// How many stores live at a time.
const STORES: usize = 4;
/// How many instances a store has at most, unless it is limited.
const INSTANCES: usize = 12;

/// The most calls and stores of answers, one inside the other.
const DEPTH: usize = 6;
/// How many frames `ask` has at most: all of them are recorded.
const FRAMES: u8 = 12;
/// How often it asks at most.
const TIMES: u8 = 3;

/// What a memory may have, in pages, and what it has in limited stores.
const PAGES: (u32, u32) = (4, 2);
/// What a table may have, in elements, and what it has in limited stores.
const ELEMENTS: (u32, u32) = (12, 6);
/// How many instances limited stores may have.
const LIMITED_INSTANCES: usize = 3;

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It returned; functions without results say 0.
    Value(i64),
    /// It trapped, with so many frames of guests.
    Trap(vm_engine::Trap, usize),
    /// The guest's stack was used up. How many frames there were is the engine's own affair.
    Exhausted,
    /// The host's error, with so many frames of guests.
    Error(usize),
    /// The host's panic.
    Panic,
}

/// The body of the target.
///
/// # Errors
///
/// Where a mode does something else than the model.
pub fn run(data: &[u8], counts: &mut Counts) -> Result<(), Finding> {
    let ops = ops(&mut Unstructured::new(data));
    let listed = || {
        let mut text = String::new();
        for (at, op) in ops.iter().enumerate() {
            let _ = writeln!(text, "{at}: {op:?}");
        }
        vec![("ops", text.into_bytes()), ("bin", data.to_vec())]
    };
    let modes = modes::all().map_err(|error| Finding {
        text: format!("{error:#}"),
        files: Vec::new(),
    })?;
    for mode in modes {
        real::play(mode, &ops, None, counts).map_err(|text| Finding {
            text: format!("{}: {text}", mode.name),
            files: listed(),
        })?;
    }
    counts.add("operations", ops.len() as u64);
    Ok(())
}

/// Whether a case notices a flaw of the model's. Modes do not matter here: one of them plays.
///
/// # Errors
///
/// If this host lacks the modes.
pub fn notices(flaw: Flaw, data: &[u8]) -> anyhow::Result<bool> {
    let mode = &modes::all()?[0];
    let ops = ops(&mut Unstructured::new(data));
    Ok(real::play(mode, &ops, Some(flaw), &mut Counts::new()).is_err())
}
