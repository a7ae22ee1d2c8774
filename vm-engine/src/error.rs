//! What can go wrong.

use std::fmt;

use crate::backtrace::WasmBacktrace;
use crate::low::{self, HostError};
use crate::types::{ExternType, FuncType, GlobalType, RefType, ValType};
use crate::{Bounds, Threading, Trap};

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any failure of this crate's, a guest's trap, or an error that a host function returned.
///
/// One word. What happened is found by type: [`Error::downcast_ref`] with [`Trap`], with one of
/// this crate's error types ([`ConfigError`], [`LinkError`] …), or with the type that the host
/// function returned. If guest code was running, [`Error::backtrace`] says where.
///
/// Its text is complete: where in the guest, and what. [`source`](std::error::Error::source) is
/// what lies behind the cause, not the cause itself.
pub struct Error(Box<Inner>);

struct Inner {
    cause: Cause,
    backtrace: Option<WasmBacktrace>,
}

enum Cause {
    /// Kept unboxed: guests may trap often.
    Trap(Trap),
    Other(HostError),
}

impl Error {
    /// An error whose cause is `error`: what a host function returns to end the guest. Can be got
    /// back by [`Error::downcast_ref`] or [`Error::downcast`].
    pub fn new<E>(error: E) -> Error
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Error::from_boxed(Box::new(error))
    }

    /// An error that is only a message.
    pub fn msg(message: impl fmt::Display) -> Error {
        Error::from_boxed(message.to_string().into())
    }

    /// An error whose cause is `error`, unless that is an [`Error`] or a [`Trap`] already.
    pub fn from_boxed(error: Box<dyn std::error::Error + Send + Sync + 'static>) -> Error {
        let error = match error.downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let cause = match error.downcast::<Trap>() {
            Ok(trap) => Cause::Trap(*trap),
            Err(error) => Cause::Other(error),
        };
        Error(Box::new(Inner {
            cause,
            backtrace: None,
        }))
    }

    /// The trap, if that is what happened.
    pub fn trap(&self) -> Option<Trap> {
        match &self.0.cause {
            Cause::Trap(trap) => Some(*trap),
            Cause::Other(_) => None,
        }
    }

    /// Where guest code was when it happened, if guest code was running.
    pub fn backtrace(&self) -> Option<&WasmBacktrace> {
        self.0.backtrace.as_ref()
    }

    /// The cause, if it is an `E`.
    pub fn downcast_ref<E>(&self) -> Option<&E>
    where
        E: std::error::Error + 'static,
    {
        self.cause().downcast_ref()
    }

    /// Whether the cause is an `E`.
    pub fn is<E>(&self) -> bool
    where
        E: std::error::Error + 'static,
    {
        self.cause().is::<E>()
    }

    /// The cause, if it is an `E`.
    ///
    /// # Errors
    ///
    /// The error itself, unchanged, if its cause is something else.
    pub fn downcast<E>(self) -> Result<E, Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Inner { cause, backtrace } = *self.0;
        let error: HostError = match cause {
            Cause::Trap(trap) => Box::new(trap),
            Cause::Other(error) => error,
        };
        match error.downcast::<E>() {
            Ok(cause) => Ok(*cause),
            Err(error) => Err(Error::from_boxed(error).with_backtrace(backtrace)),
        }
    }

    fn cause(&self) -> &(dyn std::error::Error + 'static) {
        match &self.0.cause {
            Cause::Trap(trap) => trap,
            Cause::Other(error) => error.as_ref(),
        }
    }

    fn with_backtrace(mut self, backtrace: Option<WasmBacktrace>) -> Error {
        self.0.backtrace = backtrace;
        self
    }

    /// What a call of a guest ended with. An error that comes from a guest further in keeps its
    /// frames; those of this guest follow.
    pub(crate) fn from_call(error: low::CallError) -> Error {
        match error {
            low::CallError::Trap(trap) => {
                Error::from(trap.code).with_backtrace(Some(WasmBacktrace::new(trap.frames)))
            }
            low::CallError::Host { error, frames } => {
                let mut error = Error::from_boxed(error);
                match &mut error.0.backtrace {
                    Some(inner) => inner.extend(frames),
                    None if frames.is_empty() => {}
                    none => *none = Some(WasmBacktrace::new(frames)),
                }
                error
            }
            other => Error::new(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(backtrace) = &self.0.backtrace {
            write!(
                f,
                "error while executing at wasm backtrace:\n{backtrace}\ncaused by: "
            )?;
        }
        match &self.0.cause {
            Cause::Trap(trap) => write!(f, "wasm trap: {trap}"),
            Cause::Other(error) => error.fmt(f),
        }
    }
}

/// The text of [`Display`](fmt::Display), then what lies behind the cause.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            write!(f, "\ncaused by: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().source()
    }
}

