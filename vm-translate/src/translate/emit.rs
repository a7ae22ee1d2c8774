//! From trees to instructions that the executor has a handler for.

mod copy;

use std::ops::Range;

use crate::ir::{Function, Handlers, Inst, Label, LoopHead, Node, Place, Root, Slot, TrapSite};
use crate::op::Ty;
use crate::shape::{Found, ShapeKey, Symbol, Symbols, Traps};
use crate::site::Sites;

use super::Translator;
use super::expr::{self, Term};
use super::labels::Labels;
use super::registers::Temps;
use copy::Expr;

/// The shape of an instruction.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) key: ShapeKey,
    pub(super) found: Found,
    /// Whether any operator of its trees may trap, as far as is known.
    pub(super) may_trap: bool,
}

impl Shape {
    /// One that the executor has not been asked for, or none.
    fn unknown(key: Option<ShapeKey>) -> Shape {
        match key {
            Some(key) => Shape {
                key,
                found: Found::UNKNOWN,
                may_trap: true,
            },
            None => Shape {
                key: ShapeKey::new(),
                found: Found::OTHERWISE,
                may_trap: true,
            },
        }
    }
}

/// The instructions made so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) insts: Vec<Inst>,
    pub(super) nodes: Vec<Node>,
    pub(super) labels: Labels,
    pub(super) tables: Vec<Label>,
    pub(super) loops: Vec<LoopHead>,
    pub(super) trap_sites: Vec<TrapSite>,
    pub(super) sites: Sites,
    pub(super) handlers: Handlers,
    /// One past the highest slot used.
    pub(super) slots: Slot,
    /// The registers that have been set.
    pub(super) set: Temps,
    /// How many instructions there were when a label was bound last.
    last_bound: usize,
}

impl Output {
    /// Nothing, in the memory of a function that is no longer needed.
    pub(super) fn reuse(old: Function) -> Output {
        let Function {
            mut insts,
            mut nodes,
            labels,
            mut tables,
            mut loops,
            mut trap_sites,
            mut sites,
            mut handlers,
            ..
        } = old;
        insts.clear();
        nodes.clear();
        tables.clear();
        loops.clear();
        trap_sites.clear();
        sites.clear();
        handlers.clear();
        Output {
            insts,
            nodes,
            labels: Labels::reuse(labels),
            tables,
            loops,
            trap_sites,
            sites,
            handlers,
            ..Output::default()
        }
    }

    /// Makes room for a body of so many bytes, most instructions of which become nodes of some
    /// others.
    pub(super) fn reserve_for_body(&mut self, bytes: usize) {
        renew(&mut self.insts, bytes / 8 + 8);
        renew(&mut self.nodes, bytes / 4 + 16);
    }

    /// Binds a label here.
    pub(super) fn bind(&mut self, label: Label) {
        let jumps_here = matches!(self.insts.last(), Some(inst) if inst.root == Root::Br(label));
        if jumps_here && self.last_bound != self.insts.len() {
            self.insts.pop();
            self.handlers.clamp(self.insts.len() as u32);
        }
        self.labels.bind(label, self.insts.len() as u32);
        self.last_bound = self.insts.len();
    }

    /// The index of the next instruction, which is about to become the target of branches.
    pub(super) fn here(&mut self) -> u32 {
        self.last_bound = self.insts.len();
        self.insts.len() as u32
    }

    /// Notes that a loop begins here, with nothing on the operand stack.
    pub(super) fn loop_begins(&mut self, offset: u32) {
        let inst = self.insts.len() as u32;
        self.loops.push(LoopHead { inst, offset });
    }

    /// Emits an instruction that is a shape, with what the executor has for it. `offset` is that
    /// of what the instruction is for.
    #[inline]
    pub(super) fn whole(&mut self, root: Root, terms: &[Term], shape: Shape, offset: u32) {
        if let Root::Set(place) = root {
            match place.slots() {
                Some(slots) => self.slots = self.slots.max(slots.end),
                None => self.set = self.set | Temps::of_register(place),
            }
        }
        let first_node = self.nodes.len() as u32;
        let mut traps = Traps::of_root(&root);
        let here = offset;
        // The offset is that of what may trap; of a store that is the store.
        let mut found = matches!(root, Root::Store { .. });
        let mut offset = match (root, terms) {
            (Root::Set(_), [first, ..]) if first.op().is_some() => first.offset,
            _ => offset,
        };
        self.nodes.extend(terms.iter().map(|term| term.node));
        if shape.may_trap {
            for term in terms {
                if let Some(op) = term.op().filter(|_| term.may_trap()) {
                    traps = traps.with_operator(op);
                    if !found {
                        (offset, found) = (term.offset, true);
                    }
                }
            }
            if traps.count() > 1 {
                self.trap_sites(&root, terms, here);
            }
        }
        self.insts.push(Inst {
            root,
            first_node,
            node_count: terms.len() as u32,
            key: shape.key,
            found: shape.found,
            traps,
            offset,
        });
    }
}

