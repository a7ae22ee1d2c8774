//! Checks that a translated function keeps what the IR promises.

use crate::atomic::AtomicKind;
use crate::ir::{
    Catch, Function, Inst, Label, LoopHead, Node, Place, Root, RuntimeOp, Slot, TrapSite,
};
use crate::shape::{Registers, ShapeKey, Shapes, traps};
use crate::{Module, PointKind};

/// Which promise a function breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("function {func}, instruction {inst}: {what}")]
pub struct Broken {
    /// The function's index.
    pub func: u32,
    /// The index of the instruction; of the last one for what concerns the whole function.
    pub inst: usize,
    /// What is wrong.
    pub what: String,
}

/// Checks a function against what [`crate::ir`] and [`Shapes`] promise to executors: every
/// instruction is a shape, its trees are whole, labels and slots and registers are in range,
/// nothing falls off the end, and no temporary register is read after a label or a call without
/// having been set.
///
/// Translation is meant to make such functions only; executors can assert it, and tests do.
///
/// # Errors
///
/// If a promise is broken.
pub fn check(module: &Module, function: &Function, shapes: &dyn Shapes) -> Result<(), Broken> {
    let checker = Checker {
        module,
        function,
        shapes,
        registers: shapes.registers(),
    };
    checker.check().map_err(|(inst, what)| Broken {
        func: function.index(),
        inst,
        what,
    })
}

struct Checker<'a> {
    module: &'a Module,
    function: &'a Function,
    shapes: &'a dyn Shapes,
    registers: Registers,
}

/// Temporary registers that hold a value.
#[derive(Default)]
struct Live(Vec<Place>);

