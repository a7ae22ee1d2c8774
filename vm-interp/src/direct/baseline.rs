//! From a body straight to the cells of baseline code.

use std::ops::Range;

use vm_translate::ir::{Handlers, Label, Node, Root, Slot};
use vm_translate::{BaselineFrame, BaselineSink, Sites};

use super::calls::RESTORE_BYTES;
use super::cells::{Cells, Frame, Surroundings, TooLarge, Turning, Writer};
use super::fixed::Fixed;
use super::simple::{self, Simple};
use crate::handlers::HandlerTable;

/// About how many bytes of a body become a cell.
const USUAL_INST_BYTES: usize = 4;

/// Writes the cells of a function in the baseline tier.
pub(super) struct BaselineWriter<'a> {
    writer: Writer<'a>,
    /// The address of the module's code.
    code: u64,
    /// After so many turns of a loop it is asked for better.
    turns: u64,
    func: u32,
    zeroed: Range<Slot>,
}

impl<'a> BaselineWriter<'a> {
    /// What was in the cells is forgotten.
    pub(super) fn new(
        around: &'a Surroundings<'a>,
        cells: &'a mut Cells,
        code: u64,
        turns: u64,
    ) -> BaselineWriter<'a> {
        let frame = Frame::default();
        let writer = Writer {
            around,
            out: cells,
            frame,
        };
        BaselineWriter {
            writer,
            code,
            turns,
            func: 0,
            zeroed: 0..0,
        }
    }

    /// Says whether what has been written is within the limits.
    pub(super) fn check_size(&self) -> Result<(), TooLarge> {
        self.writer.check_size()
    }
}

impl BaselineSink for BaselineWriter<'_> {
    type Found = Simple;

    fn begin(&mut self, frame: &BaselineFrame) {
        let writer = &mut self.writer;
        writer.out.clear(frame.size as usize / USUAL_INST_BYTES);
        writer.frame.saves = frame.base;
        writer.frame.result_slots = frame.result_slots;
        writer.note(0, frame.offset);
        writer.leave_room_to_enter();
        self.func = frame.func;
        self.zeroed = frame.zeroed.clone();
    }

    // The root is known where it is called.
    #[inline(always)]
    fn find(&mut self, root: &Root, nodes: &[Node]) -> Option<Simple> {
        simple::find(root, nodes)
    }

    #[inline(always)]
    fn inst(&mut self, root: &Root, nodes: &[Node], found: Option<Simple>, offset: u32) {
        let writer = &mut self.writer;
        writer.note(0, offset);
        match found {
            Some(found) => writer.simple(found, root, nodes),
            None => writer.single(root, nodes),
        }
        match *root {
            Root::BrTable { first, count } => {
                for n in first..first + count {
                    let label = writer.out.tables[n as usize];
                    writer.put_label(label);
                }
            }
            Root::CallIndirect { base, .. } | Root::CallRef { base, .. } => {
                writer.restore_context(base);
            }
            _ => {}
        }
    }

    fn plain(&mut self, root: &Root, offset: u32) {
        self.writer.note(0, offset);
        self.writer.single(root, &[]);
    }

    fn return_value(&mut self, value: &Node, offset: u32) -> bool {
        self.writer.return_value(value, offset)
    }

    fn table(&mut self, labels: &[Label]) -> u32 {
        let tables = &mut self.writer.out.tables;
        let first = tables.len() as u32;
        tables.extend(labels);
        first
    }

    fn loop_begins(&mut self, offset: u32) {
        let writer = &mut self.writer;
        let number = writer.out.loops.len() as u32;
        let cell = (writer.at() / size_of::<u64>()) as u32;
        writer.out.loops.push(Turning { offset, cell });
        writer.fixed(Fixed::Turn);
        writer.put(self.code);
        writer.put32(self.func);
        writer.put32(number);
        writer.put(self.turns);
    }

    fn sites(&mut self) -> Option<&mut Sites> {
        Some(&mut self.writer.out.sites)
    }

    #[inline]
    fn position(&self) -> u32 {
        self.writer.at() as u32
    }

    fn finish(&mut self, frame_slots: Slot, labels: &[u32], handlers: &Handlers) {
        let writer = &mut self.writer;
        writer.out.sites.locate(|site| {
            let restore = if site.restores { RESTORE_BYTES } else { 0 };
            site.back = site.at - restore as u32;
        });
        writer.fill_entry(frame_slots, self.zeroed.clone());
        // The sink counts positions in bytes.
        let target = |label: Label| labels[label as usize];
        writer.out.handlers = HandlerTable::new(handlers, |position| position, target);
        (writer.out).fill_branches(|label| labels[label as usize]);
    }
}
