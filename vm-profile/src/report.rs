//! A profile as text, for people.

use std::collections::HashMap;
use std::fmt::Write as _;

use vm_interp::{CellProfile, FunctionProfile};
use vm_translate::Registers;
use vm_translate::shape::Cells;
use vm_translate::shape::table::Shape;

use crate::pattern::Pattern;

/// How often things ran.
struct Counts {
    what: &'static str,
    counts: HashMap<String, u64>,
}

impl Counts {
    fn new(what: &'static str) -> Counts {
        Counts {
            what,
            counts: HashMap::new(),
        }
    }

    fn add(&mut self, name: String, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }

    /// The most frequent ones, as a table.
    fn write(&self, text: &mut String, top: usize, total: u64) {
        let mut counts: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .collect();
        counts.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let _ = writeln!(text, "\n{:>14}  {:>6}  {}", "dispatches", "%", self.what);
        for (name, count) in counts.iter().take(top) {
            let share = 100.0 * **count as f64 / total.max(1) as f64;
            let _ = writeln!(text, "{count:>14}  {share:>6.2}  {name}");
        }
        if counts.len() > top {
            let _ = writeln!(
                text,
                "{:>14}  {:>6}  and {} more",
                "",
                "",
                counts.len() - top
            );
        }
    }
}

/// Which functions, shapes and pairs of shapes ran how often: the `top` of each. `name` gives a
/// function's name by its index.
pub fn report(
    profile: &[FunctionProfile],
    registers: Registers,
    top: usize,
    name: impl Fn(u32) -> String,
) -> String {
    let mut functions = Counts::new("function");
    let mut shapes =
        Counts::new("shape: i1, f1 … are registers, t a temporary one, s slots, c and w constants");
    let mut pairs = Counts::new("shapes one after the other");
    let mut total = 0;
    for FunctionProfile { function, cells } in profile {
        let labels = Cells::new(function);
        let mut before: Option<String> = None;
        for cell in cells {
            let CellProfile {
                insts,
                shape,
                count,
            } = cell;
            let root = &function.insts()[insts.start].root;
            let shape = match shape.and_then(Shape::from_key) {
                Some(shape) => Pattern::of(&shape, registers).0.text,
                None => {
                    // The variant's name, without its fields.
                    let text = format!("{root:?}");
                    let end = text.find(|c: char| !c.is_alphanumeric());
                    format!("[{}]", &text[..end.unwrap_or(text.len())])
                }
            };
            total += count;
            functions.add(name(function.index()), *count);
            shapes.add(shape.clone(), *count);
            if let Some(before) = before.filter(|_| !labels.is_labelled(insts.start)) {
                pairs.add(format!("{before}  →  {shape}"), *count);
            }
            let leaves = function.insts()[insts.end - 1].root.branches();
            before = (!leaves).then_some(shape);
        }
    }
    let mut text = format!("{total} dispatches in {} functions\n", profile.len());
    for counts in [&functions, &shapes, &pairs] {
        counts.write(&mut text, top, total);
    }
    text
}

/// One line for each function: its name and its dispatches, as flame-graph viewers read them.
pub fn folded(profile: &[FunctionProfile], name: impl Fn(u32) -> String) -> String {
    let mut text = String::new();
    for FunctionProfile { function, cells } in profile {
        let count: u64 = cells.iter().map(|cell| cell.count).sum();
        if count > 0 {
            // Semicolons separate frames, and a space the count.
            let name = name(function.index()).replace([';', ' '], "_");
            let _ = writeln!(text, "{name} {count}");
        }
    }
    text
}
