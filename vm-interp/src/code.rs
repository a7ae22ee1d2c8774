//! Translated modules: what all instances of a module share.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use vm_memory::Layout;
use vm_translate::{FuncType, Module};

use crate::context::ContextLayout;
#[cfg(palisade_direct)]
use crate::direct::{self, DirectCode};
use crate::profile::FunctionProfile;
use crate::registry;
use crate::token::TokenCode;

/// How an executor gets from one instruction to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threading {
    /// Generated assembly handlers that jump to each other.
    Direct,
    /// A loop in Rust over compact tokens: works everywhere.
    Token,
}

impl fmt::Display for Threading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Threading::Direct => "direct",
            Threading::Token => "token",
        })
    }
}

/// How a module is to be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeOptions {
    /// By which executor it will run.
    pub threading: Threading,
    /// The least layout of memory 0 of every instance, if its guard shall check bounds; nothing if
    /// code shall. Only direct threading can rely on a guard.
    pub unchecked: Option<Layout>,
    /// Whether to count how often instructions run, for [`Code::profile`]. Direct threading only.
    pub profile: bool,
    /// When functions are hot: until then they have baseline code. Without it all have optimized code at
    /// once, as those do that are profiled, and all of token threading.
    pub baseline: Option<Hotness>,
    /// How many bytes the code of all functions may take together, in all tiers, with what backtraces need. A function
    /// that would exceed it has no code: that is an error where it is called first, or of eager translation; and if it
    /// has baseline code, it stays with that. `None` is in proportion to the module: 64 bytes for each of its bytes and
    /// 16 MiB, several times what programs take.
    pub max_code_bytes: Option<u64>,
}

/// When a function is worth a better translation than the first.
///
/// Direct threading has two tiers of code. *Baseline* code takes a third of the time to make and two to three
/// times as long to run; most functions are called too rarely for *optimized* code to be worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hotness {
    /// After so many calls of its baseline code.
    pub calls: u32,
    /// After so many turns of a loop in it, even if that is still going on.
    pub turns: u32,
}

impl Default for Hotness {
    /// What a translation takes is about what so many calls or turns gain.
    fn default() -> Hotness {
        Hotness {
            calls: 20,
            turns: 200,
        }
    }
}

/// Why a module has no code.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// A function is beyond a limit of translation.
    #[error(transparent)]
    Translate(#[from] vm_translate::Error),
    /// The threading is not available here.
    #[error("direct threading is not available: {reason}; use token threading")]
    DirectUnavailable {
        /// Why not.
        reason: String,
    },
    /// The token executor is a Rust loop, which a fault must not leave.
    #[error(
        "token threading cannot rely on guarded memory: a fault would abandon frames of Rust; \
         use checked accesses, or direct threading"
    )]
    TokenUnchecked,
    /// The token executor does not count.
    #[error("token threading has no profile: use direct threading")]
    TokenProfile,
    /// A function's code would exceed the limit for all code of the module.
    #[error(
        "function {func} has no code: its {bytes} bytes and the {used} bytes of the functions before it would exceed \
         max_code_bytes = {limit}"
    )]
    TooMuch {
        /// The function's index.
        func: u32,
        /// What its code would take.
        bytes: u64,
        /// What the code of others takes.
        used: u64,
        /// [`CodeOptions::max_code_bytes`], or its default.
        limit: u64,
    },
    /// A function is beyond a limit of the executor's code format.
    #[error("function {func} is too large for the executor: {what}")]
    Limit {
        /// The function's index.
        func: u32,
        /// Which limit.
        what: &'static str,
    },
}

/// Whether the direct executor can run here.
///
/// # Errors
///
/// [`CodeError::DirectUnavailable`], with the reason.
pub fn direct_availability() -> Result<(), CodeError> {
    #[cfg(palisade_direct)]
    let available = direct::available();
    #[cfg(not(palisade_direct))]
    let available = Err("it has no handlers for this platform: only x86-64 Linux so far");
    available.map_err(|reason| CodeError::DirectUnavailable {
        reason: reason.to_owned(),
    })
}

