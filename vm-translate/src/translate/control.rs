//! Blocks, branches and returns.
//!
//! Where a block begins, everything on the stack goes to its home, and where branches arrive the
//! operands are in consecutive slots from the block's base: nothing pending crosses a label.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use wasmparser::{BlockType, BrTable};

use crate::ir::{FRAME_HEADER, Label, Node, Place, Root, Slot};
use crate::op::{Op, Ty};
use crate::types::ir_type;
use crate::{Error, FuelCosts, Module, ValType};

use super::Translator;
use super::exceptions::Regions;
use super::expr::{Effects, Term, subtree_end};
use super::lookahead::After;

/// A block that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// No other of the function has it.
    number: u32,
    pub(super) kind: Kind,
    ty: BlockType,
    /// How many entries of the stack are below its parameters.
    pub(super) height: usize,
    /// The first of the slots where branches to it leave its operands.
    pub(super) base: Slot,
    /// Where its only result is wanted, if that is not the slot at its base.
    place: Option<Place>,
    /// Whether after its end there is nothing to do but return.
    returns: bool,
    /// The label of branches to it, once there is one.
    label: Option<Label>,
    /// The first instruction of the innermost loop around what is in it, itself included, if the executor keeps where
    /// that is.
    head: Option<u32>,
    pub(super) regions: Regions,
}

/// The label of code that copies operands to where a branch to a block leaves them, and goes there.
pub(super) enum Way {
    /// Of many operands one is enough for all branches that have them in the same slots.
    Known(Label),
    /// It has to be made.
    New(Label),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// The whole body: a branch to it returns.
    Function,
    Block,
    /// With the index of its first instruction, and whether the executor keeps where that is.
    Loop {
        start: u32,
        kept: bool,
    },
    /// With the label of its else branch.
    If(Label),
    /// With the number of its region.
    Try(u32),
}

impl Frame {
    pub(super) fn function(ty: u32, results: &[ValType]) -> Frame {
        let place = match results {
            [result] => Some(Place::in_slots(FRAME_HEADER, result.ty())),
            _ => None,
        };
        Frame {
            number: u32::MAX,
            kind: Kind::Function,
            ty: BlockType::FuncType(ty),
            height: 0,
            base: FRAME_HEADER,
            place,
            returns: true,
            label: None,
            head: None,
            regions: Regions::default(),
        }
    }
}

