//! Throwing and catching exceptions.
//!
//! Where an exception is caught, a clause puts its values to where branches to the clause's label leave them, and goes on
//! there: a call inside of a `try_table` is one more way to get to the label. That needs nothing of the code around: locals are
//! always in their places, what is below the label's block has gone to its homes where that began, and
//! temporary registers hold nothing behind a call. So code is what it would be without clauses, which are in a
//! table ([`Handlers`](crate::ir::Handlers)).
//!
//! In a `try` of the older proposal, the exception that a `catch` has caught is on the operand stack as long as that lasts, below
//! its values: for `rethrow`.

use wasmparser::{Catch as Clause, TryTable};

use crate::ValType;
use crate::ir::{Catch, Handlers, Label, Place, Region, Root, RuntimeOp, Slot};

use super::Translator;
use super::control::Kind;
use super::expr::Effects;

/// How many blocks further out a clause goes on.
pub(super) fn label(clause: &Clause) -> u32 {
    let (Clause::One { label, .. }
    | Clause::OneRef { label, .. }
    | Clause::All { label }
    | Clause::AllRef { label }) = clause;
    *label
}

/// The tag whose exceptions a clause catches, if they are not all, and whether it wants a reference to the exception.
pub(super) fn wanted(clause: &Clause) -> (Option<u32>, bool) {
    match clause {
        Clause::One { tag, .. } => (Some(*tag), false),
        Clause::OneRef { tag, .. } => (Some(*tag), true),
        Clause::All { .. } => (None, false),
        Clause::AllRef { .. } => (None, true),
    }
}

/// The regions that a block is in, and is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Regions {
    /// That around it.
    pub(super) around: Region,
    /// That inside of it: another one if it catches exceptions.
    pub(super) inside: Region,
}

impl Regions {
    /// Those of a block inside that catches nothing.
    pub(super) fn within(self) -> Regions {
        Regions {
            around: self.inside,
            ..self
        }
    }

    /// A region of the block's own begins. Answers its number.
    pub(super) fn open(
        &mut self,
        handlers: &mut Handlers,
        position: u32,
        catches: Vec<Catch>,
    ) -> u32 {
        let region = handlers.open(position, catches, self.around);
        self.inside = Some(region);
        region
    }

    /// Whether the block has a region of its own that has not ended.
    pub(super) fn is_open(self) -> bool {
        self.inside != self.around
    }

    /// The block's own region ends, if it is open.
    pub(super) fn close(&mut self, handlers: &mut Handlers, position: u32) {
        if self.is_open() {
            handlers.close(position, self.around);
            self.inside = self.around;
        }
    }
}

/// A clause of a `try`, with this label, for exceptions with a tag or for all: one goes to a slot, its values to those behind.
pub(super) fn caught(tag: Option<u32>, params: &[ValType], label: Label, base: Slot) -> Catch {
    Catch {
        tag,
        label,
        values: params.first().map(|ty| Place::in_slots(base + 1, ty.ty())),
        exception: Some(Place::Slot(base)),
    }
}

/// What of a clause depends on where branches to its label leave their operands: first the values of an exception with this tag, and then
/// the reference, from `places` one after the other.
pub(super) fn places(
    tag: Option<&[ValType]>,
    with_ref: bool,
    mut places: impl Iterator<Item = Place>,
) -> (Option<Place>, Option<Place>) {
    let count = tag.map_or(0, <[_]>::len);
    let mut of_values = places.by_ref().take(count);
    let values = of_values.next();
    of_values.for_each(drop);
    let exception = places.next().filter(|_| with_ref);
    (values, exception)
}

