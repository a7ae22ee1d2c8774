//! What a host can be told of: where its guests begin and end.

use crate::error::Result;

/// Where control passes between the host and its guests: what a [call hook](crate::Store::call_hook) is told.
///
/// Every kind of entry is followed by the exit that goes with it, also if what is between ends with a trap or an error; only a
/// panic of the host's own gets by. An entry whose hook fails does not happen, and has no exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallHook {
    /// The host calls a guest's function, or goes on with a call that has waited.
    CallingWasm,
    /// The guest has returned, has ended otherwise, or waits.
    ReturningFromWasm,
    /// A host function is called, mostly by a guest.
    CallingHost,
    /// The host function has returned. An asynchronous one may have but begun: what it waits for is outside of both.
    ReturningFromHost,
}

impl CallHook {
    /// Whether it leads into a guest: the other two lead out of it.
    pub fn entering_wasm(self) -> bool {
        matches!(self, CallHook::CallingWasm | CallHook::ReturningFromHost)
    }
}

/// What is told.
pub(crate) type CallHookFn<T> =
    Box<dyn FnMut(&mut T, CallHook) -> Result<()> + Send + Sync + 'static>;