impl From<Trap> for Error {
    fn from(trap: Trap) -> Error {
        Error(Box::new(Inner {
            cause: Cause::Trap(trap),
            backtrace: None,
        }))
    }
}

impl From<Box<dyn std::error::Error + Send + Sync + 'static>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync + 'static>) -> Error {
        Error::from_boxed(error)
    }
}

macro_rules! causes {
    ($($ty:ty)*) => {
        $(
            impl From<$ty> for Error {
                fn from(error: $ty) -> Error {
                    Error::new(error)
                }
            }
        )*
    };
}

causes! {
    ConfigError ModuleError LinkError InstantiateError SnapshotError LimitError TypeError WrongStore MemoryAccessError
    GlobalError TableError vm_memory::MemoryError vm_memory::GrowError std::io::Error
}

/// Settings of a [`Config`](crate::Config) that no engine can have, here or anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Token threading and guarded bounds checks.
    #[error(
        "threading = token and bounds = guarded exclude each other: the token executor is a loop \
         in Rust, and a fault there would abandon Rust frames; choose bounds = software, or \
         threading = direct"
    )]
    TokenGuarded,
    /// The host has no direct threading.
    #[error(
        "threading = {} was asked for, but this host cannot: {reason}; choose threading = token or \
         auto",
        Threading::Direct
    )]
    Direct {
        /// What stands in the way.
        reason: String,
    },
    /// The host has no guard pages, or refuses them.
    #[error(
        "bounds = {} was asked for, but this host cannot: {reason}; or choose bounds = auto",
        Bounds::Guarded
    )]
    Guarded {
        /// What stands in the way.
        reason: String,
    },
    /// Guarded bounds checks need direct threading, which the host does not have.
    #[error(
        "bounds = guarded was asked for and needs threading = direct, but this host cannot: \
         {reason}; choose bounds = software or auto"
    )]
    GuardedNeedsDirect {
        /// What stands in the way.
        reason: String,
    },
    /// The signal that stops guests cannot be had.
    #[error("guests cannot be stopped from outside: {reason}; or choose threading = token")]
    Interrupt {
        /// What stands in the way.
        reason: String,
    },
    /// Memories are to come from a pool, and the engine or store has no guarded memories.
    #[error(
        "pooling was asked for, and only guarded memories are pooled, but bounds are checked in \
         software: {reason}; choose allocation on demand"
    )]
    PoolNeedsGuards {
        /// Why there are no guards.
        reason: String,
    },
    /// The host refuses a pool of this size.
    #[error(
        "pooling was asked for, but this host cannot: {reason}; or choose allocation on demand"
    )]
    Pool {
        /// What stands in the way.
        reason: String,
    },
    /// A store has a layout of its own, and no guarded memories.
    #[error(
        "a layout of guarded memories was asked for, but bounds are checked in software: {reason}; \
         leave the layout of the store alone"
    )]
    LayoutNeedsGuards {
        /// Why there are no guards.
        reason: String,
    },
    /// Fuel, in a store whose guests do not consume any.
    #[error("guests of this engine consume no fuel: make it with Config::consume_fuel(true)")]
    NoFuel,
    /// An interval that is none.
    #[error(
        "asynchronous calls cannot yield after 0 units of fuel: give an interval of at least 1, or None"
    )]
    ZeroInterval,
    /// A profile, and token threading.
    #[error("a profile was asked for, which only threading = direct makes, but {reason}")]
    Profile {
        /// Why threading is not direct.
        reason: &'static str,
    },
    /// A proposal that cannot be switched on, or off.
    #[error("the proposal `{proposal}` cannot be switched {}: {reason}", if *.enable { "on" } else { "off" })]
    Feature {
        /// The proposal's name.
        proposal: &'static str,
        /// What was asked for.
        enable: bool,
        /// Why not.
        reason: String,
    },
}

