//! Where runs can stop and go on later: see [`Sites`](crate::Sites).

use crate::ir::Node;
use crate::{Point, PointKind, Site, SiteValue};

use super::Translator;

impl Translator<'_> {
    /// Before an instruction at which a run can stop: what is on the operand stack goes where it can be found.
    pub(super) fn can_stop(&mut self, kind: PointKind) {
        if self.additions.sites {
            self.settle(self.stack.len());
            self.note_site(kind);
        }
    }

    /// Puts the entries below `end` where they can be found if a run stops before they are used.
    pub(super) fn settle_for_site(&mut self, end: usize) {
        if self.additions.sites {
            self.settle(end);
        }
    }

    /// A run can stop at the next instruction. All entries are leaves, and none is in a register.
    pub(super) fn note_site(&mut self, kind: PointKind) {
        if self.additions.sites {
            self.note(kind, self.out.insts.len());
        }
    }

    /// A run can stop in the call that is the last instruction. All entries outlive it; none is in a register.
    pub(super) fn has_called(&mut self) {
        if self.additions.sites {
            self.note(PointKind::Call, self.out.insts.len() - 1);
        }
    }

    fn note(&mut self, kind: PointKind, inst: usize) {
        let (height, offset) = (self.stack.len(), self.offset);
        let mut site = Site::new(Point { offset, kind }, inst as u32, height);
        site.head = self.head();
        if kind == PointKind::Call {
            let Some(call) = site.of_call(&self.out.insts[inst].root) else {
                return;
            };
            site = call;
        }
        let known = self.stack.note(height);
        let stack = &self.stack;
        self.out.sites.note(site, known, |index| {
            let value = match stack.leaf(index) {
                Node::Const(bits) => SiteValue::Const(bits),
                Node::Place(place) => match place.slots() {
                    Some(slots) => SiteValue::Slot(slots.start),
                    None => unreachable!("an entry is in {place} where a run can stop"),
                },
                Node::Op(op, _) => unreachable!("{op:?} is pending where a run can stop"),
            };
            (value, stack.entry(index).ty.slots())
        });
    }
}
