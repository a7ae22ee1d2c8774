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
    #[error("the module needs the proposal `{proposal}`, which is {}{} (at offset {offset:#x})", state(.proposal), detail(.message))]
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

/// Why a proposal that a module needs is not there.
fn state(proposal: &str) -> &'static str {
    let is_implemented = |needed| crate::Features::names().any(|name| name == needed);
    // More than one can be missing at once.
    if proposal.split(", ").all(is_implemented) {
        "switched off"
    } else {
        "not supported"
    }
}

/// What the validator says beyond that.
fn detail(message: &str) -> String {
    if message.ends_with("not enabled") {
        String::new()
    } else {
        format!(": {message}")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_proposal_is_switched_off_or_not_supported() {
        let error = |proposal: &str, message: &str| {
            let error = Error::MissingFeature {
                proposal: proposal.to_owned(),
                message: message.to_owned(),
                offset: 16,
            };
            error.to_string()
        };
        assert_eq!(
            error("gc", "heap types"),
            "the module needs the proposal `gc`, which is not supported: heap types (at offset 0x10)"
        );
        assert_eq!(
            error("simd", "SIMD support is not enabled"),
            "the module needs the proposal `simd`, which is switched off (at offset 0x10)"
        );
        assert!(error("simd, gc", "x").contains("not supported"));
        assert!(error("simd, memory64", "x").contains("switched off"));
    }
}
