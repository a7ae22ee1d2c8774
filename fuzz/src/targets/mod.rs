//! The targets: from a fuzzer's bytes to a case, and what has to hold of it.

pub mod api;
pub mod differential;
pub mod mutated;
pub mod programs;
#[cfg(feature = "wasi")]
pub mod wasi;

use crate::counts::Counts;

/// What a target found, with what is needed to look into it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong.
    pub text: String,
    /// Files to keep: an ending, and the contents.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// The body of a target.
///
/// Bytes of which no case can be made are no finding.
pub type Body = fn(&[u8], &mut Counts) -> Result<(), Finding>;

/// A target.
pub struct Target {
    /// Its name, on the command line and as the target of `cargo fuzz`.
    pub name: &'static str,
    /// How many random bytes make a good case.
    pub bytes: std::ops::Range<usize>,
    /// What it does.
    pub body: Body,
}

/// All of them.
pub const ALL: &[Target] = &[
    Target {
        name: "differential",
        bytes: 1500..20_000,
        body: differential::run,
    },
    Target {
        name: "programs",
        bytes: 16..17,
        body: programs::run,
    },
    Target {
        name: "mutated",
        bytes: 500..8000,
        body: mutated::run,
    },
    Target {
        name: "api",
        bytes: 64..2000,
        body: api::run,
    },
    #[cfg(feature = "wasi")]
    Target {
        name: "wasi",
        bytes: 64..2000,
        body: wasi::run,
    },
];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