/// The sanitizer that this is a build with (`address`, `leak`, `memory`, `thread`, …), if any.
///
/// A sanitizer sees what compiled code does, so the token executor's accesses, and not those of the
/// direct executor's assembly. Both run under the address sanitizer, with guards too: its own signal
/// handler is below ours and gets what is not a guest's.
pub const fn sanitizer() -> Option<&'static str> {
    option_env!("PALISADE_SANITIZER")
}

/// Installs the signal handlers by which the direct executor turns faults of guarded memory and of
/// guarded value stacks into traps. Does nothing if they are installed.
///
/// Whoever runs code that relies on guards calls this first, or registers the executor's access
/// sites with [`register_access_sites`] and forwards signals to [`vm_trap::try_handle`].
///
/// # Errors
///
/// If the platform has no such handlers, or the host refuses them.
pub fn install_signal_handlers() -> Result<(), SignalError> {
    register_access_sites()?;
    Ok(vm_trap::install()?)
}

/// Tells `vm-trap` which instructions of the direct executor may fault on a guest's behalf, for
/// hosts that own the signal handlers.
///
/// # Errors
///
/// If `vm-trap` has no room for more, or there is no direct executor here.
pub fn register_access_sites() -> Result<(), SignalError> {
    #[cfg(palisade_direct)]
    direct::register_sites()?;
    Ok(())
}

/// Why faults cannot become traps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The handlers could not be installed.
    #[error(transparent)]
    Install(#[from] vm_trap::InstallError),
    /// The access sites could not be registered.
    #[error(transparent)]
    Register(#[from] vm_trap::RegisterError),
}

/// How much of a module has been translated, and to how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSize {
    /// Functions that have been translated.
    pub functions: u32,
    /// Bytes of their bodies in the module.
    pub wasm_bytes: u64,
    /// Bytes of their threaded code; tables for backtraces not counted.
    pub code_bytes: u64,
}

/// A module's code for one executor.
///
/// Shared by all instances of the module, in all machines and on all threads. Functions are
/// translated when they are first called, or by [`Code::translate_all`].
#[derive(Debug)]
pub struct Code {
    module: Arc<Module>,
    options: CodeOptions,
    layout: ContextLayout,
    /// Words of a context of this module.
    context_words: usize,
    /// Of every type of the module, its number and a copy.
    types: Vec<(u32, Arc<FuncType>)>,
    backend: Backend,
}

/// An executor's part of a [`Code`].
#[derive(Debug)]
pub(crate) enum Backend {
    #[cfg(palisade_direct)]
    Direct(DirectCode),
    Token(TokenCode),
}

impl Code {
    /// Code for a module. Translates nothing yet.
    ///
    /// # Errors
    ///
    /// If the options contradict each other or cannot be met here.
    pub fn new(module: Arc<Module>, options: CodeOptions) -> Result<Arc<Code>, CodeError> {
        let count = |len: usize| len as u32;
        let (layout, bytes) = ContextLayout::new(
            count(module.globals().len()),
            count(module.tables().len()),
            module.imported_funcs(),
            count(module.memories().len()),
        );
        let types: Vec<_> = module.types().iter().map(registry::register).collect();
        let backend = match options.threading {
            Threading::Direct => {
                direct_availability()?;
                #[cfg(palisade_direct)]
                {
                    let options = CodeOptions {
                        baseline: options.baseline.filter(|_| !options.profile),
                        ..options
                    };
                    let type_ids = types.iter().map(|(id, _)| *id).collect();
                    Backend::Direct(DirectCode::new(&module, layout, type_ids, options))
                }
                #[cfg(not(palisade_direct))]
                unreachable!("not available")
            }
            Threading::Token if options.unchecked.is_some() => {
                return Err(CodeError::TokenUnchecked);
            }
            Threading::Token if options.profile => return Err(CodeError::TokenProfile),
            Threading::Token => {
                let type_ids = types.iter().map(|(id, _)| *id).collect();
                Backend::Token(TokenCode::new(&module, layout, type_ids, &options))
            }
        };
        Ok(Arc::new(Code {
            module,
            options,
            layout,
            context_words: bytes / size_of::<u64>(),
            types,
            backend,
        }))
    }

    /// The module.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// How it is translated.
    pub fn options(&self) -> &CodeOptions {
        &self.options
    }

    /// Translates every function that has not been translated yet.
    ///
    /// # Errors
    ///
    /// The first function that is beyond a limit.
    pub fn translate_all(&self) -> Result<(), CodeError> {
        let result = self.defined().try_for_each(|func| self.translate(func));
        self.trim();
        result
    }

