//! Where runs can stop and go on later: see [`Sites`](crate::Sites).

use crate::ir::Root;
use crate::{Point, PointKind, Site, SiteValue};

use super::Baseline;
use super::sink::BaselineSink;

impl<K: BaselineSink> Baseline<'_, K> {
    /// Before an instruction at which a run can stop: what is on the operand stack goes where it can be found.
    pub(super) fn can_stop(&mut self, kind: PointKind) {
        if self.additions.sites {
            self.settle(self.stack.len());
            self.note_site(kind);
        }
    }

    /// Puts the entries below `height` where they can be found if a run stops before they are used.
    pub(super) fn settle_for_site(&mut self, height: usize) {
        if self.additions.sites {
            self.settle(height);
        }
    }

    /// The same before a bulk operation, if that takes fuel: its operands go to where it wants them.
    pub(super) fn can_stop_in_bulk(&mut self, operands: usize) {
        if self.additions.sites && self.additions.fuel.is_some() {
            let first = self.stack.len() - operands;
            self.settle(first);
            self.settle_at(first, self.next_home(first));
            self.note_site(PointKind::Bulk);
        }
    }

    /// A run can stop at the next instruction. All entries are in their homes.
    fn note_site(&mut self, kind: PointKind) {
        self.flush();
        self.note(kind, None);
    }

    /// A run can stop in the call that is the last instruction. All entries outlive it, in their homes.
    pub(super) fn has_called(&mut self, root: &Root) {
        if self.additions.sites {
            self.note(PointKind::Call, Some(root));
        }
    }

    fn note(&mut self, kind: PointKind, call: Option<&Root>) {
        let (height, offset) = (self.stack.len(), self.offset);
        let mut site = Site::new(Point { offset, kind }, self.sink.position(), height);
        if let Some(root) = call {
            let Some(call) = site.of_call(root) else {
                return;
            };
            site = call;
        }
        let known = std::mem::replace(&mut self.noted, height);
        if let Some(sites) = self.sink.sites() {
            sites.note(site, known, |index| {
                let entry = &self.stack[index];
                (SiteValue::Slot(entry.home), entry.ty.slots())
            });
        }
    }
}
