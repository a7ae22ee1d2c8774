//! Streams that live in memory: input from bytes, output into a buffer, and pipes between a guest and the host or
//! another guest.

use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::stream::{InputStream, OutputStream, Readiness};

/// Bytes that a guest reads.
///
/// Clones share them: what one has read is gone for the others, so the embedder can see what the guest has left.
///
/// ```
/// use vm_wasi::WasiCtxBuilder;
/// use vm_wasi::pipe::MemoryInputPipe;
///
/// let stdin = MemoryInputPipe::new("a line\n");
/// let ctx = WasiCtxBuilder::new().stdin_stream(stdin.clone()).build()?;
/// // … after the guest has run:
/// assert_eq!(stdin.contents(), b"a line\n");
/// # Ok::<(), vm_wasi::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryInputPipe {
    rest: Arc<Mutex<io::Cursor<Vec<u8>>>>,
}

impl MemoryInputPipe {
    /// Input that ends after these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> MemoryInputPipe {
        MemoryInputPipe {
            rest: Arc::new(Mutex::new(io::Cursor::new(bytes.into()))),
        }
    }

    /// What has not been read yet.
    pub fn contents(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut copy = lock(&self.rest).clone();
        // Reading from memory does not fail.
        let _ = copy.read_to_end(&mut rest);
        rest
    }
}

impl Read for MemoryInputPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        lock(&self.rest).read(buffer)
    }
}

impl InputStream for MemoryInputPipe {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Readiness> {
        let rest = lock(&self.rest);
        let left = (rest.get_ref().len() as u64).saturating_sub(rest.position());
        Poll::Ready(Readiness::hangup(left))
    }
}

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

    /// What has been written so far and not been taken.
    pub fn contents(&self) -> Vec<u8> {
        lock(&self.buffer).clone()
    }

    /// Empties the buffer, and returns what was in it.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.buffer))
    }
}

impl Write for MemoryOutputPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = lock(&self.buffer);
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

impl OutputStream for MemoryOutputPipe {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Readiness> {
        let room = self.capacity.saturating_sub(lock(&self.buffer).len());
        Poll::Ready(Readiness::bytes(room as u64))
    }
}

/// A pipe that holds at most `capacity` bytes (at least 1). Each end can be a guest's stream or be used by the host,
/// from any thread.
///
/// Reading waits until there is something, or until the writer is dropped, which is the end; writing waits until there
/// is room, and fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the reader is dropped. A guest's ends are
/// dropped with its context, or when it closes them.
///
/// ```
/// use std::io::Write;
/// use vm_wasi::{WasiCtxBuilder, pipe};
///
/// let (mut writer, reader) = pipe::pipe(4096);
/// let ctx = WasiCtxBuilder::new().stdin_stream(reader).build()?;
/// // While the guest runs on another thread, or before it does:
/// writer.write_all(b"to the guest")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pipe(capacity: usize) -> (PipeWriter, PipeReader) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            bytes: Default::default(),
            capacity: capacity.max(1),
            closed: false,
            waker: None,
        }),
        changed: Condvar::new(),
    });
    (PipeWriter(shared.clone()), PipeReader(shared))
}

/// The end of a [`pipe()`] that is written to.
#[derive(Debug)]
pub struct PipeWriter(Arc<Shared>);

/// The end of a [`pipe()`] that is read from.
#[derive(Debug)]
pub struct PipeReader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: std::collections::VecDeque<u8>,
    capacity: usize,
    /// One of the ends is gone.
    closed: bool,
    /// Of the end that waits. Not both do: a pipe is not empty and full at once.
    waker: Option<Waker>,
}

impl State {
    fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }
}

