//! Choosing shapes by how programs run.
//!
//! Each round translates what has run for the shapes chosen so far, and looks at every two cells
//! that run one after the other: a shape that did both would save a dispatch, as would a tree that
//! held the value which the first makes for the second. The patterns that save the most for the
//! fewest handlers are added, and the next round sees what they left.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use vm_translate::ir::{FRAME_HEADER, Inst, Node, Place, Root};
use vm_translate::shape::table::{self, Shape, TableError};
use vm_translate::shape::{Cells, Found, Traps, traps};
use vm_translate::{Effect, Function, Op, Registers, ShapeKey, Ty};

use crate::pattern::{Pattern, Reach};
use crate::program::{Program, Weighed};
use crate::table::ShapeTable;

/// What training may spend, and what it wants for it.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The most shapes to add.
    pub shapes: u64,
    /// The least share of all dispatches that a line has to save.
    pub least_share: f64,
    /// The most operators of one shape.
    pub operators: usize,
    /// The most roots of one shape.
    pub roots: usize,
}

/// A line that training has added.
#[derive(Clone, Debug)]
pub struct Line {
    /// In the notation of shape tables.
    pub text: String,
    /// How many shapes it added, with the lines before it that it needed; those have 0.
    pub shapes: u64,
    /// The share of all dispatches that it saved when it was added: the mean over programs.
    pub share: f64,
}

/// What has become of the programs so far.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Dispatches in relation to those at the start: the mean over programs.
    pub dispatches: f64,
    /// Shapes added so far.
    pub shapes: u64,
    /// Lines added so far.
    pub lines: usize,
}

/// No program may speak for more than this share of its own dispatches for one pattern: what one
/// program does all the time is no reason for everybody to have it.
const MOST_OF_ONE: f64 = 0.04;
/// Patterns added in a round.
const LINES_A_ROUND: usize = 40;
/// What a line costs besides its shapes, in shapes.
const LINE_COST: f64 = 60.0;
/// How much of a pattern's worth is what its registers were seen to be, rather than what those of
/// all patterns are.
const SEEN: f64 = 0.3;
/// What a dispatch counts.
const DISPATCH: u64 = 10;
/// What it counts that a value, made and used in one cell, is put nowhere in between.
const PASSED: u64 = 4;
/// The most pinned registers of a kind.
const MAX_PINNED: usize = 16;

/// Adds to `table` what saves the most dispatches in the programs, each with a weight. Says after
/// each round how far it is.
pub fn train(
    programs: &[(Program, f64)],
    table: &mut ShapeTable,
    budget: Budget,
    mut progress: impl FnMut(Progress),
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut tried = HashSet::new();
    let mut spent = 0;
    let mut first: Option<f64> = None;
    loop {
        let survey = Survey::of(programs, table, budget);
        let start = *first.get_or_insert(survey.dispatches);
        progress(Progress {
            dispatches: survey.dispatches / start,
            shapes: spent,
            lines: lines.len(),
        });
        let mut offers = survey.offers(table, budget);
        offers.retain(|offer| !tried.contains(&offer.pattern));
        // The same programs give the same table: ties have an order too.
        offers.sort_by(|a, b| {
            let by_score = b.score().total_cmp(&a.score());
            by_score.then_with(|| a.pattern.cmp(&b.pattern))
        });
        let mut added = 0;
        for offer in offers {
            if added == LINES_A_ROUND {
                break;
            }
            let text = offer.pattern.line(offer.first, table.registers());
            let Ok(shapes) = table::read(&text, table.registers()) else {
                continue;
            };
            tried.insert(offer.pattern.clone());
            let missing: Vec<Shape> = shapes
                .iter()
                .flat_map(|shape| table.missing(shape))
                .collect();
            if missing.is_empty() || spent + missing.len() as u64 > budget.shapes {
                continue;
            }
            let others: Vec<String> = starts_and_roots(&offer, &missing, table);
            let count = missing.iter().filter(|shape| table.insert(shape)).count() as u64;
            spent += count;
            added += 1;
            // What a line needs stands before it.
            let share = offer.share;
            lines.extend(others.into_iter().map(|text| Line {
                text,
                shapes: 0,
                share,
            }));
            lines.push(Line {
                text,
                shapes: count,
                share,
            });
        }
        if added == 0 {
            return lines;
        }
    }
}