impl<'a> Translator<'a> {
    fn params(&self, ty: BlockType) -> &'a [ValType] {
        params(self.module, ty)
    }

    fn results(&self, ty: BlockType) -> &'a [ValType] {
        results(self.module, ty)
    }

    /// The index in `frames` of the target of a branch.
    pub(super) fn target(&self, depth: u32) -> usize {
        self.frames.len() - 1 - depth as usize
    }

    /// What operands a branch to a block takes.
    fn operands(&self, frame: usize) -> &'a [ValType] {
        let frame = &self.frames[frame];
        match frame.kind {
            Kind::Loop { .. } => self.params(frame.ty),
            _ => self.results(frame.ty),
        }
    }

    /// How many operands a branch to a block takes.
    fn arity(&self, frame: usize) -> usize {
        self.operands(frame).len()
    }

    fn is_function(&self, frame: usize) -> bool {
        self.frames[frame].kind == Kind::Function
    }

    pub(super) fn label(&mut self, frame: usize) -> Label {
        let frame = &mut self.frames[frame];
        let kind = frame.kind;
        *frame.label.get_or_insert_with(|| match kind {
            Kind::Loop { start, .. } => self.out.labels.label_at(start),
            _ => self.out.labels.new_label(),
        })
    }

    /// The first instruction of the innermost loop, if the executor keeps where that is.
    pub(super) fn head(&self) -> Option<u32> {
        self.frames.last().and_then(|frame| frame.head)
    }

    // Blocks.

    pub(super) fn block(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 0);
        self.open(Kind::Block, ty, height, base);
    }

    pub(super) fn loop_(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 0);
        if self.stack.len() == 0 {
            self.out.loop_begins(self.offset);
        }
        let kept = self.shapes.keeps_heads() && !self.lookahead.blocks[self.blocks].has_loop;
        if kept {
            self.emit_plain(Root::EnterLoop);
        }
        let start = self.out.here();
        self.open(Kind::Loop { start, kept }, ty, height, base);
        self.check_epoch();
    }

    pub(super) fn if_(&mut self, ty: BlockType) {
        let (height, base) = self.enter(ty, 1);
        let label = self.out.labels.new_label();
        self.branch_on_top(false, label, false);
        self.open(Kind::If(label), ty, height, base);
    }

    fn open(&mut self, kind: Kind, ty: BlockType, height: usize, base: Slot) {
        let number = self.blocks as u32;
        let after = self.lookahead.blocks[self.blocks].after;
        self.blocks += 1;
        let results = self.results(ty).len();
        // A conditional's parameters are its results where it has no else branch: they stay put.
        let is_if = matches!(kind, Kind::If(_));
        let single = results == 1 && (!is_if || self.params(ty).is_empty());
        let around = match after {
            After::End => self.frames.last(),
            After::Return => self.frames.first(),
            After::Set(_) | After::Other => None,
        };
        let place = match after {
            After::Set(local) => Some(self.locals.get(local).place),
            _ => around.and_then(|frame| frame.place),
        };
        // A local is what WebAssembly says as long as a run can stop.
        let place = place.filter(|_| single && !self.additions.sites);
        // Without results of its own a block may still leave others to its surroundings.
        let returns = around
            .is_some_and(|frame| frame.returns && self.results(frame.ty).len() == results)
            && (place.is_some() || results == 0)
            && (self.additions.fuel).is_none_or(FuelCosts::returning_is_free);
        self.frames.push(Frame {
            number,
            kind,
            ty,
            height,
            base,
            place,
            returns,
            label: None,
            head: match kind {
                Kind::Loop { start, kept } => kept.then_some(start),
                _ => self.head(),
            },
            regions: self.regions().within(),
        });
    }

    /// Those of the innermost block.
    pub(super) fn regions(&self) -> Regions {
        self.frames
            .last()
            .map(|frame| frame.regions)
            .unwrap_or_default()
    }

    /// Where a branch to a block leaves its operands.
    pub(super) fn destinations(&self, frame: usize) -> impl Iterator<Item = Place> + use<'a> {
        let operands = self.operands(frame);
        let frame = &self.frames[frame];
        let single = match frame.kind {
            Kind::Function | Kind::Block | Kind::If(_) | Kind::Try(_) => frame.place,
            Kind::Loop { .. } => None,
        };
        in_slots(frame.base, operands).map(move |place| single.unwrap_or(place))
    }

    /// Puts what is on the stack where a block wants it, except `above` operands at the top.
    /// Returns the block's height and base.
    fn enter(&mut self, ty: BlockType, above: usize) -> (usize, Slot) {
        let params = self.params(ty);
        let height = self.stack.len() - above - params.len();
        self.settle(height);
        let base = self.stack.end_below(height);
        let end = height + params.len();
        if self.are_many(params.len()) {
            self.settle_at(height..end, base);
        } else {
            for (place, index) in in_slots(base, params).zip(height..) {
                // Homes only move down, and to where no later operand's home is.
                self.copy_entry(index, place);
                if let Some(slots) = place.slots() {
                    self.stack.set_home(index, slots.start, self.offset);
                }
            }
        }
        self.stack.settled(end);
        (height, base)
    }

    pub(super) fn else_(&mut self) {
        let reachable = self.unreachable.take().is_none();
        let top = self.frames.len() - 1;
        if reachable {
            self.move_operands(top);
            self.jump(top);
        }
        let frame = self.frames[top];
        if let Kind::If(label) = frame.kind {
            self.out.bind(label);
        }
        self.frames[top].kind = Kind::Block;
        self.arrive(&frame, None, self.params(frame.ty));
    }

    pub(super) fn end(&mut self) {
        let top = self.frames.len() - 1;
        let frame = self.frames[top];
        let reachable = self.unreachable.take().is_none();
        let joins = match frame.kind {
            Kind::Loop { .. } => false,
            Kind::If(_) => true,
            Kind::Function | Kind::Block => frame.label.is_some(),
            // In a clause there is an exception below the results.
            Kind::Try(_) => frame.label.is_some() || !frame.regions.is_open() && reachable,
        };
        if reachable && (joins || frame.kind == Kind::Function) {
            self.move_operands(top);
        }
        if let (false, Some(label)) = (matches!(frame.kind, Kind::Loop { .. }), frame.label) {
            self.out.bind(label);
        }
        if let Kind::If(label) = frame.kind {
            self.out.bind(label);
        }
        let here = self.out.insts.len() as u32;
        let regions = &mut self.frames[top].regions;
        regions.close(&mut self.out.handlers, here);
        self.frames.pop();
        if joins {
            self.arrive(&frame, frame.place, self.results(frame.ty));
        } else if !reachable {
            self.unreachable = Some(0);
        }
        if frame.kind == Kind::Function && (reachable || joins) {
            self.leave_call();
            self.emit_plain(Root::Return);
        }
    }

    /// Makes the stack what it is where branches to a block arrive.
    fn arrive(&mut self, frame: &Frame, place: Option<Place>, operands: &[ValType]) {
        self.stack.truncate(frame.height);
        if frame.kind == Kind::Function {
            return;
        }
        if let Some(place) = place {
            // What comes next takes it from there.
            for ty in operands {
                self.push_leaf(ty.ty(), Term::place(place, self.offset));
            }
            return;
        }
        self.push_slots(frame.base, operands);
        self.stack.settled(self.stack.len());
    }

    /// Moves the operands at the top of the stack to where a branch to a block leaves them.
    pub(super) fn move_operands(&mut self, frame: usize) {
        let first = self.stack.len() - self.arity(frame);
        self.compute(Effects::TRAPS, first);
        self.clear_targets(frame, first);
        if self.are_many_to_leave_with(self.arity(frame)) {
            let Frame { base, height, .. } = self.frames[frame];
            return self.leave_with_entries(first..self.stack.len(), base, height);
        }
        for (index, place) in (first..).zip(self.destinations(frame)) {
            self.given_up = self.frames[frame].height..index;
            self.emit_entry(index, place);
        }
        self.given_up = 0..0;
    }

    /// The results of a function go to where its parameters and locals are: those that a later
    /// result still needs are saved first.
    fn clear_targets(&mut self, frame: usize, first: usize) {
        if !self.is_function(frame) {
            // A block's slots are at or below the homes of its operands, in the same order.
            return;
        }
        let base = self.frames[frame].base;
        let pending = self.stack.window();
        for (index, place) in (first..).zip(in_slots(base, self.operands(frame))) {
            // What older results overwrite.
            let end = place.slots().map_or(base, |slots| slots.start);
            if pending.contains(&index) && self.stack.reads_slots(index, base..end) {
                self.store_home(index);
            }
        }
    }

    /// The same as [`Translator::move_operands`] for a branch that may not be taken: the entries
    /// stay what they are. They have to be leaves.
    fn copy_operands(&mut self, frame: usize, first: usize) {
        let arity = self.arity(frame);
        if self.are_many_to_leave_with(arity) {
            let Frame { base, height, .. } = self.frames[frame];
            return self.copy_entries(first..first + arity, base, height);
        }
        for (index, place) in (first..).zip(self.destinations(frame)) {
            self.given_up = self.frames[frame].height..index;
            self.copy_entry(index, place);
        }
        self.given_up = 0..0;
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
    pub(super) fn jump(&mut self, frame: usize) {
        let Frame { kind, returns, .. } = self.frames[frame];
        let root = match kind {
            Kind::Loop { kept: true, .. } => Root::Loop(self.label(frame)),
            Kind::Loop { kept: false, .. } => Root::Br(self.label(frame)),
            _ if returns => Root::Return,
            _ => Root::Br(self.label(frame)),
        };
        if root == Root::Return {
            self.leave_call();
        }
        self.emit_plain(root);
    }

    pub(super) fn unreachable(&mut self) {
        self.compute(Effects::TRAPS, self.stack.len());
        self.emit_plain(Root::Unreachable);
        self.unreachable = Some(0);
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        self.branch_if(depth, 0);
    }

    /// Branches if the reference at the top of the stack is null; if it is not, it stays there.
    pub(super) fn br_on_null(&mut self, depth: u32) {
        // Where operands go may be a local's place.
        let keeps_local = self.arity(self.target(depth)) == 0;
        self.compare_with_null(Op::I64Eq, keeps_local);
        self.branch_if(depth, 1);
    }

    /// Branches with the reference at the top of the stack if it is not null; if it is, it goes.
    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        self.compare_with_null(Op::I64Ne, true);
        self.branch_if(depth, 0);
        self.stack.truncate(self.stack.len() - 1);
    }

    /// Traps if the reference at the top of the stack is null.
    pub(super) fn ref_as_non_null(&mut self) {
        self.compare_with_null(Op::I64Ne, true);
        // What is in a temporary register would not survive the label.
        self.settle_temps(self.stack.len() - 1);
        let skip = self.out.labels.new_label();
        self.branch_on_top(true, skip, false);
        self.emit_plain(Root::NullReference);
        self.out.bind(skip);
    }

    /// Compares the reference at the top of the stack with null; it stays below the answer.
    fn compare_with_null(&mut self, op: Op, keeps_local: bool) {
        let top = self.stack.len() - 1;
        self.compute(Effects::TRAPS, top + 1);
        if !(self.stack.is_const(top) || keeps_local && self.stack.is_local(top)) {
            self.store_home(top);
        }
        let leaf = self.stack.terms(top)[0];
        match leaf.node {
            Node::Const(_) => self.push_const(Ty::I64, leaf),
            _ => self.push_leaf(Ty::I64, leaf),
        }
        self.constant(Ty::I64, 0);
        self.numeric(op);
    }

    /// Takes the condition from the top of the stack and branches if it is not zero. Between it and the operands of the branch
    /// there are `above` entries, which are constants, locals or in their homes.
    fn branch_if(&mut self, depth: u32, above: usize) {
        let frame = self.target(depth);
        let top = self.stack.len() - 1;
        let condition = top - above;
        let first = condition - self.arity(frame);
        self.compute(Effects::TRAPS, top);
        let repeats = matches!(self.frames[frame].kind, Kind::Loop { kept: true, .. });
        if first == condition {
            let label = self.label(frame);
            self.branch_on_top(true, label, repeats);
            return;
        }
        if self.are_many_to_leave_with(condition - first) {
            return self.br_if_with_many(frame, first..condition, repeats);
        }
        self.make_leaves(self.is_function(frame), first..condition);
        let in_place = (first..condition)
            .zip(self.destinations(frame))
            .all(|(index, place)| self.stack.home(index) == place);
        if in_place {
            // The slots are theirs anyway: it does no harm to fill them even if the branch is
            // not taken.
            self.copy_operands(frame, first);
            let label = self.label(frame);
            self.branch_on_top(true, label, repeats);
        } else {
            // What is in a temporary register would not survive the label.
            self.settle_temps(first);
            let skip = self.out.labels.new_label();
            self.branch_on_top(false, skip, false);
            self.copy_operands(frame, first);
            self.jump(frame);
            self.out.bind(skip);
        }
    }

    /// The same with many operands.
    fn br_if_with_many(&mut self, frame: usize, operands: Range<usize>, repeats: bool) {
        let from = self.gather(operands.clone());
        if self.frames[frame].base == from {
            let label = self.label(frame);
            return self.branch_on_top(true, label, repeats);
        }
        match self.way(frame, from) {
            Way::Known(label) => self.branch_on_top(true, label, false),
            Way::New(label) => {
                // What is in a temporary register would not survive the label.
                self.settle_temps(operands.start);
                let skip = self.out.labels.new_label();
                self.branch_on_top(false, skip, false);
                self.go(label, frame, operands.start);
                self.out.bind(skip);
            }
        }
    }

    /// The way to a block for many operands that start in this slot.
    fn way(&mut self, frame: usize, from: Slot) -> Way {
        match self.ways.entry((self.frames[frame].number, from)) {
            Entry::Occupied(known) => Way::Known(*known.get()),
            Entry::Vacant(new) => Way::New(*new.insert(self.out.labels.new_label())),
        }
    }

    /// The way to a block, which has this label, for the operands from `first` up.
    fn go(&mut self, label: Label, frame: usize, first: usize) {
        self.out.bind(label);
        self.copy_operands(frame, first);
        self.jump(frame);
    }

    /// Makes operands constants, locals, or values in their homes, so that they can be copied
    /// on one path and stay what they are on another. If they are to be the results of the
    /// function, several locals would be in each other's way: then they go home too.
    fn make_leaves(&mut self, returns: bool, operands: Range<usize>) {
        let keep_locals = !returns || operands.len() == 1;
        for index in operands {
            if !(self.stack.is_const(index) || keep_locals && self.stack.is_local(index)) {
                self.store_home(index);
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

    pub(super) fn br_table(&mut self, table: &BrTable<'_>) -> Result<(), Error> {
        let mut depths = Vec::with_capacity(table.len() as usize + 1);
        for depth in table.targets() {
            depths.push(depth?);
        }
        depths.push(table.default());
        let default = self.target(table.default());
        let index = self.stack.len() - 1;
        let first = index - self.arity(default);
        self.compute(Effects::TRAPS, first);
        // A byte of the body is a target, to which all of them have to be brought: even a few are many together.
        let values = index - first;
        let many = self.are_many_to_leave_with(values) || self.are_many(values * depths.len());
        let mut from = 0;
        if many {
            from = self.gather(first..index);
        } else {
            let mut targets = depths.iter().map(|depth| self.target(*depth));
            let returns = targets.any(|frame| self.is_function(frame));
            self.make_leaves(returns, first..index);
        }
        if values > 0 {
            // What is moved on the ways is not to come before it.
            self.leaf_operand(index);
        }
        // Where to go, by a block's depth, and the ways there that are new.
        let mut labels: HashMap<u32, Label> = HashMap::new();
        let mut ways = Vec::new();
        let start = self.out.tables.len() as u32;
        for depth in &depths {
            let label = match labels.get(depth) {
                Some(label) => *label,
                None => {
                    let frame = self.target(*depth);
                    let way = match many {
                        _ if self.in_place(frame, first) => Way::Known(self.label(frame)),
                        true => self.way(frame, from),
                        false => Way::New(self.out.labels.new_label()),
                    };
                    if let Way::New(label) = way {
                        ways.push((frame, label));
                    }
                    let (Way::Known(label) | Way::New(label)) = way;
                    labels.insert(*depth, label);
                    label
                }
            };
            self.out.tables.push(label);
        }
        let root = Root::BrTable {
            first: start,
            count: depths.len() as u32,
        };
        self.lower_entries(root, index..index + 1);
        self.stack.truncate(index);
        for (frame, label) in ways {
            self.go(label, frame, first);
            self.check_limits()?;
        }
        self.unreachable = Some(0);
        Ok(())
    }

    /// Whether the operands from `first` up are where a branch to a block leaves them.
    fn in_place(&self, frame: usize, first: usize) -> bool {
        (first..)
            .zip(self.destinations(frame))
            .all(|(index, place)| self.stack.is_at(index, place))
    }

    /// Takes the condition from the top of the stack and branches if it is not zero, or if it
    /// is, as `sense` says. `repeats` says that the label is where the innermost loop begins, which
    /// the executor keeps.
    fn branch_on_top(&mut self, mut sense: bool, label: Label, repeats: bool) {
        let top = self.stack.len() - 1;
        sense = self.simplify_condition(sense);
        let (branch, repeat) = match sense {
            true => (Root::BrIf(label), Root::LoopIf(label)),
            false => (Root::BrUnless(label), Root::LoopUnless(label)),
        };
        // A condition that only the other kind takes as a whole is better left whole.
        let repeats = repeats && self.offers_tree(&repeat, self.stack.symbols(top, Ty::I32));
        let root = if repeats { repeat } else { branch };
        self.lower_entries(root, top..top + 1);
        self.stack.truncate(top);
    }

    /// Drops comparisons with zero from the condition at the top of the stack and turns negated
    /// integer comparisons round. Returns the sense in which the condition now is meant.
    fn simplify_condition(&mut self, mut sense: bool) -> bool {
        loop {
            let terms = self.stack.terms(self.stack.len() - 1);
            let last = terms.len() - 1;
            match terms[0].op() {
                Some(Op::I32Eqz) => {
                    self.stack.strip_top(Ty::I32);
                    sense = !sense;
                }
                Some(op @ (Op::I32Eq | Op::I32Ne))
                    if terms[last].node == Node::Const(0) && subtree_end(terms, 1) == last =>
                {
                    self.stack.strip_top(Ty::I32);
                    sense = sense == (op == Op::I32Ne);
                }
                Some(op) if !sense && op.inverted().is_some() => {
                    if let Some(inverted) = op.inverted() {
                        self.stack.set_top_op(inverted);
                    }
                    return true;
                }
                _ => return sense,
            }
        }
    }
}

/// What operands a block of this type starts with.
pub(super) fn params(module: &Module, ty: BlockType) -> &[ValType] {
    match ty {
        // The function's own type: its parameters are locals, not operands.
        BlockType::FuncType(index) => module.types()[index as usize].params(),
        BlockType::Empty | BlockType::Type(_) => &[],
    }
}

/// What operands a block of this type leaves.
pub(super) fn results(module: &Module, ty: BlockType) -> &[ValType] {
    match ty {
        BlockType::FuncType(index) => module.types()[index as usize].results(),
        BlockType::Empty => &[],
        BlockType::Type(ty) => match ir_type(ty) {
            Ty::I32 => &[ValType::I32],
            Ty::F32 => &[ValType::F32],
            Ty::F64 => &[ValType::F64],
            Ty::V128 => &[ValType::V128],
            // References are 64-bit integers here; validation has refused all else.
            _ => &[ValType::I64],
        },
    }
}

/// The places of values of these types that stand in consecutive slots.
pub(super) fn in_slots(base: Slot, types: &[ValType]) -> impl Iterator<Item = Place> {
    types.iter().scan(base, |next, ty| {
        let place = Place::in_slots(*next, ty.ty());
        *next += ty.slots();
        Some(place)
    })
}