impl Output {
    /// Notes what may trap in the next instruction: operators where they are done, which is after their
    /// operands, and then the root, whose offset is given.
    #[cold]
    fn trap_sites(&mut self, root: &Root, terms: &[Term], offset: u32) {
        let inst = self.insts.len() as u32;
        // What is done after its operands, and how many of them are still to come. No tree has more nodes.
        let mut waiting = [(0, 0); Expr::MAX_TREE];
        let mut depth = 0;
        for (at, term) in terms.iter().enumerate() {
            let arity = term.op().map_or(0, |op| op.params().len());
            waiting[depth] = (at, arity);
            depth += 1;
            while let Some((at, 0)) = depth.checked_sub(1).map(|top| waiting[top]) {
                depth -= 1;
                if terms[at].may_trap() {
                    let offset = terms[at].offset;
                    self.trap_sites.push(TrapSite { inst, offset });
                }
                if let Some(above) = depth.checked_sub(1) {
                    waiting[above].1 -= 1;
                }
            }
        }
        if Traps::of_root(root) != Traps::Never {
            self.trap_sites.push(TrapSite { inst, offset });
        }
    }
}

/// Gives an empty vector room for so many elements. To reserve would copy what is no longer there.
fn renew<T>(vec: &mut Vec<T>, room: usize) {
    if vec.capacity() < room {
        *vec = Vec::with_capacity(room.max(2 * vec.capacity()));
    }
}

