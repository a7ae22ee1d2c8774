//! Where a function catches exceptions.
//!
//! Nothing of it is in the code: a table says for each call and each throw which clauses are around it, and is looked
//! at only when something is thrown. Positions are indices of instructions; a [`BaselineSink`](crate::BaselineSink)
//! has positions of its own.

use crate::ir::{Label, Place};

/// The clauses around each instruction.
///
/// A *region* is the inside of a `try_table`, or of the first part of a `try`. A region's clauses come first, then those of the next
/// one, which is as a rule the one around it.
#[derive(Clone, Debug, Default)]
pub struct Handlers {
    /// Where the region changes, ascending; of several changes at a position the last holds.
    changes: Vec<(u32, Region)>,
    regions: Vec<Clauses>,
}

/// A region, by its number, or none.
pub type Region = Option<u32>;

/// What a region catches.
#[derive(Clone, Debug, Default)]
struct Clauses {
    catches: Vec<Catch>,
    next: Region,
}

/// A clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Catch {
    /// The index of the tag whose exceptions it catches; nothing if it catches all.
    pub tag: Option<u32>,
    /// Where it goes on.
    pub label: Label,
    /// Where the first of the exception's values is put, and the others in the slots behind it. Nothing if the tag is not
    /// known, or there are none.
    pub values: Option<Place>,
    /// Where a reference to the exception is put, if it is wanted.
    pub exception: Option<Place>,
}

impl Handlers {
    /// Nothing, in the memory of others that are no longer needed.
    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.regions.clear();
    }

    /// Whether nothing is caught.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Where the region changes, and to which, in the order of the positions. Of several changes at one position the last
    /// holds.
    pub fn changes(&self) -> &[(u32, Region)] {
        &self.changes
    }

    /// How many regions there are.
    pub fn regions(&self) -> u32 {
        self.regions.len() as u32
    }

    /// The clauses of a region, and the region whose clauses come next.
    ///
    /// # Panics
    ///
    /// If there is no such region.
    pub fn region(&self, region: u32) -> (&[Catch], Region) {
        let Clauses { catches, next } = &self.regions[region as usize];
        (catches, *next)
    }

    /// The clauses around a position, from the inside to the outside.
    pub fn around(&self, position: u32) -> impl Iterator<Item = &Catch> {
        let after = self.changes.partition_point(|(at, _)| *at <= position);
        let mut region = after.checked_sub(1).and_then(|last| self.changes[last].1);
        let regions = std::iter::from_fn(move || {
            let Clauses { catches, next } = &self.regions[region? as usize];
            region = *next;
            Some(catches)
        });
        regions.flatten()
    }

    /// All clauses.
    pub fn catches(&self) -> impl Iterator<Item = &Catch> {
        self.regions.iter().flat_map(|region| &region.catches)
    }

    /// A region begins, inside of another.
    pub(crate) fn open(&mut self, position: u32, catches: Vec<Catch>, around: Region) -> u32 {
        let region = self.regions();
        self.regions.push(Clauses {
            catches,
            next: around,
        });
        self.changes.push((position, Some(region)));
        region
    }

    /// A region ends, and the one around it goes on.
    pub(crate) fn close(&mut self, position: u32, around: Region) {
        self.changes.push((position, around));
    }

    /// There are only so many positions: an instruction behind which regions change has gone.
    pub(crate) fn clamp(&mut self, positions: u32) {
        for (at, _) in self.changes.iter_mut().rev() {
            if *at <= positions {
                break;
            }
            *at = positions;
        }
    }

    /// One more clause of a region.
    pub(crate) fn add(&mut self, region: u32, catch: Catch) {
        self.regions[region as usize].catches.push(catch);
    }

    /// What a region does not catch goes to this one.
    pub(crate) fn delegate(&mut self, region: u32, to: Region) {
        self.regions[region as usize].next = to;
    }
}
