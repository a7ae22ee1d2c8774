//! Random bytes: the host's, or the embedder's own.

use crate::errno::Errno;

/// Where a guest's random bytes come from.
#[derive(Default)]
pub(crate) struct Random(Option<Fill>);

type Fill = Box<dyn FnMut(&mut [u8]) + Send>;

impl Random {
    pub(crate) fn own(fill: impl FnMut(&mut [u8]) + Send + 'static) -> Random {
        Random(Some(Box::new(fill)))
    }

    /// `random_get`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        match &mut self.0 {
            Some(fill) => {
                fill(bytes);
                Ok(())
            }
            None => getrandom::fill(bytes).map_err(|_| Errno::Io),
        }
    }
}
