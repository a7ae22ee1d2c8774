//! What came of a script, and how a child process hands it to its parent.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

/// A directive that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// The line of the script, from 1; 0 if the script as a whole failed.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// What came of a script in one mode.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Report {
    /// Assertions that hold.
    pub(crate) passed: usize,
    /// Assertions not looked at, because the script needs a missing proposal.
    pub(crate) skipped: usize,
    /// Names of the missing proposals; empty if the script was run.
    pub(crate) missing: Vec<String>,
    /// Assertions that do not hold, and other directives that failed.
    pub(crate) failures: Vec<Failure>,
}

impl Report {
    /// The report of a script that could not be run at all, which counts as one failure.
    pub(crate) fn broken(message: String) -> Report {
        Report {
            failures: vec![Failure { line: 0, message }],
            ..Report::default()
        }
    }

    /// One line per fact, with a last line that shows that none is lost.
    pub(crate) fn to_lines(&self) -> String {
        let mut text = String::new();
        for name in &self.missing {
            let _ = writeln!(text, "missing {name}");
        }
        for failure in &self.failures {
            let message = failure.message.replace(['\n', '\r'], " ");
            let _ = writeln!(text, "failure {} {message}", failure.line);
        }
        let _ = writeln!(text, "end {} {}", self.passed, self.skipped);
        text
    }

    /// Reads what [`Report::to_lines`] wrote.
    pub(crate) fn from_lines(text: &str) -> Result<Report> {
        let mut report = Report::default();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').context("a line of one word")?;
            match kind {
                "missing" => report.missing.push(rest.to_owned()),
                "failure" => {
                    let (line, message) = rest.split_once(' ').context("a failure without text")?;
                    report.failures.push(Failure {
                        line: line.parse().context("the line of a failure")?,
                        message: message.to_owned(),
                    });
                }
                "end" => {
                    let (passed, skipped) =
                        rest.split_once(' ').context("one number at the end")?;
                    report.passed = passed.parse().context("the number of passed assertions")?;
                    report.skipped = skipped
                        .parse()
                        .context("the number of skipped assertions")?;
                    return Ok(report);
                }
                _ => bail!("a line that is none of a report's: {line:?}"),
            }
        }
        bail!("no last line")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_way_through_a_pipe() {
        let report = Report {
            passed: 7,
            skipped: 3,
            missing: vec!["simd".to_owned(), "gc".to_owned()],
            failures: vec![Failure {
                line: 12,
                message: "returned I32(1) where I32(2) is expected".to_owned(),
            }],
        };
        let read = Report::from_lines(&report.to_lines()).expect("its own lines");
        assert_eq!(read, report);
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        let report = Report::broken("a\nb\r\nc".to_owned());
        let read = Report::from_lines(&report.to_lines()).expect("its own lines");
        assert_eq!(read.failures[0].message, "a b  c");
    }

    #[test]
    fn a_report_that_breaks_off_is_an_error() {
        assert!(Report::from_lines("").is_err());
        assert!(Report::from_lines("missing simd\n").is_err());
    }
}
