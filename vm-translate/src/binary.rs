//! A module's bytes, which whoever refers to them shares.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A module in the binary format. Cheap to clone; made of a vector, it is not copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Binary(Arc<Vec<u8>>);

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Binary {
        Binary(Arc::new(bytes))
    }
}

impl From<Box<[u8]>> for Binary {
    fn from(bytes: Box<[u8]>) -> Binary {
        bytes.into_vec().into()
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Binary {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<[u8; N]> for Binary {
    fn from(bytes: [u8; N]) -> Binary {
        bytes[..].into()
    }
}

impl<const N: usize> From<&[u8; N]> for Binary {
    fn from(bytes: &[u8; N]) -> Binary {
        bytes[..].into()
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.len())
    }
}
