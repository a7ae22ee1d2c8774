//! The engine: settings that have been checked against each other and against the host.

use std::sync::Arc;

use vm_memory::Layout;

use crate::config::{Bounds, Config, SignalHandlers, Threading, Translation};
use crate::error::{ConfigError, Result};
use crate::low;
use crate::strategy::{self, HostAbilities, Strategy};

/// What modules are compiled for and stores live in. Cheap to clone; all clones are the same
/// engine.
#[derive(Clone, Debug)]
pub struct Engine(Arc<EngineInner>);

#[derive(Debug)]
struct EngineInner {
    config: Config,
    strategy: Strategy,
    features: low::Features,
    layout: Layout,
}

/// Whether faults of guarded memory of this layout become traps here; if not, why.
fn guards(layout: Layout, handlers: SignalHandlers) -> Result<(), String> {
    match vm_memory::probe(layout) {
        vm_memory::GuardSupport::Available => match handlers {
            SignalHandlers::Install => low::install_signal_handlers(),
            SignalHandlers::HostOwned => low::register_access_sites(),
        }
        .map_err(|error| error.to_string()),
        vm_memory::GuardSupport::Unavailable(reason) => Err(reason.to_string()),
    }
}

impl Engine {
    /// An engine with these settings.
    ///
    /// Asks the host what it can do. If guarded bounds checking is chosen, the signal handlers are
    /// installed, once in the process, unless [`Config::signal_handlers`] says that the host has its
    /// own; otherwise they are left alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the settings contradict each other, or the host cannot meet one that was
    /// asked for explicitly.
    pub fn new(config: &Config) -> Result<Engine> {
        let mut features = low::Features::default();
        for (proposal, enable) in &config.features {
            features
                .set(proposal, *enable)
                .map_err(|error| ConfigError::Feature {
                    proposal,
                    enable: *enable,
                    reason: error.to_string(),
                })?;
        }
        let layout = Layout::FULL;
        let direct = low::direct_availability().map_err(|error| error.to_string());
        let mut host = HostAbilities {
            direct,
            guards: Ok(()),
            sanitizer: low::sanitizer(),
            owns_signals: config.signal_handlers == SignalHandlers::HostOwned,
        };
        // Nothing is asked of the host that cannot come to use.
        if host.needs_guards(config.threading, config.bounds) {
            host.guards = guards(layout, config.signal_handlers);
        }
        let strategy = strategy::choose(config.threading, config.bounds, &host)?;
        Ok(Engine(Arc::new(EngineInner {
            config: config.clone(),
            strategy,
            features,
            layout,
        })))
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// In which mode it runs, and why.
    pub fn strategy(&self) -> &Strategy {
        &self.0.strategy
    }

    /// Whether both are the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    pub(crate) fn features(&self) -> &low::Features {
        &self.0.features
    }

    pub(crate) fn threading(&self) -> low::Threading {
        match self.0.strategy.threading {
            Threading::Direct => low::Threading::Direct,
            Threading::Token | Threading::Auto => low::Threading::Token,
        }
    }

    /// The layout of guarded memories, if this engine makes them.
    pub(crate) fn guarded_layout(&self) -> Option<Layout> {
        (self.0.strategy.bounds == Bounds::Guarded).then_some(self.0.layout)
    }

    /// Whether a memory for which the host refuses guard pages may be checked by code instead.
    pub(crate) fn may_fall_back(&self) -> bool {
        self.0.config.bounds == Bounds::Auto
    }

    pub(crate) fn eager(&self) -> bool {
        self.0.config.translation == Translation::Eager
    }

    pub(crate) fn machine_config(&self, guarded_stack: bool) -> low::MachineConfig {
        low::MachineConfig {
            threading: self.threading(),
            guarded_stack,
            stack_bytes: self.0.config.max_wasm_stack,
        }
    }
}

/// An engine with the default settings, which every host can meet.
impl Default for Engine {
    fn default() -> Engine {
        match Engine::new(&Config::default()) {
            Ok(engine) => engine,
            // `Auto` fails for nothing, and the default features are always there.
            Err(error) => unreachable!("the default settings were refused: {error}"),
        }
    }
}
