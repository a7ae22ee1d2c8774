//! What an embedder can choose.

use std::fmt;
use std::sync::Arc;

use vm_interp::{FuelCosts, Hotness};
use vm_memory::Layout;

use crate::allocation::InstanceAllocationStrategy;
use crate::module_limits::ModuleLimits;

/// How code is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Threading {
    /// The best that the host supports.
    #[default]
    Auto,
    /// Threaded assembly: every operation jumps to the next one.
    Direct,
    /// A portable loop in Rust.
    Token,
}

impl fmt::Display for Threading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Threading::Auto => "auto",
            Threading::Direct => "direct",
            Threading::Token => "token",
        })
    }
}

/// How accesses to memory are bounds-checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bounds {
    /// The best that the host supports; a memory for which it refuses guard pages is checked by
    /// code.
    #[default]
    Auto,
    /// By page protection. Needs direct threading.
    Guarded,
    /// By code before every access.
    Software,
}

impl Bounds {
    /// Those of a memory.
    pub(crate) fn of(memory: &vm_memory::LinearMemory) -> Bounds {
        match memory.is_guarded() {
            true => Bounds::Guarded,
            false => Bounds::Software,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Bounds::Auto => "auto",
            Bounds::Guarded => "guarded",
            Bounds::Software => "software",
        })
    }
}

/// Who catches the faults of guarded memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SignalHandlers {
    /// Handlers that this library installs, once in the process, when the first engine is made that
    /// needs them. Faults that are not a guest's reach the handlers that were there before.
    #[default]
    Install,
    /// Handlers of the host's own, which call [`try_handle`](crate::try_handle) first and return if it
    /// says so. Nothing is installed. A guest's access out of bounds ends the process if they do not.
    HostOwned,
}

/// When function bodies are translated. They are validated when the module is made, but for [`Translation::LazyAll`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Translation {
    /// Each at its first call.
    #[default]
    Lazy,
    /// Each at its first call, which also validates it: large modules of which little runs start sooner.
    ///
    /// [`Module::new`](crate::Module::new) then takes modules with functions that are not valid. A call of such a function fails,
    /// and every later one in the same way, with [`CodeError::Invalid`](crate::CodeError::Invalid) as its cause; everything else of the module can be used. Whoever wants to know first asks
    /// [`Module::validate`](crate::Module::validate), which looks at everything.
    LazyAll,
    /// All of them when the module is made.
    Eager,
    /// All of them when the module is made, on as many threads as the host can run at once.
    ParallelEager,
}

/// The settings of an [`Engine`](crate::Engine).
///
/// Nothing is checked before [`Engine::new`](crate::Engine::new), which names what contradicts
/// itself and what the host cannot do.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) threading: Threading,
    pub(crate) bounds: Bounds,
    pub(crate) signal_handlers: SignalHandlers,
    pub(crate) interrupt_signal: i32,
    pub(crate) translation: Translation,
    pub(crate) profile: bool,
    pub(crate) baseline: Option<Hotness>,
    pub(crate) max_code_bytes: Option<u64>,
    pub(crate) max_wasm_stack: usize,
    pub(crate) layout: Layout,
    pub(crate) allocation: InstanceAllocationStrategy,
    pub(crate) init_cow: bool,
    consume_fuel: bool,
    fuel_costs: Arc<FuelCosts>,
    pub(crate) epochs: bool,
    pub(crate) canonical_nans: bool,
    pub(crate) max_call_depth: Option<u32>,
    pub(crate) suspended_snapshots: bool,
    pub(crate) floats: bool,
    pub(crate) start_fn: bool,
    pub(crate) module_limits: ModuleLimits,
    /// Proposals switched on or off, in the order of the calls.
    pub(crate) features: Vec<(&'static str, bool)>,
}

/// The default of [`Config::max_wasm_stack`], in bytes.
const DEFAULT_STACK: usize = 8 << 20;

