//! `palisade strategy`.

use std::process::ExitCode;

use vm_engine::{Bounds, Config, Engine, Threading};

use crate::output::{Failure, print};

/// Every combination of settings, the preferred one first.
const MODES: [(Threading, Bounds); 4] = [
    (Threading::Direct, Bounds::Guarded),
    (Threading::Direct, Bounds::Software),
    (Threading::Token, Bounds::Software),
    (Threading::Token, Bounds::Guarded),
];

pub(crate) fn strategy() -> Result<ExitCode, Failure> {
    let engine = Engine::new(&Config::new())?;
    let mut text = format!("{}\n\nmodes:\n", engine.strategy());
    for (threading, bounds) in MODES {
        let mut config = Config::new();
        config.threading(threading).bounds(bounds);
        let answer = match Engine::new(&config) {
            Ok(_) => "available".to_owned(),
            Err(error) => format!("not available: {error}"),
        };
        // Aligned: the longest pair is `direct + software`.
        text.push_str(&format!(
            "  {:<18} {answer}\n",
            format!("{threading} + {bounds}")
        ));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
