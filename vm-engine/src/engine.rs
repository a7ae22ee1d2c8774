//! The engine: settings that have been checked against each other and against the host.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use vm_memory::{Layout, MemoryError};

use crate::allocation::{InstanceAllocationStrategy, Pools, StoreConfig, Supply};
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
    supply: Supply,
    epoch: Arc<AtomicU64>,
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

/// Whether initial data can be mapped copy-on-write here, and is to be; if not, why.
fn init_cow(config: &Config) -> Result<(), String> {
    if !config.init_cow {
        return Err("that was asked for".to_owned());
    }
    vm_memory::MemoryImage::new(&[(0, b"probe")])
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// The pools that were asked for, if any were.
fn make_pools(
    config: &Config,
    strategy: &Strategy,
    layout: Layout,
    allocation: &InstanceAllocationStrategy,
) -> Result<Option<Pools>> {
    let InstanceAllocationStrategy::Pooling(pool) = allocation else {
        return Ok(None);
    };
    if strategy.bounds != Bounds::Guarded {
        return Err(no_guards(strategy, |reason| ConfigError::PoolNeedsGuards {
            reason,
        }));
    }
    let pools = Pools::new(pool, layout, config.max_wasm_stack);
    let refused = |error: vm_memory::MemoryError| ConfigError::Pool {
        reason: error.to_string(),
    };
    Ok(Some(pools.map_err(refused)?))
}

/// The error with the reason for which bounds are checked in software.
fn no_guards(strategy: &Strategy, error: impl FnOnce(String) -> ConfigError) -> crate::Error {
    let reason = strategy.reasons.get(1).map_or("", String::as_str);
    error(reason.trim_end_matches('.').to_owned()).into()
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
        features.set_floats(config.floats);
        let layout = config.layout;
        let direct = low::direct_availability().map_err(|error| error.to_string());
        let mut host = HostAbilities {
            direct,
            guards: Ok(()),
            // It has no say where something is asked for that only direct threading has.
            sanitizer: low::sanitizer().filter(|_| !config.needs_direct()),
            owns_signals: config.signal_handlers == SignalHandlers::HostOwned,
        };
        // Nothing is asked of the host that cannot come to use.
        if host.needs_guards(config.threading, config.bounds) {
            host.guards = guards(layout, config.signal_handlers);
        }
        let mut strategy = strategy::choose(config.threading, config.bounds, &host)?;
        if config.profile && strategy.threading == Threading::Token {
            let reason = match config.threading {
                Threading::Token => "threading = token was asked for too",
                Threading::Auto | Threading::Direct => "this host has none",
            };
            return Err(ConfigError::Profile { reason }.into());
        }
        let guarded = strategy.bounds == Bounds::Guarded;
        let supply = Supply {
            layout: guarded.then_some(layout),
            pools: make_pools(config, &strategy, layout, &config.allocation)?,
        };
        if guarded {
            strategy = strategy.with_memories(layout, &config.allocation, init_cow(config));
        }
        Ok(Engine(Arc::new(EngineInner {
            config: config.clone(),
            strategy,
            features,
            supply,
            epoch: Arc::default(),
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
        self.0.supply.layout
    }

    /// Where the memories and stacks of its stores come from.
    pub(crate) fn supply(&self) -> &Supply {
        &self.0.supply
    }

    /// The same of a store with settings of its own, and its strategy.
    pub(crate) fn supply_with(&self, own: &StoreConfig) -> Result<(Supply, Strategy)> {
        let EngineInner {
            config,
            strategy,
            supply,
            ..
        } = &*self.0;
        let Some(engine_layout) = supply.layout else {
            if let Some(InstanceAllocationStrategy::Pooling(_)) = own.allocation {
                return Err(no_guards(strategy, |reason| ConfigError::PoolNeedsGuards {
                    reason,
                }));
            }
            if own.layout.is_some() {
                return Err(no_guards(strategy, |reason| {
                    ConfigError::LayoutNeedsGuards { reason }
                }));
            }
            return Ok((supply.clone(), strategy.clone()));
        };
        let layout = own.layout.unwrap_or(engine_layout);
        let on_demand = InstanceAllocationStrategy::OnDemand;
        let (allocation, pools) = match &own.allocation {
            Some(own) => (own, make_pools(config, strategy, layout, own)?),
            None if layout == engine_layout => (&config.allocation, supply.pools.clone()),
            None => (&on_demand, None),
        };
        let init_cow = if strategy.init_cow {
            Ok(())
        } else {
            init_cow(config)
        };
        let strategy = strategy.clone().with_memories(layout, allocation, init_cow);
        let layout = Some(layout);
        Ok((Supply { layout, pools }, strategy))
    }

    /// Whether large initial data is mapped copy-on-write.
    pub(crate) fn init_cow(&self) -> bool {
        self.0.strategy.init_cow
    }

    /// Whether a memory for which the host refuses guard pages may be checked by code instead.
    pub(crate) fn may_fall_back(&self) -> bool {
        self.0.config.bounds == Bounds::Auto
    }

    /// A memory of a type: a guarded one if there is a layout and it can be had, and else, if that will do, one that is checked by
    /// code, with the reason.
    pub(crate) fn make_memory<M>(
        &self,
        ty: &vm_memory::MemoryType,
        layout: Option<Layout>,
        guarded: impl FnOnce(Layout) -> Result<M, MemoryError>,
        bounded: impl FnOnce() -> Result<M, MemoryError>,
    ) -> Result<(M, Option<String>), MemoryError> {
        let note = match (layout, ty.guardable()) {
            (Some(layout), Ok(())) => match guarded(layout) {
                Ok(memory) => return Ok((memory, None)),
                // The embedder's own limit, not the host's: there is nothing to fall back to.
                Err(full @ MemoryError::PoolFull { .. }) => return Err(full),
                Err(error) if self.may_fall_back() => Some(error.to_string()),
                Err(error) => return Err(error),
            },
            // What no guard can check on any host is checked by code, whatever was asked for.
            (Some(_), Err(error)) => Some(error.to_string()),
            (None, _) => None,
        };
        Ok((bounded()?, note))
    }

    /// Whether the signal handlers that it relies on for guards are ours.
    pub(crate) fn installs_signal_handlers(&self) -> bool {
        self.0.config.signal_handlers == SignalHandlers::Install
    }

    /// By which signal threads are told to stop their guests.
    pub(crate) fn interrupt_signal(&self) -> i32 {
        self.0.config.interrupt_signal
    }

    /// What counts epochs.
    pub(crate) fn epoch_counter(&self) -> &Arc<AtomicU64> {
        &self.0.epoch
    }

    /// The same, if guests look at it.
    pub(crate) fn epoch(&self) -> Option<&Arc<AtomicU64>> {
        (self.0.config.epochs).then_some(&self.0.epoch)
    }

    pub(crate) fn translation(&self) -> Translation {
        self.0.config.translation
    }

    /// Usable bytes of a store's stack.
    pub(crate) fn stack_bytes(&self) -> usize {
        self.0.config.max_wasm_stack
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
