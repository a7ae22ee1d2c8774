//! The stretches of addresses that an activation may touch.

use std::ops::Range;

use crate::TrapCode;

/// What a region holds, and so what a fault in it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RegionClass {
    /// Linear memory with its guard: a fault is an access out of bounds.
    Memory = 1,
    /// A value stack with its guard: a fault is stack exhaustion.
    Stack = 2,
}

impl RegionClass {
    /// The trap that a fault in a region of this class is.
    pub const fn trap_code(self) -> TrapCode {
        match self {
            RegionClass::Memory => TrapCode::MemoryOutOfBounds,
            RegionClass::Stack => TrapCode::StackOverflow,
        }
    }

    /// This class as one bit, for sets of classes.
    pub(crate) const fn bit(self) -> u8 {
        self as u8
    }
}

/// A stretch of addresses that belongs to a guest, guard included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address, and the address after the last.
    pub range: Range<usize>,
    /// What it holds.
    pub class: RegionClass,
}

/// Why a region could not be inserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The range holds no address.
    #[error("region {:#x}..{:#x} is empty: give the whole reservation, guard included", range.start, range.end)]
    Empty {
        /// The range that was given.
        range: Range<usize>,
    },
    /// The range overlaps a region of the set.
    #[error(
        "region {:#x}..{:#x} overlaps {:#x}..{:#x}: a shared reservation is inserted once",
        range.start, range.end, existing.start, existing.end
    )]
    Overlap {
        /// The range that was given.
        range: Range<usize>,
        /// The range that is there already.
        existing: Range<usize>,
    },
}

/// The regions that the guests of one store may touch.
///
/// Activations hold a pointer to it, and the signal handler reads through that
/// pointer. It may therefore be edited only while no activation that points to
/// it is armed on any thread: before guest code runs, or in a host function
/// (host functions run disarmed).
///
/// Regions of one set do not overlap; looking an address up takes time
/// logarithmic in their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionSet {
    /// Sorted by start; disjoint; none empty.
    regions: Vec<Region>,
}

impl RegionSet {
    /// The empty set.
    pub const fn new() -> RegionSet {
        RegionSet {
            regions: Vec::new(),
        }
    }

    /// Adds a region.
    ///
    /// # Errors
    ///
    /// If the region is empty or overlaps one that is there; the set is then
    /// as before.
    pub fn insert(&mut self, region: Region) -> Result<(), RegionError> {
        let range = region.range.clone();
        if range.is_empty() {
            return Err(RegionError::Empty { range });
        }
        let at = self.regions.partition_point(|r| r.range.end <= range.start);
        if let Some(next) = self.regions.get(at)
            && next.range.start < range.end
        {
            let existing = next.range.clone();
            return Err(RegionError::Overlap { range, existing });
        }
        self.regions.insert(at, region);
        Ok(())
    }

    /// Takes the region with exactly this range out, and returns it.
    pub fn remove(&mut self, range: &Range<usize>) -> Option<Region> {
        let at = self.regions.iter().position(|r| r.range == *range)?;
        Some(self.regions.remove(at))
    }

    /// The regions, by ascending address.
    pub fn iter(&self) -> std::slice::Iter<'_, Region> {
        self.regions.iter()
    }

    /// How many regions there are.
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Whether there is no region.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The region that holds `address`. Allocates nothing and cannot panic:
    /// the signal handler calls it.
    pub fn find(&self, address: usize) -> Option<&Region> {
        let at = self.regions.partition_point(|r| r.range.end <= address);
        self.regions
            .get(at)
            .filter(|region| region.range.start <= address)
    }
}

impl<'a> IntoIterator for &'a RegionSet {
    type Item = &'a Region;
    type IntoIter = std::slice::Iter<'a, Region>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