/// How many calls [`Config::deterministic`] allows inside of each other. The default stack of 8 MiB has room for as many frames of
/// a kilobyte.
pub const DETERMINISTIC_CALL_DEPTH: u32 = 8_000;

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// The defaults: everything automatic, WebAssembly 2.0 without SIMD.
    pub fn new() -> Config {
        Config {
            threading: Threading::Auto,
            bounds: Bounds::Auto,
            signal_handlers: SignalHandlers::Install,
            interrupt_signal: vm_trap::DEFAULT_INTERRUPT_SIGNAL,
            translation: Translation::Lazy,
            profile: false,
            baseline: Some(Hotness::default()),
            max_code_bytes: None,
            max_wasm_stack: DEFAULT_STACK,
            layout: Layout::FULL,
            allocation: InstanceAllocationStrategy::OnDemand,
            init_cow: true,
            consume_fuel: false,
            fuel_costs: Arc::default(),
            epochs: false,
            canonical_nans: false,
            max_call_depth: None,
            suspended_snapshots: false,
            floats: true,
            start_fn: true,
            module_limits: ModuleLimits::default(),
            features: Vec::new(),
        }
    }

    /// How code is run. Default: [`Threading::Auto`].
    pub fn threading(&mut self, threading: Threading) -> &mut Self {
        self.threading = threading;
        self
    }

    /// How memory accesses are bounds-checked. Default: [`Bounds::Auto`].
    pub fn bounds(&mut self, bounds: Bounds) -> &mut Self {
        self.bounds = bounds;
        self
    }

    /// Whether something besides threading and bounds asks for direct threading.
    pub(crate) fn needs_direct(&self) -> bool {
        self.profile || matches!(self.allocation, InstanceAllocationStrategy::Pooling(_))
    }

    /// Who catches the faults of guarded memory. Default: [`SignalHandlers::Install`].
    pub fn signal_handlers(&mut self, handlers: SignalHandlers) -> &mut Self {
        self.signal_handlers = handlers;
        self
    }

    /// By which signal a thread is told to stop its guest, see [`Store::interrupt_handle`](crate::Store::interrupt_handle).
    /// Default: `SIGURG`, which programs ignore unless they have asked for it.
    ///
    /// There is one for the whole process: the first one that is used. A handler that it had before gets what is not
    /// meant for a guest. A host that owns the handlers ([`SignalHandlers::HostOwned`]) passes it on to
    /// [`try_handle`](crate::try_handle) as the others.
    pub fn interrupt_signal(&mut self, signal: i32) -> &mut Self {
        self.interrupt_signal = signal;
        self
    }

    /// When function bodies are translated. Default: [`Translation::Lazy`].
    pub fn translation(&mut self, translation: Translation) -> &mut Self {
        self.translation = translation;
        self
    }

    /// Whether to count how often instructions run, for
    /// [`Module::profile`](crate::Module::profile); it costs speed. Needs direct threading. Default:
    /// no.
    pub fn profile(&mut self, enable: bool) -> &mut Self {
        self.profile = enable;
        self
    }

    /// When functions are hot: until then they run *baseline* code, which takes a third of the time to make and two to
    /// three times as long to run. [`Translation::Eager`] then means baseline code too. With `None` every
    /// function is translated to *optimized* code once, at its time. Default: [`Hotness::default`].
    ///
    /// Only direct threading has two tiers, and what is [profiled](Config::profile) has one.
    pub fn baseline(&mut self, hot: Option<Hotness>) -> &mut Self {
        self.baseline = hot;
        self
    }

    /// How much stack guests of one store may use, in bytes. Default: 8 MiB.
    ///
    /// It is a mapping of its own, not part of the thread's stack, and only what has been used of
    /// it takes memory. A guest that needs more traps with
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow). So does one that has host functions
    /// call guests again so often that these calls, one inside the other, leave less than
    /// [`NATIVE_STACK_RESERVE_BYTES`](crate::NATIVE_STACK_RESERVE_BYTES) of the thread's own stack.
    pub fn max_wasm_stack(&mut self, size: usize) -> &mut Self {
        self.max_wasm_stack = size;
        self
    }

    /// How many bytes the code of a module may take: of all functions that have been translated, in both tiers, with
    /// what backtraces need. Default: 64 for each byte of the module, and 16 MiB, which is several times what programs
    /// take.
    ///
    /// It is an error to call a function that would exceed the limit, or to load its module if that is translated
    /// eagerly ([`CodeError::TooMuch`](crate::CodeError::TooMuch)); a function that has code but would exceed it when it
    /// is hot goes on in the code that it has. Code for guarded memories and code for checked ones are counted apart.
    pub fn max_code_bytes(&mut self, bytes: u64) -> &mut Self {
        self.max_code_bytes = Some(bytes);
        self
    }

    /// How guarded memories lie in their address space. Default: [`Layout::FULL`].
    ///
    /// A layout with a smaller guard ([`Layout::with_guard`]) reserves less; accesses whose constant
    /// offset reaches past the guard are then checked by code.
    pub fn memory_layout(&mut self, layout: Layout) -> &mut Self {
        self.layout = layout;
        self
    }

    /// How memories and stacks are allocated. Default: on demand.
    ///
    /// A [pool](InstanceAllocationStrategy::Pooling) is made with the engine, and all of its stores
    /// use it that do not say otherwise ([`StoreConfig`](crate::StoreConfig)).
    pub fn allocation_strategy(
        &mut self,
        strategy: impl Into<InstanceAllocationStrategy>,
    ) -> &mut Self {
        self.allocation = strategy.into();
        self
    }

    /// Whether large initial data of guarded memories is mapped copy-on-write, where the host can,
    /// instead of being copied for every instance. Default: yes.
    pub fn memory_init_cow(&mut self, enable: bool) -> &mut Self {
        self.init_cow = enable;
        self
    }

    /// Whether guests consume fuel, see [`Store::set_fuel`](crate::Store::set_fuel). Default: no, and then fuel costs
    /// nothing.
    pub fn consume_fuel(&mut self, enable: bool) -> &mut Self {
        self.consume_fuel = enable;
        self
    }

    /// What guests consume, if they do. Default: [`FuelCosts::default`].
    pub fn fuel_costs(&mut self, costs: FuelCosts) -> &mut Self {
        self.fuel_costs = Arc::new(costs);
        self
    }

    /// Whether guests look at the deadline in epochs as functions and turns of loops begin, see
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline). Default: no, and then epochs cost nothing.
    ///
    /// [`Store::interrupt_handle`](crate::Store::interrupt_handle) stops guests at no cost, but by a signal; epochs are for hosts that want
    /// none, or stop many stores at once.
    pub fn epoch_interruption(&mut self, enable: bool) -> &mut Self {
        self.epochs = enable;
        self
    }

    /// Whether the operators of floats, scalar and in vectors, give the canonical NaN wherever the specification allows several: then a program
    /// computes the same on every machine and in every mode. (Relaxed vector operations do what its deterministic profile says in any case.)
    /// Default: no, and then it costs nothing.
    ///
    /// NaNs that come from the host or from memory stay as they are until they are computed with.
    pub fn canonical_nans(&mut self, enable: bool) -> &mut Self {
        self.canonical_nans = enable;
        self
    }

    /// How many calls of guest functions may be inside of each other in a store, before one more is a
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow): the same in every mode, tier and version, which the limit in
    /// [bytes](Config::max_wasm_stack) is not. That holds besides, so it has to be large enough for as many frames. A tail call takes its
    /// caller's place. Default: no limit in calls, and then they are not counted.
    pub fn max_call_depth(&mut self, calls: Option<u32>) -> &mut Self {
        self.max_call_depth = calls;
        self
    }

    /// Whether calls that wait can be part of a [`Snapshot`](crate::Snapshot): code keeps where a guest's values are wherever it can stop, and
    /// has fewer of them in registers. It takes more memory, and runs slower by what values cost that are put into memory before calls and
    /// where fuel is taken. An engine that [profiles](Config::profile) keeps none. Default: no, and then it costs nothing.
    pub fn suspended_snapshots(&mut self, enable: bool) -> &mut Self {
        self.suspended_snapshots = enable;
        self
    }

    /// Whether a program computes the same on every machine, in every mode, and up to the same depth of calls: [canonical
    /// NaNs](Config::canonical_nans) and a [depth](Config::max_call_depth) of [`DETERMINISTIC_CALL_DEPTH`] calls, or neither. Relaxed vector
    /// operations are deterministic in any case. What the host offers its guests (clocks, random numbers) is the host's affair; so is
    /// how much memory it grants them.
    pub fn deterministic(&mut self, enable: bool) -> &mut Self {
        self.canonical_nans(enable);
        self.max_call_depth(enable.then_some(DETERMINISTIC_CALL_DEPTH))
    }

    /// Whether modules may compute with floats, scalar or in vectors. If not, one that does is invalid, and its error says where.
    /// Default: yes.
    pub fn floats(&mut self, allow: bool) -> &mut Self {
        self.floats = allow;
        self
    }

    /// Whether modules may have start functions, which run before the host has an instance. Default: yes.
    pub fn allow_start_fn(&mut self, allow: bool) -> &mut Self {
        self.start_fn = allow;
        self
    }

    /// How much modules may have of each kind. Default: as much as they like.
    pub fn module_limits(&mut self, limits: ModuleLimits) -> &mut Self {
        self.module_limits = limits;
        self
    }

    /// The costs of fuel, if guests consume it.
    pub(crate) fn fuel(&self) -> Option<&Arc<FuelCosts>> {
        self.consume_fuel.then_some(&self.fuel_costs)
    }
}

