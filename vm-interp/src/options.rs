//! How modules are to be translated and run, and why that may not be possible.

use std::fmt;

use vm_memory::Layout;

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
    /// Whether to count how often instructions run, for [`Code::profile`](crate::Code::profile). Direct threading only.
    pub profile: bool,
    /// When functions are hot: until then they have baseline code. Without it all have optimized code at
    /// once, as those do that are profiled, and all of token threading.
    pub baseline: Option<Hotness>,
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
    /// A function is beyond a limit of the executor's code format.
    #[error("function {func} is too large for the executor: {what}")]
    Limit {
        /// The function's index.
        func: u32,
        /// Which limit.
        what: &'static str,
    },
}
