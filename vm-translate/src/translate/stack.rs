//! The symbolic operand stack.
//!
//! An entry is a tree: often just a leaf, sometimes a pending expression. Every entry has a
//! *home*, the slot it goes to when it has to be in memory. The invariant that all moves between
//! homes rest on: the slots of the operand stack area that an entry's tree reads are at or above
//! its own home and below the home of the next entry.
//!
//! Two rules keep what entries read as it is until it has been used:
//!
//! - An entry stays until what uses it has been emitted; then it is truncated, or has become part of another
//!   one. So whatever is computed in between can ask the stack which registers and slots are still wanted.
//! - An entry that may read what an instruction changes, a local above all, is in the [window](Stack::window).
//!   Below are constants and values in their homes only: [`Stack::set_leaf`] widens the window when an entry
//!   becomes anything else.
//!
//! Builds with debug assertions look for an entry that still reads what an instruction has set, or depends on
//! what a call or a store has changed: `Translator::check_undisturbed` and `check_unaffected`.

use crate::ValType;
use crate::ir::{Node, Place, Slot};
use crate::op::{Op, Ty};
use crate::shape::{Symbol, Symbols};

use super::expr::{self, Effects, Facts, Term};
use super::registers::{Temps, Use};

/// An entry of the operand stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its tree starts in [`Stack::terms`].
    start: u32,
    len: u32,
    pub(super) ty: Ty,
    pub(super) effects: Effects,
    kind: Kind,
    /// The slot it goes to when it has to be in memory; a vector goes to two, this and the next.
    pub(super) home: Slot,
    /// One past its home and the slots it reads: where the next entry's home can be.
    pub(super) end: Slot,
    /// What its tree reads.
    reads: Reads,
    /// Its tree's symbols, as bits. They say nothing if it is a constant, whose symbol depends on
    /// what reads it.
    symbols: u128,
}

/// What is at the root of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Place,
    Const,
    Op,
}

/// A local, as a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    pub(super) place: Place,
    pub(super) ty: Ty,
    /// The number of the place's symbol.
    symbol: u16,
    bit: u64,
}

impl Local {
    pub(super) fn new(place: Place, ty: Ty) -> Local {
        Local {
            place,
            ty,
            symbol: Symbol::place_number(place),
            bit: local_bit(place),
        }
    }
}

/// The places that a tree reads.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    /// A bit for each local (modulo 64): if the bit is clear, it is not read.
    locals: u64,
    /// The temporary registers.
    temps: Temps,
    /// One past the slots of the operand stack area.
    end: Slot,
}

impl Reads {
    fn and(self, other: Reads) -> Reads {
        Reads {
            locals: self.locals | other.locals,
            temps: self.temps | other.temps,
            end: self.end.max(other.end),
        }
    }
}