impl Translator<'_> {
    /// Whether the executor can do this in one step.
    fn offers(&self, root: &Root, expr: &Expr) -> bool {
        expr.key(root).is_some_and(|key| self.shapes.contains(key))
    }

    /// Whether the executor can do this, of which the trees' symbols are given, in one step.
    pub(super) fn offers_tree(&self, root: &Root, trees: Symbols) -> bool {
        Symbol::root_number(root)
            .and_then(|root| trees.below(root))
            .is_some_and(|key| self.shapes.contains(key))
    }

    /// Emits an instruction without trees.
    pub(super) fn emit_plain(&mut self, root: Root) {
        let key = Symbol::root_number(&root).and_then(|root| Symbols::default().below(root));
        self.out.whole(root, &[], Shape::unknown(key), self.offset);
    }

    /// Emits `root` on the values of some adjacent entries, which stay on the stack, by way of a copy of
    /// their trees that is taken apart.
    pub(super) fn lower_copy(&mut self, root: Root, entries: Range<usize>) {
        let mut expr = Expr::new();
        for (index, wanted) in entries.clone().zip(root.operands()) {
            let symbols = self.stack.symbols(index, *wanted);
            expr.add(self.stack.terms(index), symbols, *wanted);
        }
        self.scratch = self.stack.end().max(self.reserved);
        let live = self.stack.temps_except(entries.clone());
        let before = self.out.insts.len();
        self.lower(root, &mut expr, live);
        self.check_undisturbed(self.out.insts.len() - before, entries);
    }

    /// Emits what `root` does with the values of `expr`, in as few instructions as the shapes
    /// allow. `live` are the temporaries that other entries still need; slots from
    /// `self.scratch` up are free.
    fn lower(&mut self, root: Root, expr: &mut Expr, live: Temps) {
        loop {
            if let Some(key) = expr.key(&root)
                && let Some(found) = self.shapes.find(key)
            {
                let shape = Shape {
                    key,
                    found,
                    may_trap: true,
                };
                self.out.whole(root, expr.terms(), shape, self.offset);
                return;
            }
            if !self.lower_part(&root, expr, live) {
                return;
            }
        }
    }

    /// Emits a part of what no shape does whole. Returns whether anything is left.
    fn lower_part(&mut self, root: &Root, expr: &mut Expr, live: Temps) -> bool {
        !self.via_other_place(root, expr, live)
            && (self.split(root, expr, live) || self.move_leaf(root, expr, live))
    }

    fn emit_whole(&mut self, root: Root, expr: &Expr) {
        let key = expr.key(&root);
        let shape = Shape::unknown(key);
        self.out.whole(root, expr.terms(), shape, self.offset);
    }

    /// Takes the scratch slots for a value of a type.
    fn scratch_slot(&mut self, ty: Ty) -> Place {
        let slot = self.scratch;
        self.scratch += ty.slots();
        Place::in_slots(slot, ty)
    }

    /// Sets a place that no shape sets directly by way of a place that one does.
    fn via_other_place(&mut self, root: &Root, expr: &Expr, live: Temps) -> bool {
        let Root::Set(place) = *root else {
            return false;
        };
        let op = expr.terms()[0].op();
        let all_slots = expr.terms()[1..]
            .iter()
            .all(|term| matches!(term.node, Node::Place(Place::Slot(_) | Place::Vector(_))));
        let temp = op.and_then(|op| live.free(op.result(), &self.registers));
        if let Some(temp) = temp
            && self.offers(&Root::Set(temp), expr)
        {
            self.emit_whole(Root::Set(temp), expr);
            let mut temp = Expr::leaf(temp, self.offset);
            self.lower(Root::Set(place), &mut temp, live);
            return true;
        }
        if place.slots().is_some() {
            // The shapes promise a slot from any leaf and from any operator over slots.
            if op.is_none() || all_slots {
                self.emit_whole(*root, expr);
                return true;
            }
            return false;
        }
        let slot = Place::Slot(self.scratch);
        if op.is_none() || all_slots || self.offers(&Root::Set(slot), expr) {
            let slot = self.scratch_slot(Ty::I64);
            self.emit_whole(Root::Set(slot), expr);
            self.emit_whole(Root::Set(place), &Expr::leaf(slot, self.offset));
            return true;
        }
        false
    }

    /// Where the value of a tree should be put for later: in a temporary register that is not
    /// in `busy`, or else in `slot`.
    pub(super) fn place_for(&self, tree: Symbols, ty: Ty, slot: Slot, busy: Temps) -> Place {
        match busy.free(ty, &self.registers) {
            Some(temp) if self.offers_tree(&Root::Set(temp), tree) => temp,
            _ => Place::in_slots(slot, ty),
        }
    }

    /// Computes a subtree first, so that what is left is smaller.
    fn split(&mut self, root: &Root, expr: &mut Expr, live: Temps) -> bool {
        // Splitting off the whole tree of a branch or of a global's set is the last resort: a
        // compare belongs to its branch.
        let whole = root.operands().len() == 1;
        let is_op = |at: &usize| expr.terms()[*at].op().is_some();
        let last_resort = (whole && !matches!(root, Root::Set(_))).then_some(0);
        let mut candidates = (usize::from(whole)..expr.terms().len())
            .chain(last_resort)
            .filter(is_op)
            .peekable();
        let Some(&first) = candidates.peek() else {
            return false;
        };
        // The best is a subtree that is a shape, as is the rest without it; the next best one
        // whose rest is a shape; else the first, which is large and comes before all traps.
        let (mut first_fit, mut best) = (None, None);
        let may_trap = expr.terms().iter().any(Term::may_trap);
        for at in candidates {
            if may_trap && !traps_in_order(expr.terms(), at) {
                continue;
            }
            let subtree = at..expr::subtree_end(expr.terms(), at);
            let place = self.split_place(expr, subtree.clone(), live);
            if !self.offers_tree(root, expr.symbols_with(subtree.clone(), place)) {
                continue;
            }
            first_fit = first_fit.or(Some((at, place)));
            if self.offers_tree(&Root::Set(place), expr.symbols(subtree)) {
                best = Some((at, place));
                break;
            }
        }
        let (at, place) = best.or(first_fit).unwrap_or_else(|| {
            let subtree = first..expr::subtree_end(expr.terms(), first);
            (first, self.split_place(expr, subtree, live))
        });
        if let Some(slots) = place.slots() {
            self.scratch = slots.end;
        }
        let mut subtree = expr.subtree(at);
        expr.replace(at, place);
        let rest = Temps::of(expr.terms(), &self.registers);
        self.lower(Root::Set(place), &mut subtree, live | rest);
        true
    }

    fn split_place(&self, expr: &Expr, subtree: Range<usize>, live: Temps) -> Place {
        let terms = expr.terms();
        let busy = live
            | Temps::of(&terms[..subtree.start], &self.registers)
            | Temps::of(&terms[subtree.end..], &self.registers);
        let ty = terms[subtree.start].op().map_or(Ty::I64, |op| op.result());
        self.place_for(expr.symbols(subtree), ty, self.scratch, busy)
    }

    /// Moves a leaf to a place that the shapes know better: in the end, to a slot.
    fn move_leaf(&mut self, root: &Root, expr: &mut Expr, live: Temps) -> bool {
        let busy = live | Temps::of(expr.terms(), &self.registers);
        let mut choice = None;
        let mut fallback = None;
        expr::types(root.operands(), expr.terms(), |at, term, ty| {
            let movable = match term.node {
                Node::Op(..) | Node::Place(Place::Slot(_) | Place::Vector(_)) => false,
                Node::Place(_) | Node::Const(_) => true,
            };
            if !movable || choice.is_some() {
                return;
            }
            let slot = Place::Slot(self.scratch);
            fallback = fallback.or(Some((at, slot)));
            let temp = busy.free(ty, &self.registers);
            choice = temp.into_iter().chain([slot]).find_map(|place| {
                let moved = expr.symbols_with(at..at + 1, place);
                self.offers_tree(root, moved).then_some((at, place))
            });
        });
        let Some((at, place)) = choice.or(fallback) else {
            // Everything is in slots: the shapes promise that this is there.
            self.emit_whole(*root, expr);
            return false;
        };
        if matches!(place, Place::Slot(_)) {
            self.scratch_slot(Ty::I64);
        }
        let mut leaf = expr.subtree(at);
        expr.replace(at, place);
        self.lower(Root::Set(place), &mut leaf, busy);
        true
    }
}

/// Whether the subtree at `at` can be computed before the rest without changing which trap
/// comes first.
fn traps_in_order(terms: &[Term], at: usize) -> bool {
    let end = expr::subtree_end(terms, at);
    !terms[at..end].iter().any(Term::may_trap)
        || !(0..at).any(|before| {
            // An operator above the subtree is computed after it anyway.
            terms[before].may_trap() && expr::subtree_end(terms, before) <= at
        })
}
