//! Where baseline code goes.

use std::ops::Range;

#[cfg(doc)]
use crate::Shapes;
use crate::Sites;
use crate::ir::{Handlers, Label, Node, Root, Slot};

/// Takes the baseline code of a function, instruction by instruction.
///
/// An instruction is a [`Root`], and nodes if it needs values: an operator and its operands, or the root's
/// operands alone. An operand is a slot, a vector in two or a constant. Registers do not occur.
pub trait BaselineSink {
    /// What the executor has for an instruction.
    type Found: Copy;

    /// A function begins.
    fn begin(&mut self, frame: &BaselineFrame);

    /// What the executor has for an instruction that does this, whatever the slots, the constants of the same
    /// width and the immediates are. What [`Shapes`] says must be there need not be found.
    fn find(&mut self, root: &Root, nodes: &[Node]) -> Option<Self::Found>;

    /// The next instruction, with what has been found for it. `offset` is that of the WebAssembly instruction.
    fn inst(&mut self, root: &Root, nodes: &[Node], found: Option<Self::Found>, offset: u32);

    /// The next instruction is one without nodes.
    fn plain(&mut self, root: &Root, offset: u32);

    /// Sets the first result and returns, if that is one instruction.
    fn return_value(&mut self, value: &Node, offset: u32) -> bool;

    /// Keeps labels for a [`Root::BrTable`]. Returns the number of the first.
    fn table(&mut self, labels: &[Label]) -> u32;

    /// See [`Shapes::least_copy`].
    fn least_copy(&self) -> usize {
        crate::shape::LEAST_COPY
    }

    /// Where sites are noted, by positions, if the sink keeps them: of calls by those behind them.
    fn sites(&mut self) -> Option<&mut Sites> {
        None
    }

    /// A loop begins with what comes next, with nothing on the operand stack.
    fn loop_begins(&mut self, offset: u32);

    /// Where the next instruction will be: what labels are bound to.
    fn position(&self) -> u32;

    /// The function ends. Its frame has so many slots, labels stand at these positions, and exceptions are caught where `handlers`
    /// says, by such positions.
    fn finish(&mut self, frame_slots: Slot, labels: &[u32], handlers: &Handlers);
}

/// What is known of a function's frame before its first instruction.
#[derive(Clone, Debug)]
pub struct BaselineFrame {
    /// The function's index.
    pub func: u32,
    /// The offset of its body in the module.
    pub offset: u32,
    /// The locals that are no parameters: they start as zero.
    pub zeroed: Range<Slot>,
    /// The first slot of the operand stack.
    pub base: Slot,
    /// How many slots the results take.
    pub result_slots: u32,
    /// How many bytes the body has.
    pub size: u32,
}
