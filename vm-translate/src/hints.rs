//! Custom sections that have a meaning: the name section and branch hints.
//!
//! Nothing about a module depends on them. The specification wants errors in custom sections
//! ignored, so one that is malformed is left out of account and [`CustomSectionError`] tells why.
//!
//! Branch hints: the proposal branch-hinting, part of WebAssembly 3.0's tool conventions
//! (<https://github.com/WebAssembly/branch-hinting>).

use std::collections::HashMap;
use std::sync::OnceLock;

use wasmparser::{BranchHintSectionReader, Operator};

use crate::Error;
use crate::bodies::ValidBody;

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

impl CustomSectionError {
    pub(crate) fn new(section: &str, (message, offset): Problem) -> CustomSectionError {
        CustomSectionError {
            section: section.to_owned(),
            message,
            offset,
        }
    }
}

/// The hints of a section, each function's in the order of its instructions.
type Hints = HashMap<u32, Box<[BranchHint]>>;

/// A module's hints. The instructions that they are for are looked for when somebody asks: most modules run without that,
/// and bodies that are not known to be valid are not to be read before.
#[derive(Clone, Debug, Default)]
pub(crate) struct BranchHints {
    /// Their offsets count from the start of the function's body.
    read: Hints,
    located: OnceLock<Result<Hints, Problem>>,
}

impl BranchHints {
    pub(crate) fn of(read: Hints) -> BranchHints {
        BranchHints {
            read,
            located: OnceLock::new(),
        }
    }

    /// Those of a function.
    pub(crate) fn of_func<'b>(
        &self,
        func: u32,
        body: impl Fn(u32) -> Result<ValidBody<'b>, Error>,
    ) -> &[BranchHint] {
        let located = self.located(body).as_ref().ok();
        let own = located.and_then(|hints| hints.get(&func));
        own.map_or(&[], AsRef::as_ref)
    }

    /// What is wrong with them. Then there are none.
    pub(crate) fn problem<'b>(
        &self,
        body: impl Fn(u32) -> Result<ValidBody<'b>, Error>,
    ) -> Option<Problem> {
        self.located(body).as_ref().err().cloned()
    }

    fn located<'b>(
        &self,
        body: impl Fn(u32) -> Result<ValidBody<'b>, Error>,
    ) -> &Result<Hints, Problem> {
        self.located.get_or_init(|| {
            let mut hints = self.read.clone();
            for (func, own) in &mut hints {
                let body = body(*func).map_err(|error| match error {
                    Error::NoBody { func } => (format!("function {func} has no body"), 0),
                    error => (error.to_string(), error.offset().unwrap_or(0)),
                })?;
                locate(own, &body)?;
            }
            Ok(hints)
        })
    }
}

/// What is wrong, and where.
pub(crate) type Problem = (String, u64);

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
fn locate(hints: &mut [BranchHint], body: &ValidBody<'_>) -> Result<(), Problem> {
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
