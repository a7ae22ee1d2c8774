//! Running the built command.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A file of the workspace's `examples` folder.
#[allow(dead_code)] // Not every test binary needs it.
pub(crate) fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// What the command printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Run {
        Run {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails unless the command ended with `status` and one line that says why.
    #[allow(dead_code)]
    pub(crate) fn assert_one_line(&self, status: i32) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.stderr.starts_with("palisade: error: "), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }
}

/// The command, to be given arguments.
#[allow(dead_code)]
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
    // A backtrace of the host's would be output of a panic, which is a failure
    // anyway; without it the report stays readable.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// Runs the command to its end.
#[allow(dead_code)]
pub(crate) fn palisade(args: &[&str]) -> Run {
    Run::of(command().args(args).output().unwrap())
}