/// Why bytes did not become a [`Module`](crate::Module).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// The text format does not parse.
    #[cfg(feature = "wat")]
    #[error("the text of the module is malformed")]
    Text(#[from] wat::Error),
    /// The bytes are neither the binary nor the text format.
    #[error("neither the binary format (which starts with `\\0asm`) nor text in UTF-8")]
    Unknown,
    /// The module is in the text format, which this build does not read.
    #[error(
        "not the binary format (which starts with `\\0asm`); the text format needs this crate's \
         feature `wat`"
    )]
    TextUnsupported,
    /// The module is malformed or invalid, or uses a proposal that is switched off.
    #[error(transparent)]
    Invalid(low::TranslateError),
    /// It has more of something than [`ModuleLimits`](crate::ModuleLimits) allow.
    #[error("the module has {found} {what}, and this engine allows {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: u64,
        /// How many it may have.
        limit: u32,
    },
    /// Its functions are smaller on average than [`ModuleLimits`](crate::ModuleLimits) allow.
    #[error(
        "the module's {functions} functions have {bytes} bytes, and this engine wants {limit} a function on average"
    )]
    SmallFunctions {
        /// How many it has.
        functions: u64,
        /// Bytes of their bodies.
        bytes: u64,
        /// The least average.
        limit: u32,
    },
    /// It has a start function, and [`Config::allow_start_fn`](crate::Config::allow_start_fn) says no.
    #[error(
        "the module has a start function, and this engine allows none (Config::allow_start_fn)"
    )]
    StartFunction,
    /// A function cannot be translated.
    #[error("cannot translate the module: {0}")]
    Translate(low::CodeError),
    /// The file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    File {
        /// The file's path.
        path: std::path::PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
}

/// Why an instance has no [`Snapshot`](crate::Snapshot), or cannot be given one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Something of the instance's refers to what a snapshot cannot name.
    #[error(
        "a {what} of the instance refers to a function or a tag of another instance, or to a value of the host's, which a \
         snapshot cannot name"
    )]
    Reference {
        /// What does.
        what: &'static str,
    },
    /// The bytes are no snapshot, or none that an instance can have.
    #[error("the snapshot is malformed")]
    Malformed,
    /// Another version has written it.
    #[error(
        "the snapshot has format {format}, and this version reads format {}",
        crate::snapshot_call::FORMAT
    )]
    Format {
        /// Which one it has.
        format: u32,
    },
    /// It is of another module.
    #[error("the snapshot is of another module")]
    OtherModule,
    /// It is of an instance between calls: there is no call to go on with.
    #[error("the snapshot is of an instance between calls, and has no call that waits")]
    NotSuspended,
    /// The engine does not do what the call needs.
    #[error("calls that wait cannot be written down or restored here: the engine needs {setting}")]
    Config {
        /// The setting of its [`Config`](crate::Config).
        setting: &'static str,
    },
    /// The call that waits has gone through another instance.
    #[error(
        "the call that waits has gone through another instance than that of the function which was called, and a snapshot has one"
    )]
    OtherInstance,
    /// The call that waits is none that a guest of this engine can be in.
    #[error("the snapshot is malformed: frame {frame}: {what}")]
    Frame {
        /// Which of the functions that are running, counted from the one that the host has called.
        frame: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store has no room for the call that waits.
    #[error(
        "the store has no room for {frames} calls inside of each other: see Config::max_wasm_stack and max_call_depth"
    )]
    NoRoom {
        /// How many they are.
        frames: usize,
    },
}

/// Why imports and what they were given do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nothing of that name was defined.
    #[error(
        "unknown import: `{module}::{name}` has not been defined; the module expects a {expected}"
    )]
    UnknownImport {
        /// The module part of its name.
        module: String,
        /// Its name.
        name: String,
        /// What it must be.
        expected: ExternType,
    },
    /// What was given is something else.
    #[error(
        "incompatible import type for `{module}::{name}`: the module expects a {expected}, found a \
         {found}"
    )]
    IncompatibleImport {
        /// The module part of its name.
        module: String,
        /// Its name.
        name: String,
        /// What it must be.
        expected: ExternType,
        /// What it is.
        found: ExternType,
    },
    /// Not as many as the module has imports.
    #[error("the module has {expected} imports, but {found} were given")]
    ImportCount {
        /// How many it has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The linker has nothing of that name.
    #[error("nothing is defined as `{module}{}`", .name.iter().map(|name| format!("::{name}")).collect::<String>())]
    Undefined {
        /// The module part of the name.
        module: String,
        /// The name; `None` for a whole module.
        name: Option<String>,
    },
    /// The name is taken in the linker.
    #[error(
        "`{module}::{name}` is defined already; `Linker::allow_shadowing` allows to define it anew"
    )]
    Duplicate {
        /// The module part of the name.
        module: String,
        /// The name.
        name: String,
    },
}

