//! A module through every mode and through the oracle, call by call.

use std::fmt;

use vm_engine::Module;

use crate::counts::{Counts, ModeCounts};
use crate::host::Host;
use crate::modes::{self, Mode};
use crate::oracle;
use crate::rewrite;
use crate::script::Script;
use crate::vm::{Contents, PART, State, Step, Stop, Vm, play};

/// A module, and the seed of what is done with it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The module in the binary format.
    pub wasm: Vec<u8>,
    /// What calls, arguments and the host's answers are made from.
    pub seed: u64,
    /// Who says what is right.
    pub by: By,
}

/// Who says what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Wasmtime.
    Oracle,
    /// The first of our own modes, of what Wasmtime does not have: the others have to do the same.
    FirstMode,
}

impl By {
    /// For a module of which nothing is known.
    pub fn of(wasm: &[u8]) -> By {
        match oracle::module(wasm) {
            Ok(_) => By::Oracle,
            Err(_) => By::FirstMode,
        }
    }
}

/// What is not as it should be.
#[derive(Clone, Debug)]
pub struct Difference {
    /// In which mode.
    pub mode: String,
    /// What was expected and what was found.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mode, self.text)
    }
}

/// Instructions that the oracle has to have executed before it is credible that our stack was used up: a frame takes a
/// few kilobytes at most.
const OVERFLOW_FUEL: u64 = 10_000;

/// What happened in one engine.
struct Run {
    /// Nothing, or why there is no instance and what the host had heard by then.
    made: Result<State, (Stop, (u64, u64))>,
    steps: Vec<Step>,
}

/// The oracle's run, as far as it is the same everywhere.
struct Expected {
    run: Run,
    /// Whether it says where guests stop, too.
    places: bool,
    /// What each step took, in instructions.
    fuel: Vec<u64>,
}

/// Runs a module everywhere.
///
/// # Errors
///
/// The first difference, unless it is only in the bits of a NaN, which WebAssembly leaves open.
pub fn check(case: &Case, counts: &mut Counts) -> Result<(), Difference> {
    match differences(case, counts, 1).pop() {
        Some(difference) => Err(difference),
        None => Ok(()),
    }
}

/// Runs a module everywhere: how the first `most` modes differ that do, but for the bits of NaNs.
pub fn differences(case: &Case, counts: &mut Counts, most: usize) -> Vec<Difference> {
    let found = differences_as_it_is(case, counts, most);
    if found.is_empty() {
        return found;
    }
    let canonical = match rewrite::canonical_nans(&case.wasm) {
        Ok(wasm) => Case { wasm, ..*case },
        // What cannot be read cannot have been accepted: this is a difference in itself.
        Err(_) => return found,
    };
    if differences_as_it_is(&canonical, &mut Counts::new(), 1).is_empty() {
        counts.add("differences in NaNs only", 1);
        return Vec::new();
    }
    found
}

fn differences_as_it_is(case: &Case, counts: &mut Counts, most: usize) -> Vec<Difference> {
    let everywhere = |text: String| {
        vec![Difference {
            mode: "all modes".to_owned(),
            text,
        }]
    };
    let modes = match modes::all() {
        Ok(modes) => modes,
        Err(error) => return everywhere(format!("{error:#}")),
    };
    // Wasmtime's multiply-adds are fused, and what stands in the module's place has its traps elsewhere.
    let unfused = rewrite::unfused(&case.wasm).ok().flatten();
    let unfused = unfused.filter(|_| case.by == By::Oracle);
    let places = unfused.is_none();
    let theirs = match case.by {
        By::Oracle => oracle::module(unfused.as_ref().unwrap_or(&case.wasm)).map(Some),
        By::FirstMode => Ok(None),
    };
    let theirs = match theirs {
        Ok(module) => module,
        Err(error) => {
            counts.add("modules refused by the oracle", 1);
            counts.example("refused by the oracle", || format!("{error:#}"));
            return Vec::new();
        }
    };
    counts.add("modules", 1);
    let ours = match compile(&modes[0], &case.wasm) {
        Ok(module) => module,
        Err(difference) => return vec![difference],
    };
    let script = Script::new(&ours, case.seed);
    let expected = match theirs {
        Some(module) => {
            let made = oracle::Guest::new(&module, script.seed);
            expect(made, &script, places, counts)
        }
        None => {
            let made = modes::Guest::new(&ours, script.seed);
            expect(made, &script, places, counts)
        }
    };
    let Some(expected) = expected else {
        return Vec::new();
    };
    let check = |mode: &Mode| -> Result<(), Difference> {
        let module = compile(mode, &case.wasm)?;
        let mut random = fastrand::Rng::with_seed(case.seed);
        let (again, reset) = (random.u8(..4) == 0, random.u8(..4) == 0);
        check_mode(mode, &module, &script, &expected, reset, counts)?;
        // Once more: all code is there already, and hot.
        if again {
            check_mode(mode, &module, &script, &expected, false, counts)?;
        }
        if mode.moves && random.u8(..4) == 0 {
            check_moving(mode, modes, &case.wasm, &script, &expected, counts)?;
        }
        counts.mode(&mode.name).functions += u64::from(module.code_size().functions);
        Ok(())
    };
    let found = modes.iter().map(check).filter_map(Result::err);
    found.take(most).collect()
}