/// How many entries at the top may be pending. It bounds the cost of every search.
pub(super) const WINDOW: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Stack {
    entries: Vec<Entry>,
    terms: Vec<Term>,
    /// Below this index all entries are constants or in their homes: nothing that an instruction does, and no
    /// label, changes what they are.
    low: usize,
    /// Below this index all entries are what they were when [`Stack::note`] was called last.
    noted: usize,
    /// The first slot of the operand stack area.
    base: Slot,
    registers: Use,
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
    /// An empty stack, in the memory of one that is no longer needed.
    pub(super) fn reuse(old: Stack, base: Slot, registers: Use) -> Stack {
        let Stack {
            mut entries,
            mut terms,
            ..
        } = old;
        entries.clear();
        entries.reserve(16);
        terms.clear();
        terms.reserve(32);
        Stack {
            entries,
            terms,
            low: 0,
            noted: 0,
            base,
            registers,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    #[inline]
    pub(super) fn terms(&self, index: usize) -> &[Term] {
        let entry = &self.entries[index];
        &self.terms[entry.start as usize..][..entry.len as usize]
    }

    /// The trees of adjacent entries, if they lie one behind the other.
    pub(super) fn adjacent_terms(&self, entries: std::ops::Range<usize>) -> Option<&[Term]> {
        let entries = &self.entries[entries];
        if let [entry] = entries {
            return Some(&self.terms[entry.start as usize..][..entry.len as usize]);
        }
        let start = entries.first()?.start;
        let end = entries.iter().try_fold(start, |end, entry| {
            (entry.start == end).then_some(end + entry.len)
        })?;
        Some(&self.terms[start as usize..end as usize])
    }

    /// The symbols of an entry that is read as `ty`.
    #[inline]
    pub(super) fn symbols(&self, index: usize, ty: Ty) -> Symbols {
        let entry = &self.entries[index];
        if entry.kind == Kind::Const
            && let Node::Const(bits) = *self.node(index)
        {
            return Symbols::one(Symbol::constant(bits, ty));
        }
        Symbols::from_bits(entry.symbols, entry.len)
    }

    /// The place at an entry's home.
    pub(super) fn home(&self, index: usize) -> Place {
        let entry = &self.entries[index];
        Place::in_slots(entry.home, entry.ty)
    }

    /// The node at the root of an entry's tree.
    #[inline]
    fn node(&self, index: usize) -> &Node {
        &self.terms[self.entries[index].start as usize].node
    }

    /// Whether an entry is an expression, not a leaf.
    #[inline]
    pub(super) fn is_tree(&self, index: usize) -> bool {
        self.entries[index].kind == Kind::Op
    }

    /// Whether an entry is a leaf, and this one.
    #[inline]
    pub(super) fn is_at(&self, index: usize, place: Place) -> bool {
        *self.node(index) == Node::Place(place)
    }

    /// Whether an entry is in its home.
    #[inline]
    pub(super) fn is_home(&self, index: usize) -> bool {
        self.is_at(index, self.home(index))
    }

    #[inline]
    pub(super) fn is_const(&self, index: usize) -> bool {
        self.entries[index].kind == Kind::Const
    }

    /// Whether an entry is a local, not something computed.
    pub(super) fn is_local(&self, index: usize) -> bool {
        matches!(*self.node(index), Node::Place(place) if self.is_local_place(place))
    }

    #[inline]
    pub(super) fn is_local_place(&self, place: Place) -> bool {
        match place {
            Place::Slot(slot) | Place::Vector(slot) => slot < self.base,
            Place::Int(_) | Place::Float(_) => self.registers.is_pinned(place),
        }
    }

    /// One past the slots that the entries below `index` use.
    #[inline]
    pub(super) fn end_below(&self, index: usize) -> Slot {
        match index.checked_sub(1) {
            Some(last) => self.entries[last].end,
            None => self.base,
        }
    }

    /// One past the slots that all entries use.
    #[inline]
    pub(super) fn end(&self) -> Slot {
        self.end_below(self.len())
    }

    /// Pushes a leaf.
    pub(super) fn push_leaf(&mut self, ty: Ty, leaf: Term) {
        self.push_leaf_at(self.end(), ty, leaf);
    }

    /// Pushes a local.
    #[inline]
    pub(super) fn push_local(&mut self, local: Local, offset: u32) {
        let leaf = Term::place(local.place, offset);
        let reads = Reads {
            locals: local.bit,
            ..Reads::default()
        };
        self.push_simple(local.ty, leaf, Kind::Place, local.symbol, reads);
    }

    /// Pushes a constant.
    #[inline]
    pub(super) fn push_const(&mut self, ty: Ty, leaf: Term) {
        // Its symbol depends on what reads it.
        self.push_simple(ty, leaf, Kind::Const, 0, Reads::default());
    }

    #[inline]
    fn push_simple(&mut self, ty: Ty, leaf: Term, kind: Kind, symbol: u16, reads: Reads) {
        let home = self.end();
        let start = self.terms.len() as u32;
        self.terms.push(leaf);
        self.entries.push(Entry {
            symbols: symbol.into(),
            start,
            len: 1,
            ty,
            effects: Effects::NONE,
            kind,
            home,
            end: home + ty.slots(),
            reads,
        });
    }

    /// Pushes a value that stands in a slot at or above [`Stack::end`], which becomes its home.
    pub(super) fn push_slot(&mut self, slot: Slot, ty: Ty, offset: u32) {
        self.push_leaf_at(slot, ty, Term::place(Place::in_slots(slot, ty), offset));
    }

    /// The same for values that stand in consecutive slots.
    pub(super) fn push_homes(&mut self, first: Slot, types: &[ValType], offset: u32) {
        self.entries.reserve(types.len());
        self.terms.reserve(types.len());
        let mut home = first;
        for ty in types {
            let ty = ty.ty();
            let place = Place::in_slots(home, ty);
            let start = self.terms.len() as u32;
            self.terms.push(Term::place(place, offset));
            let end = home + ty.slots();
            self.entries.push(Entry {
                symbols: Symbol::place_number(place).into(),
                start,
                len: 1,
                ty,
                effects: Effects::NONE,
                kind: Kind::Place,
                home,
                end,
                reads: Reads {
                    end,
                    ..Reads::default()
                },
            });
            home = end;
        }
    }

    #[inline]
    fn push_leaf_at(&mut self, home: Slot, ty: Ty, leaf: Term) {
        let (reads, effects, kind, symbol) = self.summary(leaf.node);
        let start = self.terms.len() as u32;
        self.terms.push(leaf);
        self.entries.push(Entry {
            symbols: symbol.into(),
            start,
            len: 1,
            ty,
            effects,
            kind,
            home,
            end: reads.end.max(home + ty.slots()),
            reads,
        });
    }

    /// The types and symbols of the last entry under an operator with one operand, or of the last
    /// two under one with two; and whether any of them is more than a leaf.
    #[inline]
    pub(super) fn operator_symbols(&self, op: Op, facts: &Facts) -> (Symbols, bool) {
        let top = self.entries.len() - 1;
        if facts.arity == 1 {
            let operand = self.symbols(top, facts.params[0]);
            (Symbols::unary(op, operand), self.is_tree(top))
        } else {
            let left = self.symbols(top - 1, facts.params[0]);
            let right = self.symbols(top, facts.params[1]);
            let trees = self.is_tree(top - 1) || self.is_tree(top);
            (Symbols::binary(op, left, right), trees)
        }
    }

    /// Replaces the last entry, or the last two, by an operator over them, whose symbols are given.
    #[inline]
    pub(super) fn apply_last(&mut self, facts: &Facts, head: Term, symbols: Symbols) {
        let last = self.entries[self.entries.len() - 1];
        let (mut start, mut end) = (last.start as usize, (last.start + last.len) as usize);
        let (mut reads, mut effects) = (last.reads, facts.effects | last.effects);
        if facts.arity == 2 {
            self.entries.pop();
            let left = &self.entries[self.entries.len() - 1];
            let left_end = (left.start + left.len) as usize;
            if left_end != start {
                // It has become shorter.
                self.terms.copy_within(start..end, left_end);
                end -= start - left_end;
            }
            start = left.start as usize;
            (reads, effects) = (reads.and(left.reads), effects | left.effects);
        }
        let first = self.entries.len() - 1;
        let home = self.end_below(first);
        let ty = facts.result;
        self.entries[first] = Entry {
            start: start as u32,
            len: (end - start) as u32 + 1,
            ty,
            effects,
            kind: Kind::Op,
            home,
            end: reads.end.max(home + ty.slots()),
            reads,
            // Of more than fit, nothing is asked but how many there are.
            symbols: symbols.bits().unwrap_or(0),
        };
        self.changed(first);
        self.terms.truncate(end);
        self.terms.push(head);
        let tree = &mut self.terms[start..];
        // A few: a loop is done before a call to move them.
        for at in (1..tree.len()).rev() {
            tree[at] = tree[at - 1];
        }
        tree[0] = head;
    }

    /// Replaces the entry below the last by an operator with one operand over it, whose symbols are given. The
    /// last stays as it is.
    pub(super) fn apply_below_top(&mut self, facts: &Facts, head: Term, symbols: Symbols) {
        let top = self.entries.len() - 1;
        let (start, ty) = (self.entries[top - 1].start, facts.result);
        self.terms.insert(start as usize, head);
        self.entries[top].start += 1;
        let entry = &mut self.entries[top - 1];
        *entry = Entry {
            start,
            len: entry.len + 1,
            ty,
            effects: facts.effects | entry.effects,
            kind: Kind::Op,
            home: entry.home,
            end: entry.reads.end.max(entry.home + ty.slots()),
            reads: entry.reads,
            symbols: symbols.bits().unwrap_or(0),
        };
        self.changed(top - 1);
    }

    /// Replaces the entries from `first` up by an operator over them, whose symbols are given.
    /// `order` says which of them is which operand.
    pub(super) fn apply(
        &mut self,
        first: usize,
        op: Op,
        head: Term,
        order: &[usize],
        symbols: Symbols,
    ) {
        let home = self.end_below(first);
        let end = self.terms.len();
        let start = (self.entries.get(first)).map_or(end, |entry| entry.start as usize);
        let (mut reads, mut effects) = (Reads::default(), Effects::of_op(op));
        // Whether the operands are there one behind the other, in their order.
        let (mut next, mut in_place) = (start, true);
        for (nth, (entry, operand)) in self.entries[first..].iter().zip(order).enumerate() {
            in_place &= entry.start as usize == next && nth == *operand;
            next += entry.len as usize;
            reads = reads.and(entry.reads);
            effects = effects | entry.effects;
        }
        if in_place {
            self.terms.truncate(next);
            self.terms.push(head);
            // A few: a loop is done before a call to move them.
            for at in (start..next).rev() {
                self.terms.swap(at, at + 1);
            }
        } else {
            // The new tree is put together at the end, and then moved down.
            self.terms.push(head);
            for operand in order {
                let entry = &self.entries[first + operand];
                let terms = entry.start as usize..(entry.start + entry.len) as usize;
                self.terms.extend_from_within(terms);
            }
            let len = self.terms.len() - end;
            self.terms.copy_within(end.., start);
            self.terms.truncate(start + len);
        }
        let len = self.terms.len() - start;
        self.entries.truncate(first);
        self.changed(first);
        let ty = op.result();
        self.entries.push(Entry {
            start: start as u32,
            len: len as u32,
            ty,
            effects,
            kind: Kind::Op,
            home,
            end: reads.end.max(home + ty.slots()),
            reads,
            // Of more than fit, nothing is asked but how many there are.
            symbols: symbols.bits().unwrap_or(0),
        });
    }

    /// What is known of a tree of one node, or of a node in a tree.
    #[inline]
    fn summary(&self, node: Node) -> (Reads, Effects, Kind, u16) {
        let place = match node {
            Node::Place(place) => place,
            Node::Op(op, _) => {
                let effects = Effects::of_op(op);
                return (Reads::default(), effects, Kind::Op, Symbol::Op(op).number());
            }
            // Its symbol depends on what reads it.
            Node::Const(_) => return (Reads::default(), Effects::NONE, Kind::Const, 0),
        };
        let (mut reads, mut effects) = (Reads::default(), Effects::NONE);
        if self.is_local_place(place) {
            reads.locals = local_bit(place);
        } else if let Some(slots) = place.slots() {
            reads.end = slots.end;
        } else {
            effects = Effects::TEMP;
            reads.temps = Temps::of_place(place, &self.registers);
        }
        (reads, effects, Kind::Place, Symbol::place_number(place))
    }

    /// Takes away the entries from `len` up.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(entry) = self.entries.get(len) {
            self.terms.truncate(entry.start as usize);
            self.entries.truncate(len);
            self.changed(len);
        }
    }

    /// Puts another operator of the same types and effects at the root of the last entry.
    pub(super) fn set_top_op(&mut self, op: Op) {
        if let Some(entry) = self.entries.last_mut() {
            self.terms[entry.start as usize].node = Node::Op(op, 0);
            let mut symbols = Symbols::from_bits(entry.symbols, entry.len);
            symbols.set_first(Symbol::Op(op));
            entry.symbols = symbols.bits().unwrap_or(0);
        }
    }

    /// Takes away the pure operator at the root of the last entry, and leaves its first operand,
    /// of this type. Any other operand is a constant.
    pub(super) fn strip_top(&mut self, ty: Ty) {
        let top = self.entries.len() - 1;
        let Entry { start, home, .. } = self.entries[top];
        let start = start as usize;
        let operand = start + 1..expr::subtree_end(&self.terms, start + 1);
        let end = start + operand.len();
        self.terms.copy_within(operand, start);
        self.terms.truncate(end);
        let terms = &self.terms[start..];
        let summaries = terms.iter().map(|term| self.summary(term.node));
        let (mut reads, mut effects) = (Reads::default(), Effects::NONE);
        for (other, more, ..) in summaries {
            (reads, effects) = (reads.and(other), effects | more);
        }
        let (.., kind, _) = self.summary(terms[0].node);
        self.entries[top] = Entry {
            start: start as u32,
            len: terms.len() as u32,
            ty,
            effects,
            kind,
            home,
            end: reads.end.max(home + ty.slots()),
            reads,
            // Those of a constant depend on what reads it, and are not asked for.
            symbols: expr::symbols(&[ty], terms).bits().unwrap_or(0),
        };
    }

    /// Says what type the last entry has, where its operator knows only the kind.
    pub(super) fn set_top_type(&mut self, ty: Ty) {
        if let Some(entry) = self.entries.last_mut() {
            entry.ty = ty;
        }
    }

    /// Notes that an entry's value is now at a place.
    pub(super) fn set_leaf(&mut self, index: usize, place: Place, offset: u32) {
        let term = Term::place(place, offset);
        let (reads, effects, kind, symbol) = self.summary(term.node);
        let entry = &mut self.entries[index];
        self.terms[entry.start as usize] = term;
        entry.len = 1;
        entry.end = reads.end.max(entry.home + entry.ty.slots());
        (entry.reads, entry.effects, entry.kind) = (reads, effects, kind);
        entry.symbols = symbol.into();
        self.noted = self.noted.min(index);
        if index < self.low && !self.is_settled(index) {
            // It was, at a label: now it may be the alias of a local.
            self.low = index;
        }
    }

    /// Notes that the entries from `index` up are others than before.
    #[inline]
    fn changed(&mut self, index: usize) {
        self.low = self.low.min(index);
        self.noted = self.noted.min(index);
    }

    /// How many entries, from the lowest up, are what they were when this was called last. From now on, the first `height`
    /// of them count.
    pub(super) fn note(&mut self, height: usize) -> usize {
        std::mem::replace(&mut self.noted, height)
    }

    /// Where an entry is that is no tree.
    pub(super) fn leaf(&self, index: usize) -> Node {
        *self.node(index)
    }

    /// Whether an entry is a constant or in its home.
    fn is_settled(&self, index: usize) -> bool {
        self.is_const(index) || self.is_at(index, self.home(index))
    }

    /// Notes that an entry has been replaced by a value of this type that stands in a slot, which becomes its
    /// home: it is not above the old one.
    pub(super) fn set_slot(&mut self, index: usize, slot: Slot, ty: Ty, offset: u32) {
        self.entries[index].ty = ty;
        self.set_home(index, slot, offset);
    }

    /// Moves an entry's home down to a slot that holds its value.
    pub(super) fn set_home(&mut self, index: usize, slot: Slot, offset: u32) {
        let entry = &mut self.entries[index];
        entry.home = slot;
        let place = Place::in_slots(slot, entry.ty);
        self.set_leaf(index, place, offset);
    }

    /// The entries that may be pending, or aliases of locals.
    pub(super) fn window(&self) -> std::ops::Range<usize> {
        self.low..self.len()
    }

    /// How many entries, from the lowest up, have to go to their homes because too many are pending, if any.
    pub(super) fn overdue(&self) -> Option<usize> {
        (self.len() - self.low > WINDOW).then(|| self.len() - WINDOW)
    }

    /// Notes that the entries below `index` are constants or in their homes.
    pub(super) fn settled(&mut self, index: usize) {
        debug_assert!(
            (self.low..index).all(|index| self.is_settled(index)),
            "an entry is neither a constant nor in its home"
        );
        self.low = self.low.max(index);
    }

    /// Whether an entry's tree reads a local.
    #[inline]
    pub(super) fn reads(&self, index: usize, local: Local) -> bool {
        self.entries[index].reads.locals & local.bit != 0
            && self
                .terms(index)
                .iter()
                .any(|term| term.node == Node::Place(local.place))
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

    /// Whether an entry's tree reads a place, or a part of it.
    pub(super) fn reads_place(&self, index: usize, place: Place) -> bool {
        match place.slots() {
            Some(slots) => self.reads_slots(index, slots),
            None => (self.terms(index).iter()).any(|term| term.node == Node::Place(place)),
        }
    }

    /// The temporary registers that entries other than those in `except` read.
    pub(super) fn temps_except(&self, except: std::ops::Range<usize>) -> Temps {
        let window = &self.entries[self.low..];
        let except = except.start.saturating_sub(self.low)..except.end.saturating_sub(self.low);
        let temps = |entries: &[Entry]| {
            (entries.iter()).fold(Temps::NONE, |temps, entry| temps | entry.reads.temps)
        };
        temps(&window[..except.start]) | temps(&window[except.end..])
    }
}
