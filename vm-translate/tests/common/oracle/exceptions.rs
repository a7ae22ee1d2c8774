//! Where exceptions are caught.

use std::ops::Range;

use super::{Oracle, Step};
use crate::common::{Exception, Value};
use wasmparser::{Catch, Operator};

/// How an exception is caught, and the values that are then on the operand stack, above what was below the block.
pub(super) enum Caught {
    /// By a clause of a `try_table`: as a branch from behind it to the label.
    Goes(Vec<Value>, u32),
    /// By a clause of a `try`, which consists of these instructions.
    Clause(Vec<Value>, Range<usize>),
}

impl Oracle<'_> {
    /// How a block catches an exception that comes out of it, if it does, told where it opens and whether it is at a
    /// clause of its own.
    pub(super) fn catch(
        &mut self,
        body: usize,
        opens: usize,
        is_clause: bool,
        number: u32,
    ) -> Option<Caught> {
        match self.delegated.take() {
            None | Some(0) => {}
            Some(blocks) => {
                self.delegated = Some(blocks - 1);
                return None;
            }
        }
        let body = &self.bodies[body];
        let operator = |at: usize| match &body.code[at].0 {
            Step::Other(operator) => Some(operator),
            _ => None,
        };
        let Exception { tag, values } = self.state.exceptions[number as usize].clone();
        let reference = Value::from(number) + 1;
        let caught = match operator(opens) {
            Some(Operator::TryTable { try_table }) => {
                (try_table.catches.iter()).find_map(|clause| match *clause {
                    Catch::One { tag: of, label } if of == tag => {
                        Some(Caught::Goes(values.clone(), label))
                    }
                    Catch::OneRef { tag: of, label } if of == tag => {
                        let with_reference = [&*values, &[reference]].concat();
                        Some(Caught::Goes(with_reference, label))
                    }
                    Catch::All { label } => Some(Caught::Goes(Vec::new(), label)),
                    Catch::AllRef { label } => Some(Caught::Goes(vec![reference], label)),
                    _ => None,
                })
            }
            // What one of its clauses throws goes on outside.
            Some(Operator::Try { .. }) if !is_clause => {
                let close = body.ends[&opens].1;
                if let Some(Operator::Delegate { relative_depth }) = operator(close) {
                    self.delegated = Some(*relative_depth);
                    return None;
                }
                let clauses = body.clauses.get(&opens).map_or(&[][..], |clauses| clauses);
                clauses.iter().enumerate().find_map(|(n, at)| {
                    let values = match operator(*at) {
                        Some(Operator::Catch { tag_index }) if *tag_index == tag => values.clone(),
                        Some(Operator::CatchAll) => Vec::new(),
                        _ => return None,
                    };
                    let end = clauses.get(n + 1).copied().unwrap_or(close);
                    Some(Caught::Clause(values, *at + 1..end))
                })
            }
            _ => None,
        };
        if caught.is_some() {
            self.trapped_at = None;
        }
        caught
    }
}
