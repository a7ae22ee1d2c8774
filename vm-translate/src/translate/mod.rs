//! Translation of a validated body to the register IR.

use crate::{Error, Function, Module, Shapes};

/// What a translation depends on besides the module.
#[derive(Clone, Copy)]
pub struct TranslateOptions<'a> {
    /// What the executor can do in one step.
    pub shapes: &'a dyn Shapes,
    /// Whether an access of memory 0 with this constant offset and this width in bytes needs no
    /// check, because every address it can reach is in the memory's reservation. Without it
    /// every access is checked.
    pub unchecked: Option<&'a dyn Fn(u64, u32) -> bool>,
}

impl Module {
    /// Translates the body of a function, given by its index.
    ///
    /// # Errors
    ///
    /// If the function has no body in this module, or is beyond what the IR can hold.
    pub fn translate(&self, func: u32, options: &TranslateOptions<'_>) -> Result<Function, Error> {
        let _ = (self.body(func), options);
        Err(Error::Limit {
            what: "translation in this revision",
            limit: 0,
            offset: 0,
        })
    }
}
