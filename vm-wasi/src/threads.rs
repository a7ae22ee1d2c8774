//! Threads of guests: the function `thread-spawn` of the module `wasi`, see
//! <https://github.com/WebAssembly/wasi-threads>.
//!
//! Each thread is a thread of the host's with a store and an instance of its own. What they share is the memory that all of them
//! import, and whatever their stores' data share.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use vm_engine::{
    Caller, Error, ExternType, InterruptHandle, Linker, Module, SharedMemory, Store, Trap,
};

/// Thread identifiers are below that; the specification keeps the bits above.
const MAX_TID: u32 = 1 << 29;

/// How often threads that are to end are told so, until they have: who runs nothing at the moment does not hear it.
const TELL_EVERY: Duration = Duration::from_millis(2);

/// The function by which a thread starts.
const START: &str = "wasi_thread_start";

/// What a guest is told if there is no thread for it: `EAGAIN`, negative.
const NO_THREAD: i32 = -6;

/// How threads of a guest are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasiThreadsConfig {
    max_threads: u32,
    stack_bytes: usize,
}

impl Default for WasiThreadsConfig {
    /// At most 256 threads at a time, besides the first one, with native stacks of 2 MiB.
    fn default() -> WasiThreadsConfig {
        WasiThreadsConfig {
            max_threads: 256,
            stack_bytes: 2 << 20,
        }
    }
}

impl WasiThreadsConfig {
    /// How many threads there may be at a time, besides the first one. A guest that wants more is told that there is none for it.
    pub fn max_threads(&mut self, threads: u32) -> &mut Self {
        self.max_threads = threads.min(MAX_TID - 1);
        self
    }

    /// Bytes of a thread's native stack, which host functions and calls from guest to host and back use.
    pub fn stack_bytes(&mut self, bytes: usize) -> &mut Self {
        self.stack_bytes = bytes;
        self
    }
}

/// The threads of a guest, for stores with data of type `T`.
///
/// # Examples
///
/// ```
/// use vm_engine::{Engine, Module, Store};
/// use vm_wasi::{WasiCtx, WasiCtxBuilder, WasiThreads, WasiThreadsConfig, add_to_linker};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, br#"(module
///   (import "env" "memory" (memory 1 1 shared))
///   (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
///   (export "memory" (memory 0))
///   (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
///     (i32.atomic.store (i32.const 0) (local.get $arg))
///     (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
///   (func (export "_start")
///     (drop (call $spawn (i32.const 7)))
///     (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"#)?;
/// let mut linker = vm_engine::Linker::new(&engine);
/// add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
/// let mut store = Store::new(&engine, WasiCtxBuilder::new().build()?);
/// let threads = WasiThreads::new(
///     WasiThreadsConfig::default(),
///     |ctx: &mut WasiCtx| ctx.share(),
///     |_store| Ok(()),
/// );
/// threads.add_to_linker(&mut linker, &mut store, &module)?;
/// let instance = linker.instantiate(&mut store, &module)?;
/// let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
/// threads.run(&mut store, &module, &linker, |store| start.call(store, ()))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WasiThreads<T: 'static>(Arc<Inner<T>>);

/// Gives a store what it needs besides its data.
type Prepare<T> = Box<dyn Fn(&mut Store<T>) -> Result<(), Error> + Send + Sync>;

struct Inner<T: 'static> {
    config: WasiThreadsConfig,
    share: Box<dyn Fn(&mut T) -> T + Send + Sync>,
    prepare: Prepare<T>,
    /// What threads are instances of, and from what they import.
    program: OnceLock<(Module, Linker<T>)>,
    state: Mutex<State>,
    /// A thread has ended, or all are to end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What has ended them all, until the first one takes it.
    error: Option<Error>,
    /// All are to end.
    ends: bool,
    next_tid: u32,
    tids: BTreeSet<u32>,
    /// Of each thread that there is how it is told to end; the first one is number 0.
    handles: BTreeMap<u32, InterruptHandle>,
}

