//! `wasi`: calls of WASI preview 1 with random arguments over a temporary folder, and the same under Wasmtime.

mod differences;
mod folder;
mod functions;
mod guests;

use std::fmt::Write as _;

use arbitrary::Unstructured;

use crate::counts::Counts;
use crate::modes;
use crate::targets::Finding;
use functions::Call;
use guests::Guest;

/// How many calls a case has at most.
const CALLS: usize = 60;

/// The body of the target.
///
/// # Errors
///
/// The first call after which errno, what was written to memory or the standard streams is not the same; or the folder
/// at the end.
pub fn run(data: &[u8], counts: &mut Counts) -> Result<(), Finding> {
    let mut u = Unstructured::new(data);
    let mut calls = Vec::new();
    while calls.len() < CALLS && !u.is_empty() {
        match Call::new(&mut u) {
            Ok(call) => calls.push(call),
            Err(_) => break,
        }
    }
    compare(&calls, counts).map_err(|text| {
        let mut list = String::new();
        for call in &calls {
            let _ = writeln!(list, "{call}");
        }
        Finding {
            text,
            files: vec![("calls", list.into_bytes()), ("bin", data.to_vec())],
        }
    })
}

fn compare(calls: &[Call], counts: &mut Counts) -> Result<(), String> {
    let say = |error: anyhow::Error| format!("{error:#}");
    let modes = modes::all().map_err(say)?;
    // What WASI does depends on no mode, so each case has another one.
    let mode = &modes[calls.len() % modes.len()];
    let (here, there) = (folder::make().map_err(say)?, folder::make().map_err(say)?);
    let mut ours = guests::Ours::new(mode, here.path()).map_err(say)?;
    let mut theirs = guests::Theirs::new(there.path()).map_err(say)?;
    for (at, call) in calls.iter().enumerate() {
        call.write_inputs(theirs.memory());
        call.write_inputs(ours.memory());
        let expected = theirs.call(call).map_err(say)?;
        let found = ours.call(call).map_err(say)?;
        counts.add("calls", 1);
        counts.add("calls that succeed", u64::from(expected == 0));
        counts.mode(&mode.name).calls += 1;
        if let Some(reason) = differences::known(call, expected, found) {
            counts.add("known differences", 1);
            counts.add(reason, 1);
            // What follows would not start from the same.
            return Ok(());
        }
        if expected != found {
            return Err(format!(
                "call {at}, {call}: errno {expected} expected, {found} found"
            ));
        }
        differences::mask(call, expected, theirs.memory());
        differences::mask(call, found, ours.memory());
        let (expected, found) = (theirs.memory(), ours.memory());
        if let Some(byte) = (0..expected.len()).find(|byte| expected[*byte] != found[*byte]) {
            let around = byte & !7..(byte | 7) + 1;
            let (expected, found) = (&expected[around.clone()], &found[around]);
            return Err(format!(
                "call {at}, {call}: memory at {byte:#x}: {expected:x?} expected, {found:x?} found"
            ));
        }
    }
    let (expected, found) = (theirs.output(), ours.output());
    if expected != found {
        return Err(format!(
            "standard output and error: {expected:x?} expected, {found:x?} found"
        ));
    }
    let (expected, found) = (
        folder::list(there.path()).map_err(say)?,
        folder::list(here.path()).map_err(say)?,
    );
    if expected != found {
        return Err(format!(
            "the folder: {expected:#?} expected, {found:#?} found"
        ));
    }
    Ok(())
}
