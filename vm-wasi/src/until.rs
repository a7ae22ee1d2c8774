//! How long the guest may wait: until the host wants it to end.

use std::io;

use vm_engine::Interruption;

/// Whether a call that waits should give up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Until {
    interruption: Option<Interruption>,
    now: bool,
}

impl Until {
    /// Until the host function's caller is to end.
    pub(crate) fn interrupted(interruption: Interruption) -> Until {
        Until {
            interruption: Some(interruption),
            now: false,
        }
    }

    /// Not at all: what cannot be done at once fails with `EAGAIN`, whatever the descriptor's flags say.
    pub(crate) fn now(self) -> Until {
        Until { now: true, ..self }
    }

    pub(crate) fn is_now(&self) -> bool {
        self.now
    }

    /// Whether to give up.
    pub(crate) fn is_over(&self) -> bool {
        (self.interruption.as_ref()).is_some_and(Interruption::is_requested)
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
