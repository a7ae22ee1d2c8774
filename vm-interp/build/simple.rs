//! The table of simple shapes, in which baseline translation looks up what there is.

use std::fmt::Write as _;

use vm_translate::shape::ShapeKey;
use vm_translate::shape::table::Shape;

use crate::hash;
use crate::x86_64::global;

/// Of a hundred places in the table, how many are taken.
const FILLED: usize = 50;

/// A key and the number of its handler, where there is one.
pub(crate) struct Simple(Vec<Option<(u32, usize)>>);

impl Simple {
    /// The table of those keys that are of simple shapes, each with the number of its handler.
    pub(crate) fn new(keyed: &[(ShapeKey, Shape)], handler: impl Fn(usize) -> usize) -> Simple {
        let simple = keyed.iter().enumerate();
        let simple =
            simple.filter_map(|(n, (key, _))| Some((hash::simple_key_of(*key)?, handler(n))));
        let simple: Vec<_> = simple.collect();
        let places = simple.len() * 100 / FILLED + 1 + hash::SPARE_PLACES;
        let mut table = Simple(vec![None; places]);
        simple.into_iter().for_each(|entry| table.insert(entry));
        table
    }

    fn insert(&mut self, entry: (u32, usize)) {
        let first = hash::simple_place(entry.0, self.0.len());
        // A free one has to stand behind the last, where every search ends.
        let end = self.0.len() - 1;
        match self.0[first..end].iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(entry),
            None => panic!(
                "the table of simple shapes needs more than {} spare places",
                hash::SPARE_PLACES
            ),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Writes the table as assembly, with the distance of each handler from the trampoline.
    pub(crate) fn write(&self, text: &mut String) {
        text.push_str("\t.p2align 6\n");
        global(text, "palisade_simple");
        for place in &self.0 {
            let _ = match place {
                Some((key, handler)) => {
                    writeln!(text, "\t.long {key}, .Lh{handler} - palisade_enter")
                }
                None => writeln!(text, "\t.long 0, 0"),
            };
        }
    }
}
