//! Streams that live in memory, for capturing what a guest prints.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A growing buffer that a guest writes and the embedder reads.
///
/// Clones share the buffer: give one to
/// [`WasiCtxBuilder::stdout`](crate::WasiCtxBuilder::stdout) and keep the
/// other.
///
/// ```
/// use std::io::Write;
///
/// let pipe = vm_wasi::pipe::MemoryOutputPipe::new(8);
/// let mut writer = pipe.clone();
/// writer.write_all(b"hello")?;
/// assert_eq!(pipe.contents(), b"hello");
/// assert!(writer.write_all(b" and more than fits").is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryOutputPipe {
    capacity: usize,
    buffer: Arc<Mutex<Vec<u8>>>,
}

impl MemoryOutputPipe {
    /// An empty buffer for at most `capacity` bytes. Writing more is an error
    /// of the kind [`StorageFull`](io::ErrorKind::StorageFull), which the
    /// guest sees as `ENOSPC`.
    pub fn new(capacity: usize) -> MemoryOutputPipe {
        MemoryOutputPipe {
            capacity,
            buffer: Arc::default(),
        }
    }

    /// What has been written so far.
    pub fn contents(&self) -> Vec<u8> {
        self.lock().clone()
    }

    // The buffer is whole after every operation, so a panic elsewhere while it
    // was locked says nothing about it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for MemoryOutputPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.lock();
        let room = self.capacity.saturating_sub(buffer.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = bytes.len().min(room);
        buffer.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