fn compile(mode: &Mode, wasm: &[u8]) -> Result<Module, Difference> {
    Module::from_binary(&mode.engine, wasm).map_err(|error| Difference {
        mode: mode.name.clone(),
        text: format!("refused a module that is valid: {error}"),
    })
}

/// What one does who knows what is right; nothing if that is more than there is time for.
fn expect(
    made: Result<impl Vm, (Stop, Host)>,
    script: &Script,
    places: bool,
    counts: &mut Counts,
) -> Option<Expected> {
    let heard = |host: &Host| host.heard();
    let mut guest = match made {
        Ok(guest) => guest,
        Err((stop, host)) => {
            counts.add("modules without an instance", 1);
            let made = Err((stop.clone(), heard(&host)));
            let usable = !matches!(stop, Stop::OutOfFuel | Stop::StackOverflow);
            return usable.then(|| Expected {
                run: Run {
                    made,
                    steps: Vec::new(),
                },
                places,
                fuel: Vec::new(),
            });
        }
    };
    let made = Ok(guest.state());
    let mut fuel = Vec::new();
    let mut steps = Vec::new();
    for call in &script.calls {
        let result = guest.call(call.export, &call.args, &call.results);
        match &result {
            Err(Stop::OutOfFuel) => {
                counts.add("calls too long", 1);
                break;
            }
            Err(Stop::StackOverflow) => {
                counts.add("stack overflows", 1);
                break;
            }
            Err(Stop::Trap(..)) => counts.add("traps", 1),
            Err(Stop::Host(_)) => counts.add("host errors", 1),
            Err(Stop::Exception(..)) => counts.add("exceptions that nobody caught", 1),
            _ => {}
        }
        counts.add("calls", 1);
        fuel.push(guest.fuel());
        steps.push(Step {
            result,
            state: guest.state(),
        });
    }
    counts.add("instructions", fuel.iter().sum());
    Some(Expected {
        run: Run { made, steps },
        places,
        fuel,
    })
}

/// Compares a new instance with what is expected, and then, if asked for, the same one when it has been reset.
fn check_mode(
    mode: &Mode,
    module: &Module,
    script: &Script,
    expected: &Expected,
    reset: bool,
    counts: &mut Counts,
) -> Result<(), Difference> {
    let difference = |text: String| Difference {
        mode: mode.name.clone(),
        text,
    };
    let counts = counts.mode(&mode.name);
    let mut guest = match (modes::Guest::new(module, script.seed), &expected.run.made) {
        (Ok(guest), Ok(_)) => guest,
        (Ok(_), Err((stop, _))) => {
            return Err(difference(format!(
                "made an instance that ends with {stop:x?}"
            )));
        }
        (Err((stop, host)), made) => {
            let same = match made {
                Err((wanted, heard)) => {
                    stop.is_like(wanted, expected.places) && *heard == host.heard()
                }
                Ok(_) => false,
            };
            let text = || {
                format!(
                    "instance: expected {:x?}, found {stop:x?}",
                    made.as_ref().err()
                )
            };
            return if same {
                Ok(())
            } else {
                Err(difference(text()))
            };
        }
    };
    counts.instances += 1;
    check_run(&mut guest, script, expected, counts, false).map_err(difference)?;
    let again = |text: String| difference(format!("after a reset: {text}"));
    if reset && (guest.reset(script.seed)).map_err(|stop| again(format!("{stop:?}")))? {
        counts.resets += 1;
        check_run(&mut guest, script, expected, counts, false).map_err(again)?;
    }
    Ok(())
}

