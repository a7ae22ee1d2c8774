//! Which modules are measured, and what is done with each.

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::modules;
use crate::bench::figures::subject::{Subject, Translation};

/// What one child process measures: a module, and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Case {
    Valid,
    ValidEager,
    Invalid,
    InvalidUnreachable,
    Branches,
    BranchesHeights,
    BranchTables,
    Nested,
    Calls,
    Functions,
    FunctionsEager,
    Types,
    Locals,
    Tables,
    Growths,
}

/// What is done with a module.
enum Act {
    /// It is loaded and instantiated, and its export `run` is called.
    Run(Translation),
    /// To load it is an error.
    Refuse,
}

impl Case {
    /// What the table says of it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Case::Valid => "7 MB of usual code, lazy",
            Case::ValidEager => "the same, eager",
            Case::Invalid => "the same, invalid at its end",
            Case::InvalidUnreachable => "7 MB of unreachable code, invalid at its end",
            Case::Branches => "300,000 `br_if` with 1,000 values",
            Case::BranchesHeights => "the same, each from another height",
            Case::BranchTables => "300 `br_table` of 1,000 blocks with 1,000 values",
            Case::Nested => "100,000 nested blocks, loops and ifs with 1,000 parameters",
            Case::Calls => "300,000 calls with 1,000 arguments and results",
            Case::Functions => "1,000,000 functions of one type, lazy",
            Case::FunctionsEager => "the same, eager",
            Case::Types => "100,000 types",
            Case::Locals => "10,000 functions with 30,000 locals, eager",
            Case::Tables => "100 tables of 10,000,000 elements",
            Case::Growths => "65,536 growths of a memory by a page",
        }
    }

    /// Its module, of which everything there is much of is divided by `scale`.
    pub(super) fn module(self, scale: u32) -> Vec<u8> {
        match self {
            Case::Valid | Case::ValidEager => modules::usual(scale),
            Case::Invalid => modules::invalid(scale),
            Case::InvalidUnreachable => modules::invalid_unreachable(scale),
            Case::Branches => modules::branches(300_000 / scale, false),
            Case::BranchesHeights => modules::branches(300_000 / scale, true),
            Case::BranchTables => {
                modules::branch_tables(300 / scale.min(100), 1000 / scale.min(100))
            }
            Case::Nested => modules::nested(100_000 / scale),
            Case::Calls => modules::calls(300_000 / scale),
            Case::Functions | Case::FunctionsEager => modules::functions(1_000_000 / scale),
            Case::Types => modules::types(100_000 / scale),
            Case::Locals => modules::locals(10_000 / scale),
            Case::Tables => modules::tables(100, 10_000_000 / scale),
            Case::Growths => modules::growths(65_536 / scale),
        }
    }

    fn act(self) -> Act {
        match self {
            Case::ValidEager | Case::FunctionsEager | Case::Locals => Act::Run(Translation::Eager),
            Case::Invalid | Case::InvalidUnreachable => Act::Refuse,
            _ => Act::Run(Translation::Lazy),
        }
    }

    /// Does with its module what is to be measured.
    pub(super) fn run(self, module: &[u8], subject: &dyn Subject) -> Result<()> {
        let engine = |translation| {
            let engine = subject.engine(translation)?;
            engine.ok_or_else(|| anyhow::anyhow!("no engine with {translation:?}"))
        };
        match self.act() {
            Act::Run(translation) => {
                let mut guest = engine(translation)?.start(module, "run")?;
                let answer = guest.export("run")?(7);
                ensure!(answer == Some(7), "`run` answers {answer:?}");
            }
            Act::Refuse => ensure!(
                engine(Translation::Lazy)?.load(module).is_err(),
                "an invalid module is taken"
            ),
        }
        Ok(())
    }
}
