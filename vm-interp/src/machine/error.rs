//! Why something was not added to a machine.

use vm_translate::{ExternKind, ValType};

use crate::options::{CodeError, Threading};

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The host refused the value stack.
    #[error("no value stack: {0}")]
    Stack(#[from] vm_memory::MemoryError),
    /// The value stack ends in a guard that frames could step over.
    #[error(
        "the value stack's guard has {bytes} bytes and needs {}",
        crate::STACK_GUARD_BYTES
    )]
    StackGuard {
        /// Inaccessible bytes behind it.
        bytes: usize,
    },
    /// The executor cannot run here.
    #[error(transparent)]
    Executor(#[from] CodeError),
    /// The value stack's guard cannot be watched.
    #[error("no value stack: {0}")]
    Region(#[from] vm_trap::RegionError),
}

/// Why an entity was not added or changed. The machine is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntityError {
    /// A value has another type than is needed.
    #[error("a value of type {expected} is needed, and this is one of type {got}")]
    Type {
        /// The type needed.
        expected: ValType,
        /// The type given.
        got: ValType,
    },
    /// A type refers to another that nobody holds.
    #[error("the type {0} refers to a type that no longer exists")]
    UnknownType(ValType),
    /// The global cannot be set.
    #[error("the global is not mutable")]
    Immutable,
    /// A function reference of another machine.
    #[error("the machine has no function {func}: is the reference one of another machine?")]
    UnknownFunction {
        /// The function's number.
        func: u32,
    },
    /// A tag of another machine.
    #[error("the machine has no tag {tag}: is it one of another machine?")]
    UnknownTag {
        /// The tag's number.
        tag: u32,
    },
    /// An exception of another machine, or one that the machine has let go of.
    #[error("the exception is one of another machine, or the machine has let go of it")]
    UnknownException,
    /// Not as many values as a tag's exceptions have.
    #[error("exceptions with the tag have {expected} values, and {got} were given")]
    Values {
        /// How many they have.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// The exceptions of the machine, which its guests and its host hold, take too much memory.
    #[error("the exceptions that are held take more memory than a machine's exceptions may")]
    TooManyExceptions,
    /// An index past the end of a table.
    #[error("element {index} is outside the table of {len} elements")]
    TableIndex {
        /// The index.
        index: u64,
        /// Elements of the table.
        len: u64,
    },
    /// A table cannot have so many elements.
    #[error(
        "a table of {elements} elements is more than this table may have or than fits in memory"
    )]
    TableSize {
        /// Elements wanted.
        elements: u64,
    },
}

/// Why a module was not instantiated, or an instance not reset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// The code is for the other executor.
    #[error("the code is for {code} threading, and the machine has {machine} threading")]
    Threading {
        /// The code's.
        code: Threading,
        /// The machine's.
        machine: Threading,
    },
    /// The code relies on guards, and the machine's value stack has none.
    #[error("the code relies on a guarded value stack, and the machine's is not guarded")]
    StackGuard,
    /// Not as many entities as the module has.
    #[error("the module needs {expected} entities of the kind {kind}, and {got} were given")]
    Count {
        /// Of which kind.
        kind: ExternKind,
        /// How many it needs.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// An entity that the machine does not have.
    #[error("{kind} {index}: the machine has no such {kind}; is it one of another machine?")]
    Unknown {
        /// Of which kind.
        kind: ExternKind,
        /// Its index in the module.
        index: u32,
    },
    /// An entity of another type than the module says.
    #[error("{kind} {index} does not match the module: {message}")]
    Mismatch {
        /// Of which kind.
        kind: ExternKind,
        /// Its index in the module.
        index: u32,
        /// What is different.
        message: String,
    },
    /// A memory that cannot take the place of an instance's own: of another type, with a smaller guard, or where threads share one of the two.
    #[error(
        "own memory {index}: the new one is of another type, its guard is smaller, or threads share one of the two"
    )]
    Replacement {
        /// Which of the instance's own.
        index: usize,
    },
    /// A table that cannot be made anew.
    #[error(transparent)]
    Table(EntityError),
    /// The items of an element segment are not those of the module.
    #[error("element segment {segment}: {message}")]
    Elements {
        /// The segment's index.
        segment: u32,
        /// What is wrong.
        message: String,
    },
}
