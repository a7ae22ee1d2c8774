//! Blocks, branches and returns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use wasmparser::{BlockType, BrTable};

use crate::ir::{FRAME_HEADER, Label, Node, Root, Slot};
use crate::op::{Op, Ty};
use crate::{Error, ValType};

use super::super::control::{self, Way};
use super::super::exceptions::Regions;
use super::Baseline;
use super::last::{MOST_LEAVES, Nodes, Set};
use super::sink::BaselineSink;
use super::values::{self, Value};

/// A block that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// No other of the function has it.
    number: u32,
    pub(super) kind: Block,
    ty: BlockType,
    /// How many entries of the stack are below its parameters.
    pub(super) height: usize,
    /// The first of the slots where branches to it leave their operands.
    pub(super) base: Slot,
    label: Option<Label>,
    pub(super) regions: Regions,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Block {
    Function,
    Plain,
    /// With the position of its first instruction.
    Loop(u32),
    /// With the label of its else branch.
    If(Label),
    /// With the number of its region.
    Try(u32),
}

/// The condition of a branch.
pub(super) struct Condition<F> {
    top: values::Entry,
    /// What computes it, which has been taken back.
    computed: Option<Set<F>>,
}

impl Frame {
    pub(super) fn function(ty: u32) -> Frame {
        Frame {
            number: u32::MAX,
            kind: Block::Function,
            ty: BlockType::FuncType(ty),
            height: 0,
            base: FRAME_HEADER,
            label: None,
            regions: Regions::default(),
        }
    }
}

