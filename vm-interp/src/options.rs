//! How modules are to be translated and run, and why that may not be possible.

use std::fmt;
use std::sync::Arc;

use vm_memory::Layout;
use vm_translate::{Additions, FuelCosts, Module};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeOptions {
    /// By which executor it will run.
    pub threading: Threading,
    /// The least layout of memory 0 of every instance, if its guard shall check bounds; nothing if
    /// code shall. Only direct threading can rely on a guard.
    pub unchecked: Option<Layout>,
    /// Whether to count how often instructions run, for [`Code::profile`](crate::Code::profile). Direct threading only.
    pub profile: bool,
    /// When functions are hot: until then they have baseline code. Without it all have optimized code at
    /// once, as those do that are profiled, and all of token threading.
    pub baseline: Option<Hotness>,
    /// How many bytes the code of all functions may take together, in all tiers, with what backtraces need. A function
    /// that would exceed it has no code: that is an error where it is called first, or of eager translation; and if it
    /// has baseline code, it stays with that. `None` is in proportion to the module: 64 bytes for each of its bytes and
    /// 16 MiB, several times what programs take.
    pub max_code_bytes: Option<u64>,
    /// What code consumes of [`World::fuel`](crate::World::fuel), if it does: then it ends with
    /// [`TrapCode::OutOfFuel`](crate::TrapCode::OutOfFuel) where there is not enough.
    pub fuel: Option<Arc<FuelCosts>>,
    /// Whether functions and loops look at the deadline as they begin, see
    /// [`World::set_epoch_deadline`](crate::World::set_epoch_deadline).
    pub epochs: bool,
    /// Whether calls count, see [`World::set_max_call_depth`](crate::World::set_max_call_depth).
    pub call_depth: bool,
    /// Whether operators of floats have the canonical NaN for a result wherever the specification allows several.
    pub canonical_nans: bool,
    /// Whether runs that have stopped can be taken apart ([`World::frames_of`](crate::World::frames_of)) and made anew: code keeps where its
    /// values are wherever a run can stop, and has fewer of them in registers.
    pub sites: bool,
}

impl CodeOptions {
    /// By this executor; the rest as it is by default: checked accesses, no profile, tiers where there are
    /// some, nothing metered.
    pub fn new(threading: Threading) -> CodeOptions {
        CodeOptions {
            threading,
            unchecked: None,
            profile: false,
            baseline: Some(Hotness::default()),
            max_code_bytes: None,
            fuel: None,
            epochs: false,
            call_depth: false,
            canonical_nans: false,
            sites: false,
        }
    }

    /// What translation adds to code.
    pub(crate) fn additions(&self) -> Additions<'_> {
        Additions {
            fuel: self.fuel.as_deref(),
            epochs: self.epochs,
            call_depth: self.call_depth,
            canonical_nans: self.canonical_nans,
            // Cells that count stand before those that are counted.
            sites: self.sites && !self.profile,
        }
    }
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
            calls: 100,
            turns: 1000,
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
    /// A function is called first, or was to be translated, and is not valid: only of a module whose bodies were not validated
    /// when it was made.
    #[error("function {func}{} is not valid: {error}", quoted(name))]
    Invalid {
        /// The function's index.
        func: u32,
        /// Its name, if the module has one for it.
        name: Option<Box<str>>,
        /// What is wrong with it.
        error: Box<vm_translate::Error>,
    },
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
        "function {func}{} has no code: its {bytes} bytes and the {used} bytes of others would exceed \
         max_code_bytes = {limit}",
        quoted(name)
    )]
    TooMuch {
        /// The function's index.
        func: u32,
        /// Its name, if the module has one for it.
        name: Option<Box<str>>,
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

/// There is room for one in every function that a module defines.
const _: () = assert!(size_of::<CodeError>() <= size_of::<vm_translate::Error>());

impl CodeError {
    /// Validates the body of a function that the module defines, unless that has been done. Translation does so anyway; here
    /// it is known that there is nothing else wrong.
    pub(crate) fn if_invalid(module: &Module, func: u32) -> Result<(), CodeError> {
        module.validate_body(func).map_err(|error| match error {
            error @ vm_translate::Error::NoBody { .. } => error.into(),
            error => CodeError::Invalid {
                func,
                name: module.func_name(func).map(Box::from),
                error: Box::new(error),
            },
        })
    }
}

fn quoted(name: &Option<Box<str>>) -> String {
    (name.as_deref()).map_or_else(String::new, |name| format!(" {name:?}"))
}
