//! What was executed: a run that finds nothing says how much it looked at.

use std::collections::BTreeMap;
use std::fmt;

/// Counts of one target.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    totals: BTreeMap<&'static str, u64>,
    examples: BTreeMap<&'static str, String>,
    modes: BTreeMap<String, ModeCounts>,
}

/// What ran in one mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModeCounts {
    /// Instances that were made.
    pub instances: u64,
    /// How many of them were reset.
    pub resets: u64,
    /// Calls that have gone on in another mode.
    pub moves: u64,
    /// Calls of the host's.
    pub calls: u64,
    /// Calls that ended in a trap.
    pub traps: u64,
    /// Functions that were translated.
    pub functions: u64,
}

impl Counts {
    /// Nothing yet.
    pub fn new() -> Counts {
        Counts::default()
    }

    /// Adds to a total.
    pub fn add(&mut self, what: &'static str, number: u64) {
        *self.totals.entry(what).or_default() += number;
    }

    /// Keeps the first example of something that is counted and that nobody should have to guess at.
    pub fn example(&mut self, what: &'static str, example: impl FnOnce() -> String) {
        self.examples.entry(what).or_insert_with(example);
    }

    /// A total.
    pub fn total(&self, what: &str) -> u64 {
        self.totals.get(what).copied().unwrap_or(0)
    }

    /// The counts of a mode.
    pub fn mode(&mut self, name: &str) -> &mut ModeCounts {
        if !self.modes.contains_key(name) {
            self.modes.insert(name.to_owned(), ModeCounts::default());
        }
        self.modes.entry(name.to_owned()).or_default()
    }

    /// A line for each mode in which something ran, and the examples.
    pub fn details(&self) -> String {
        let line = |(name, counts): (&String, &ModeCounts)| {
            let ModeCounts {
                instances,
                resets,
                moves,
                calls,
                traps,
                functions,
            } = counts;
            format!(
                "  {name:<32} {instances:>9} instances {resets:>7} resets {moves:>7} moves {calls:>10} calls {traps:>9} traps {functions:>10} functions\n"
            )
        };
        let examples = self
            .examples
            .iter()
            .map(|(what, example)| format!("  {what}, for example: {example}\n"));
        self.modes.iter().map(line).chain(examples).collect()
    }
}

/// All totals on a line.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (what, number)) in self.totals.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{number} {what}")?;
        }
        Ok(())
    }
}
