//! Custom sections that have a meaning: the name section and branch hints.
//!
//! Nothing about a module depends on them. The specification wants errors in custom sections
//! ignored, so one that is malformed is left out of account and [`CustomSectionError`] tells why.
//!
//! Branch hints: the proposal branch-hinting, part of WebAssembly 3.0's tool conventions
//! (<https://github.com/WebAssembly/branch-hinting>).

use std::collections::HashMap;

use wasmparser::{BranchHintSectionReader, FunctionBody, Operator};

/// The name of the section with branch hints.
pub(crate) const BRANCH_HINTS: &str = "metadata.code.branch_hint";

/// What a module says about a conditional branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchHint {
    /// Where the instruction, `if` or `br_if`, stands in the module's bytes.
    pub offset: u32,
    /// Whether its condition is likely to be true, or likely to be false.
    pub taken: bool,
}

/// A custom section that is not what its name promises, and so counts as absent.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("custom section {section:?} is ignored: {message} at offset {offset:#x}")]
pub struct CustomSectionError {
    /// The section's name.
    pub section: String,
    /// What is wrong with it.
    pub message: String,
    /// Where in the module's bytes.
    pub offset: u64,
}

/// The hints of a section, each function's in the order of its instructions.
pub(crate) type Hints = HashMap<u32, Box<[BranchHint]>>;

/// What is wrong, and where.
type Problem = (String, u64);

/// Reads a section of hints, whose offsets count from the start of the function's body.
pub(crate) fn read(section: BranchHintSectionReader<'_>) -> Result<Hints, Problem> {
    let mut hints = Hints::new();
    let mut before = None;
    for function in section.into_iter_with_offsets() {
        let (at, function) = function.map_err(problem)?;
        if before.is_some_and(|before| before >= function.func) {
            return Err(("functions are not in order".to_owned(), at));
        }
        before = Some(function.func);
        let mut own = Vec::new();
        for hint in function.hints {
            let hint = hint.map_err(problem)?;
            own.push(BranchHint {
                offset: hint.func_offset,
                taken: hint.taken,
            });
        }
        if let Some(pair) = own.windows(2).find(|two| two[0].offset >= two[1].offset) {
            let what = if pair[0].offset == pair[1].offset {
                "there are two hints for one instruction"
            } else {
                "hints are not in order"
            };
            return Err((what.to_owned(), at));
        }
        hints.insert(function.func, own.into());
    }
    Ok(hints)
}

/// Makes the offsets of a function's hints those of the module, if each is that of a conditional
/// branch.
pub(crate) fn locate(hints: &mut [BranchHint], body: &FunctionBody<'_>) -> Result<(), Problem> {
    let start = body.range().start as u32;
    let mut branches = Vec::new();
    for operator in body
        .get_operators_reader()
        .map_err(problem)?
        .into_iter_with_offsets()
    {
        let (operator, offset) = operator.map_err(problem)?;
        if matches!(operator, Operator::If { .. } | Operator::BrIf { .. }) {
            branches.push(offset as u32);
        }
    }
    for hint in hints {
        hint.offset = hint.offset.saturating_add(start);
        if branches.binary_search(&hint.offset).is_err() {
            let what = "a hint is not for an if or br_if".to_owned();
            return Err((what, hint.offset.into()));
        }
    }
    Ok(())
}

pub(crate) fn problem(error: wasmparser::BinaryReaderError) -> Problem {
    (error.message().to_owned(), error.offset())
}
