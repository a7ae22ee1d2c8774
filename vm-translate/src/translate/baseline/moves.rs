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
        let homes = self.stack[start].home..;
        let at_home = self.stack[entries]
            .iter()
            .zip(homes)
            .take_while(|(entry, home)| entry.value == Value::Home && entry.home == *home);
        start..start + at_home.count().max(1)
    }

    /// Copies many entries, in their homes side by side, to adjacent slots.
    fn copy_at_once(&mut self, entries: Range<usize>, to: Slot) {
        let from = self.stack[entries.start].home;
        let count = entries.len() as Slot;
        if from != to {
            self.plain(Root::Copy { from, to, count });
            self.slots = self.slots.max(to + count);
        }
    }

    /// Copies the entries from `first` up into adjacent slots. Theirs are at or above these, so that none is
    /// overwritten before its time.
    pub(super) fn copy_down(&mut self, first: usize, slot: Slot) {
        let mut next = first;
        while next < self.stack.len() {
            let entries = self.adjacent(next..self.stack.len());
            next = entries.end;
            let to = |index: usize| slot + (index - first) as Slot;
            if self.are_many(entries.len()) {
                self.copy_at_once(entries.clone(), to(entries.start));
                continue;
            }
            for index in entries {
                self.copy(self.stack[index], to(index));
            }
        }
    }

    /// Gives the entries from `first` up homes side by side from `home` up, and puts them there. Theirs are at or above
    /// these.
    pub(super) fn settle_at(&mut self, first: usize, home: Slot) {
        self.copy_down(first, home);
        for (entry, home) in self.stack[first..].iter_mut().zip(home..) {
            (entry.value, entry.home) = (Value::Home, home);
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
            return self.settle_at(rest, self.stack[rest - 1].home + 1);
        }
        entries.for_each(|index| self.send_home(index));
    }

    /// Puts the entries from `first` up into adjacent slots, some of which may be homes of others.
    ///
    /// Homes ascend, and so do the slots. So what moves down, the lowest first, overwrites nothing that has
    /// still to move; nor does what then moves up, the highest first.
    pub(super) fn put_arguments(&mut self, first: usize, target: Slot) {
        let end = self.stack.len();
        let mut next = first;
        while next < end {
            let entries = self.adjacent(next..end);
            next = entries.end;
            self.put_some(entries, first, target, Ordering::Less);
        }
        let mut last = end;
        while last > first {
            let entries = self.adjacent_before(first..last);
            last = entries.start;
            self.put_some(entries, first, target, Ordering::Greater);
        }
        for index in first..end {
            let argument = self.stack[index];
            if argument.value != Value::Home {
                self.copy(argument, target + (index - first) as Slot);
            }
        }
    }

    /// The same as [`Baseline::adjacent`], up to the last entry.
    fn adjacent_before(&self, entries: Range<usize>) -> Range<usize> {
        let end = entries.end;
        let top = self.stack[end - 1].home;
        let at_home = (self.stack[entries].iter().rev())
            .zip(0..)
            .take_while(|(entry, below)| entry.value == Value::Home && entry.home + below == top);
        end - at_home.count().max(1)..end
    }

    /// Puts those of some entries, which are side by side if they are several, to where they belong among the arguments
    /// from `first` up that go there in this direction.
    fn put_some(&mut self, entries: Range<usize>, first: usize, target: Slot, way: Ordering) {
        let slot = |index: usize| target + (index - first) as Slot;
        let lowest = self.stack[entries.start];
        if lowest.value != Value::Home || slot(entries.start).cmp(&lowest.home) != way {
            return;
        }
        if self.are_many(entries.len()) {
            return self.copy_at_once(entries.clone(), slot(entries.start));
        }
        let mut put = |index: usize| self.put(self.stack[index], slot(index));
        match way {
            Ordering::Greater => entries.rev().for_each(&mut put),
            Ordering::Less | Ordering::Equal => entries.for_each(&mut put),
        }
    }
}
