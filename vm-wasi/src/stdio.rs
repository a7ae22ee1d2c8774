//! Standard input, output and error: streams that the embedder chooses.

use std::io::{self, IsTerminal, Read, Write};

use crate::abi::FileType;
use crate::errno::Errno;
use crate::memory::GuestMemory;

/// A stream the guest reads.
pub(crate) struct Input {
    reader: Box<dyn Read + Send>,
    terminal: bool,
}

/// A stream the guest writes.
pub(crate) struct Output {
    writer: Box<dyn Write + Send>,
    terminal: bool,
}

impl Input {
    pub(crate) fn new(reader: Box<dyn Read + Send>) -> Input {
        Input {
            reader,
            terminal: false,
        }
    }

    pub(crate) fn inherit() -> Input {
        let stdin = io::stdin();
        Input {
            terminal: stdin.is_terminal(),
            reader: Box::new(stdin),
        }
    }

    pub(crate) fn file_type(&self) -> FileType {
        stream_type(self.terminal)
    }

    /// Reads once, into the first element that has room: a second read might
    /// wait although the guest already has something to work with.
    pub(crate) fn read_vectored(
        &mut self,
        memory: &mut GuestMemory<'_>,
        vecs: u32,
        count: u32,
    ) -> Result<u32, Errno> {
        for index in 0..count {
            let vec = memory.io_vec(vecs, index)?;
            let slice = memory.io_slice_mut(&vec);
            if slice.is_empty() {
                continue;
            }
            let len = retry(|| self.reader.read(slice))?;
            return u32::try_from(len).map_err(|_| Errno::Overflow);
        }
        Ok(0)
    }
}

impl Output {
    pub(crate) fn new(writer: Box<dyn Write + Send>) -> Output {
        Output {
            writer,
            terminal: false,
        }
    }

    pub(crate) fn inherit_stdout() -> Output {
        let stdout = io::stdout();
        Output {
            terminal: stdout.is_terminal(),
            writer: Box::new(stdout),
        }
    }

    pub(crate) fn inherit_stderr() -> Output {
        let stderr = io::stderr();
        Output {
            terminal: stderr.is_terminal(),
            writer: Box::new(stderr),
        }
    }

    pub(crate) fn file_type(&self) -> FileType {
        stream_type(self.terminal)
    }

    /// Writes every element, then flushes: the guest has buffers of its own,
    /// and what it has written must be visible when it next stops or traps.
    ///
    /// An error after some bytes went out is left for the next call to meet.
    pub(crate) fn write_vectored(
        &mut self,
        memory: &GuestMemory<'_>,
        vecs: u32,
        count: u32,
    ) -> Result<u32, Errno> {
        let mut written = 0u32;
        for index in 0..count {
            let vec = memory.io_vec(vecs, index)?;
            let mut rest = memory.io_slice(&vec);
            while !rest.is_empty() {
                let len = match retry(|| self.writer.write(rest)) {
                    Ok(0) => {
                        return if written > 0 {
                            Ok(written)
                        } else {
                            Err(Errno::Io)
                        };
                    }
                    Ok(len) => len.min(rest.len()),
                    Err(_) if written > 0 => return Ok(written),
                    Err(error) => return Err(error.into()),
                };
                rest = &rest[len..];
                written = u32::try_from(len)
                    .ok()
                    .and_then(|len| written.checked_add(len))
                    .ok_or(Errno::Overflow)?;
            }
        }
        self.flush()?;
        Ok(written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        Ok(retry(|| self.writer.flush())?)
    }
}

/// Only a terminal is a character device here: C libraries buffer their output
/// by lines exactly for those.
fn stream_type(terminal: bool) -> FileType {
    if terminal {
        FileType::CharacterDevice
    } else {
        FileType::Unknown
    }
}

/// Repeats what a signal of the host interrupted: the guest has no signals and
/// so no reason to expect `EINTR`.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
