//! Initial images in memory files (memfd_create(2)), mapped copy-on-write.

mod pieces;

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use super::{Request, admit};
use crate::OsError;

pub(crate) const IMAGE_GAP: Option<&str> = None;

/// Contents that cannot change any more, and that can be mapped any number of times.
#[derive(Debug)]
pub(crate) struct ImageFile(File);

impl ImageFile {
    /// A file of `len` bytes, which are whole pages, zero but for the given pieces (offset, bytes).
    pub(crate) fn new(len: usize, pieces: &[(usize, &[u8])]) -> Result<ImageFile, OsError> {
        admit(Request::Image)?;
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is a C string; the result is checked.
        let descriptor = unsafe { libc::memfd_create(c"wasm-memory-image".as_ptr(), flags) };
        if descriptor < 0 {
            return Err(OsError::last());
        }
        // SAFETY: the descriptor has just been made and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let refused = |error: std::io::Error| OsError::new(error.raw_os_error().unwrap_or(0));
        admit(Request::Image)?;
        file.set_len(len as u64).map_err(refused)?;
        // Not by a mapping of the file: where the host is out of memory, a write to that is a fault, and this an error.
        pieces::write(pieces, super::page_size(), |offset, bytes| {
            admit(Request::Image)?;
            file.write_all_at(bytes, offset as u64).map_err(refused)
        })?;
        // Without seals whoever finds the file in /proc could change what guests start with, or
        // shorten it, which makes accesses to the mapping fault with SIGBUS.
        let seals =
            libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
        admit(Request::Image)?;
        // SAFETY: adds seals to a file of ours; no memory is involved.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
            0 => Ok(ImageFile(file)),
            _ => Err(OsError::last()),
        }
    }

    /// Maps the first `len` bytes copy-on-write in place of what is at `address`, readable only.
    ///
    /// Readable only because a writable private mapping is charged against the commit limit, and
    /// where that is refused, the old mapping is gone already.
    ///
    /// # Safety
    ///
    /// The range lies in a live reservation, and no reference exists to its bytes.
    pub(crate) unsafe fn map(&self, address: NonNull<u8>, len: usize) -> Result<(), OsError> {
        admit(Request::Remap)?;
        // SAFETY: MAP_FIXED replaces exactly the caller's own range, to which no reference exists.
        let mapped = unsafe {
            libc::mmap(
                address.as_ptr().cast(),
                len,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
                self.0.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(OsError::last());
        }
        Ok(())
    }
}
