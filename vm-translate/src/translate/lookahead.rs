//! What one quick look over a body tells before it is translated.

use wasmparser::{FunctionBody, Operator};

use crate::Error;

use super::code::{Code, Step};

/// Each loop around a use of a local multiplies its weight by 8, up to this many loops.
const MAX_WEIGHTED_LOOPS: u32 = 5;

/// Facts that are needed before the instructions that establish them come.
pub(super) struct Lookahead {
    /// How much each local is used, uses in loops counting more.
    pub(super) weights: Vec<u32>,
    /// What becomes of the last result of each block, in the order in which blocks begin.
    pub(super) after: Vec<After>,
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
    pub(super) fn new(body: &FunctionBody<'_>, locals: usize) -> Result<Lookahead, Error> {
        let mut weights = vec![0_u32; locals];
        let mut after = Vec::new();
        // Of each open block its number and whether it is a loop.
        let mut open = Vec::new();
        let mut loops = 0_u32;
        let mut ended = None;
        let mut code = Code::new(body)?;
        while let Some(step) = code.next() {
            let before = ended.take();
            let what = match step {
                Step::LocalGet(local) | Step::LocalSet(local) | Step::LocalTee(local) => {
                    let weight = &mut weights[local as usize];
                    *weight = weight.saturating_add(1 << (3 * loops.min(MAX_WEIGHTED_LOOPS)));
                    match step {
                        Step::LocalGet(_) => After::Other,
                        _ => After::Set(local),
                    }
                }
                Step::End => {
                    if let Some((number, is_loop)) = open.pop() {
                        loops -= u32::from(is_loop);
                        ended = Some(number);
                    }
                    After::End
                }
                Step::Other => {
                    let operator = code.operator()?;
                    match operator {
                        Operator::Block { .. } | Operator::If { .. } | Operator::Loop { .. } => {
                            let is_loop = matches!(operator, Operator::Loop { .. });
                            loops += u32::from(is_loop);
                            open.push((after.len(), is_loop));
                            after.push(After::Other);
                            After::Other
                        }
                        Operator::Else => After::End,
                        Operator::Return => After::Return,
                        _ => After::Other,
                    }
                }
                _ => After::Other,
            };
            if let Some(number) = before {
                let block: &mut After = &mut after[number];
                *block = what;
            }
        }
        Ok(Lookahead { weights, after })
    }
}
