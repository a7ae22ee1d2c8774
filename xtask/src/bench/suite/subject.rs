//! An engine, seen through the little that the suite needs.

use anyhow::Result;

use super::cases::Value;
use crate::bench::figures::subject::Translation;

/// An engine, not configured yet.
pub(super) trait Subject {
    fn name(&self) -> String;

    /// Whether it is one of Palisade's modes, which are to run everything.
    fn is_palisade(&self) -> bool;

    /// What execution is measured with: an engine's default.
    fn usual_translation(&self) -> Translation;

    /// Readies everything that comes before a module's bytes are looked at in earnest: the engine, and a linker with
    /// a function for each import. `env.clock_ms` is a clock; the others do nothing.
    fn ready(&self, module: &[u8], translation: Translation) -> Result<Box<dyn Ready>>;
}

pub(super) trait Ready {
    /// A module, a store and an instance, made of the bytes.
    fn instantiate(&self, module: &[u8]) -> Result<Box<dyn Guest>>;
}

pub(super) trait Guest {
    /// Calls an export, by name each time, as the suite's adapters do.
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Option<Value>>;

    /// The exported memory of that name.
    fn memory(&mut self, name: &str) -> Result<&mut [u8]>;
}
