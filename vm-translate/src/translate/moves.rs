//! Many values at once.
//!
//! A byte or two of a body can branch, call or begin a block with a thousand operands. Where there are as many as
//! [`Shapes::least_copy`](crate::Shapes::least_copy) says, those in adjacent slots are moved by one instruction, so that
//! the code of a function stays in proportion to its body.

use std::ops::Range;

use crate::ir::{Place, Root, Slot};

use super::Translator;

/// What entries are that have been put somewhere.
#[derive(Clone, Copy)]
enum Then {
    /// What they were.
    Same,
    /// The places where they are now.
    There,
    /// The same, which are their homes from then on.
    AtHome,
}

impl Translator<'_> {
    /// Whether so many values are worth an instruction that copies them all.
    pub(super) fn are_many(&self, values: usize) -> bool {
        values >= self.least_copy
    }

    /// Puts adjacent entries into adjacent slots from `to` up, in their order. The entries then are these places.
    pub(super) fn emit_entries(&mut self, entries: Range<usize>, to: Slot) {
        self.put_entries(entries, to, Then::There, None);
    }

    /// The same for a branch to where the entries from `height` up do not exist.
    pub(super) fn leave_with_entries(&mut self, entries: Range<usize>, to: Slot, height: usize) {
        self.put_entries(entries, to, Then::There, Some(height));
    }

    /// The same for one that may not be taken: the entries stay what they are. They have to be leaves.
    pub(super) fn copy_entries(&mut self, entries: Range<usize>, to: Slot, height: usize) {
        self.put_entries(entries, to, Then::Same, Some(height));
    }

    /// The same as [`Translator::emit_entries`], and the slots become their homes. Theirs are at or above these.
    pub(super) fn settle_at(&mut self, entries: Range<usize>, to: Slot) {
        self.put_entries(entries, to, Then::AtHome, None);
    }

    /// `height` is from where on nobody reads entries any more once they have been put there, or are below.
    fn put_entries(
        &mut self,
        entries: Range<usize>,
        mut to: Slot,
        then: Then,
        height: Option<usize>,
    ) {
        let mut index = entries.start;
        while index < entries.end {
            let (end, slots) = self.adjacent(index..entries.end);
            let (from, count) = (slots.start, slots.len() as Slot);
            let at_home = self.stack.is_home(index);
            if at_home && from == to {
                to += count;
                index = end;
                continue;
            }
            let at_once = at_home && self.are_many(end - index);
            if at_once {
                self.emit_plain(Root::Copy { from, to, count });
                self.out.slots = self.out.slots.max(to + count);
            }
            for index in index..end {
                let ty = self.stack.entry(index).ty;
                let place = Place::in_slots(to, ty);
                if !at_once {
                    self.given_up = height.map_or(0..0, |height| height..index);
                    self.copy_entry(index, place);
                }
                match then {
                    Then::Same => {}
                    Then::There => self.stack.set_leaf(index, place, self.offset),
                    Then::AtHome => self.stack.set_home(index, to, self.offset),
                }
                to += ty.slots();
            }
            index = end;
        }
        self.given_up = 0..0;
    }

    /// Up to which entry those from the first on are in their homes, side by side, and these slots. If the first one
    /// is not in its home, it is that one alone.
    fn adjacent(&self, entries: Range<usize>) -> (usize, Range<Slot>) {
        let start = self.stack.entry(entries.start).home;
        let mut next = start;
        let mut end = entries.start;
        while end < entries.end {
            let entry = self.stack.entry(end);
            let is_next = entry.home == next && self.stack.is_home(end);
            if !is_next && end > entries.start {
                break;
            }
            (next, end) = (next + entry.ty.slots(), end + 1);
            if !is_next {
                break;
            }
        }
        (end, start..next)
    }

    /// Puts entries into homes side by side, where they stay, so that each branch with them copies them at once.
    /// Returns where they start.
    pub(super) fn gather(&mut self, entries: Range<usize>) -> Slot {
        let first = self.stack.entry(entries.start).home;
        if !self.stack.is_home(entries.start) {
            self.settle_at(entries, first);
            return first;
        }
        // Most are side by side if the branch before had them too.
        let (end, slots) = self.adjacent(entries.clone());
        self.settle_at(end..entries.end, slots.end);
        first
    }
}
