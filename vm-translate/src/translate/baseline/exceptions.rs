//! Throwing and catching exceptions: see the module of the same name of the other tier.
//!
//! A region begins and ends where the next instruction will be, though one may be held back: that is none that throws.

use wasmparser::{BlockType, TryTable};

use crate::ValType;
use crate::ir::{Catch, Root, RuntimeOp, Slot};

use super::super::control::in_slots;
use super::super::exceptions::{Regions, caught, label, places, wanted};
use super::Baseline;
use super::control::Block;
use super::sink::BaselineSink;
use super::values::{Entry, Value};

impl<K: BaselineSink> Baseline<'_, K> {
    /// Translates `throw`.
    pub(super) fn throw(&mut self, tag: u32) {
        let ty = self.module.tag_type(tag);
        self.leave_by(RuntimeOp::Throw, ty.params().len(), tag);
    }

    /// Throws by so many operands.
    pub(super) fn leave_by(&mut self, op: RuntimeOp, operands: usize, immediate: u32) {
        let slots = self.width(self.stack.len() - operands..self.stack.len());
        let base = self.slot_operands(operands);
        self.slots = self.slots.max(base + slots.max(1));
        let imm = [immediate, 0];
        self.plain(Root::Runtime { op, base, imm });
        self.unreachable = Some(0);
    }

    /// Translates the beginning of a `try_table`.
    pub(super) fn try_table(&mut self, try_table: &TryTable) {
        let mut catches = Vec::with_capacity(try_table.catches.len());
        for clause in &try_table.catches {
            let frame = self.target(label(clause));
            let (tag, with_ref) = wanted(clause);
            let params = tag.map(|tag| self.module.tag_type(tag).params());
            let base = self.frames[frame].base;
            let operands = in_slots(base, self.operands(frame));
            let (values, exception) = places(params, with_ref, operands);
            let slots: Slot = self.operands(frame).iter().map(|ty| ty.slots()).sum();
            self.slots = self.slots.max(base + slots);
            catches.push(Catch {
                tag,
                label: self.label(frame),
                values,
                exception,
            });
        }
        let (height, base) = self.enter(try_table.ty);
        self.open(Block::Plain, try_table.ty, height, base);
        self.open_region(catches);
    }

    /// Those of the innermost block.
    pub(super) fn regions(&self) -> Regions {
        self.frames
            .last()
            .map(|frame| frame.regions)
            .unwrap_or_default()
    }

    /// A region begins, with the block that has just begun. Answers its number.
    fn open_region(&mut self, catches: Vec<Catch>) -> u32 {
        let top = self.frames.len() - 1;
        let position = self.sink.position();
        let regions = &mut self.frames[top].regions;
        regions.open(&mut self.handlers, position, catches)
    }

    // The older proposal.

    /// Translates `try`.
    pub(super) fn try_(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty);
        self.open(Block::Plain, ty, height, base);
        let region = self.open_region(Vec::new());
        let top = self.frames.len() - 1;
        self.frames[top].kind = Block::Try(region);
    }

    /// Translates `catch`, and `catch_all` if there is no tag.
    pub(super) fn catch(&mut self, tag: Option<u32>) {
        let reachable = self.unreachable.take().is_none();
        let top = self.frames.len() - 1;
        if reachable {
            self.move_operands(top);
            self.jump(top);
        }
        let label = self.labels.new_label();
        self.bind(label);
        let regions = &mut self.frames[top].regions;
        regions.close(&mut self.handlers, self.sink.position());
        let frame = self.frames[top];
        let params = tag.map_or(&[][..], |tag| self.module.tag_type(tag).params());
        self.truncate(frame.height);
        self.push_slots(frame.base, &[ValType::EXNREF]);
        self.push_slots(frame.base + 1, params);
        let slots: Slot = params.iter().map(|ty| ty.slots()).sum();
        self.slots = self.slots.max(frame.base + 1 + slots);
        if let Block::Try(region) = frame.kind {
            let catch = caught(tag, params, label, frame.base);
            self.handlers.add(region, catch);
        }
    }

    /// Translates `delegate`.
    pub(super) fn delegate(&mut self, depth: u32) {
        let top = self.frames.len() - 1;
        if let Block::Try(region) = self.frames[top].kind {
            // The block itself does not count.
            let to = self.frames[top - 1 - depth as usize].regions.inside;
            self.handlers.delegate(region, to);
        }
        self.end();
    }

    /// Translates `rethrow`.
    pub(super) fn rethrow(&mut self, depth: u32) {
        let caught = self.frames[self.target(depth)].height;
        let home = self.next_home(self.stack.len());
        let caught = self.stack[caught];
        self.copy(caught, home);
        self.stack.push(Entry {
            value: Value::Home,
            home,
            ty: caught.ty,
        });
        self.leave_by(RuntimeOp::ThrowRef, 1, 0);
    }
}