macro_rules! features {
    ($($method:ident $proposal:literal $what:literal;)*) => {
        impl Config {
            $(
                #[doc = concat!("Switches the proposal `", $proposal, "` on or off: ", $what, ".")]
                pub fn $method(&mut self, enable: bool) -> &mut Self {
                    self.features.push(($proposal, enable));
                    self
                }
            )*
        }
    };
}

features! {
    wasm_mutable_global "mutable-global" "globals that can be set may be imported and exported";
    wasm_sign_extension "sign-extension" "sign extension of parts of an integer";
    wasm_saturating_float_to_int "saturating-float-to-int" "conversions that do not trap";
    wasm_multi_value "multi-value" "functions and blocks with several results";
    wasm_reference_types "reference-types" "references as values, and several tables";
    wasm_bulk_memory "bulk-memory" "filling and copying of memories and tables";
    wasm_simd "simd" "128-bit vectors";
    wasm_relaxed_simd "relaxed-simd" "vector operations whose results depend on the host";
    wasm_tail_call "tail-call" "calls that replace the caller's frame";
    wasm_extended_const "extended-const" "arithmetic in constant expressions";
    wasm_multi_memory "multi-memory" "several memories in a module";
    wasm_memory64 "memory64" "memories and tables with 64-bit indices";
    wasm_custom_page_sizes "custom-page-sizes" "memories with pages of one byte";
    wasm_wide_arithmetic "wide-arithmetic" "128-bit addition, subtraction and multiplication";
    wasm_threads "threads" "shared memories and atomic operations";
    wasm_exceptions "exceptions" "throwing and catching";
    wasm_function_references "function-references" "typed references to functions, and recursion groups and subtypes of their types";
    wasm_legacy_exceptions "legacy-exceptions" "the older instructions for the same, which browsers have: off by default";
    wasm_gc "gc" "structures and arrays that are collected";
}
