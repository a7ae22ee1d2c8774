//! What several test files use.
#![allow(dead_code, reason = "no test file uses all of it")]

pub(crate) mod accesses;
#[cfg(unix)]
pub(crate) mod process;
pub(crate) mod threads;

use vm_engine::{
    Bounds, Config, ConfigError, Engine, Hotness, Instance, Module, Store, Threading, WasmParams,
    WasmResults,
};

/// Few enough calls and turns for a test's functions to be hot.
const SOON: Hotness = Hotness { calls: 1, turns: 3 };

/// The valid combinations of threading and bounds checks, with and without baseline code.
pub(crate) const MODES: [(Threading, Bounds, Option<Hotness>); 4] = [
    (Threading::Direct, Bounds::Guarded, None),
    (Threading::Direct, Bounds::Guarded, Some(SOON)),
    (Threading::Direct, Bounds::Software, Some(SOON)),
    (Threading::Token, Bounds::Software, None),
];

/// An engine for each mode that this host supports, with the given further settings.
pub(crate) fn modes_with(configure: impl Fn(&mut Config)) -> Vec<Engine> {
    let mut engines = Vec::new();
    // Valgrind would report every fault of a guest as an error: `.ci/valgrind` sets this.
    let without_guards = std::env::var_os("PALISADE_TEST_WITHOUT_GUARDS").is_some();
    for (threading, bounds, baseline) in MODES {
        if without_guards && bounds == Bounds::Guarded {
            eprintln!("mode not tested: {threading}, {bounds}, as the environment asks");
            continue;
        }
        let mut config = Config::new();
        config.threading(threading).bounds(bounds);
        config.baseline(baseline);
        configure(&mut config);
        match Engine::new(&config) {
            Ok(engine) => engines.push(engine),
            // `modes_exist` in config.rs says on which hosts this is no excuse.
            Err(error) => match error.downcast_ref::<ConfigError>() {
                Some(ConfigError::Direct { .. } | ConfigError::Guarded { .. }) => {
                    eprintln!("mode not tested here: {error}");
                }
                _ => panic!("{threading}, {bounds}: {error}"),
            },
        }
    }
    engines
}

/// An engine for each mode that this host supports.
pub(crate) fn modes() -> Vec<Engine> {
    modes_with(|_| {})
}

/// Runs a test in each mode, with a store and an instance of a module without imports.
pub(crate) fn in_each_mode(text: &str, test: impl Fn(&mut Store<()>, Instance)) {
    for engine in modes() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        eprintln!("{}", engine.strategy());
        test(&mut store, instance);
    }
}

/// Calls an export.
pub(crate) fn call<T: 'static, P: WasmParams, R: WasmResults>(
    store: &mut Store<T>,
    instance: Instance,
    name: &str,
    params: P,
) -> vm_engine::Result<R> {
    let func = instance.get_typed_func::<P, R>(&mut *store, name)?;
    func.call(store, params)
}