    /// Frees what is kept for further translations, when there are none.
    fn trim(&self) {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.trim(),
            Backend::Token(code) => code.trim(),
        }
    }

    /// Like [`Code::translate_all`], on so many threads: the caller's and others that end before
    /// this returns. A thread that the host refuses to start is done without.
    ///
    /// # Errors
    ///
    /// The first function that is beyond a limit, in the order of the functions.
    pub fn translate_all_on(&self, threads: NonZero<usize>) -> Result<(), CodeError> {
        /// Functions that a thread takes at once: enough for the counter not to matter, and few
        /// enough for all threads to end at about the same time.
        const CHUNK: u32 = 16;
        let defined = self.defined();
        let next = AtomicU32::new(defined.start);
        // Chunks are taken in order and each ends at its first error, so the least function that
        // fails is among the errors.
        let work = || -> Result<(), (u32, CodeError)> {
            loop {
                let claimed = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |start| {
                    (start < defined.end).then(|| start.saturating_add(CHUNK).min(defined.end))
                });
                let Ok(start) = claimed else { return Ok(()) };
                let end = start.saturating_add(CHUNK).min(defined.end);
                for func in start..end {
                    self.translate(func).map_err(|error| (func, error))?;
                }
            }
        };
        let results = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.get())
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut results = vec![work()];
            for other in others {
                // A panic is the bug that it would have been on the caller's thread.
                results.push(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            results
        });
        self.trim();
        let errors = results.into_iter().filter_map(Result::err);
        match errors.min_by_key(|(func, _)| *func) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// How much has been translated so far.
    pub fn size(&self) -> CodeSize {
        let mut sum = CodeSize::default();
        for func in self.defined() {
            let size = match &self.backend {
                #[cfg(palisade_direct)]
                Backend::Direct(code) => code.size(func),
                Backend::Token(code) => code.size(func),
            };
            if let Some(size) = size {
                sum.functions += 1;
                sum.wasm_bytes += u64::from(self.module.func_size(func));
                sum.code_bytes += size as u64;
            }
        }
        sum
    }

    /// The functions that the module defines.
    fn defined(&self) -> Range<u32> {
        self.module.imported_funcs()..self.module.func_count()
    }

    /// Translates a function that the module defines, unless that has been done.
    fn translate(&self, func: u32) -> Result<(), CodeError> {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.translate(func),
            Backend::Token(code) => code.resolve(func).map(drop),
        }
    }

    /// A function's IR and its threaded code as text, for people.
    ///
    /// # Errors
    ///
    /// If the function is imported, does not exist, or is beyond a limit.
    pub fn listing(&self, func: u32) -> Result<String, CodeError> {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.listing(func),
            Backend::Token(code) => code.listing(func),
        }
    }

    /// How often the instructions of each function that has been called have run so far. Empty
    /// unless [`CodeOptions::profile`] was set.
    ///
    /// Threads that count at the same time may lose a few counts.
    ///
    /// # Errors
    ///
    /// None that running the functions would not have met.
    pub fn profile(&self) -> Result<Vec<FunctionProfile>, CodeError> {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.profile(),
            Backend::Token(_) => Ok(Vec::new()),
        }
    }

    pub(crate) fn layout(&self) -> &ContextLayout {
        &self.layout
    }

    pub(crate) fn context_words(&self) -> usize {
        self.context_words
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The number and the type of a function of the module.
    pub(crate) fn func_type(&self, func: u32) -> &(u32, Arc<FuncType>) {
        &self.types[self.module.func_type_index(func) as usize]
    }

    /// What [`FuncObject::entry`](crate::context::FuncObject) of a function starts as.
    pub(crate) fn entry(&self, func: u32) -> *mut u8 {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.entry(func),
            Backend::Token(code) => code.entry(func),
        }
    }

    /// Which instruction of which function the code at an address stands for.
    pub(crate) fn locate(&self, ip: *const u8) -> Option<(u32, u32)> {
        match &self.backend {
            #[cfg(palisade_direct)]
            Backend::Direct(code) => code.locate(ip),
            Backend::Token(code) => code.locate(ip),
        }
    }
}
