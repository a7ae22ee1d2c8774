//! The symbolic operand stack.
//!
//! An entry is a tree: often just a leaf, sometimes a pending expression. Every entry has a
//! *home*, the slot it goes to when it has to be in memory. The invariant that all moves between
//! homes rest on: the slots of the operand stack area that an entry's tree reads are at or above
//! its own home and below the home of the next entry.

use crate::ir::{Node, Place, Slot};
use crate::op::Ty;
use crate::shape::Registers;

use super::expr::{Effects, Expr, Temps, Term};

/// An entry of the operand stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its tree starts in [`Stack::terms`].
    start: u32,
    len: u32,
    pub(super) ty: Ty,
    pub(super) effects: Effects,
    /// The slot it goes to when it has to be in memory; a vector goes to two, this and the next.
    pub(super) home: Slot,
    /// One past its home and the slots it reads: where the next entry's home can be.
    pub(super) end: Slot,
    /// A bit for each local it reads (modulo 64): if the bit is clear, it does not.
    locals: u64,
}

/// How many entries at the top may be pending. It bounds the cost of every search.
const WINDOW: usize = 64;

pub(super) struct Stack {
    entries: Vec<Entry>,
    terms: Vec<Term>,
    /// Below this index all entries are constants or in their homes.
    low: usize,
    /// The first slot of the operand stack area.
    base: Slot,
    registers: Registers,
}

fn local_bit(place: Place) -> u64 {
    let number = match place {
        Place::Slot(slot) | Place::Vector(slot) => slot,
        Place::Int(n) => 17 + u32::from(n),
        Place::Float(n) => 41 + u32::from(n),
    };
    1 << (number % 64)
}

impl Stack {
    pub(super) fn new(base: Slot, registers: Registers) -> Stack {
        Stack {
            entries: Vec::new(),
            terms: Vec::new(),
            low: 0,
            base,
            registers,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub(super) fn terms(&self, index: usize) -> &[Term] {
        let entry = &self.entries[index];
        &self.terms[entry.start as usize..][..entry.len as usize]
    }

    pub(super) fn expr(&self, index: usize) -> Expr {
        let mut expr = Expr::new();
        expr.extend(self.terms(index));
        expr
    }

    /// The place at an entry's home.
    pub(super) fn home(&self, index: usize) -> Place {
        let entry = &self.entries[index];
        Place::in_slots(entry.home, entry.ty)
    }

    /// The leaf that an entry is, if it is not an expression.
    pub(super) fn leaf(&self, index: usize) -> Option<Node> {
        match self.terms(index)[0].node {
            Node::Op(..) => None,
            leaf => Some(leaf),
        }
    }

    pub(super) fn is_const(&self, index: usize) -> bool {
        matches!(self.leaf(index), Some(Node::Const(_)))
    }

    /// Whether an entry is a local, not something computed.
    pub(super) fn is_local(&self, index: usize) -> bool {
        matches!(self.leaf(index), Some(Node::Place(place)) if self.is_local_place(place))
    }

    pub(super) fn is_local_place(&self, place: Place) -> bool {
        match place {
            Place::Slot(slot) | Place::Vector(slot) => slot < self.base,
            Place::Int(n) => n < self.registers.pinned_ints,
            Place::Float(n) => n < self.registers.pinned_floats,
        }
    }

    /// One past the slots that the entries below `index` use.
    pub(super) fn end_below(&self, index: usize) -> Slot {
        match index.checked_sub(1) {
            Some(last) => self.entries[last].end,
            None => self.base,
        }
    }

    /// One past the slots that all entries use.
    pub(super) fn end(&self) -> Slot {
        self.end_below(self.len())
    }

    /// Pushes a tree.
    pub(super) fn push(&mut self, ty: Ty, terms: &[Term]) {
        self.push_at(self.end(), ty, terms);
    }

    /// Pushes a value that stands in a slot at or above [`Stack::end`], which becomes its home.
    pub(super) fn push_slot(&mut self, slot: Slot, ty: Ty, offset: u32) {
        self.push_at(slot, ty, &[Term::place(Place::in_slots(slot, ty), offset)]);
    }

    fn push_at(&mut self, home: Slot, ty: Ty, terms: &[Term]) {
        let start = self.terms.len() as u32;
        self.terms.extend_from_slice(terms);
        self.entries.push(Entry {
            start,
            len: terms.len() as u32,
            ty,
            effects: Effects::NONE,
            home,
            end: 0,
            locals: 0,
        });
        self.summarise(self.len() - 1);
    }

    /// Brings what is known of an entry up to date with its tree.
    fn summarise(&mut self, index: usize) {
        let entry = &self.entries[index];
        let (mut end, mut locals) = (entry.home + entry.ty.slots(), 0);
        let terms = self.terms(index);
        for term in terms {
            if let Node::Place(place) = term.node {
                if self.is_local_place(place) {
                    locals |= local_bit(place);
                } else if let Some(slots) = place.slots() {
                    end = end.max(slots.end);
                }
            }
        }
        let effects = Effects::of(terms, &self.registers);
        let entry = &mut self.entries[index];
        (entry.end, entry.locals, entry.effects) = (end, locals, effects);
    }

    /// Takes away the entries from `len` up.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(entry) = self.entries.get(len) {
            self.terms.truncate(entry.start as usize);
            self.entries.truncate(len);
            self.low = self.low.min(len);
        }
    }

