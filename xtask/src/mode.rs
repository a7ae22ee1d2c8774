//! The modes in which Palisade can run code.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use vm_engine::{Bounds, Config, Engine, Threading};

/// How code is dispatched, and how memory accesses are checked. Guarded memory with token threading
/// is not a mode: the engine refuses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    DirectGuarded,
    DirectSoftware,
    /// Guarded, and without baseline code.
    DirectOptimized,
    TokenSoftware,
}

impl Mode {
    pub(crate) const ALL: [Mode; 4] = [
        Mode::DirectGuarded,
        Mode::DirectSoftware,
        Mode::DirectOptimized,
        Mode::TokenSoftware,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::DirectGuarded => "direct-guarded",
            Mode::DirectSoftware => "direct-software",
            Mode::DirectOptimized => "direct-optimized",
            Mode::TokenSoftware => "token-software",
        }
    }

    fn parts(self) -> (Threading, Bounds) {
        match self {
            Mode::DirectGuarded | Mode::DirectOptimized => (Threading::Direct, Bounds::Guarded),
            Mode::DirectSoftware => (Threading::Direct, Bounds::Software),
            Mode::TokenSoftware => (Threading::Token, Bounds::Software),
        }
    }

    /// The configuration that asks for exactly this mode. Modules may have the older instructions for exceptions, as some of the programs do.
    pub(crate) fn config(self) -> Config {
        let (threading, bounds) = self.parts();
        let mut config = Config::new();
        config
            .threading(threading)
            .bounds(bounds)
            .wasm_legacy_exceptions(true);
        if self == Mode::DirectOptimized {
            config.baseline(None);
        }
        config
    }

    /// The options of the `palisade` command that ask for exactly this mode.
    pub(crate) fn options(self) -> Vec<String> {
        let (threading, bounds) = self.parts();
        let mut options = vec![
            format!("--threading={threading}"),
            format!("--bounds={bounds}"),
        ];
        if self == Mode::DirectOptimized {
            options.push("--no-baseline".to_owned());
        }
        options
    }

    /// An engine in this mode, or an error that says why this host cannot have it.
    pub(crate) fn engine(self) -> Result<Engine> {
        self.engine_with(&self.config())
    }

    /// An engine with the configuration of this mode and further settings.
    pub(crate) fn engine_with(self, config: &Config) -> Result<Engine> {
        Engine::new(config).with_context(|| format!("mode {}", self.name()))
    }
}

/// One mode or all, as an option of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Modes {
    DirectGuarded,
    DirectSoftware,
    DirectOptimized,
    TokenSoftware,
    All,
}

impl Modes {
    /// The modes that the option stands for.
    pub(crate) fn list(self) -> Vec<Mode> {
        match self {
            Modes::DirectGuarded => vec![Mode::DirectGuarded],
            Modes::DirectSoftware => vec![Mode::DirectSoftware],
            Modes::DirectOptimized => vec![Mode::DirectOptimized],
            Modes::TokenSoftware => vec![Mode::TokenSoftware],
            Modes::All => Mode::ALL.to_vec(),
        }
    }
}

impl From<Mode> for Modes {
    fn from(mode: Mode) -> Modes {
        match mode {
            Mode::DirectGuarded => Modes::DirectGuarded,
            Mode::DirectSoftware => Modes::DirectSoftware,
            Mode::DirectOptimized => Modes::DirectOptimized,
            Mode::TokenSoftware => Modes::TokenSoftware,
        }
    }
}
