//! What one quick look over a body tells before it is translated.

use crate::Error;
use crate::bodies::ValidBody;

use super::code::{Code, Glance};

/// Each loop around a use of a local multiplies its weight by 8, up to this many loops.
const MAX_WEIGHTED_LOOPS: usize = 5;

/// Facts that are needed before the instructions that establish them come.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    /// How much each of the first locals is used, uses in loops counting more. The last is of no local.
    pub(super) weights: Vec<u32>,
    /// What is known of each block, in the order in which blocks begin.
    pub(super) blocks: Vec<Block>,
    /// While looking: of each open block its number and whether it is a loop.
    open: Vec<(u32, bool)>,
    /// While looking: the numbers of the open loops.
    loops: Vec<u32>,
}

/// What is known of a block before it is translated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// What becomes of its last result.
    pub(super) after: After,
    /// Whether it is a loop with another one in it.
    pub(super) has_loop: bool,
}

/// What comes right after a block's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The end of the block around it, or that block's `else`.
    End,
    /// A return.
    Return,
    /// The setting of a local.
    Set(u32),
    /// Anything else.
    Other,
}

impl Lookahead {
    /// Looks at a body, and at so many of its locals. What was known of another is forgotten.
    ///
    /// If it is known which loop has turned most often, by its offset, a use in a loop that is deeper counts no more than one in
    /// that loop.
    pub(super) fn look(
        &mut self,
        body: &ValidBody<'_>,
        locals: usize,
        hottest: Option<u32>,
    ) -> Result<(), Error> {
        let found = self.look_with(body, locals, hottest, MAX_WEIGHTED_LOOPS)?;
        if let Some(depth) = found {
            self.look_with(body, locals, None, depth)?;
        }
        Ok(())
    }

    /// The same, where so many loops around a use count at most. At the hottest loop it ends, and answers how deep that is.
    fn look_with(
        &mut self,
        body: &ValidBody<'_>,
        locals: usize,
        hottest: Option<u32>,
        deepest: usize,
    ) -> Result<Option<usize>, Error> {
        let Lookahead {
            weights,
            blocks,
            open,
            loops,
        } = self;
        weights.clear();
        weights.resize(locals + 1, 0);
        blocks.clear();
        open.clear();
        loops.clear();
        let mut ended: Option<u32> = None;
        let mut code = Code::new(body)?;
        // What a use of a local counts.
        let mut weight = 1;
        loop {
            if ended.is_none() {
                code.skim(weights, weight);
            }
            let offset = code.offset();
            let Some(glance) = code.glance()? else {
                return Ok(None);
            };
            let what = match glance {
                Glance::LocalGet(local) => {
                    if let Some(sum) = weights.get_mut(local as usize) {
                        *sum = sum.saturating_add(weight);
                    }
                    After::Other
                }
                Glance::LocalSet(local) => {
                    if let Some(sum) = weights.get_mut(local as usize) {
                        *sum = sum.saturating_add(weight);
                    }
                    After::Set(local)
                }
                Glance::End => {
                    // The end that comes right after another one.
                    if let Some(number) = ended.take() {
                        blocks[number as usize].after = After::End;
                    }
                    if let Some((number, is_loop)) = open.pop() {
                        if is_loop {
                            loops.pop();
                            weight = weight_in(loops.len().min(deepest));
                        }
                        ended = Some(number);
                    }
                    continue;
                }
                Glance::Block | Glance::Loop => {
                    let is_loop = glance == Glance::Loop;
                    let number = blocks.len() as u32;
                    if is_loop {
                        // Loops further out know it already, or will from this one.
                        if let Some(around) = loops.last() {
                            blocks[*around as usize].has_loop = true;
                        }
                        loops.push(number);
                        if hottest == Some(offset) {
                            return Ok(Some(loops.len()));
                        }
                        weight = weight_in(loops.len().min(deepest));
                    }
                    open.push((number, is_loop));
                    blocks.push(Block {
                        after: After::Other,
                        has_loop: false,
                    });
                    After::Other
                }
                Glance::Else => After::End,
                Glance::Return => After::Return,
                Glance::Other => After::Other,
            };
            if let Some(number) = ended.take() {
                blocks[number as usize].after = what;
            }
        }
    }
}

/// What a use of a local counts within so many loops.
fn weight_in(loops: usize) -> u32 {
    1 << (3 * loops.min(MAX_WEIGHTED_LOOPS))
}