impl Shared {
    /// Waits until the other end has done something, if `idle` says that there is nothing to do.
    fn wait(&self, idle: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = lock(&self.state);
        let waited = self
            .changed
            .wait_while(state, |state| idle(state) && !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something has been done, when the lock is free again.
    fn notify(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        self.notify(state);
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.wait(|state| state.bytes.is_empty());
        let len = buffer.len().min(state.bytes.len());
        for (to, byte) in buffer.iter_mut().zip(state.bytes.drain(..len)) {
            *to = byte;
        }
        self.0.notify(state);
        Ok(len)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.wait(|state| state.room() == 0);
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(state.room());
        state.bytes.extend(&bytes[..len]);
        self.0.notify(state);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl InputStream for PipeReader {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Readiness> {
        let mut state = lock(&self.0.state);
        match (state.bytes.len() as u64, state.closed) {
            (bytes, true) => Poll::Ready(Readiness::hangup(bytes)),
            (0, false) => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            (bytes, false) => Poll::Ready(Readiness::bytes(bytes)),
        }
    }
}

impl OutputStream for PipeWriter {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Readiness> {
        let mut state = lock(&self.0.state);
        match (state.room() as u64, state.closed) {
            (_, true) => Poll::Ready(Readiness::hangup(0)),
            (0, false) => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            (room, false) => Poll::Ready(Readiness::bytes(room)),
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.0.close();
    }
}

// What is shared is whole after every operation, so a panic elsewhere while it was locked says nothing about it.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_in_comes_out_across_threads() {
        let (mut writer, mut reader) = pipe(7);
        let sent: Vec<u8> = (0..10_000u32).map(|byte| byte as u8).collect();
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(&sent).unwrap();
                drop(writer);
            });
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received
        });
        assert_eq!(received, sent);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Write(Vec<u8>),
        Read(usize),
        CloseReader,
        CloseWriter,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => proptest::collection::vec(any::<u8>(), 0..9).prop_map(Op::Write),
            8 => (0usize..9).prop_map(Op::Read),
            1 => Just(Op::CloseReader),
            1 => Just(Op::CloseWriter),
        ]
    }

    proptest! {
        /// Calls that would wait are left out, which readiness has to foretell.
        #[test]
        fn a_pipe_is_a_queue(capacity in 0usize..6, ops in proptest::collection::vec(op(), 0..60)) {
            let (writer, reader) = pipe(capacity);
            let (mut writer, mut reader) = (Some(writer), Some(reader));
            let mut model = std::collections::VecDeque::new();
            let room = capacity.max(1);
            let context = &mut Context::from_waker(Waker::noop());
            for op in ops {
                if let Some(writer) = &mut writer {
                    let expected = match (room - model.len(), reader.is_none()) {
                        (_, true) => Poll::Ready(Readiness::hangup(0)),
                        (0, false) => Poll::Pending,
                        (room, false) => Poll::Ready(Readiness::bytes(room as u64)),
                    };
                    prop_assert_eq!(writer.poll_ready(context), expected);
                }
                if let Some(reader) = &mut reader {
                    let expected = match (model.len() as u64, writer.is_none()) {
                        (bytes, true) => Poll::Ready(Readiness::hangup(bytes)),
                        (0, false) => Poll::Pending,
                        (bytes, false) => Poll::Ready(Readiness::bytes(bytes)),
                    };
                    prop_assert_eq!(reader.poll_ready(context), expected);
                }
                match op {
                    Op::Write(bytes) => {
                        let Some(writer) = &mut writer else { continue };
                        if writer.poll_ready(context).is_pending() {
                            continue;
                        }
                        match writer.write(&bytes) {
                            Ok(len) => {
                                prop_assert!(reader.is_some() || bytes.is_empty());
                                prop_assert_eq!(len, bytes.len().min(room - model.len()));
                                model.extend(&bytes[..len]);
                            }
                            Err(error) => {
                                prop_assert!(reader.is_none());
                                prop_assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                            }
                        }
                    }
                    Op::Read(len) => {
                        let Some(reader) = &mut reader else { continue };
                        if reader.poll_ready(context).is_pending() {
                            continue;
                        }
                        let mut buffer = vec![0; len];
                        let len = reader.read(&mut buffer).unwrap();
                        prop_assert_eq!(len, buffer.len().min(model.len()));
                        let expected: Vec<u8> = model.drain(..len).collect();
                        prop_assert_eq!(&buffer[..len], &expected[..]);
                    }
                    Op::CloseReader => reader = None,
                    Op::CloseWriter => writer = None,
                }
            }
        }
    }
}
