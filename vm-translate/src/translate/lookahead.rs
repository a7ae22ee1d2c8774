//! What one quick look over a body tells before it is translated.

use wasmparser::{FunctionBody, Operator};

use crate::Error;

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
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if let Some(number) = ended.take() {
                let after: &mut After = &mut after[number];
                *after = match operator {
                    Operator::End | Operator::Else => After::End,
                    Operator::Return => After::Return,
                    Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                        After::Set(local_index)
                    }
                    _ => After::Other,
                };
            }
            match operator {
                Operator::Block { .. } | Operator::If { .. } | Operator::Loop { .. } => {
                    let is_loop = matches!(operator, Operator::Loop { .. });
                    loops += u32::from(is_loop);
                    open.push((after.len(), is_loop));
                    after.push(After::Other);
                }
                Operator::End => {
                    if let Some((number, is_loop)) = open.pop() {
                        loops -= u32::from(is_loop);
                        ended = Some(number);
                    }
                }
                Operator::LocalGet { local_index }
                | Operator::LocalSet { local_index }
                | Operator::LocalTee { local_index } => {
                    let weight = &mut weights[local_index as usize];
                    *weight = weight.saturating_add(1 << (3 * loops.min(MAX_WEIGHTED_LOOPS)));
                }
                _ => {}
            }
        }
        Ok(Lookahead { weights, after })
    }
}