impl Checker<'_> {
    fn check(&self) -> Result<(), (usize, String)> {
        let insts = self.function.insts();
        let whole = |what: String| (insts.len().saturating_sub(1), what);
        self.layout().map_err(whole)?;
        let mut targets = vec![false; insts.len()];
        for label in self.function.branches() {
            let position = self.function.labels().get(label as usize);
            match position.and_then(|position| targets.get_mut(*position as usize)) {
                Some(target) => *target = true,
                None => return Err(whole(format!("label {label} is nowhere"))),
            }
        }
        let several = insts
            .iter()
            .map(|inst| inst.traps().count())
            .filter(|count| *count > 1);
        let sites: usize = several.map(usize::from).sum();
        let in_order = |pair: &[TrapSite]| pair[0].inst <= pair[1].inst;
        if sites != self.function.trap_sites.len()
            || !self.function.trap_sites.windows(2).all(in_order)
        {
            return Err(whole(
                "it does not say where all that may trap is".to_owned(),
            ));
        }
        self.sites()?;
        self.handlers().map_err(whole)?;
        let leaves = |inst: &Inst| inst.root.branches() && !inst.root.is_conditional();
        if !insts.last().is_some_and(leaves) {
            return Err(whole("control falls off the end".to_owned()));
        }
        let mut live = Live::default();
        for (index, inst) in insts.iter().enumerate() {
            if targets[index] {
                live.0.clear();
            }
            self.inst(inst, &mut live).map_err(|what| (index, what))?;
            if let Root::Loop(label) | Root::LoopIf(label) | Root::LoopUnless(label) = inst.root {
                self.repeats(label, index).map_err(|what| (index, what))?;
            }
        }
        Ok(())
    }

    /// Checks that a branch to the loop that was entered last leads to a label.
    fn repeats(&self, label: Label, branch: usize) -> Result<(), String> {
        let insts = self.function.insts();
        let head = self.function.labels()[label as usize] as usize;
        let enters = |inst: &Inst| inst.root == Root::EnterLoop;
        if !self.function.is_entered(label) {
            return Err("what it repeats is no loop that has been entered".to_owned());
        }
        if insts
            .get(head..branch)
            .is_none_or(|body| body.iter().any(enters))
        {
            return Err("another loop is entered in between".to_owned());
        }
        Ok(())
    }

    /// Checks the table of clauses. That their labels are somewhere is known.
    fn handlers(&self) -> Result<(), String> {
        let (function, handlers) = (self.function, self.function.handlers());
        let changes = handlers.changes();
        let insts = function.insts().len() as u32;
        if !changes.is_sorted_by_key(|(at, _)| *at) || changes.iter().any(|(at, _)| *at > insts) {
            return Err("regions are not in the order of their instructions".to_owned());
        }
        let regions = changes.iter().filter_map(|(_, region)| *region);
        if regions
            .into_iter()
            .any(|region| region >= handlers.regions())
        {
            return Err("a region is none of the function's".to_owned());
        }
        for region in 0..handlers.regions() {
            // So there is an end of it.
            let (catches, next) = handlers.region(region);
            if next.is_some_and(|next| next >= region) {
                return Err(format!("region {region} is inside of a later one"));
            }
            catches.iter().try_for_each(|catch| self.catch(catch))?;
        }
        for (n, (start, _)) in changes.iter().enumerate() {
            let end = changes.get(n + 1).map_or(insts, |(at, _)| *at);
            for catch in handlers.around(*start).filter(|_| *start < end) {
                self.keeps_head(*start as usize..end as usize, catch.label)?;
            }
        }
        Ok(())
    }

    /// Checks where a clause puts an exception's values.
    fn catch(&self, catch: &Catch) -> Result<(), String> {
        let params = catch
            .tag
            .map_or(&[][..], |tag| self.module.tag_type(tag).params());
        let slots = params.iter().map(|ty| ty.slots()).sum();
        match (catch.values, params) {
            (None, []) => {}
            (Some(Place::Slot(slot) | Place::Vector(slot)), [_, ..]) => self.slots(slot, slots)?,
            (Some(place), [_]) if !self.is_temp(place) => self.in_range(place)?,
            _ => return Err("a clause does not say where an exception's values go".to_owned()),
        }
        match catch.exception {
            Some(place) if self.is_temp(place) => {
                Err("a clause puts an exception into a temporary register".to_owned())
            }
            Some(place) => self.in_range(place),
            None => Ok(()),
        }
    }

    /// Checks that where a clause goes on, the loop that was entered last is the same as where something is thrown.
    fn keeps_head(&self, thrown: std::ops::Range<usize>, label: Label) -> Result<(), String> {
        let (insts, labels) = (self.function.insts(), self.function.labels());
        let target = labels[label as usize] as usize;
        for inst in &insts[target..] {
            let (Root::Loop(label) | Root::LoopIf(label) | Root::LoopUnless(label)) = inst.root
            else {
                continue;
            };
            let head = labels[label as usize] as usize;
            let enters = |inst: &Inst| inst.root == Root::EnterLoop;
            if head <= target && (thrown.start < head || insts[head..thrown.end].iter().any(enters))
            {
                return Err("a clause goes on in a loop that need not be entered last".to_owned());
            }
        }
        Ok(())
    }

    /// Checks that sites are at instructions where a run can stop, with what is on the operand stack above all locals.
    fn sites(&self) -> Result<(), (usize, String)> {
        let insts = self.function.insts();
        for site in self.function.sites().sites() {
            let at = site.at as usize;
            let broken = |what: &str| Err((at.min(insts.len() - 1), what.to_owned()));
            let (fits, base) = match insts.get(at).map(|inst| inst.root) {
                Some(Root::Call { base, .. }) => (!site.restores, Some(base)),
                Some(
                    Root::CallImport { base, .. }
                    | Root::CallIndirect { base, .. }
                    | Root::CallRef { base, .. },
                ) => (site.restores, Some(base)),
                Some(Root::ConsumeFuel { .. }) => (site.point.kind == PointKind::Fuel, None),
                Some(Root::CheckEpoch) => (site.point.kind == PointKind::Epoch, None),
                Some(Root::Runtime { op, .. }) if op.takes_fuel() => {
                    (site.point.kind == PointKind::Bulk, None)
                }
                _ => (false, None),
            };
            let is_call = site.point.kind == PointKind::Call;
            if !fits || is_call != base.is_some() || base.is_some_and(|base| base != site.base) {
                return broken("a site is not where its run can stop");
            }
            if site.head.is_some_and(|head| !self.is_entered_at(head)) {
                return broken("a site is in a loop that has not been entered");
            }
            let low = self.function.saves().end;
            let high = base.unwrap_or(self.function.frame_slots());
            let outside = |slots: std::ops::Range<Slot>| slots.start < low || slots.end > high;
            if self.function.sites().slots(site).any(outside) {
                return broken("a site has operands where they cannot be");
            }
        }
        Ok(())
    }

    fn is_entered_at(&self, inst: u32) -> bool {
        let before = (inst as usize).checked_sub(1);
        before.is_some_and(|before| self.function.insts()[before].root == Root::EnterLoop)
    }

    fn layout(&self) -> Result<(), String> {
        let function = self.function;
        let values = function.param_slots().max(function.result_slots());
        let start = crate::ir::FRAME_HEADER + values;
        let saves = function.saves();
        if saves.start < start || saves.start < function.zeroed().end {
            return Err("saved registers overlap parameters, results or locals".to_owned());
        }
        if saves.end > function.frame_slots() {
            return Err("saved registers are outside the frame".to_owned());
        }
        let loops = function.loops();
        let in_order =
            |pair: &[LoopHead]| pair[0].offset < pair[1].offset && pair[0].inst <= pair[1].inst;
        if !loops.windows(2).all(in_order) {
            return Err("loops are not in the order of their offsets".to_owned());
        }
        if loops
            .iter()
            .any(|head| head.inst as usize >= function.insts().len())
        {
            return Err("a loop begins at no instruction".to_owned());
        }
        for pin in function.pins() {
            let in_range = match pin.place {
                Place::Slot(_) | Place::Vector(_) => false,
                Place::Int(n) => n < self.registers.pinned_ints.min(function.saved_ints()),
                Place::Float(n) => n < self.registers.pinned_floats.min(function.saved_floats()),
            };
            if !in_range {
                return Err(format!("local {} is pinned to {}", pin.local, pin.place));
            }
        }
        Ok(())
    }

    fn inst(&self, inst: &Inst, live: &mut Live) -> Result<(), String> {
        let nodes = self.function.nodes(inst);
        let mut wanted = inst.root.operands().len();
        for node in nodes {
            wanted = wanted.checked_sub(1).ok_or("a tree has too many nodes")?;
            match *node {
                Node::Op(op, _) => wanted += op.params().len(),
                Node::Place(place) => self.read(place, live)?,
                Node::Const(_) => {}
            }
        }
        if wanted > 0 {
            return Err("a tree has too few nodes".to_owned());
        }
        if !inst.root.operands().is_empty()
            && !ShapeKey::new()
                .with_inst(&inst.root, nodes)
                .is_some_and(|key| self.shapes.contains(key))
        {
            return Err("the executor has no such shape".to_owned());
        }
        if let Root::CallIndirect { .. } | Root::CallRef { .. } = inst.root
            && nodes.len() != 1
        {
            return Err("the operand has to be a leaf".to_owned());
        }
        if traps(inst, nodes) != inst.traps() {
            return Err("it does not say how it may trap".to_owned());
        }
        match inst.root {
            Root::Set(place) => {
                self.in_range(place)?;
                if self.is_temp(place) {
                    live.0.push(place);
                }
            }
            Root::Copy { from, to, count } => {
                if count == 0 {
                    return Err("nothing is copied".to_owned());
                }
                self.slots(from, count)?;
                self.slots(to, count)?;
            }
            Root::Call { func, base } | Root::CallImport { func, base } => {
                let imported = func < self.module.imported_funcs();
                if imported != matches!(inst.root, Root::CallImport { .. }) {
                    return Err("the wrong kind of call".to_owned());
                }
                self.call(base, self.module.func_type(func))?;
                live.0.clear();
            }
            Root::CallIndirect { ty, base, .. } | Root::CallRef { ty, base } => {
                self.call(base, &self.module.types()[ty as usize])?;
                live.0.clear();
            }
            Root::ReturnCall { func, base, args } | Root::ReturnCallImport { func, base, args } => {
                let imported = func < self.module.imported_funcs();
                if imported != matches!(inst.root, Root::ReturnCallImport { .. }) {
                    return Err("the wrong kind of call".to_owned());
                }
                self.tail_call(base, args, self.module.func_type(func))?;
            }
            Root::ReturnCallIndirect { ty, base, args, .. }
            | Root::ReturnCallRef { ty, base, args } => {
                let ty = &self.module.types()[ty as usize];
                self.tail_call(base, args, ty)?;
                self.in_range(Place::Slot(base + crate::ir::FRAME_HEADER + args))?;
            }
            Root::MemoryLoad { base, .. } => self.in_range(Place::Slot(base))?,
            Root::MemoryStore { base, .. } => {
                self.in_range(Place::Slot(base))?;
                self.in_range(Place::Slot(base + 1))?;
            }
            Root::Atomic { op, base, .. } => {
                let operands = match op.kind() {
                    AtomicKind::Fence => 0,
                    _ => 1 + op.params().len() as Slot,
                };
                (base..base + operands).try_for_each(|slot| self.in_range(Place::Slot(slot)))?;
                live.0.clear();
            }
            Root::Runtime { op, base, imm } => {
                if op == RuntimeOp::Throw {
                    let slots = self.module.tag_type(imm[0]).param_slots();
                    self.slots(base, slots.max(1))?;
                }
                self.in_range(Place::Slot(base))?;
                live.0.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn call(&self, base: Slot, ty: &crate::FuncType) -> Result<(), String> {
        let values = ty.slots();
        if base < self.function.saves().end {
            return Err("a callee's frame overlaps the locals".to_owned());
        }
        if base + crate::ir::FRAME_HEADER + values > self.function.frame_slots() {
            return Err("a callee's arguments or results are outside the frame".to_owned());
        }
        Ok(())
    }

    fn tail_call(&self, base: Slot, args: u32, ty: &crate::FuncType) -> Result<(), String> {
        if args != ty.param_slots() {
            return Err("arguments do not take as many slots as the parameters".to_owned());
        }
        if base < self.function.saves().end {
            return Err("a callee's arguments overlap the locals".to_owned());
        }
        // Its results are not returned here, but to where it takes this function's place.
        let header = crate::ir::FRAME_HEADER;
        let end = (base + header + args).max(crate::ir::TAIL_ADAPTER + header + ty.slots());
        if end > self.function.frame_slots() {
            return Err("a tail call's arguments or results are outside the frame".to_owned());
        }
        Ok(())
    }

    fn read(&self, place: Place, live: &Live) -> Result<(), String> {
        self.in_range(place)?;
        if self.is_temp(place) && !live.0.contains(&place) {
            return Err(format!("{place} is read but holds nothing here"));
        }
        Ok(())
    }

    fn slots(&self, first: Slot, count: u32) -> Result<(), String> {
        let saved = self.function.saves();
        let ok = first >= crate::ir::FRAME_HEADER
            && (first.checked_add(count)).is_some_and(|end| {
                end <= self.function.frame_slots()
                    && (saved.is_empty() || end <= saved.start || saved.end <= first)
            });
        match (ok, count) {
            (true, _) => Ok(()),
            (false, 1) => Err(format!("s{first} is not this function's to use")),
            (false, _) => Err(format!(
                "{count} slots from s{first} are not this function's to use"
            )),
        }
    }

    fn is_temp(&self, place: Place) -> bool {
        match place {
            Place::Slot(_) | Place::Vector(_) => false,
            Place::Int(_) | Place::Float(_) => !self.function.is_pinned(place),
        }
    }

    fn in_range(&self, place: Place) -> Result<(), String> {
        let r = &self.registers;
        let ok = match place {
            Place::Slot(slot) => return self.slots(slot, 1),
            Place::Vector(slot) => return self.slots(slot, 2),
            Place::Int(n) if n < r.pinned_ints => n < self.function.saved_ints(),
            Place::Float(n) if n < r.pinned_floats => n < self.function.saved_floats(),
            Place::Int(n) => n < r.pinned_ints + r.temp_ints,
            Place::Float(n) => n < r.pinned_floats + r.temp_floats,
        };
        if ok {
            Ok(())
        } else {
            Err(format!("{place} is not this function's to use"))
        }
    }
}
