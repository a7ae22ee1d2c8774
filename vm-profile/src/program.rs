//! What is known of a program that has run: its functions and how often their blocks ran.

use std::cmp::Reverse;
use std::sync::Arc;

use vm_interp::FunctionProfile;
use vm_translate::ir::Inst;
use vm_translate::shape::Cells;
use vm_translate::{Function, Module, Shapes, TranslateOptions};

/// A program that has run, as something to choose shapes for.
#[derive(Debug)]
pub struct Program {
    module: Arc<Module>,
    /// Whether accesses that a guard can check are left to it.
    guarded: bool,
    functions: Vec<Counted>,
}

/// How often the blocks of a function ran.
#[derive(Debug)]
struct Counted {
    func: u32,
    /// The block's first WebAssembly offset, in program order, and its count.
    blocks: Vec<(u32, u64)>,
}

/// A function's instructions, and how often each ran.
#[derive(Debug)]
pub(crate) struct Weighed {
    pub(crate) function: Function,
    /// One for each instruction.
    pub(crate) counts: Vec<u64>,
}

/// The part of a program's work, one in so many, that its least busy functions may do and be left out.
const NEGLECTED: u64 = 1000;

impl Program {
    /// How much checked code usually counts beside code that relies on guards.
    pub const CHECKED_WEIGHT: f64 = 0.25;

    /// What the profile of a module tells.
    pub fn new(module: Arc<Module>, guarded: bool, profile: &[FunctionProfile]) -> Program {
        let functions = profile.iter().map(|profile| {
            let insts = profile.function.insts();
            let blocks = block_starts(&profile.function);
            let blocks = blocks.into_iter().map(|start| {
                let cells = &profile.cells;
                let after = cells.partition_point(|cell| cell.insts.start <= start);
                let count = after.checked_sub(1).map_or(0, |n| cells[n].count);
                (insts[start].offset, count)
            });
            Counted {
                func: profile.function.index(),
                blocks: blocks.collect(),
            }
        });
        Program {
            functions: busiest(functions.collect()),
            module,
            guarded,
        }
    }

    /// The same program with the accesses' other way to be checked.
    pub fn with_guards(&self, guarded: bool) -> Program {
        Program {
            module: Arc::clone(&self.module),
            guarded,
            functions: (self.functions.iter())
                .map(|counted| Counted {
                    func: counted.func,
                    blocks: counted.blocks.clone(),
                })
                .collect(),
        }
    }

    /// The sum of all blocks' counts.
    pub(crate) fn work(&self) -> u64 {
        let blocks = self.functions.iter().flat_map(|counted| &counted.blocks);
        blocks.map(|(_, count)| count).sum()
    }

    /// Translates what has run for other shapes. Blocks stay what they are; so do their counts.
    pub(crate) fn translate(&self, shapes: &dyn Shapes) -> impl Iterator<Item = Weighed> {
        let unchecked = |_: u64, _: u32| true;
        self.functions.iter().filter_map(move |counted| {
            let options = TranslateOptions {
                unchecked: self.guarded.then_some(&unchecked),
                ..TranslateOptions::new(shapes)
            };
            // It has been translated before, for shapes that are not very different.
            let function = self.module.translate(counted.func, &options).ok()?;
            let counts = counts(&function, &counted.blocks);
            Some(Weighed { function, counts })
        })
    }
}

/// Those functions that do nearly all of the work, busiest first: a large program runs thousands a few times each, and
/// all are translated again for each table that is tried.
fn busiest(mut functions: Vec<Counted>) -> Vec<Counted> {
    let work = |counted: &Counted| counted.blocks.iter().map(|(_, count)| count).sum::<u64>();
    functions.sort_by_cached_key(|counted| (Reverse(work(counted)), counted.func));
    let whole: u64 = functions.iter().map(work).sum();
    let mut done = 0;
    functions.retain(|counted| {
        let wanted = done < whole - whole / NEGLECTED;
        done += work(counted);
        wanted
    });
    functions
}

/// The first instruction of each block.
fn block_starts(function: &Function) -> Vec<usize> {
    let cells = Cells::new(function);
    let insts = function.insts();
    let starts = |n: usize| n == 0 || cells.is_labelled(n) || insts[n - 1].root.branches();
    (0..insts.len()).filter(|n| starts(*n)).collect()
}

/// Gives every instruction its block's count: by the block's number where translation has made as
/// many blocks as before, else by where the instruction comes from.
fn counts(function: &Function, blocks: &[(u32, u64)]) -> Vec<u64> {
    let insts = function.insts();
    let starts = block_starts(function);
    if starts.len() == blocks.len() {
        let ends = starts.iter().skip(1).copied().chain([insts.len()]);
        let lengths = starts.iter().zip(ends).map(|(start, end)| end - start);
        let counts = lengths.zip(blocks);
        return counts
            .flat_map(|(length, (_, count))| std::iter::repeat_n(*count, length))
            .collect();
    }
    let mut ordered = blocks.to_vec();
    ordered.sort_unstable();
    let count = |inst: &Inst| {
        let after = ordered.partition_point(|(offset, _)| *offset <= inst.offset);
        after.checked_sub(1).map_or(0, |n| ordered[n].1)
    };
    insts.iter().map(count).collect()
}