/// How many cells the program would have started with a table's shapes.
pub fn dispatches(program: &Program, table: &ShapeTable) -> u64 {
    let find = |key: ShapeKey| table.find(key);
    let weighed = program.translate(table);
    let function = |Weighed { function, counts }: Weighed| {
        let cells = Cells::new(&function);
        let mut dispatches = 0;
        let mut next = 0;
        while next < function.insts().len() {
            dispatches += counts[next];
            next = cells.at(next, find).map_or(next + 1, |(run, _)| run.end);
        }
        dispatches
    };
    weighed.map(function).sum()
}

/// What a line of a table is used for.
#[derive(Clone, Debug)]
pub struct LineUse {
    /// The line.
    pub text: String,
    /// How many shapes it has that no line before has.
    pub shapes: usize,
    /// How many of them programs use.
    pub used: usize,
    /// The share of all dispatches that is theirs: the mean over programs.
    pub share: f64,
}

/// What each line of a table is used for by programs, each with a weight.
///
/// # Errors
///
/// The first line that is not in the notation.
pub fn line_uses(
    programs: &[(Program, f64)],
    text: &str,
    registers: Registers,
) -> Result<Vec<LineUse>, TableError> {
    let table = ShapeTable::read(text, registers)?;
    let mut lines = Vec::new();
    let mut owners: HashMap<ShapeKey, usize> = HashMap::new();
    for line in text.lines() {
        let shapes = table::read(line, registers)?;
        let before = owners.len();
        for key in shapes.iter().filter_map(Shape::key) {
            owners.entry(key).or_insert(lines.len());
        }
        lines.push(LineUse {
            text: line.to_owned(),
            shapes: owners.len() - before,
            used: 0,
            share: 0.0,
        });
    }
    let mut used = HashSet::new();
    let whole: f64 = programs.iter().map(|(_, weight)| weight).sum();
    for (program, weight) in programs {
        let mut counts: HashMap<ShapeKey, u64> = HashMap::new();
        let mut all = 0;
        for Weighed {
            function,
            counts: of_insts,
        } in program.translate(&table)
        {
            let cells = Cells::new(&function);
            let mut next = 0;
            while next < function.insts().len() {
                let count = of_insts[next];
                all += count;
                let found = cells.at(next, |key| table.find(key));
                let end = found.map_or(next + 1, |(run, _)| run.end);
                if let Some(key) = cells.key(next..end).filter(|_| count > 0) {
                    *counts.entry(key).or_default() += count;
                }
                next = end;
            }
        }
        for (key, count) in counts {
            if let Some(line) = owners.get(&key) {
                let line = &mut lines[*line];
                line.share += weight / whole * count as f64 / all as f64;
                line.used += usize::from(used.insert(key));
            }
        }
    }
    lines.retain(|line| line.shapes > 0);
    Ok(lines)
}

