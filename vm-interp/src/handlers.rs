//! Where the code of a function catches exceptions, by the places of its cells or tokens, and what unwinding has to know of
//! a frame besides.

use vm_translate::ir::{Catch, Handlers, Label, Place};

use crate::registers::SavedRegisters;

/// The clauses around each place in a function's code. Places are byte offsets.
#[derive(Debug)]
pub(crate) struct HandlerTable {
    /// Where the region changes, ascending; of several changes at a place the last holds.
    changes: Box<[(u32, u32)]>,
    regions: Box<[Region]>,
    clauses: Box<[Clause]>,
}

/// No region.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Region {
    /// One past its clauses; the first is behind those of the region before.
    end: u32,
    /// What does not match any goes to this one.
    next: u32,
}

/// What catches an exception.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clause {
    /// The index of the tag in the module, if it does not catch all.
    pub(crate) tag: Option<u32>,
    /// Where it goes on.
    pub(crate) target: u32,
    /// Where the values go.
    pub(crate) values: Option<Place>,
    /// Where a reference to the exception goes.
    pub(crate) exception: Option<Place>,
}

impl HandlerTable {
    /// The table of a function, told where its positions and labels are in its code. Nothing if it catches nothing.
    pub(crate) fn new(
        handlers: &Handlers,
        position: impl Fn(u32) -> u32,
        target: impl Fn(Label) -> u32,
    ) -> Option<Box<HandlerTable>> {
        if handlers.is_empty() {
            return None;
        }
        let changes = handlers.changes().iter();
        let changes = changes.map(|(at, region)| (position(*at), region.unwrap_or(NONE)));
        let mut clauses = Vec::new();
        let regions = (0..handlers.regions()).map(|region| {
            let (catches, next) = handlers.region(region);
            clauses.extend(catches.iter().map(|catch| {
                let Catch {
                    tag,
                    label,
                    values,
                    exception,
                } = *catch;
                Clause {
                    tag,
                    target: target(label),
                    values,
                    exception,
                }
            }));
            Region {
                end: clauses.len() as u32,
                next: next.unwrap_or(NONE),
            }
        });
        let regions = regions.collect();
        Some(Box::new(HandlerTable {
            changes: changes.collect(),
            regions,
            clauses: clauses.into(),
        }))
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<HandlerTable>()
            + size_of_val(&*self.changes)
            + size_of_val(&*self.regions)
            + size_of_val(&*self.clauses)
    }

    /// The clauses around a place, from the inside to the outside.
    fn around(&self, place: u32) -> impl Iterator<Item = &Clause> {
        let after = self.changes.partition_point(|(at, _)| *at <= place);
        let mut next = after.checked_sub(1).map_or(NONE, |at| self.changes[at].1);
        let regions = std::iter::from_fn(move || {
            let index = next as usize;
            let region = self.regions.get(index)?;
            next = region.next;
            let first = index.checked_sub(1).map_or(0, |at| self.regions[at].end);
            Some(&self.clauses[first as usize..region.end as usize])
        });
        regions.flatten()
    }
}

/// What is known of a frame by an address in its code.
pub(crate) struct FrameCode<'a> {
    /// Where the code begins.
    pub(crate) start: *const u8,
    /// How far from there the address is, in bytes.
    pub(crate) at: u32,
    /// How many slots a frame has.
    pub(crate) slots: u32,
    pub(crate) saved: SavedRegisters,
    pub(crate) handlers: Option<&'a HandlerTable>,
}

impl<'a> FrameCode<'a> {
    /// The clauses around the address, from the inside to the outside.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = &'a Clause> + use<'a> {
        let at = self.at;
        let table = self.handlers.into_iter();
        table.flat_map(move |table| table.around(at))
    }

    /// Where a clause goes on.
    pub(crate) fn target(&self, clause: &Clause) -> *const u8 {
        self.start.wrapping_add(clause.target as usize)
    }
}
