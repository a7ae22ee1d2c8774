//! What one quick look over a body tells before it is translated.

use wasmparser::FunctionBody;

use crate::Error;

use super::code::{Code, Glance};

/// Each loop around a use of a local multiplies its weight by 8, up to this many loops.
const MAX_WEIGHTED_LOOPS: u32 = 5;

/// Facts that are needed before the instructions that establish them come.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    /// How much each local is used, uses in loops counting more. The last is of no local.
    pub(super) weights: Vec<u32>,
    /// What becomes of the last result of each block, in the order in which blocks begin.
    pub(super) after: Vec<After>,
    /// While looking: of each open block its number and whether it is a loop.
    open: Vec<(u32, bool)>,
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
    /// Looks at a body with so many locals. What was known of another is forgotten.
    pub(super) fn look(&mut self, body: &FunctionBody<'_>, locals: usize) -> Result<(), Error> {
        let Lookahead {
            weights,
            after,
            open,
        } = self;
        weights.clear();
        weights.resize(locals + 1, 0);
        after.clear();
        open.clear();
        let mut loops = 0;
        let mut ended: Option<u32> = None;
        let mut code = Code::new(body)?;
        // What a use of a local counts.
        let mut weight = 1;
        loop {
            if ended.is_none() {
                code.skim(weights, weight);
            }
            let Some(glance) = code.glance()? else {
                return Ok(());
            };
            let what = match glance {
                Glance::LocalGet(local) => {
                    let sum = &mut weights[local as usize];
                    *sum = sum.saturating_add(weight);
                    After::Other
                }
                Glance::LocalSet(local) => {
                    let sum = &mut weights[local as usize];
                    *sum = sum.saturating_add(weight);
                    After::Set(local)
                }
                Glance::End => {
                    // The end that comes right after another one.
                    if let Some(number) = ended.take() {
                        after[number as usize] = After::End;
                    }
                    if let Some((number, is_loop)) = open.pop() {
                        if is_loop {
                            loops -= 1;
                            weight = weight_in(loops);
                        }
                        ended = Some(number);
                    }
                    continue;
                }
                Glance::Block | Glance::Loop => {
                    let is_loop = glance == Glance::Loop;
                    if is_loop {
                        loops += 1;
                        weight = weight_in(loops);
                    }
                    open.push((after.len() as u32, is_loop));
                    after.push(After::Other);
                    After::Other
                }
                Glance::Else => After::End,
                Glance::Return => After::Return,
                Glance::Other => After::Other,
            };
            if let Some(number) = ended.take() {
                after[number as usize] = what;
            }
        }
    }
}

/// What a use of a local counts within so many loops.
fn weight_in(loops: u32) -> u32 {
    1 << (3 * loops.min(MAX_WEIGHTED_LOOPS))
}