impl<T: Send + 'static> WasiThreads<T> {
    /// No threads yet. `share` makes the data of a thread's store from that of the store whose guest has asked for the thread, see
    /// [`WasiCtx::share`](crate::WasiCtx::share); `prepare` gives a new store what it needs besides: limits, fuel.
    pub fn new(
        config: WasiThreadsConfig,
        share: impl Fn(&mut T) -> T + Send + Sync + 'static,
        prepare: impl Fn(&mut Store<T>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> WasiThreads<T> {
        WasiThreads(Arc::new(Inner {
            config,
            share: Box::new(share),
            prepare: Box::new(prepare),
            program: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Defines `thread-spawn`, and the shared memories that the module imports and the linker does not have.
    ///
    /// # Errors
    ///
    /// The linker has a function of that name already, or the host has no room for a memory.
    pub fn add_to_linker(
        &self,
        linker: &mut Linker<T>,
        store: &mut Store<T>,
        module: &Module,
    ) -> Result<(), Error> {
        for import in module.imports() {
            let ExternType::Memory(ty) = import.ty() else {
                continue;
            };
            let known = linker.get(&mut *store, import.module(), import.name());
            if ty.is_shared() && known.is_none() {
                let memory = SharedMemory::new(linker.engine(), ty)?;
                linker.define(&mut *store, import.module(), import.name(), memory)?;
            }
        }
        // Threads and the linker do not keep each other.
        let inner = Arc::downgrade(&self.0);
        linker.func_wrap(
            "wasi",
            "thread-spawn",
            move |mut caller: Caller<'_, T>, argument: i32| -> i32 {
                match inner.upgrade() {
                    Some(inner) => inner.spawn(&mut caller, argument).unwrap_or(NO_THREAD),
                    None => NO_THREAD,
                }
            },
        )?;
        Ok(())
    }

    /// Runs the first thread: calls `main`, and when that is done ends all others, which are instances of the module and import from the
    /// linker. If one of them has ended them all by `proc_exit` or a
    /// trap, the answer is its error.
    ///
    /// # Errors
    ///
    /// Those of `main`, or of the thread that came first; the host has no way to interrupt a run; or these threads have run already.
    pub fn run<R>(
        &self,
        store: &mut Store<T>,
        module: &Module,
        linker: &Linker<T>,
        main: impl FnOnce(&mut Store<T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let handle = store.interrupt_handle()?;
        if self
            .0
            .program
            .set((module.clone(), linker.clone()))
            .is_err()
        {
            return Err(Error::msg("these threads of a guest have run already"));
        }
        self.0.state().handles.insert(0, handle);
        let result = main(store);
        let mut state = self.0.state();
        state.handles.remove(&0);
        let ended_by = self.0.end(state, None);
        match (result, ended_by) {
            (result, None) => result,
            // It has only been told.
            (Err(error), Some(first)) if error.trap() == Some(Trap::Interrupt) => Err(first),
            (Err(error), Some(_)) => Err(error),
            (Ok(_), Some(first)) => Err(first),
        }
    }
}

impl<T: Send + 'static> Inner<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread, and answers its number; nothing if there can be none.
    fn spawn(self: &Arc<Self>, caller: &mut Caller<'_, T>, argument: i32) -> Option<i32> {
        let (module, linker) = self.program.get()?;
        if !self.state().has_room(&self.config) {
            return None;
        }
        let data = (self.share)(caller.data_mut());
        let mut store = Store::try_new(module.engine(), data).ok()?;
        (self.prepare)(&mut store).ok()?;
        let instance = linker.instantiate(&mut store, module).ok()?;
        let start = instance
            .get_typed_func::<(i32, i32), ()>(&mut store, START)
            .ok()?;
        let handle = store.interrupt_handle().ok()?;
        let tid = self.state().admit(&self.config, handle)?;
        let inner = Arc::clone(self);
        let run = move || {
            // The lock is not held while the guest runs.
            let ends = inner.state().ends;
            let result = match ends {
                true => Ok(()),
                false => {
                    let call = || start.call(&mut store, (tid.cast_signed(), argument));
                    // Whoever waits for the thread would wait for ever.
                    catch_unwind(AssertUnwindSafe(call))
                        .unwrap_or_else(|_| Err(Error::msg("a host function panicked in a thread")))
                }
            };
            drop(store);
            let mut state = inner.state();
            state.leave(tid);
            match result {
                // Those that are told to end have nothing to tell.
                Err(error) if !state.ends => drop(inner.end(state, Some(error))),
                _ => drop(state),
            }
            inner.changed.notify_all();
        };
        let spawned = std::thread::Builder::new()
            .name(format!("guest thread {tid}"))
            .stack_size(self.config.stack_bytes)
            .spawn(run);
        match spawned {
            Ok(_) => Some(tid.cast_signed()),
            Err(_) => {
                self.state().leave(tid);
                None
            }
        }
    }

    /// Ends all threads. The first one waits until the others have; the others tell them until the first one does.
    fn end(&self, mut state: MutexGuard<'_, State>, error: Option<Error>) -> Option<Error> {
        let is_first = error.is_none();
        state.ends = true;
        if error.is_some() {
            state.error = error;
        }
        loop {
            for handle in state.handles.values() {
                handle.interrupt();
            }
            let done = match is_first {
                true => state.tids.is_empty(),
                false => !state.handles.contains_key(&0),
            };
            if done {
                return is_first.then(|| state.error.take()).flatten();
            }
            let waited = self.changed.wait_timeout(state, TELL_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    /// Whether there can be one more thread.
    fn has_room(&self, config: &WasiThreadsConfig) -> bool {
        !self.ends && self.tids.len() < config.max_threads as usize
    }

    /// A number for a thread that begins.
    fn admit(&mut self, config: &WasiThreadsConfig, handle: InterruptHandle) -> Option<u32> {
        if !self.has_room(config) {
            return None;
        }
        // There are fewer threads than numbers.
        loop {
            self.next_tid = self.next_tid % (MAX_TID - 1) + 1;
            if self.tids.insert(self.next_tid) {
                break;
            }
        }
        self.handles.insert(self.next_tid, handle);
        Some(self.next_tid)
    }

    fn leave(&mut self, tid: u32) {
        self.tids.remove(&tid);
        self.handles.remove(&tid);
    }
}

impl<T: 'static> Clone for WasiThreads<T> {
    fn clone(&self) -> Self {
        WasiThreads(Arc::clone(&self.0))
    }
}

impl<T: 'static> std::fmt::Debug for WasiThreads<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasiThreads")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
