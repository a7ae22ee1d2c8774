//! Where branches lead.

use crate::ir::Label;

/// The positions of labels.
#[derive(Debug, Default)]
pub(super) struct Labels(Vec<u32>);

impl Labels {
    /// None, in the memory of those that are no longer needed.
    pub(super) fn reuse(mut old: Vec<u32>) -> Labels {
        old.clear();
        Labels(old)
    }

    /// A label that is bound later.
    pub(super) fn new_label(&mut self) -> Label {
        self.label_at(u32::MAX)
    }

    /// A label at a position.
    pub(super) fn label_at(&mut self, position: u32) -> Label {
        self.0.push(position);
        (self.0.len() - 1) as Label
    }

    pub(super) fn bind(&mut self, label: Label, position: u32) {
        self.0[label as usize] = position;
    }

    /// The position of each label.
    pub(super) fn positions(&self) -> &[u32] {
        &self.0
    }

    pub(super) fn into_positions(self) -> Vec<u32> {
        self.0
    }
}
