//! `--timeout`: a thread that stops the guest when its time is over.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use vm_engine::InterruptHandle;

/// How often a guest whose time is over is asked to end: the first time is enough, unless it is just then about to
/// wait for something.
const AGAIN: Duration = Duration::from_millis(5);

/// Stops a guest later, unless it is dropped before.
pub(crate) struct Timer {
    _running: Sender<()>,
}

impl Timer {
    /// # Errors
    ///
    /// If the host refuses the thread.
    pub(crate) fn start(handle: InterruptHandle, limit: Duration) -> io::Result<Timer> {
        let (running, over) = mpsc::channel::<()>();
        thread::Builder::new().spawn(move || {
            let mut wait = limit;
            while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
                wait = AGAIN;
            }
        })?;
        Ok(Timer { _running: running })
    }
}