/// Compares a new instance whose calls wait and go on in other modes with what is expected.
fn check_moving(
    mode: &Mode,
    modes: &[Mode],
    wasm: &[u8],
    script: &Script,
    expected: &Expected,
    counts: &mut Counts,
) -> Result<(), Difference> {
    let others = modes.iter().filter(|mode| mode.moves);
    let modules = others
        .map(|mode| compile(mode, wasm))
        .collect::<Result<Vec<_>, _>>()?;
    let module = compile(mode, wasm)?;
    let Ok(mut guest) = modes::Guest::new(&module, script.seed) else {
        // That has been compared already.
        return Ok(());
    };
    if expected.run.made.is_ok() && guest.move_among(modules, script.seed) {
        let counts = counts.mode(&mode.name);
        let result = check_run(&mut guest, script, expected, counts, true);
        counts.moves += guest.moved();
        result.map_err(|text| Difference {
            mode: mode.name.clone(),
            text: format!("going on in other modes: {text}"),
        })?;
    }
    Ok(())
}

/// Plays the script with an instance that is as new.
fn check_run(
    guest: &mut modes::Guest,
    script: &Script,
    expected: &Expected,
    counts: &mut ModeCounts,
    moves: bool,
) -> Result<(), String> {
    if let Ok(state) = &expected.run.made {
        same_state(state, &guest.state()).map_err(|text| format!("instance: {text}"))?;
    }
    let steps = play(guest, script, expected.run.steps.len());
    for (at, step) in steps.iter().enumerate() {
        let wanted = &expected.run.steps[at];
        counts.calls += 1;
        counts.traps += u64::from(matches!(step.result, Err(Stop::Trap(..))));
        let place = || {
            let call = &script.calls[at];
            format!("call {at}, {:?} {:?}", call.name, call.args)
        };
        if step.result == Err(Stop::StackOverflow) && expected.fuel[at] >= OVERFLOW_FUEL {
            return Ok(());
        }
        let same = match (&step.result, &wanted.result) {
            // Such an error has no backtrace: the call could go on.
            (Err(Stop::Host(_)), Err(Stop::Host(_))) if moves => true,
            (Err(found), Err(wanted)) => found.is_like(wanted, expected.places),
            (found, wanted) => found == wanted,
        };
        if !same {
            let text = format!(
                "{}: expected {:x?}, found {:x?}",
                place(),
                wanted.result,
                step.result
            );
            return Err(text);
        }
        same_state(&wanted.state, &step.state)
            .map_err(|text| format!("after {}: {text}", place()))?;
    }
    Ok(())
}

fn same_state(expected: &State, found: &State) -> Result<(), String> {
    if expected.heard != found.heard {
        return Err(format!(
            "the host heard {:x?} instead of {:x?}",
            found.heard, expected.heard
        ));
    }
    for (number, pair) in expected.exports.iter().zip(&found.exports).enumerate() {
        let text = match pair {
            (expected, found) if expected == found => continue,
            (Contents::Memory(size, parts), Contents::Memory(other, others)) if size == other => {
                let part = parts
                    .iter()
                    .zip(others)
                    .position(|(a, b)| a != b)
                    .unwrap_or(0);
                format!("bytes from {:#x} on differ", part * PART)
            }
            (Contents::Memory(size, _), Contents::Memory(other, _)) => {
                format!("{other} bytes instead of {size}")
            }
            (expected, found) => format!("{found:?} instead of {expected:?}"),
        };
        return Err(format!(
            "export {number} of those that are no functions: {text}"
        ));
    }
    Ok(())
}
