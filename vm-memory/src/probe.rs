//! Whether guarded memory works on this host, and if not, why.

use crate::{GuardedMemory, Layout, MemoryError, MemoryType, Protection, Reservation};

/// Whether this host can give a guarded memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum GuardSupport {
    /// It can: one was made, used and released.
    Available,
    /// It cannot, and this is why.
    Unavailable(Unavailable),
}

impl GuardSupport {
    /// Whether guarded memory can be had.
    pub fn is_available(&self) -> bool {
        matches!(self, GuardSupport::Available)
    }

    /// Why it cannot be had.
    pub fn reason(&self) -> Option<&Unavailable> {
        match self {
            GuardSupport::Available => None,
            GuardSupport::Unavailable(reason) => Some(reason),
        }
    }
}

/// Why guarded memory cannot be had, with the limit that stands in the way and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Platform or host refused a step.
    #[error("guard pages are not available here: {0}")]
    Refused(#[source] MemoryError),
    /// The host accepted every step, but pages did not behave: taken back, they kept their contents.
    #[error(
        "guard pages are not available here: this host does not clear pages that were taken back; \
         use bounded memory with checked accesses"
    )]
    StalePages,
}

/// Finds out whether this host can give a guarded memory of this layout, by trying: it reserves one,
/// commits a page, writes, changes the protection, takes the page back, and releases everything.
///
/// An answer for now: another memory may use up what is left of a limit. Takes some tens of
/// microseconds; ask once and keep the answer.
pub fn probe(layout: Layout) -> GuardSupport {
    match attempt(layout) {
        Ok(true) => GuardSupport::Available,
        Ok(false) => GuardSupport::Unavailable(Unavailable::StalePages),
        Err(error) => GuardSupport::Unavailable(Unavailable::Refused(error)),
    }
}

/// Returns whether pages that were taken back came back as zeroes.
fn attempt(layout: Layout) -> Result<bool, MemoryError> {
    // A real memory first: this is what will be asked for later.
    drop(GuardedMemory::new(&MemoryType::new(1, None), layout)?);

    let page = crate::host_page_size();
    let mut reservation = Reservation::new(2 * page)?;
    let byte = reservation.base().as_ptr();
    reservation.commit(0, page)?;
    // SAFETY: the first page is committed and only this function knows its address.
    unsafe { byte.write_volatile(1) };
    reservation.protect(0, page, Protection::Read)?;
    reservation.protect(0, page, Protection::None)?;
    reservation.decommit(0, page)?;
    reservation.commit(0, page)?;
    // SAFETY: as above.
    Ok(unsafe { byte.read_volatile() } == 0)
}
