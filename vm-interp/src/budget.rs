//! How much code a module may become.

use std::sync::atomic::{AtomicU64, Ordering};

use vm_translate::Module;

use crate::options::CodeError;

/// By default, for each byte of a module so many bytes of code. Programs take up to thirteen if all of their functions
/// have both tiers' code, with what backtraces need: the limit is for modules that are made to exceed it.
const CODE_FOR_A_BYTE: u64 = 64;

/// And so many besides.
const CODE_FOR_NOTHING: u64 = 16 << 20;

/// The bytes that a module's code may take, and those that it takes. None is given back: code stays as long as its
/// module.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// A module's, with the limit of [`CodeOptions::max_code_bytes`](crate::CodeOptions::max_code_bytes).
    pub(crate) fn new(module: &Module, limit: Option<u64>) -> Budget {
        let usual = (module.bytes().len() as u64)
            .saturating_mul(CODE_FOR_A_BYTE)
            .saturating_add(CODE_FOR_NOTHING);
        Budget {
            limit: limit.unwrap_or(usual),
            used: AtomicU64::new(0),
        }
    }

    /// Takes what a function's code needs, all of it or nothing.
    pub(crate) fn take(&self, module: &Module, func: u32, bytes: usize) -> Result<(), CodeError> {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes as u64)
                    .filter(|sum| *sum <= self.limit)
            });
        match taken {
            Ok(_) => Ok(()),
            Err(used) => Err(CodeError::TooMuch {
                func,
                name: module.func_name(func).map(Box::from),
                bytes: bytes as u64,
                used,
                limit: self.limit,
            }),
        }
    }
}
