//! `--wasi-threads`.

use vm_engine::{Linker, Module, Result, Store};
use vm_wasi::{WasiThreads, WasiThreadsConfig};

use crate::cli::RunArgs;
use crate::run::State;

/// Lets the guest have threads.
pub(crate) fn define(
    args: &RunArgs,
    linker: &mut Linker<State>,
    store: &mut Store<State>,
    module: &Module,
) -> Result<WasiThreads<State>> {
    let fuel = args.limits.fuel;
    let threads = WasiThreads::new(
        *WasiThreadsConfig::default().max_threads(args.max_threads),
        State::share,
        move |store: &mut Store<State>| {
            store.limiter(|state| state.limits());
            match fuel {
                Some(fuel) => store.set_fuel(fuel),
                None => Ok(()),
            }
        },
    );
    threads.add_to_linker(linker, store, module)?;
    Ok(threads)
}
