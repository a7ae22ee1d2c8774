//! Where handlers stand in the text, which decides how well processors foresee what comes next.
//!
//! - No piece of a handler crosses a cache line if it fits into one. Processors keep decoded
//!   instructions by the line that they stand in, so that what is in two of them takes about a cycle
//!   longer to start, of the three or four that most handlers take.
//! - A jump that leads on to the next cell and one that leads away end at different places. AMD's
//!   processors of the Zen family tell the indirect jumps of a path from each other by two bits of
//!   where each one ends, 2 and 3 of the address of its last byte: found by trying it out. If those of
//!   a loop all have the same, no turn of it can be foreseen: the jump from the third of four equal
//!   handlers looks like that from the second. With others it makes no difference.
//!
//! Without this each change of the table moves all handlers, and some program becomes a third faster or
//! several times slower by chance.

use std::fmt::Write as _;

use crate::asm::Label;

/// Bytes of a cache line.
const LINE: usize = 64;

/// How many lines with room left are considered for a handler. Handlers that stand together in the
/// table should not be far from each other.
const OPEN: usize = 64;

/// The two bits that tell jumps that lead away. The others have any of the three that are left.
const AWAY: usize = 3;

/// Where a handler goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Jump {
    /// With the next cell.
    Next,
    /// With another: of a branch, a call or a return.
    Away,
}

/// A stretch of a handler up to a jump. There may be anything between it and the next.
pub(crate) struct Piece {
    pub(crate) text: String,
    /// How many bytes it takes at most.
    pub(crate) bytes: usize,
    /// What it ends with, if that is the jump to a handler.
    pub(crate) jump: Option<Jump>,
}

/// A handler's text.
pub(crate) struct Handler {
    pub(crate) pieces: Vec<Piece>,
    /// How much of what it does can end the run.
    pub(crate) traps: usize,
    /// How much of that is accesses that may fault.
    pub(crate) accesses: usize,
    /// Of these, those that are not the first to be able to end the run, with their numbers among all.
    pub(crate) sites: Vec<(Label, usize)>,
}

impl Handler {
    /// The places of its pieces, in bytes, from `from` on.
    fn places(&self, from: usize) -> impl Iterator<Item = (usize, &Piece)> {
        self.pieces.iter().scan(from, move |end, piece| {
            let start = piece.place(*end);
            *end = start + piece.bytes;
            Some((start, piece))
        })
    }

    /// Where it would end.
    fn end(&self, from: usize) -> usize {
        let ends = self.places(from);
        ends.last()
            .map_or(from, |(start, piece)| start + piece.bytes)
    }
}

impl Piece {
    /// The first place from `from` on that is good for it.
    fn place(&self, from: usize) -> usize {
        let first = self.jump_place(from);
        let crosses = first / LINE != (first + self.bytes - 1) / LINE;
        match crosses {
            true => self.jump_place(from.next_multiple_of(LINE)),
            false => first,
        }
    }

    /// The first place where it ends as its jump should.
    fn jump_place(&self, from: usize) -> usize {
        let last = from + self.bytes - 1;
        let there = last / 4 % 4;
        let quads = match self.jump {
            Some(Jump::Next) => usize::from(there == AWAY),
            Some(Jump::Away) => (AWAY + 4 - there) % 4,
            None => 0,
        };
        match quads {
            0 => from,
            // No further than it takes.
            quads => from + 4 * quads - last % 4,
        }
    }
}

/// Handlers that stand one after the other, from the start of a line on.
#[derive(Default)]
struct Group {
    text: String,
    bytes: usize,
    sites: Vec<(Label, usize)>,
}

impl Group {
    fn lines(&self) -> usize {
        self.bytes.div_ceil(LINE)
    }
}

/// The text of one part, in lines.
#[derive(Default)]
pub(crate) struct Layout {
    groups: Vec<Group>,
    /// Those with room, by number, oldest first.
    open: Vec<usize>,
}

impl Layout {
    /// Finds a place for a handler.
    pub(crate) fn add(&mut self, handler: &Handler) {
        let fits = |group: &usize| {
            let group = &self.groups[*group];
            handler.end(group.bytes) <= group.lines() * LINE
        };
        let group = match self.open.iter().position(fits) {
            Some(place) => self.open.remove(place),
            None => {
                self.groups.push(Group::default());
                self.groups.len() - 1
            }
        };
        let Group { text, bytes, sites } = &mut self.groups[group];
        for (start, piece) in handler.places(*bytes) {
            if start > *bytes {
                let _ = writeln!(text, "\t.skip {}", start - *bytes);
            }
            text.push_str(&piece.text);
            *bytes = start + piece.bytes;
        }
        sites.extend(&handler.sites);
        if !bytes.is_multiple_of(LINE) {
            let at = self.open.partition_point(|open| *open < group);
            self.open.insert(at, group);
            if self.open.len() > OPEN {
                self.open.remove(0);
            }
        }
    }

    /// Writes the text. Adds the handlers' sites to `sites`, in the order of their addresses. Answers how many lines there are.
    pub(crate) fn write(&self, text: &mut String, sites: &mut Vec<(Label, usize)>) -> usize {
        for group in &self.groups {
            text.push_str("\t.p2align 6\n");
            text.push_str(&group.text);
            sites.extend(&group.sites);
        }
        self.groups.iter().map(Group::lines).sum()
    }
}
