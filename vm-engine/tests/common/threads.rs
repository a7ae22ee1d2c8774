//! What tests of memories that threads share have in common.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use vm_engine::{Engine, Extern, Instance, Module, SharedMemory, Store};

/// An instance of a module that imports nothing but the memory, in a store of its own.
pub(crate) fn instance(module: &Module, memory: &SharedMemory) -> (Store<()>, Instance) {
    let mut store = Store::new(module.engine(), ());
    let imports = [Extern::from(memory.clone())];
    let instance = Instance::new(&mut store, module, &imports).unwrap();
    (store, instance)
}

pub(crate) fn read<const N: usize>(memory: &SharedMemory, offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read(offset, &mut bytes).unwrap();
    bytes
}

/// Fewer where programs are slow.
pub(crate) fn few(count: u32) -> u32 {
    if cfg!(debug_assertions) {
        count / 8
    } else {
        count
    }
}

/// Has the process fail if the body does not come to its end: threads that hang can neither be joined nor told to end. The time is many
/// times what a busy machine needs.
pub(crate) fn without_hanging<R>(engine: &Engine, body: impl FnOnce() -> R) -> R {
    const MOST: Duration = Duration::from_secs(300);
    let (running, ended) = mpsc::channel::<()>();
    let strategy = engine.strategy().to_string();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(MOST) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{strategy}: threads hang");
            std::process::abort();
        }
    });
    let result = body();
    drop(running);
    watch.join().unwrap();
    result
}