/// The lines of the shapes that a pattern needs besides its own.
fn starts_and_roots(offer: &Offer, missing: &[Shape], table: &ShapeTable) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for shape in missing {
        let (pattern, _) = Pattern::of(shape, table.registers());
        let line = pattern.line(offer.first, table.registers());
        if pattern != offer.pattern && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// A pattern, and what it would save.
struct Offer {
    pattern: Pattern,
    /// How many of the pinned registers it is worth.
    first: u8,
    share: f64,
    cost: f64,
}

impl Offer {
    fn score(&self) -> f64 {
        self.share / (self.cost + LINE_COST)
    }
}

/// What a pattern would have saved in one look at the programs. Ordered, as all that is summed up here: sums of
/// fractions depend on their order, and the same programs are to give the same table.
#[derive(Default)]
struct Seen {
    /// By the index of a program.
    shares: BTreeMap<usize, f64>,
    by_reach: [f64; MAX_PINNED + 1],
}

/// One look at all programs.
struct Survey {
    seen: BTreeMap<Pattern, Seen>,
    /// The weighed sum of all programs' dispatches, each in relation to its first survey.
    dispatches: f64,
    /// What each program counts.
    weights: Vec<f64>,
}

impl Survey {
    fn of(programs: &[(Program, f64)], table: &ShapeTable, budget: Budget) -> Survey {
        let mut survey = Survey {
            seen: BTreeMap::new(),
            dispatches: 0.0,
            weights: programs.iter().map(|(_, weight)| *weight).collect(),
        };
        for (number, (program, weight)) in programs.iter().enumerate() {
            let mut shares: BTreeMap<ShapeKey, u64> = BTreeMap::new();
            let mut total = 0;
            for weighed in program.translate(table) {
                total += look(&weighed, table, budget, &mut shares);
            }
            // In relation to the WebAssembly that ran, which no table changes.
            let work = program.work().max(1) as f64;
            survey.dispatches += weight * total as f64 / work;
            for (key, count) in shares {
                let Some(shape) = Shape::from_key(key) else {
                    continue;
                };
                let (pattern, reach): (Pattern, Reach) = Pattern::of(&shape, table.registers());
                let share = weight * count as f64 / (DISPATCH * total.max(1)) as f64;
                let seen = survey.seen.entry(pattern).or_default();
                *seen.shares.entry(number).or_default() += share;
                seen.by_reach[usize::from(reach)] += share;
            }
        }
        survey
    }

    /// The patterns that are worth their handlers, each with the registers that suit it best.
    fn offers(&self, table: &ShapeTable, budget: Budget) -> Vec<Offer> {
        // How far registers reach, by how many a pattern has.
        let mut usual = [[0.0; MAX_PINNED + 1]; MAX_PINNED + 1];
        for (pattern, seen) in &self.seen {
            let row = &mut usual[usize::from(pattern.ints + pattern.floats).min(MAX_PINNED)];
            for (sum, share) in row.iter_mut().zip(seen.by_reach) {
                *sum += share;
            }
        }
        let registers = table.registers();
        let programs = self.programs();
        let mut offers = Vec::new();
        for (pattern, seen) in &self.seen {
            let capped: f64 = seen
                .shares
                .iter()
                .map(|(number, share)| share.min(MOST_OF_ONE * self.weights[*number].max(1.0)))
                .sum();
            let whole: f64 = seen.shares.values().sum();
            if capped / programs < budget.least_share {
                continue;
            }
            let usual = &usual[usize::from(pattern.ints + pattern.floats).min(MAX_PINNED)];
            let best = (0..=registers.pinned_ints.max(registers.pinned_floats))
                .filter_map(|first| {
                    let upto = usize::from(first) + 1;
                    let own = seen.by_reach[..upto].iter().sum::<f64>() / whole;
                    let all = usual[..upto].iter().sum::<f64>() / usual.iter().sum::<f64>();
                    let share = capped / programs * (SEEN * own + (1.0 - SEEN) * all);
                    let cost = pattern.shapes(first, registers);
                    (cost > 0 && share >= budget.least_share).then(|| Offer {
                        pattern: pattern.clone(),
                        first,
                        share,
                        cost: cost as f64,
                    })
                })
                .max_by(|a, b| a.score().total_cmp(&b.score()));
            offers.extend(best);
        }
        offers
    }

    fn programs(&self) -> f64 {
        let numbers = self.seen.values().flat_map(|seen| seen.shares.keys());
        numbers.collect::<HashSet<_>>().len().max(1) as f64
    }
}

/// Adds to `shares` what each shape would save in a function; returns the function's dispatches.
fn look(
    weighed: &Weighed,
    table: &ShapeTable,
    budget: Budget,
    shares: &mut BTreeMap<ShapeKey, u64>,
) -> u64 {
    let Weighed { function, counts } = weighed;
    let cells = Cells::new(function);
    let find = |key: ShapeKey| -> Option<Found> { table.find(key) };
    let mut dispatches = 0;
    let mut before: Option<Range<usize>> = None;
    let mut next = 0;
    while next < function.insts().len() {
        let found = cells.at(next, find);
        let run = found
            .as_ref()
            .map_or(next..next + 1, |(run, _)| run.clone());
        let count = counts[next];
        dispatches += count;
        let repeating = run.clone().filter_map(|branch| repeating(function, branch));
        for key in repeating.filter(|key| count > 0 && fits(*key, budget)) {
            *shares.entry(key).or_default() += count * DISPATCH;
        }
        if found.is_some() && count > 0 {
            let tree = (run.start + 1..run.end).find_map(|user| {
                let key = nested(function, run.start..user, user..run.end, budget)?;
                table.find(key).is_none().then_some(key)
            });
            if let Some(key) = tree {
                *shares.entry(key).or_default() += count * PASSED;
            }
        }
        let ends = ends_cell(&function.insts()[next].root);
        if let Some(before) = &before
            && (found.is_some() || ends)
            && count > 0
            && !cells.is_labelled(next)
            && !returns_leaf(function, before.end - 1..next + 1)
        {
            // A value that is not put anywhere is better than one that is.
            let saved = nested(function, before.clone(), run.clone(), budget)
                .or_else(|| pair(function, &cells, before.start..run.end, budget));
            if let Some(key) = saved {
                *shares.entry(key).or_default() += count * DISPATCH;
            }
        }
        // A call ends its cell, because the callee returns behind it.
        let last = function.insts()[run.end - 1].root;
        let calls = matches!(
            last,
            Root::Call { .. } | Root::CallIndirect { .. } | Root::CallRef { .. }
        );
        let leaves = last.branches() && !last.is_conditional() || calls;
        before = (found.is_some() && !leaves).then(|| run.clone());
        next = run.end;
    }
    dispatches
}

/// The shape that an instruction would have as a branch to where its loop begins, which waits for
/// nothing, if it leads there as any branch does: the table lacks that shape.
fn repeating(function: &Function, branch: usize) -> Option<ShapeKey> {
    let inst = &function.insts()[branch];
    let (root, label) = match inst.root {
        Root::BrIf(label) => (Root::LoopIf(label), label),
        Root::BrUnless(label) => (Root::LoopUnless(label), label),
        _ => return None,
    };
    let repeats =
        function.labels()[label as usize] as usize <= branch && function.is_entered(label);
    let key = ShapeKey::new().with_inst(&root, function.nodes(inst))?;
    repeats.then_some(key)
}

/// Whether a root has no tree and goes on elsewhere.
fn ends_cell(root: &Root) -> bool {
    matches!(
        root,
        Root::Br(_) | Root::Loop(_) | Root::Call { .. } | Root::Return
    )
}

/// Whether two instructions set the only result to what is already somewhere, and return: there is a handler for that.
fn returns_leaf(function: &Function, insts: Range<usize>) -> bool {
    let insts = &function.insts()[insts];
    matches!(insts, [set, Inst { root: Root::Return, .. }]
        if set.root == Root::Set(Place::Slot(FRAME_HEADER)) && function.nodes(set).len() == 1)
}

/// The shape of some instructions in one cell.
fn pair(
    function: &Function,
    cells: &Cells<'_>,
    insts: Range<usize>,
    budget: Budget,
) -> Option<ShapeKey> {
    let roots = &function.insts()[insts.clone()];
    // What a cell ends with does nothing but go on elsewhere.
    let ends = roots.last().is_some_and(|last| ends_cell(&last.root));
    if roots.len() - usize::from(ends) > budget.roots {
        return None;
    }
    let mut all = Traps::Never;
    for inst in &function.insts()[insts.clone()] {
        all = all.and(traps(inst, function.nodes(inst)))?;
    }
    let key = cells.key(insts)?;
    fits(key, budget).then_some(key)
}

/// The shape of two cells, if the last instruction of the first makes a value for the first of the
/// second and nothing else, and is put into its tree.
fn nested(
    function: &Function,
    first: Range<usize>,
    second: Range<usize>,
    budget: Budget,
) -> Option<ShapeKey> {
    let insts = function.insts();
    let (maker, user) = (&insts[first.end - 1], &insts[second.start]);
    let Root::Set(place) = maker.root else {
        return None;
    };
    let passing = match place {
        Place::Int(_) | Place::Float(_) => !function.is_pinned(place),
        Place::Slot(slot) => slot >= function.saves().end,
        Place::Vector(_) => false,
    };
    let tree = function.nodes(maker);
    let nodes = function.nodes(user);
    let uses = |node: &&Node| **node == Node::Place(place);
    let makes = matches!(tree.first(), Some(Node::Op(..)));
    if !passing || !makes || nodes.iter().filter(uses).count() != 1 {
        return None;
    }
    // Two that read the same register or slot name it once more.
    let mut merged = Vec::new();
    for node in nodes {
        match node {
            node if uses(&node) => merged.extend_from_slice(tree),
            node => merged.push(*node),
        }
    }
    let more = |key: ShapeKey, inst: &Inst| key.with_inst(&inst.root, function.nodes(inst));
    let key = insts[first.start..first.end - 1]
        .iter()
        .try_fold(ShapeKey::new(), more)?;
    let key = key.with_inst(&user.root, &merged)?;
    let key = insts[second.start + 1..second.end]
        .iter()
        .try_fold(key, more)?;
    let roots = first.len() - 1 + second.len();
    (roots <= budget.roots && fits(key, budget)).then_some(key)
}

/// Whether templates are likely to do it, and the budget allows it.
fn fits(key: ShapeKey, budget: Budget) -> bool {
    let Some(shape) = Shape::from_key(key) else {
        return false;
    };
    let trees = || shape.roots.iter().flat_map(|root| &root.trees);
    let operators: usize = trees().map(table::Tree::operators).sum();
    operators <= budget.operators
        && shape.roots.iter().all(|root| match &root.trees[..] {
            // The address of a store waits while its value is computed.
            [address @ table::Tree::Op(..), value] => {
                templates_do(address, true)
                    && templates_do(value, false)
                    && values(address) <= 2
                    && values(value) <= 2
                    && !has_select(value)
            }
            trees => trees.iter().all(|tree| {
                templates_do(tree, true) && values(tree) <= if has_select(tree) { 3 } else { 2 }
            }),
        })
}

/// Whether there are templates for all operators of a tree where they stand.
fn templates_do(tree: &table::Tree, top: bool) -> bool {
    let table::Tree::Op(op, operands) = tree else {
        return true;
    };
    // Division and long multiplication have registers of their own.
    let divides = matches!(op.effect(), Effect::Traps) || *op == Op::I64MulHighU;
    let without = op.is_vector()
        || matches!(
            op,
            Op::F32ConvertI64U
                | Op::F64ConvertI64U
                | Op::I32TruncSatF32S
                | Op::I32TruncSatF32U
                | Op::I32TruncSatF64S
                | Op::I32TruncSatF64U
                | Op::I64TruncSatF32S
                | Op::I64TruncSatF32U
                | Op::I64TruncSatF64S
                | Op::I64TruncSatF64U
                | Op::I64TruncF32U
                | Op::I64TruncF64U
        );
    !without
        && (top || !divides)
        && op.result() != Ty::V128
        && operands.iter().all(|tree| {
            templates_do(tree, false) && (!divides || matches!(tree, table::Tree::Leaf(_)))
        })
}

/// How many scratch registers a tree takes at once, its value's own included.
fn values(tree: &table::Tree) -> usize {
    let table::Tree::Op(op, operands) = tree else {
        return 0;
    };
    let select = matches!(op, Op::Select | Op::SelectFloat);
    let checked = matches!(
        op.effect(),
        Effect::Load {
            unchecked: false,
            ..
        }
    );
    let most = operands
        .iter()
        .enumerate()
        .map(|(held, tree)| match select {
            // Nothing of a choice is an operand of an instruction: all of it is in registers.
            true => held + values(tree).max(1),
            false => held.min(1) + values(tree),
        });
    // A check compares the end of the access, beside its address.
    most.max().unwrap_or(0).max(1) + usize::from(checked && loads_below(operands))
}

fn loads_below(operands: &[table::Tree]) -> bool {
    let loads = |op: Op| matches!(op.effect(), Effect::Load { .. });
    operands.iter().any(|tree| tree.any_op(&loads))
}

fn has_select(tree: &table::Tree) -> bool {
    tree.any_op(&|op| matches!(op, Op::Select | Op::SelectFloat))
}
