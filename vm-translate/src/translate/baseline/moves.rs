//! Many values at once: see the module of the same name of the other tier.

use std::cmp::Ordering;
use std::ops::Range;

use crate::ir::{Root, Slot};

use super::Baseline;
use super::sink::BaselineSink;
use super::values::Value;

impl<K: BaselineSink> Baseline<'_, K> {
    /// Whether so many values are worth an instruction that copies them all.
    pub(super) fn are_many(&self, values: usize) -> bool {
        values >= self.least_copy
    }

    /// The entries from the first on that are in their homes, side by side. If the first one is not in its home, it is
    /// that one alone.
    fn adjacent(&self, entries: Range<usize>) -> Range<usize> {
        let start = entries.start;
        let mut next = self.stack[start].home;
        let at_home = self.stack[entries].iter().take_while(|entry| {
            let here = next;
            next += entry.ty.slots();
            entry.value == Value::Home && entry.home == here
        });
        start..start + at_home.count().max(1)
    }

    /// How many slots some entries take.
    pub(super) fn width(&self, entries: Range<usize>) -> Slot {
        self.stack[entries]
            .iter()
            .map(|entry| entry.ty.slots())
            .sum()
    }

    /// Copies many entries, in their homes side by side, to adjacent slots.
    fn copy_at_once(&mut self, entries: Range<usize>, to: Slot) {
        let from = self.stack[entries.start].home;
        let count = self.width(entries);
        if from != to {
            self.plain(Root::Copy { from, to, count });
            self.slots = self.slots.max(to + count);
        }
    }

    /// Copies the entries from `first` up into adjacent slots. Theirs are at or above these, so that none is
    /// overwritten before its time.
    pub(super) fn copy_down(&mut self, first: usize, slot: Slot) {
        let (mut next, mut to) = (first, slot);
        while next < self.stack.len() {
            let entries = self.adjacent(next..self.stack.len());
            next = entries.end;
            if self.are_many(entries.len()) {
                self.copy_at_once(entries.clone(), to);
                to += self.width(entries);
                continue;
            }
            for index in entries {
                let entry = self.stack[index];
                self.copy(entry, to);
                to += entry.ty.slots();
            }
        }
    }

    /// Gives the entries from `first` up homes side by side from `home` up, and puts them there. Theirs are at or above
    /// these.
    pub(super) fn settle_at(&mut self, first: usize, home: Slot) {
        self.copy_down(first, home);
        self.noted = self.noted.min(first);
        let mut home = home;
        for entry in &mut self.stack[first..] {
            (entry.value, entry.home) = (Value::Home, home);
            home = entry.end();
        }
    }

    /// Puts the entries from `first` up into their homes, many of them side by side, so that each branch with them
    /// copies them at once.
    pub(super) fn gather(&mut self, first: usize) {
        let entries = first..self.stack.len();
        if self.are_many(entries.len()) {
            if self.stack[first].value != Value::Home {
                return self.settle_at(first, self.stack[first].home);
            }
            // Most are side by side if the branch before had them too.
            let rest = self.adjacent(entries).end;
            return self.settle_at(rest, self.stack[rest - 1].end());
        }
        entries.for_each(|index| self.send_home(index));
    }

    /// Puts the entries from `first` up into adjacent slots, some of which may be homes of others.
    ///
    /// Homes ascend, and so do the slots. So what moves down, the lowest first, overwrites nothing that has
    /// still to move; nor does what then moves up, the highest first.
    pub(super) fn put_arguments(&mut self, first: usize, target: Slot) {
        let end = self.stack.len();
        let (mut next, mut slot) = (first, target);
        while next < end {
            let entries = self.adjacent(next..end);
            next = entries.end;
            self.put_some(entries.clone(), slot, Ordering::Less);
            slot += self.width(entries);
        }
        let mut last = end;
        while last > first {
            let entries = self.adjacent_before(first..last);
            last = entries.start;
            slot -= self.width(entries.clone());
            self.put_some(entries, slot, Ordering::Greater);
        }
        for index in first..end {
            let argument = self.stack[index];
            if argument.value != Value::Home {
                self.copy(argument, slot);
            }
            slot += argument.ty.slots();
        }
    }

    /// The same as [`Baseline::adjacent`], up to the last entry.
    fn adjacent_before(&self, entries: Range<usize>) -> Range<usize> {
        let end = entries.end;
        let mut above = self.stack[end - 1].end();
        let at_home = self.stack[entries].iter().rev().take_while(|entry| {
            let here = above;
            above = entry.home;
            entry.value == Value::Home && entry.end() == here
        });
        end - at_home.count().max(1)..end
    }

    /// Puts some entries, which are side by side if they are several, into slots from this one on, if those are in this
    /// direction.
    fn put_some(&mut self, entries: Range<usize>, slot: Slot, way: Ordering) {
        let lowest = self.stack[entries.start];
        if lowest.value != Value::Home || slot.cmp(&lowest.home) != way {
            return;
        }
        if self.are_many(entries.len()) {
            return self.copy_at_once(entries, slot);
        }
        let mut put = |index: usize| {
            let entry = self.stack[index];
            self.put(entry, slot + (entry.home - lowest.home));
        };
        match way {
            Ordering::Greater => entries.rev().for_each(&mut put),
            Ordering::Less | Ordering::Equal => entries.for_each(&mut put),
        }
    }
}
