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
    let mut trail = String::new();
    compare(&calls, &mut trail, counts).map_err(|text| Finding {
        text,
        files: vec![("calls", trail.into_bytes()), ("bin", data.to_vec())],
    })
}

/// Makes the calls under both engines, and notes in `trail` what comes of them.
fn compare(calls: &[Call], trail: &mut String, counts: &mut Counts) -> Result<(), String> {
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
        let expected = theirs.call(call);
        let found = ours.call(call).map_err(say)?;
        let _ = writeln!(trail, "{call}: {expected:?}, {found}");
        counts.add("calls", 1);
        counts.add("calls that succeed", u64::from(found == 0));
        counts.mode(&mode.name).calls += 1;
        if expected != Some(found) {
            let Some(known) = differences::known(call, expected, found) else {
                return Err(format!(
                    "call {at}, {call}: errno {expected:?} expected, {found} found"
                ));
            };
            counts.add(known.reason, 1);
            if !known.goes_on {
                return Ok(());
            }
            ours.memory().copy_from_slice(theirs.memory());
            continue;
        }
        differences::mask(call, found, theirs.memory());
        differences::mask(call, found, ours.memory());
        let (expected, found) = (theirs.memory(), ours.memory());
        if expected != found && differences::known_number(call, expected, found) {
            counts.add("known: which number is free", 1);
            return Ok(());
        }
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
