//! The table of shapes, in which translation looks up what there is.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use vm_translate::shape::table::Shape;
use vm_translate::shape::{Next, ShapeKey};

use crate::hash;
use crate::x86_64::global;

/// Of a hundred places in the table, how many are taken.
const FILLED: usize = 88;

/// What is stored where there is no key: no symbol has all its bits set.
const NO_KEY: u128 = hash::KEY;

/// A key and where it leads.
struct Entry {
    key: u128,
    /// The number of the shape's handler.
    handler: usize,
    /// Which roots come next in longer shapes that start with this one.
    next: Next,
}

impl Entry {
    /// The key as it is stored: with one half of `next` above it.
    fn stored(&self) -> u128 {
        let [low, _] = self.next.bits().to_le_bytes();
        self.key | u128::from(low) << hash::NEXT_BIT
    }
}

/// The lines of the table: of each, its entries, and whether the next one has more of its keys.
pub(crate) struct Lines(Vec<(Vec<Entry>, bool)>);

impl Lines {
    /// The table of the different keys of shapes, each with the number of its handler.
    pub(crate) fn new(keyed: &[(ShapeKey, Shape)], handler: impl Fn(usize) -> usize) -> Lines {
        let next = next(keyed);
        let lines = keyed.len() * 100 / (FILLED * hash::KEYS) + 1 + hash::SPARE_LINES;
        let mut table = Lines((0..lines).map(|_| (Vec::new(), false)).collect());
        for (n, (key, _)) in keyed.iter().enumerate() {
            table.insert(Entry {
                key: key.bits(),
                handler: handler(n),
                next: next.get(key).copied().unwrap_or_default(),
            });
        }
        table
    }

    fn insert(&mut self, entry: Entry) {
        let first = hash::line(entry.key, self.0.len());
        for (entries, more) in &mut self.0[first..] {
            if entries.len() < hash::KEYS {
                entries.push(entry);
                return;
            }
            *more = true;
        }
        panic!(
            "the table of shapes needs more than {} spare lines",
            hash::SPARE_LINES
        );
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Writes the lines as assembly, with the distance of each handler from the trampoline.
    pub(crate) fn write(&self, text: &mut String) {
        text.push_str("\t.p2align 6\n");
        global(text, "palisade_shapes");
        for (entries, more) in &self.0 {
            text.push_str("\t.quad ");
            for n in 0..hash::KEYS {
                let key = entries.get(n).map_or(NO_KEY, Entry::stored);
                let comma = if n > 0 { ", " } else { "" };
                let _ = write!(text, "{comma}{}, {}", key as u64, (key >> 64) as u64);
            }
            text.push_str("\n\t.long ");
            for n in 0..hash::KEYS {
                let comma = if n > 0 { ", " } else { "" };
                let _ = match entries.get(n) {
                    Some(Entry { handler, .. }) => {
                        write!(text, "{comma}.Lh{handler} - palisade_enter")
                    }
                    None => write!(text, "{comma}0"),
                };
            }
            text.push_str("\n\t.byte ");
            for n in 0..hash::KEYS {
                let next = entries.get(n).map_or(0, |entry| entry.next.bits() >> 8);
                let _ = write!(text, "{next}, ");
            }
            let _ = writeln!(text, "{}", u8::from(*more));
        }
    }
}

/// Which roots come next in longer shapes, of those keys that are the start of any: a cell is found
/// root by root.
fn next(keyed: &[(ShapeKey, Shape)]) -> HashMap<ShapeKey, Next> {
    let known: HashSet<ShapeKey> = keyed.iter().map(|(key, _)| *key).collect();
    let mut all: HashMap<ShapeKey, Next> = HashMap::new();
    for (_, shape) in keyed {
        for start in shape.starts() {
            let key = start.key().filter(|key| known.contains(key));
            let key = key.unwrap_or_else(|| panic!("no shape is the start of {shape}: {start}"));
            let next = Shape {
                roots: vec![shape.roots[start.roots.len()].clone()],
            };
            let next = next.key().map_or(Next::ALL, Next::of);
            let all = all.entry(key).or_default();
            *all = all.and(next);
        }
    }
    all
}
