//! `palisade explore`.

use std::process::ExitCode;

use anyhow::anyhow;
use vm_engine::{Engine, Module};

use crate::cli::ExploreArgs;
use crate::host;
use crate::output::{Failure, print};
use crate::run::load;

pub(crate) fn explore(args: &ExploreArgs) -> Result<ExitCode, Failure> {
    let engine = Engine::new(&args.mode.config())?;
    let module = load(&engine, &args.file)?;
    let needed = host::needed_for(module.binary());
    host::require_memory(host::LISTING + needed, "list its code")?;
    let shown = args.file.display();

    let own = module.imported_function_count()..module.function_count();
    let functions: Vec<u32> = match &args.func {
        None => own.collect(),
        Some(wanted) => find(&module, wanted).map_err(|reason| anyhow!("`{shown}`: {reason}"))?,
    };
    let strategy = engine.strategy();
    print(&format!(
        "; {}: {} functions, {} of them imported\n; {} threading, {} bounds checks\n",
        module.name().unwrap_or("unnamed module").escape_debug(),
        module.function_count(),
        module.imported_function_count(),
        strategy.threading,
        strategy.bounds,
    ))?;
    for index in functions {
        let listing = module.explore(index)?;
        let name = module
            .function_name(index)
            .unwrap_or("unnamed")
            .escape_debug();
        print(&format!(
            "\n; function {index}: {name}\n{}\n",
            listing.trim_end()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions that a name or an index means. Names need not be unique.
fn find(module: &Module, wanted: &str) -> Result<Vec<u32>, String> {
    let imported = module.imported_function_count();
    let count = module.function_count();
    let named: Vec<u32> = (0..count)
        .filter(|index| module.function_name(*index) == Some(wanted))
        .collect();
    let found = if !named.is_empty() {
        named
    } else if let Ok(index) = wanted.parse::<u32>() {
        if index >= count {
            return Err(format!("there is no function {index}: it has {count}"));
        }
        vec![index]
    } else {
        return Err(format!("it has no function named `{wanted}`"));
    };
    let own: Vec<u32> = found
        .into_iter()
        .filter(|index| *index >= imported)
        .collect();
    if own.is_empty() {
        return Err(format!(
            "the function `{wanted}` is imported, so its code is elsewhere"
        ));
    }
    Ok(own)
}