/// Why a module whose imports fit was not instantiated. A trap of an active segment or of the
/// start function is a [`Trap`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// The module belongs to another engine than the store.
    #[error("the module and the store belong to different engines")]
    EngineMismatch,
    /// No memory of that type can be had.
    #[error("cannot create memory {index} ({ty}): {reason}")]
    Memory {
        /// Its index in the module.
        index: u32,
        /// What was asked for.
        ty: crate::MemoryType,
        /// Why not.
        reason: vm_memory::MemoryError,
    },
    /// The machine refused what it was given.
    #[error("cannot instantiate: {0}")]
    Machine(#[from] low::InstantiateError),
}

/// What the limits of the store ([`Store::limiter`](crate::Store::limiter)) forbid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limits of the store forbid {what}")]
pub struct LimitError {
    /// What was wanted.
    pub what: String,
}

/// Values or types that do not fit a function, a table or a global.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The function is called with other parameters or results than it has.
    #[error("the function has type {found}, but is called as {expected}")]
    Typed {
        /// The type by which it was asked for.
        expected: FuncType,
        /// The type it has.
        found: FuncType,
    },
    /// Not as many arguments as the function has parameters.
    #[error("the function takes {expected} arguments ({ty}), but {found} were given")]
    ParamCount {
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
        /// The function's type.
        ty: FuncType,
    },
    /// An argument of another type.
    #[error("argument {index} must be {expected}, but is {found}; the function has type {ty}")]
    Param {
        /// Which one, from 0.
        index: usize,
        /// What the function takes.
        expected: ValType,
        /// What was given.
        found: ValType,
        /// The function's type.
        ty: FuncType,
    },
    /// Not as much room for results as the function has results.
    #[error("the function has {expected} results ({ty}), but there is room for {found}")]
    ResultCount {
        /// How many it has.
        expected: usize,
        /// How many there is room for.
        found: usize,
        /// The function's type.
        ty: FuncType,
    },
    /// A host function returned a value of another type than it had announced.
    #[error("result {index} of the host function must be {expected}, but is {found}")]
    HostResult {
        /// Which one, from 0.
        index: usize,
        /// What was announced.
        expected: ValType,
        /// What was returned.
        found: ValType,
    },
    /// A value of another type than the global's or the table's.
    #[error("the {what} has values of type {expected}, not {found}")]
    Value {
        /// "global" or "table".
        what: &'static str,
        /// What it has.
        expected: ValType,
        /// What was given.
        found: ValType,
    },
    /// A function type that cannot be defined as a subtype of another.
    #[error(
        "the type {ty} cannot be a subtype of {supertype}: that is final, or not as general, or below too many others"
    )]
    Supertype {
        /// The type.
        ty: FuncType,
        /// What was to be above it.
        supertype: FuncType,
    },
    /// The instance has no export of that name.
    #[error("there is no export named `{name}`")]
    NoExport {
        /// The name.
        name: String,
    },
    /// The export of that name is something else.
    #[error("the export `{name}` is a {found}, not a {expected}")]
    ExportKind {
        /// The name.
        name: String,
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: ExternType,
    },
}

/// A function, memory, table, global, instance or reference was used with another store than the
/// one it lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object was used with another store than the one it belongs to")]
pub struct WrongStore;

/// An access of the host's that does not lie in the memory. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of bounds memory access by the host: {0}")]
pub struct MemoryAccessError(#[from] pub vm_memory::OutOfBounds);

/// Why a global was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// It keeps its first value.
    #[error("a {0} cannot be set")]
    Immutable(GlobalType),
}

/// Why a table was not made, changed, or grown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No such element.
    #[error("element {index} is outside the table of {size} elements")]
    OutOfBounds {
        /// Which one.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// The new size would be past the maximum, or more than the host can hold.
    #[error("the table of {size} elements cannot grow by {delta}")]
    Grow {
        /// Elements before.
        size: u64,
        /// Elements that were asked for in addition.
        delta: u64,
    },
    /// The table is larger than what the host can hold, or its type contradicts itself.
    #[error("cannot create a table of {minimum} elements of {element}")]
    Create {
        /// The type of the elements.
        element: RefType,
        /// How many were asked for.
        minimum: u64,
    },
}
