//! How long the guest may wait: until the host wants it to end.

use std::io;

use vm_engine::Interruption;

/// Whether a call that waits should give up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Until(Option<Interruption>);

impl Until {
    /// Until the host function's caller is to end.
    pub(crate) fn interrupted(interruption: Interruption) -> Until {
        Until(Some(interruption))
    }

    /// Whether to give up.
    pub(crate) fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(Interruption::is_requested)
    }

    /// Repeats what a signal of the host interrupted: the guest has no signals and so no reason to expect
    /// `EINTR`. But if it is to end, it gets that, and never looks at it.
    pub(crate) fn retry<T>(&self, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match call() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !self.is_over() => {}
                result => return result,
            }
        }
    }
}
