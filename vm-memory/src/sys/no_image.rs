//! Platforms without files in memory that can be mapped copy-on-write over a reservation.

use std::ptr::NonNull;

use crate::OsError;

pub(crate) const IMAGE_GAP: Option<&str> =
    Some("initial images need memfd_create, which only Linux and Android have");

/// Never made.
#[derive(Debug)]
pub(crate) enum ImageFile {}

impl ImageFile {
    pub(crate) fn new(_len: usize, _pieces: &[(usize, &[u8])]) -> Result<ImageFile, OsError> {
        Err(OsError::UNSUPPORTED)
    }

    /// # Safety
    ///
    /// Cannot be called: there is no value of this type.
    pub(crate) unsafe fn map(&self, _address: NonNull<u8>, _len: usize) -> Result<(), OsError> {
        match *self {}
    }
}