    /// Puts another tree, which reads nothing that the old one did not, in the last entry.
    pub(super) fn replace_top(&mut self, ty: Ty, terms: &[Term]) {
        if let Some(Entry { home, .. }) = self.entries.last().copied() {
            self.truncate(self.len() - 1);
            self.push_at(home, ty, terms);
        }
    }

    /// Says what type the last entry has, where its operator knows only the kind.
    pub(super) fn set_top_type(&mut self, ty: Ty) {
        if let Some(entry) = self.entries.last_mut() {
            entry.ty = ty;
        }
    }

    /// Notes that an entry's value is now at a place.
    pub(super) fn set_leaf(&mut self, index: usize, place: Place, offset: u32) {
        let entry = &mut self.entries[index];
        entry.len = 1;
        self.terms[entry.start as usize] = Term::place(place, offset);
        self.summarise(index);
    }

    /// Moves an entry's home down to a slot that holds its value.
    pub(super) fn set_home(&mut self, index: usize, slot: Slot, offset: u32) {
        let entry = &mut self.entries[index];
        entry.home = slot;
        let place = Place::in_slots(slot, entry.ty);
        self.set_leaf(index, place, offset);
    }

    /// The entries that may be pending.
    pub(super) fn window(&self) -> std::ops::Range<usize> {
        self.low..self.len()
    }

    /// The entry that has to go to its home because too many are pending, if any.
    pub(super) fn overdue(&self) -> Option<usize> {
        (self.len() - self.low > WINDOW).then_some(self.low)
    }

    /// Notes that the entries below `index` are constants or in their homes.
    pub(super) fn settled(&mut self, index: usize) {
        self.low = self.low.max(index);
    }

    /// Whether an entry's tree reads a local.
    pub(super) fn reads(&self, index: usize, local: Place) -> bool {
        self.entries[index].locals & local_bit(local) != 0
            && self
                .terms(index)
                .iter()
                .any(|term| term.node == Node::Place(local))
    }

    /// Whether an entry's tree reads any of these slots.
    pub(super) fn reads_slots(&self, index: usize, range: std::ops::Range<Slot>) -> bool {
        self.terms(index).iter().any(|term| match term.node {
            Node::Place(place) => place
                .slots()
                .is_some_and(|slots| slots.start < range.end && range.start < slots.end),
            _ => false,
        })
    }

    /// The temporary registers that entries other than those in `except` read.
    pub(super) fn temps_except(&self, except: std::ops::Range<usize>) -> Temps {
        self.window()
            .filter(|index| !except.contains(index))
            .filter(|index| self.entries[*index].effects.any_of(Effects::TEMP))
            .fold(Temps::NONE, |temps, index| {
                temps | Temps::of(self.terms(index), &self.registers)
            })
    }
}
