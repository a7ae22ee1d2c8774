//! The embedder's streams, as descriptors use them.

use std::io;
use std::task::{Context, Poll, Waker};

use crate::abi::FileType;
use crate::errno::Errno;
use crate::memory::{GuestMemory, IoVecs};
use crate::stream::{InputStream, OutputStream, Readiness};
use crate::until::Until;

/// A stream that the guest reads.
pub(crate) struct Input(Box<dyn InputStream>);

/// A stream that the guest writes.
pub(crate) struct Output {
    stream: Box<dyn OutputStream>,
    /// Of a flush, after bytes of which the guest has been told that they are written.
    error: Option<io::Error>,
}

impl Input {
    pub(crate) fn new(stream: impl InputStream + 'static) -> Input {
        Input(Box::new(stream))
    }

    pub(crate) fn file_type(&self) -> FileType {
        stream_type(self.0.is_terminal())
    }

    pub(crate) fn readiness(&mut self, waker: &Waker) -> Option<Readiness> {
        ready(self.0.poll_ready(&mut Context::from_waker(waker)))
    }

    /// Reads once. If the guest does not want to wait for it, or may not, `EAGAIN`.
    pub(crate) fn read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        vecs: IoVecs,
        nonblocking: bool,
    ) -> Result<u32, Errno> {
        let until = memory.until();
        let nonblocking = nonblocking || until.is_now();
        if nonblocking && self.readiness(Waker::noop()).is_none() {
            return Err(Errno::Again);
        }
        memory.scatter(vecs, |buffer| until.retry(|| self.0.read(buffer)))
    }
}

impl Output {
    pub(crate) fn new(stream: impl OutputStream + 'static) -> Output {
        Output {
            stream: Box::new(stream),
            error: None,
        }
    }

    pub(crate) fn file_type(&self) -> FileType {
        stream_type(self.stream.is_terminal())
    }

    pub(crate) fn readiness(&mut self, waker: &Waker) -> Option<Readiness> {
        ready(self.stream.poll_ready(&mut Context::from_waker(waker)))
    }

    /// Writes until the stream takes less than it is given, then flushes: the guest has buffers of its own, and what
    /// it has written must be visible when it next stops or traps.
    pub(crate) fn write(
        &mut self,
        memory: &GuestMemory<'_>,
        vecs: IoVecs,
        nonblocking: bool,
    ) -> Result<u32, Errno> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        let until = memory.until();
        let nonblocking = nonblocking || until.is_now();
        let written = memory.gather(vecs, |parts| {
            let mut done = 0;
            for part in parts {
                if nonblocking && self.readiness(Waker::noop()).is_none() {
                    return if done > 0 {
                        Ok(done)
                    } else {
                        Err(io::ErrorKind::WouldBlock.into())
                    };
                }
                match until.retry(|| self.stream.write(part)) {
                    // A guest that counts on progress would try for ever.
                    Ok(0) if done == 0 => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(len) if len < part.len() => return Ok(done + len),
                    Ok(_) => done += part.len(),
                    Err(_) if done > 0 => return Ok(done),
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })?;
        if written > 0 {
            self.error = Until::default().retry(|| self.stream.flush()).err();
        }
        Ok(written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(Until::default().retry(|| self.stream.flush())?),
        }
    }
}

fn ready(poll: Poll<Readiness>) -> Option<Readiness> {
    match poll {
        Poll::Ready(readiness) => Some(readiness),
        Poll::Pending => None,
    }
}

/// Only a terminal is a character device here: C libraries buffer their output
/// by lines exactly for those.
pub(crate) fn stream_type(terminal: bool) -> FileType {
    if terminal {
        FileType::CharacterDevice
    } else {
        FileType::Unknown
    }
}
