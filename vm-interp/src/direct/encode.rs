//! From the IR to cells.
//!
//! One pass over the instructions: each becomes one cell, or shares one with its successor where
//! a handler does both. Branches are filled in at the end.

use std::ops::Range;

use vm_translate::ir::{Inst, Label, Root};
use vm_translate::shape::{Cells as Runs, Found, Next, Traps};
use vm_translate::{Function, PointKind};

use super::calls::RESTORE_BYTES;
use super::cells::{Cells, Frame, Surroundings, TooLarge, Writer};
use super::fixed::Fixed;
use super::frames::sets_result;
use super::shapes;
use super::tiers::pinned_slot;
use crate::handlers::HandlerTable;
use crate::profile::CellProfile;
use crate::registers::SavedRegisters;

/// What besides the function's own cells is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Cells that count how often instructions run.
    pub(super) count: bool,
    /// Cells where frames of baseline code go on.
    pub(super) continuations: bool,
}

/// Encodes a function. What was in the cells is forgotten.
pub(super) fn encode(
    function: &Function,
    around: &Surroundings<'_>,
    wanted: Wanted,
    cells: &mut Cells,
) -> Result<(), TooLarge> {
    // Slot offsets are 32-bit operands.
    if u64::from(function.frame_slots()) * 8 > i32::MAX as u64 {
        return Err(TooLarge("its frame"));
    }
    cells.clear(function.insts().len());
    cells.starts.reserve(function.insts().len());
    let mut encoder = Encoder {
        function,
        writer: Writer {
            around,
            out: cells,
            frame: Frame {
                saves: function.saves().start,
                ints: function.saved_ints(),
                floats: function.saved_floats(),
                result_slots: function.result_slots(),
            },
        },
    };
    let runs = match wanted.count {
        true => Runs::of_blocks(function),
        false => Runs::new(function),
    };
    encoder.enter();
    let insts = function.insts();
    let mut n = 0;
    while n < insts.len() {
        let cell = encoder.writer.at();
        if wanted.count && (n == 0 || runs.is_labelled(n)) {
            encoder.count(n);
        }
        let end = if sets_result(&insts[n].root)
            && matches!(insts.get(n + 1), Some(next) if matches!(next.root, Root::Return))
            && !runs.is_labelled(n + 1)
            && encoder.return_value(&insts[n])
        {
            n + 2
        } else if let Some(handler) = alone(&insts[n]) {
            // The usual case.
            let inst = &insts[n];
            encoder.writer.note(0, inst.offset);
            let root = (&inst.root, function.nodes(inst), inst.key());
            encoder.writer.handler(handler, std::iter::once(root));
            n + 1
        } else if let Some((run, handler)) = runs.at(n, shapes::find) {
            let end = run.end;
            encoder.shape(handler, run);
            end
        } else {
            let inst = &insts[n];
            encoder.writer.note(0, inst.offset);
            encoder.writer.single(&inst.root, function.nodes(inst));
            n + 1
        };
        let out = &mut *encoder.writer.out;
        if wanted.count {
            let shape = runs.key(n..end);
            let (insts, count) = (n..end, 0);
            out.cells.push(CellProfile {
                insts,
                shape,
                count,
            });
        }
        // Nothing branches to those after the first: they have no cell of their own.
        out.starts.extend((n..end).map(|_| cell as u32));
        n = end;
    }
    encoder.fill_branches();
    encoder.handlers();
    if wanted.continuations {
        encoder.continuations(&runs);
    }
    encoder.locate_sites();
    encoder.writer.check_size()
}

/// The handler of an instruction that cannot share its cell and whose cell is all that it needs, with one place in
/// the module.
#[inline]
fn alone(inst: &Inst) -> Option<u32> {
    let found = inst.found();
    let simple = matches!(
        inst.root,
        Root::Set(_) | Root::Store { .. } | Root::GlobalSet { .. }
    ) || inst.root.is_conditional();
    let is_alone = found.next == Next::NONE && found != Found::OTHERWISE;
    (simple && is_alone && inst.traps().count() < 2).then_some(found.handler)
}

struct Encoder<'a> {
    function: &'a Function,
    writer: Writer<'a>,
}

