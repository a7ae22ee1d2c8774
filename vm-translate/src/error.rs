//! What can be wrong with a module or a function.

/// Why a module was refused or a function could not be translated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a valid module.
    #[error("invalid module: {message} (at offset {offset:#x})")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where, in bytes from the start of the module.
        offset: u64,
    },
    /// The module uses a proposal that is off or not implemented.
    #[error(
        "the module needs the proposal `{proposal}`, which is not enabled: {message} (at offset {offset:#x})"
    )]
    MissingFeature {
        /// The proposal's name, as in [`Features::set`](crate::Features::set).
        proposal: String,
        /// What needs it.
        message: String,
        /// Where, in bytes from the start of the module.
        offset: u64,
    },
    /// The module is beyond a limit of the implementation.
    #[error("{what} exceeds this implementation's limit of {limit} (at offset {offset:#x})")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Where, in bytes from the start of the module.
        offset: u64,
    },
    /// A function without a body here was to be translated.
    #[error("function {func} has no body in this module: it is imported or does not exist")]
    NoBody {
        /// The function's index.
        func: u32,
    },
}

impl Error {
    /// Where in the module's bytes the problem is, if it has a place.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Error::Invalid { offset, .. }
            | Error::MissingFeature { offset, .. }
            | Error::Limit { offset, .. } => Some(*offset),
            Error::NoBody { .. } => None,
        }
    }

    /// The proposal whose absence is the problem, if it is known to be.
    pub fn missing_feature(&self) -> Option<&str> {
        match self {
            Error::MissingFeature { proposal, .. } => Some(proposal),
            _ => None,
        }
    }
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Error {
        let message = error.message().to_owned();
        let offset = error.offset();
        let missing = error.missing_wasm_feature();
        match missing.and_then(|features| features.iter_names().next()) {
            Some((name, _)) => Error::MissingFeature {
                proposal: crate::features::proposal_of(name),
                message,
                offset,
            },
            None => Error::Invalid { message, offset },
        }
    }
}