impl Translator<'_> {
    /// Translates `throw`.
    pub(super) fn throw(&mut self, tag: u32) {
        let params = self.module.tag_type(tag).params();
        let first = self.stack.len() - params.len();
        let base = if self.are_many(params.len()) {
            self.compute_for_call(0..first);
            let base = self.stack.end_below(first);
            self.settle_at(first..self.stack.len(), base);
            base
        } else {
            self.slot_operands(params.len(), 0).1
        };
        let slots = self.module.tag_type(tag).param_slots();
        self.leave_by(RuntimeOp::Throw, base, slots, tag);
    }

    /// Translates `throw_ref`.
    pub(super) fn throw_ref(&mut self) {
        let (_, base) = self.slot_operands(1, 0);
        self.leave_by(RuntimeOp::ThrowRef, base, 1, 0);
    }

    /// Throws by what stands in so many slots from `base` up.
    fn leave_by(&mut self, op: RuntimeOp, base: u32, slots: u32, immediate: u32) {
        self.out.slots = self.out.slots.max(base + slots.max(1));
        let imm = [immediate, 0];
        self.emit_plain(Root::Runtime { op, base, imm });
        self.unreachable = Some(0);
    }

    /// Translates the beginning of a `try_table`.
    pub(super) fn try_table(&mut self, try_table: &TryTable) {
        let mut catches = Vec::with_capacity(try_table.catches.len());
        for clause in &try_table.catches {
            let frame = self.target(label(clause));
            let (tag, with_ref) = wanted(clause);
            let params = tag.map(|tag| self.module.tag_type(tag).params());
            let (values, exception) = places(params, with_ref, self.destinations(frame));
            let slots = params.map_or(0, |params| params.iter().map(|ty| ty.slots()).sum());
            self.reach(values, slots);
            self.reach(exception, 1);
            catches.push(Catch {
                tag,
                label: self.label(frame),
                values,
                exception,
            });
        }
        self.block(try_table.ty);
        self.open_region(catches);
    }

    /// Sees to it that the frame has the slots where a clause puts something: so many, if they are no register.
    fn reach(&mut self, place: Option<Place>, count: u32) {
        if let Some(slots) = place.and_then(Place::slots) {
            self.out.slots = self.out.slots.max(slots.start + count);
        }
    }

    /// A region begins, with the block that has just begun. Answers its number.
    fn open_region(&mut self, catches: Vec<Catch>) -> u32 {
        let top = self.frames.len() - 1;
        let here = self.out.insts.len() as u32;
        let regions = &mut self.frames[top].regions;
        regions.open(&mut self.out.handlers, here, catches)
    }

    // The older proposal.

    /// Translates `try`.
    pub(super) fn try_(&mut self, ty: wasmparser::BlockType) {
        self.block(ty);
        let region = self.open_region(Vec::new());
        let top = self.frames.len() - 1;
        self.frames[top].kind = Kind::Try(region);
    }

    /// Translates `catch`, and `catch_all` if there is no tag.
    pub(super) fn catch(&mut self, tag: Option<u32>) {
        let reachable = self.unreachable.take().is_none();
        let top = self.frames.len() - 1;
        if reachable {
            self.move_operands(top);
            self.jump(top);
        }
        let label = self.out.labels.new_label();
        self.out.bind(label);
        let here = self.out.insts.len() as u32;
        let regions = &mut self.frames[top].regions;
        regions.close(&mut self.out.handlers, here);
        let frame = self.frames[top];
        let params = tag.map_or(&[][..], |tag| self.module.tag_type(tag).params());
        let base = frame.base;
        self.stack.truncate(frame.height);
        self.push_slots(base, &[ValType::EXNREF]);
        self.push_slots(base + 1, params);
        self.settle(self.stack.len());
        let slots: u32 = params.iter().map(|ty| ty.slots()).sum();
        self.out.slots = self.out.slots.max(base + 1 + slots);
        if let Kind::Try(region) = frame.kind {
            let catch = caught(tag, params, label, base);
            self.out.handlers.add(region, catch);
        }
    }

    /// Translates `delegate`.
    pub(super) fn delegate(&mut self, depth: u32) {
        let top = self.frames.len() - 1;
        if let Kind::Try(region) = self.frames[top].kind {
            // The block itself does not count.
            let to = self.frames[top - 1 - depth as usize].regions.inside;
            self.out.handlers.delegate(region, to);
        }
        self.end();
    }

    /// Translates `rethrow`.
    pub(super) fn rethrow(&mut self, depth: u32) {
        let caught = self.frames[self.target(depth)].height;
        self.compute(Effects::TRAPS, self.stack.len());
        let base = self.stack.end();
        self.copy_entry(caught, Place::Slot(base));
        self.leave_by(RuntimeOp::ThrowRef, base, 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_the_reference_go_one_behind_the_other() {
        let slots = |first: u32| (first..).map(Place::Slot);
        let slot = |n: u32| Some(Place::Slot(n));
        let params = [ValType::I32; 3];
        assert_eq!(places(None, false, slots(4)), (None, None));
        assert_eq!(places(None, true, slots(4)), (None, slot(4)));
        assert_eq!(places(Some(&[]), true, slots(4)), (None, slot(4)));
        assert_eq!(
            places(Some(&params[..1]), true, slots(4)),
            (slot(4), slot(5))
        );
        assert_eq!(places(Some(&params), true, slots(4)), (slot(4), slot(7)));
        assert_eq!(places(Some(&params), false, slots(4)), (slot(4), None));
    }
}
