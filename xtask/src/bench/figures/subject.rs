//! What is measured: an engine, seen through the little that the figures need.

use std::time::Duration;

use anyhow::Result;

/// When functions are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Translation {
    Lazy,
    Eager,
    ParallelEager,
}

/// An engine, not configured yet.
pub(in crate::bench) trait Subject {
    /// The engine with its defaults and such translation; `None` if it cannot do that.
    fn engine(&self, translation: Translation) -> Result<Option<Box<dyn Engine>>>;

    /// The engine with memories and stacks from a pool; `None` if it has none.
    fn pooled(&self) -> Result<Option<Box<dyn Engine>>>;
}

/// A configured engine.
pub(in crate::bench) trait Engine {
    /// Loads a module, and drops it.
    fn load(&self, module: &[u8]) -> Result<()>;

    /// Loads a module, instantiates it, and calls `export: (i32) -> i32`, whatever it answers. The
    /// import `host.add: (i32, i32) -> i32` is there.
    fn start(&self, module: &[u8], export: &str) -> Result<Box<dyn Guest>>;

    /// Bytes of a module's function bodies, and of the code made of them; `None` if the engine does
    /// not tell.
    fn code_size(&self, module: &[u8]) -> Result<Option<(u64, u64)>>;
}

/// An export that can be called. Answers `None` if it traps.
pub(in crate::bench) type Export<'a> = Box<dyn FnMut(i32) -> Option<i32> + 'a>;

/// An instance.
pub(in crate::bench) trait Guest {
    /// The export of type `(i32) -> i32`.
    fn export(&mut self, name: &str) -> Result<Export<'_>>;

    /// Calls an export that never returns, stops it from another thread after a while, and answers how long after
    /// that the call has ended; `None` if the engine cannot.
    fn interrupt(&mut self, name: &str) -> Result<Option<Duration>> {
        let _ = name;
        Ok(None)
    }

    /// Makes and drops another instance of its module, in a store of its own.
    fn instantiate_again(&self) -> Result<()>;
}