impl<'a, K: BaselineSink> Baseline<'a, K> {
    fn params(&self, ty: BlockType) -> &'a [ValType] {
        control::params(self.module, ty)
    }

    pub(super) fn open(&mut self, kind: Block, ty: BlockType, height: usize, base: Slot) {
        let number = self.blocks;
        self.blocks += 1;
        self.frames.push(Frame {
            number,
            kind,
            ty,
            height,
            base,
            label: None,
            regions: self.regions().within(),
        });
    }

    /// Puts what is on the stack where a block wants it. Returns the block's height and base.
    pub(super) fn enter(&mut self, ty: BlockType) -> (usize, Slot) {
        let len = self.stack.len();
        let height = len - self.params(ty).len();
        self.settle(len);
        let base = self.next_home(height);
        self.settle_at(height, base);
        (height, base)
    }

    fn results(&self, ty: BlockType) -> &'a [ValType] {
        control::results(self.module, ty)
    }

    /// The index in `frames` of the target of a branch.
    pub(super) fn target(&self, depth: u32) -> usize {
        self.frames.len() - 1 - depth as usize
    }

    /// How many operands a branch to a block takes.
    fn arity(&self, frame: usize) -> usize {
        self.operands(frame).len()
    }

    /// What operands a branch to a block takes.
    pub(super) fn operands(&self, frame: usize) -> &'a [ValType] {
        let frame = &self.frames[frame];
        match frame.kind {
            Block::Loop(_) => &[],
            _ => self.results(frame.ty),
        }
    }

    pub(super) fn label(&mut self, frame: usize) -> Label {
        let Frame { kind, label, .. } = self.frames[frame];
        if let Some(label) = label {
            return label;
        }
        let label = match kind {
            Block::Loop(start) => self.labels.label_at(start),
            _ => self.labels.new_label(),
        };
        self.frames[frame].label = Some(label);
        label
    }

    pub(super) fn else_(&mut self) {
        let reachable = self.unreachable.take().is_none();
        let top = self.frames.len() - 1;
        if reachable {
            self.move_operands(top);
            self.jump(top);
        }
        let frame = self.frames[top];
        if let Block::If(label) = frame.kind {
            self.bind(label);
        }
        self.frames[top].kind = Block::Plain;
        self.arrive(&frame, self.params(frame.ty));
    }

    pub(super) fn end(&mut self) {
        let top = self.frames.len() - 1;
        let frame = self.frames[top];
        let reachable = self.unreachable.take().is_none();
        let joins = match frame.kind {
            Block::Loop(_) => false,
            Block::If(_) => true,
            Block::Function | Block::Plain => frame.label.is_some(),
            // In a clause there is an exception below the results.
            Block::Try(_) => frame.label.is_some() || !frame.regions.is_open() && reachable,
        };
        let is_function = frame.kind == Block::Function;
        if reachable && (joins || is_function) {
            self.move_operands(top);
        }
        if let (true, Some(label)) = (!matches!(frame.kind, Block::Loop(_)), frame.label) {
            self.bind(label);
        }
        if let Block::If(label) = frame.kind {
            self.bind(label);
        }
        let regions = &mut self.frames[top].regions;
        regions.close(&mut self.handlers, self.sink.position());
        self.frames.pop();
        if is_function {
            if reachable || joins {
                self.return_();
            }
        } else if joins {
            self.arrive(&frame, self.results(frame.ty));
        } else if !reachable {
            self.truncate(frame.height);
            self.unreachable = Some(0);
        }
    }

    /// Makes the stack what it is where branches to a block arrive.
    fn arrive(&mut self, frame: &Frame, operands: &[ValType]) {
        self.truncate(frame.height);
        self.push_slots(frame.base, operands);
    }

    /// Moves the operands at the top of the stack to where a branch to a block leaves them.
    pub(super) fn move_operands(&mut self, frame: usize) {
        let arity = self.arity(frame);
        let len = self.stack.len();
        let Frame { kind, base, .. } = self.frames[frame];
        if arity == 1 {
            let top = self.pop();
            self.put(top, base);
            return;
        }
        if kind == Block::Function {
            // The results go to where locals are.
            for index in len - arity..len {
                self.send_home(index);
            }
        }
        self.copy_down(len - arity, base);
        self.truncate(len - arity);
    }

    /// Goes on where branches to a block arrive.
    pub(super) fn jump(&mut self, frame: usize) {
        match self.frames[frame].kind {
            Block::Function => self.return_(),
            _ => {
                let label = self.label(frame);
                self.branch(label);
            }
        }
    }

    pub(super) fn br(&mut self, depth: u32) {
        let frame = self.target(depth);
        self.move_operands(frame);
        self.jump(frame);
        self.unreachable = Some(0);
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        let condition = self.condition();
        self.br_on(depth, condition);
    }

    /// Branches if the reference at the top of the stack is null; if it is not, it stays there.
    pub(super) fn br_on_null(&mut self, depth: u32) {
        let condition = self.compare_with_null(Op::I64Eq);
        // The operands of the branch stand below it, and so do their homes, wherever they go.
        let reference = self.pop();
        self.br_on(depth, condition);
        self.stack.push(reference);
    }

    /// Branches with the reference at the top of the stack if it is not null; if it is, it goes.
    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        let condition = self.compare_with_null(Op::I64Ne);
        self.br_on(depth, condition);
        self.pop();
    }

    /// Traps if the reference at the top of the stack is null.
    pub(super) fn ref_as_non_null(&mut self) {
        let condition = self.compare_with_null(Op::I64Ne);
        let skip = self.labels.new_label();
        self.branch_on(condition, true, skip);
        self.plain(Root::NullReference);
        self.bind(skip);
    }

    /// Compares the reference at the top of the stack with null; it stays there.
    fn compare_with_null(&mut self, op: Op) -> Condition<K::Found> {
        let top = self.stack[self.stack.len() - 1];
        let value = match top.value {
            Value::Home => Value::Local(top.home),
            value => value,
        };
        self.push(value, Ty::I64);
        self.push(Value::Const(0), Ty::I64);
        self.numeric(op);
        self.condition()
    }

    fn br_on(&mut self, depth: u32, condition: Condition<K::Found>) {
        let frame = self.target(depth);
        let arity = self.arity(frame);
        let first = self.stack.len() - arity;
        self.gather(first);
        if self.in_place(frame, first) {
            let label = self.label(frame);
            self.branch_on(condition, true, label);
            return;
        }
        match self.way(frame, first) {
            Way::Known(label) => self.branch_on(condition, true, label),
            Way::New(label) => {
                let skip = self.labels.new_label();
                self.branch_on(condition, false, skip);
                self.go(label, frame, first);
                self.bind(skip);
            }
        }
    }

    /// The way to a block for the operands from `first` up, which are in their homes.
    fn way(&mut self, frame: usize, first: usize) -> Way {
        let from = self.stack[first].home;
        match self.ways.entry((self.frames[frame].number, from)) {
            Entry::Occupied(known) => Way::Known(*known.get()),
            Entry::Vacant(new) => Way::New(*new.insert(self.labels.new_label())),
        }
    }

    /// The way to a block, which has this label.
    fn go(&mut self, label: Label, frame: usize, first: usize) {
        self.bind(label);
        self.copy_down(first, self.frames[frame].base);
        self.jump(frame);
    }

    pub(super) fn br_table(&mut self, table: &BrTable<'_>) -> Result<(), Error> {
        let mut depths = Vec::with_capacity(table.len() as usize + 1);
        for depth in table.targets() {
            depths.push(depth?);
        }
        depths.push(table.default());
        let mut index = self.pop();
        let first = self.stack.len() - self.arity(self.target(table.default()));
        self.constants_home(std::slice::from_mut(&mut index));
        self.gather(first);
        // Where to go, by a block's depth, and the ways there that are new.
        let mut known: HashMap<u32, Label> = HashMap::new();
        let mut ways = Vec::new();
        let mut labels = Vec::with_capacity(depths.len());
        for depth in &depths {
            let label = match known.get(depth) {
                Some(label) => *label,
                None => {
                    let frame = self.target(*depth);
                    let way = match self.in_place(frame, first) {
                        true => Way::Known(self.label(frame)),
                        false => self.way(frame, first),
                    };
                    if let Way::New(label) = way {
                        ways.push((frame, label));
                    }
                    let (Way::Known(label) | Way::New(label)) = way;
                    known.insert(*depth, label);
                    label
                }
            };
            labels.push(label);
        }
        let root = Root::BrTable {
            first: self.sink.table(&labels),
            count: labels.len() as u32,
        };
        self.emit(root, &mut [index]);
        for (frame, label) in ways {
            self.go(label, frame, first);
            self.check_limits()?;
        }
        self.unreachable = Some(0);
        Ok(())
    }

    /// Whether the operands from `first` up, which are in their homes, are where a branch to a block leaves
    /// them.
    fn in_place(&self, frame: usize, first: usize) -> bool {
        let mut slot = self.frames[frame].base;
        self.stack[first..].iter().all(|entry| {
            let here = slot;
            slot += entry.ty.slots();
            entry.home == here
        })
    }

    /// Takes the condition from the top of the stack, with the operator that computes it if that comes last.
    pub(super) fn condition(&mut self) -> Condition<K::Found> {
        let top = self.pop();
        let computed = match top.value {
            Value::Home => self.take_set(top.home),
            Value::Local(_) | Value::Const(_) => None,
        };
        Condition { top, computed }
    }

    /// Branches if the condition is not zero, or if it is, as `sense` says.
    pub(super) fn branch_on(&mut self, condition: Condition<K::Found>, sense: bool, label: Label) {
        let branch = |sense: bool| match sense {
            true => Root::BrIf(label),
            false => Root::BrUnless(label),
        };
        let Condition { mut top, computed } = condition;
        match computed.as_ref().map(|set| (set, set.nodes.as_slice())) {
            Some((set, [Node::Op(op, immediate), leaves @ ..])) => {
                let (root, operator) = match op {
                    Op::I32Eqz => (branch(!sense), None),
                    _ => match op.inverted() {
                        Some(inverted) if !sense => (branch(true), Some((inverted, *immediate))),
                        _ => (branch(sense), Some((*op, *immediate))),
                    },
                };
                let mut entries = [values::Entry::NONE; MOST_LEAVES];
                let entries = &mut entries[..leaves.len()];
                for (entry, leaf) in entries.iter_mut().zip(leaves) {
                    *entry = values::Entry::of_leaf(*leaf);
                }
                let mut nodes = Nodes::NONE;
                nodes.fill(operator, entries);
                // What traps is the operator.
                let here = std::mem::replace(&mut self.offset, set.offset);
                let found = self.sink.find(&root, nodes.as_slice());
                match found {
                    Some(_) => self.inst(&root, &nodes, found),
                    None => self.set_again(*set),
                }
                self.offset = here;
                if found.is_some() {
                    return;
                }
            }
            Some((_, [leaf, ..])) => top.value = values::Entry::of_leaf(*leaf).value,
            _ => {}
        }
        self.constants_home(std::slice::from_mut(&mut top));
        self.emit(branch(sense), &mut [top]);
    }
}
