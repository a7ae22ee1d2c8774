//! The token executor: a loop in Rust over compact code.

use std::sync::Arc;

use vm_translate::Module;

use crate::code::CodeError;
use crate::context::{ContextLayout, FuncObject, Runtime, Word};

/// A module's code for the token executor.
#[derive(Debug)]
pub(crate) struct TokenCode {
    module: Arc<Module>,
    layout: ContextLayout,
}

impl TokenCode {
    pub(crate) fn new(module: &Arc<Module>, layout: ContextLayout) -> TokenCode {
        TokenCode {
            module: Arc::clone(module),
            layout,
        }
    }

    pub(crate) fn translate_all(&self) -> Result<(), CodeError> {
        todo!()
    }
    pub(crate) fn listing(&self, _func: u32) -> Result<String, CodeError> {
        todo!()
    }
    pub(crate) fn entry(&self, _func: u32) -> *mut u8 {
        std::ptr::null_mut()
    }
    pub(crate) fn locate(&self, _ip: *const u8) -> Option<(u32, u32)> {
        None
    }
}

pub(crate) fn host_entry() -> *mut u8 {
    std::ptr::null_mut()
}

pub(crate) unsafe fn run(_: *mut Runtime, _: *const FuncObject, _: *mut Word) -> u32 {
    todo!()
}
