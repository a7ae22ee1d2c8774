//! `palisade profile`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use vm_engine::{Bounds, FunctionProfile, Module};
use vm_interp::shapes::{REGISTERS, TABLE};
use vm_profile::{Budget, Program, ShapeTable, folded, report, train};
use vm_translate::Features;

use crate::cli::{ProfileArgs, Validate};
use crate::output::{Failure, say};
use crate::{host, run};

/// What `--shapes` may add: for one program, so it wants little and gives little.
const BUDGET: Budget = Budget {
    shapes: 4_000,
    least_share: 0.000_5,
    operators: 4,
    roots: 3,
};

pub(crate) fn profile(args: &ProfileArgs) -> Result<ExitCode, Failure> {
    if args.run.validate == Validate::Lazily {
        return Err(Failure::usage("only `run` validates lazily"));
    }
    host::require_memory(host::COUNTING, "count what a program does")?;
    let mut config = args.run.mode.config();
    config.profile(true);
    let (module, guest_args) = run::prepare(&args.run, &config)?;
    let outcome = run::run_module(&args.run, &module, guest_args);
    // However the guest came to its end, what it did until then is known.
    let profile = module.profile()?;
    if outcome.is_err() && profile.is_empty() {
        return outcome;
    }
    let name = |index| match module.function_name(index) {
        Some(name) => name.escape_debug().to_string(),
        None => format!("function {index}"),
    };
    say(report(&profile, REGISTERS, args.top, name).trim_end());
    if let Some(file) = &args.folded {
        write(file, &folded(&profile, name))?;
    }
    if let Some(file) = &args.shapes {
        write(file, &shapes(&module, &profile)?)?;
    }
    outcome
}

/// The shapes that would have saved the program the most dispatches.
fn shapes(module: &Module, profile: &[FunctionProfile]) -> Result<String, Failure> {
    let needed = host::needed_for(module.binary()).saturating_mul(8);
    host::require_memory(host::CHOOSING.saturating_add(needed), "choose shapes")?;
    let parsed = vm_translate::Module::new(module.binary(), &Features::default());
    let parsed = Arc::new(parsed.map_err(|error| anyhow!(error))?);
    let guarded = module.engine().strategy().bounds == Bounds::Guarded;
    let program = Program::new(parsed, guarded, profile);
    let programs = [
        (program.with_guards(!guarded), Program::CHECKED_WEIGHT),
        (program, 1.0),
    ];
    let mut table =
        ShapeTable::read(&TABLE.join("\n"), REGISTERS).map_err(|error| anyhow!(error))?;
    let mut left = 1.0;
    let lines = train(&programs, &mut table, BUDGET, |progress| {
        left = progress.dispatches;
    });
    say(&format!(
        "\n{} lines of shapes: {:.1} % of the dispatches would be left",
        lines.len(),
        100.0 * left
    ));
    let mut text = String::from("# Chosen by `palisade profile --shapes`.\n");
    for line in lines {
        let _ = writeln!(text, "{}", line.text);
    }
    Ok(text)
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    Ok(std::fs::write(file, text).with_context(|| format!("cannot write `{shown}`"))?)
}