impl Encoder<'_> {
    /// Counts from here on.
    fn count(&mut self, inst: usize) {
        let writer = &mut self.writer;
        writer.fixed(Fixed::Count);
        let at = writer.at();
        writer.out.counters.push((at, inst));
        writer.put(0);
    }

    /// The cells that make a frame.
    fn enter(&mut self) {
        let function = self.function;
        self.writer.note(0, function.start_offset());
        let slots = function.frame_slots();
        (self.writer).enter(slots, function.zeroed(), function.pins(), |_, pin| {
            pin.parameter
        });
    }

    /// The cells where frames of baseline code go on, for each loop.
    fn continuations(&mut self, runs: &Runs<'_>) {
        let (function, writer) = (self.function, &mut self.writer);
        for head in function.loops() {
            let inst = head.inst as usize;
            let enters = function.insts().get(inst).map(|inst| inst.root) == Some(Root::EnterLoop);
            // Otherwise the loop has no cell of its own; and it has no second turn.
            if !enters && !runs.is_labelled(inst) {
                continue;
            }
            let start = writer.at() as u32;
            writer.out.entries.push((head.offset, start));
            writer.note(0, head.offset);
            let from = |pin, _: &_| Some(pinned_slot(function, pin));
            writer.enter(function.frame_slots(), 0..0, function.pins(), from);
            writer.fixed(Fixed::Br);
            let target = writer.out.starts[inst];
            writer.put_target(target);
        }
    }

    /// Notes where runs can stop.
    fn locate_sites(&mut self) {
        let out = &mut *self.writer.out;
        out.sites.clone_from(self.function.sites());
        out.sites.locate(|site| {
            let start = |inst: u32| out.starts[inst as usize];
            site.head = site.head.map(start);
            match site.point.kind {
                // Nothing falls off the end, and a call is the last of its cell.
                PointKind::Call => {
                    let restore = if site.restores { RESTORE_BYTES } else { 0 };
                    site.at = start(site.at + 1);
                    site.back = site.at - restore as u32;
                }
                _ => (site.at, site.back) = (start(site.at), start(site.at)),
            }
        });
    }

    /// Encodes a set of the first result and the return behind it, if there is a handler for both.
    fn return_value(&mut self, set: &Inst) -> bool {
        match self.function.nodes(set) {
            [leaf] => self.writer.return_value(leaf, set.offset),
            _ => false,
        }
    }

    /// Encodes the cell of a handler that does these instructions.
    fn shape(&mut self, handler: u32, run: Range<usize>) {
        let function = self.function;
        let insts = function.insts();
        let writer = &mut self.writer;
        let cell = writer.at();
        // Numbered as in the handler.
        let mut site = 0;
        for n in run.clone() {
            if insts[n].traps() != Traps::Never {
                for offset in function.trap_offsets(n) {
                    writer.note(site, offset);
                    site += 1;
                }
            }
        }
        let insts = &insts[run];
        if (writer.out.offsets.last()).is_none_or(|(noted, _)| (*noted as usize) < cell) {
            writer.note(0, insts[0].offset);
            site = 1;
        }
        if let Some(call) = (insts.last()).filter(|inst| matches!(inst.root, Root::Call { .. })) {
            // Where the callee returns, it is the call that is going on.
            writer.note(site, call.offset);
        }
        let roots = insts.iter();
        let roots = roots.map(|inst| (&inst.root, function.nodes(inst), inst.key()));
        writer.handler(handler, roots);
        match insts.last().map(|inst| inst.root) {
            Some(Root::BrTable { first, count }) => {
                let table = first as usize..(first + count) as usize;
                for label in &function.tables()[table] {
                    writer.put_label(*label);
                }
            }
            Some(Root::CallIndirect { base, .. } | Root::CallRef { base, .. }) => {
                writer.restore_context(base);
            }
            _ => {}
        }
    }

    /// Says where exceptions are caught, and where registers are saved.
    fn handlers(&mut self) {
        let function = self.function;
        let out = &mut *self.writer.out;
        let (starts, end) = (&out.starts, out.words.len() as u32 * 8);
        let position = |inst: u32| starts.get(inst as usize).copied().unwrap_or(end);
        let target = |label: Label| position(function.labels()[label as usize]);
        out.handlers = HandlerTable::new(function.handlers(), position, target);
        out.saved = SavedRegisters::of(function);
    }

    fn fill_branches(&mut self) {
        let out = &mut *self.writer.out;
        let starts = std::mem::take(&mut out.starts);
        let labels = self.function.labels();
        out.fill_branches(|label| starts[labels[label as usize] as usize]);
        out.starts = starts;
    }
}
