//! Blocks, branches and returns.
//!
//! Where a block begins, everything on the stack goes to its home, and where branches arrive the
//! operands are in consecutive slots from the block's base: nothing pending crosses a label.

use std::collections::HashMap;

use wasmparser::{BlockType, BrTable};

use crate::ValType;
use crate::ir::{FRAME_HEADER, Label, Node, Place, Root, Slot};
use crate::op::Op;

use super::Translator;
use super::expr::{Effects, Expr, Term, subtree_end};

/// A block that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    kind: Kind,
    ty: BlockType,
    /// How many entries of the stack are below its parameters.
    height: usize,
    /// The first of the slots where branches to it leave its operands.
    base: Slot,
    /// The label of branches to it, once there is one.
    label: Option<Label>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The whole body: a branch to it returns.
    Function,
    Block,
    /// With the index of its first instruction.
    Loop(u32),
    /// With the label of its else branch.
    If(Label),
}

impl Frame {
    pub(super) fn function(ty: u32) -> Frame {
        Frame {
            kind: Kind::Function,
            ty: BlockType::FuncType(ty),
            height: 0,
            base: FRAME_HEADER,
            label: None,
        }
    }
}

impl<'a> Translator<'a> {
    fn params(&self, ty: BlockType) -> &'a [ValType] {
        match ty {
            // The function's own type: its parameters are locals, not operands.
            BlockType::FuncType(index) => self.module.types()[index as usize].params(),
            BlockType::Empty | BlockType::Type(_) => &[],
        }
    }

    fn results(&self, ty: BlockType) -> &'a [ValType] {
        match ty {
            BlockType::FuncType(index) => self.module.types()[index as usize].results(),
            BlockType::Empty => &[],
            BlockType::Type(ty) => match ValType::from_wasm(ty) {
                Some(ValType::I32) => &[ValType::I32],
                Some(ValType::F32) => &[ValType::F32],
                Some(ValType::F64) => &[ValType::F64],
                // References are 64-bit integers here; validation has refused all else.
                _ => &[ValType::I64],
            },
        }
    }

    /// The index in `frames` of the target of a branch.
    fn target(&self, depth: u32) -> usize {
        self.frames.len() - 1 - depth as usize
    }

    /// How many operands a branch to a block takes.
    fn arity(&self, frame: usize) -> usize {
        let frame = &self.frames[frame];
        match frame.kind {
            Kind::Loop(_) => self.params(frame.ty).len(),
            _ => self.results(frame.ty).len(),
        }
    }

    fn is_function(&self, frame: usize) -> bool {
        self.frames[frame].kind == Kind::Function
    }

    fn label(&mut self, frame: usize) -> Label {
        let frame = &mut self.frames[frame];
        let kind = frame.kind;
        *frame.label.get_or_insert_with(|| match kind {
            Kind::Loop(start) => self.out.label_at(start),
            _ => self.out.label(),
        })
    }

    // Blocks.

    pub(super) fn block(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 0);
        self.open(Kind::Block, ty, height, base);
    }

    pub(super) fn loop_(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 0);
        let start = self.out.here();
        self.open(Kind::Loop(start), ty, height, base);
    }

    pub(super) fn if_(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 1);
        let label = self.out.label();
        self.branch_on_top(false, label);
        self.open(Kind::If(label), ty, height, base);
    }

    fn open(&mut self, kind: Kind, ty: BlockType, height: usize, base: Slot) {
        self.frames.push(Frame {
            kind,
            ty,
            height,
            base,
            label: None,
        });
    }

    /// Puts what is on the stack where a block wants it, except `above` operands at the top.
    /// Returns the block's height and base.
    fn enter(&mut self, ty: BlockType, above: usize) -> (usize, Slot) {
        let params = self.params(ty).len();
        let height = self.stack.len() - above - params;
        self.settle(height);
        let base = self.stack.end_below(height);
        for (slot, index) in (base..).zip(height..height + params) {
            // Homes only move down, and to where no later operand's home is.
            self.copy_entry(index, Place::Slot(slot));
            self.stack.set_home(index, slot, self.offset);
        }
        self.stack.settled(height + params);
        (height, base)
    }

    pub(super) fn else_(&mut self) {
        let reachable = self.unreachable.take().is_none();
        let top = self.frames.len() - 1;
        if reachable {
            self.move_operands(top);
            let label = self.label(top);
            self.emit_plain(Root::Br(label));
        }
        let frame = self.frames[top];
        if let Kind::If(label) = frame.kind {
            self.out.bind(label);
        }
        self.frames[top].kind = Kind::Block;
        self.arrive(&frame, self.params(frame.ty));
    }

    pub(super) fn end(&mut self) {
        let top = self.frames.len() - 1;
        let frame = self.frames[top];
        let reachable = self.unreachable.take().is_none();
        let joins = match frame.kind {
            Kind::Loop(_) => false,
            Kind::If(_) => true,
            Kind::Function | Kind::Block => frame.label.is_some(),
        };
        if reachable && (joins || frame.kind == Kind::Function) {
            self.move_operands(top);
        }
        if let (Kind::Function | Kind::Block | Kind::If(_), Some(label)) = (frame.kind, frame.label)
        {
            self.out.bind(label);
        }
        if let Kind::If(label) = frame.kind {
            self.out.bind(label);
        }
        self.frames.pop();
        if joins {
            self.arrive(&frame, self.results(frame.ty));
        } else if !reachable {
            self.unreachable = Some(0);
        }
        if frame.kind == Kind::Function && (reachable || joins) {
            self.emit_plain(Root::Return);
        }
    }

    /// Makes the stack what it is where branches to a block arrive.
    fn arrive(&mut self, frame: &Frame, operands: &[ValType]) {
        self.stack.truncate(frame.height);
        if frame.kind == Kind::Function {
            return;
        }
        for (slot, ty) in (frame.base..).zip(operands) {
            self.push_slot(slot, ty.ty());
        }
        self.stack.settled(self.stack.len());
    }

    /// Moves the operands at the top of the stack to where a branch to a block leaves them.
    fn move_operands(&mut self, frame: usize) {
        let first = self.stack.len() - self.arity(frame);
        self.compute(Effects::TRAPS, first);
        self.clear_targets(frame, first);
        for (slot, index) in (self.frames[frame].base..).zip(first..self.stack.len()) {
            self.emit_entry(index, Place::Slot(slot));
        }
    }

    /// The results of a function go to where its parameters and locals are: those that a later
    /// result still needs are saved first.
    fn clear_targets(&mut self, frame: usize, first: usize) {
        if !self.is_function(frame) {
            // A block's slots are at or below the homes of its operands, in the same order.
            return;
        }
        let base = self.frames[frame].base;
        let pending = first.max(self.stack.window().start)..self.stack.len();
        for index in pending {
            let overwritten = base..base + (index - first) as Slot;
            let clashes = self.stack.terms(index).iter().any(|term| match term.node {
                Node::Place(Place::Slot(slot)) => overwritten.contains(&slot),
                _ => false,
            });
            if clashes {
                self.store_home(index);
            }
        }
    }

    /// The same as [`Translator::move_operands`] for a branch that may not be taken: the entries
    /// stay what they are. They have to be leaves.
    fn copy_operands(&mut self, frame: usize, first: usize) {
        for (slot, index) in (self.frames[frame].base..).zip(first..first + self.arity(frame)) {
            self.copy_entry(index, Place::Slot(slot));
        }
    }

    // Branches.

    pub(super) fn br(&mut self, depth: u32) {
        let frame = self.target(depth);
        self.move_operands(frame);
        self.jump(frame);
        self.unreachable = Some(0);
    }

    pub(super) fn return_(&mut self) {
        self.br(self.frames.len() as u32 - 1);
    }

    /// Goes on where branches to a block arrive.
    fn jump(&mut self, frame: usize) {
        if self.is_function(frame) {
            self.emit_plain(Root::Return);
        } else {
            let label = self.label(frame);
            self.emit_plain(Root::Br(label));
        }
    }

    pub(super) fn unreachable(&mut self) {
        self.compute(Effects::TRAPS, self.stack.len());
        self.emit_plain(Root::Unreachable);
        self.unreachable = Some(0);
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        let frame = self.target(depth);
        let condition = self.stack.len() - 1;
        let first = condition - self.arity(frame);
        self.compute(Effects::TRAPS, condition);
        if first == condition {
            let label = self.label(frame);
            self.branch_on_top(true, label);
            return;
        }
        self.make_leaves(frame, first..condition);
        let base = self.frames[frame].base;
        let in_place = !self.is_function(frame)
            && (base..)
                .zip(first..condition)
                .all(|(slot, index)| self.stack.entry(index).home == slot);
        if in_place {
            // The slots are theirs anyway: it does no harm to fill them even if the branch is
            // not taken.
            self.copy_operands(frame, first);
            let label = self.label(frame);
            self.branch_on_top(true, label);
        } else {
            // What is in a temporary register would not survive the label.
            self.settle_temps(first);
            let skip = self.out.label();
            self.branch_on_top(false, skip);
            self.copy_operands(frame, first);
            self.jump(frame);
            self.out.bind(skip);
        }
    }

    /// Makes operands constants, locals, or values in their homes, so that they can be copied
    /// on one path and stay what they are on another.
    fn make_leaves(&mut self, frame: usize, operands: std::ops::Range<usize>) {
        self.clear_targets_of(frame, operands.clone());
        for index in operands {
            if !self.stack.is_const(index) && !self.stack.is_local(index) {
                self.store_home(index);
            }
        }
    }

    fn clear_targets_of(&mut self, frame: usize, operands: std::ops::Range<usize>) {
        if self.is_function(frame) && operands.len() > 1 {
            for index in operands {
                if !self.stack.is_const(index) {
                    self.store_home(index);
                }
            }
        }
    }

    fn settle_temps(&mut self, end: usize) {
        for index in self.stack.window().start..end {
            if self.stack.entry(index).effects.any_of(Effects::TEMP) {
                self.store_home(index);
            }
        }
    }

    pub(super) fn br_table(&mut self, table: &BrTable<'_>) -> Result<(), wasmparser::Error> {
        let mut depths = Vec::with_capacity(table.len() as usize + 1);
        for depth in table.targets() {
            depths.push(depth?);
        }
        depths.push(table.default());
        let default = self.target(table.default());
        let index = self.stack.len() - 1;
        let first = index - self.arity(default);
        self.compute(Effects::TRAPS, first);
        let direct = first == index;
        if !direct {
            self.make_leaves(default, first..index);
            let any_returns = depths
                .iter()
                .any(|depth| self.is_function(self.target(*depth)));
            if any_returns {
                self.clear_targets_of(0, first..index);
            }
        }
        self.leaf_operand(index);
        // Labels of copies on the way to a block, by its depth.
        let mut ways: HashMap<u32, Label> = HashMap::new();
        let mut order = Vec::new();
        let start = self.out.tables.len() as u32;
        for depth in &depths {
            let label = if direct {
                self.label(self.target(*depth))
            } else {
                *ways.entry(*depth).or_insert_with(|| {
                    order.push(*depth);
                    self.out.label()
                })
            };
            self.out.tables.push(label);
        }
        let root = Root::BrTable {
            first: start,
            count: depths.len() as u32,
        };
        self.lower_entries(root, index..index + 1);
        for depth in order {
            let frame = self.target(depth);
            self.out.bind(ways[&depth]);
            self.copy_operands(frame, first);
            self.jump(frame);
        }
        self.unreachable = Some(0);
        Ok(())
    }

    /// Takes the condition from the top of the stack and branches if it is not zero, or if it
    /// is, as `sense` says.
    fn branch_on_top(&mut self, mut sense: bool, label: Label) {
        let top = self.stack.len() - 1;
        let mut expr = self.stack.expr(top);
        sense = simplify_condition(&mut expr, sense);
        let root = if sense {
            Root::BrIf(label)
        } else {
            Root::BrUnless(label)
        };
        self.lower_with(root, expr, top..top + 1);
        self.stack.truncate(top);
    }
}

/// Drops comparisons with zero from a condition and turns negated integer comparisons round.
/// Returns the sense in which the condition now is meant.
fn simplify_condition(expr: &mut Expr, mut sense: bool) -> bool {
    loop {
        let terms = expr.terms();
        let is_zero = |term: &Term| term.node == Node::Const(0);
        let last = terms.len() - 1;
        match terms[0].op() {
            Some(Op::I32Eqz) => {
                expr.strip();
                sense = !sense;
            }
            Some(op @ (Op::I32Eq | Op::I32Ne))
                if is_zero(&terms[last]) && subtree_end(terms, 1) == last =>
            {
                expr.truncate(last);
                expr.strip();
                sense = sense == (op == Op::I32Ne);
            }
            Some(op) if !sense && op.inverted().is_some() => {
                if let Some(inverted) = op.inverted() {
                    expr.terms_mut()[0].node = Node::Op(inverted, 0);
                }
                return true;
            }
            _ => return sense,
        }
    }
}
