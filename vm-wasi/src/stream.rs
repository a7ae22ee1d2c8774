//! Streams of the embedder's own: what a guest reads or writes that is no descriptor of the host's.

use std::io::{self, Read, Write};
use std::task::{Context, Poll};

/// What a guest reads, by one descriptor.
///
/// [`Read::read`] waits if there is nothing yet, takes no more than the buffer holds, and returns 0 at the end. Its
/// errors are what the guest sees; one of the system keeps its number.
///
/// ```
/// use std::io::{self, Read};
/// use vm_wasi::{InputStream, WasiCtxBuilder};
///
/// /// The same line for ever.
/// struct Yes;
///
/// impl Read for Yes {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let line = b"y\n";
///         let len = buffer.len().min(line.len());
///         buffer[..len].copy_from_slice(&line[..len]);
///         Ok(len)
///     }
/// }
///
/// impl InputStream for Yes {}
///
/// let ctx = WasiCtxBuilder::new().stdin_stream(Yes).build()?;
/// # Ok::<(), vm_wasi::BuildError>(())
/// ```
pub trait InputStream: Read + Send {
    /// Whether a read would return at once, if only to say that it is at its end or that it fails.
    ///
    /// If not, the stream keeps the waker and wakes it when that changes. A guest that waits for several things at
    /// once (`poll_oneoff`) asks, and so does each read of one that has asked not to wait. By default a stream always
    /// is ready.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Readiness> {
        let _ = context;
        Poll::Ready(Readiness::default())
    }

    /// Whether the guest shall take it for a terminal. By default it does not.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// What a guest writes, by one descriptor.
///
/// The guest hears what [`Write::write`] returns, so what that does not count must not have been written. It waits if
/// there is no room yet, and fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe) if nobody is left to read.
/// [`Write::flush`] is called after every write; as the guest has been told that what it wrote is written, an error of
/// it is what its next write sees.
pub trait OutputStream: Write + Send {
    /// Whether a write would return at once, as for [`InputStream::poll_ready`].
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Readiness> {
        let _ = context;
        Poll::Ready(Readiness::default())
    }

    /// Whether the guest shall take it for a terminal. By default it does not.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// What is known of a stream that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub(crate) bytes: u64,
    pub(crate) hangup: bool,
}

impl Default for Readiness {
    /// As [`Readiness::bytes`] of 1: nobody knows how many.
    fn default() -> Readiness {
        Readiness::bytes(1)
    }
}

impl Readiness {
    /// So many bytes can be read or written at once.
    pub fn bytes(bytes: u64) -> Readiness {
        Readiness {
            bytes,
            hangup: false,
        }
    }

    /// The other end is closed: reading comes to the end after so many bytes, writing fails.
    pub fn hangup(bytes: u64) -> Readiness {
        Readiness {
            bytes,
            hangup: true,
        }
    }
}

/// Any reader as a stream that always is ready.
pub(crate) struct Reader<R>(pub(crate) R);

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> InputStream for Reader<R> {}

/// Any writer as a stream that always is ready.
pub(crate) struct Writer<W>(pub(crate) W);

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send> OutputStream for Writer<W> {}
