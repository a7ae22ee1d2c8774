//! What the command says, and with which status it ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::imports;

/// It could not be run.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// The guest trapped: what a shell reports of a native program that aborts.
const TRAPPED: u8 = 134;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that makes no sense.
    Usage(String),
    /// The guest did not get to its end, or not even to its start.
    Error(anyhow::Error),
    /// Nobody is left to read what the guest writes.
    BrokenPipe,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    /// The same, said of something.
    pub(crate) fn context(self, what: &str) -> Failure {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{what}: {message}")),
            Failure::Error(error) => Failure::Error(error.context(what.to_owned())),
            Failure::BrokenPipe => Failure::BrokenPipe,
        }
    }

    /// Prints why, and returns the status to end with.
    pub(crate) fn report(&self) -> ExitCode {
        let error = match self {
            Failure::Usage(message) => {
                say(&format!(
                    "palisade: error: {message}; see `palisade --help`"
                ));
                return ExitCode::from(USAGE);
            }
            Failure::BrokenPipe => return end_by_broken_pipe(),
            Failure::Error(error) => error,
        };
        // Whoever read our output has had enough: no failure of ours.
        if is_broken_pipe(error) {
            return ExitCode::SUCCESS;
        }
        match error.downcast_ref::<vm_engine::Error>() {
            Some(guest) if guest.backtrace().is_some() || guest.trap().is_some() => stopped(guest),
            _ => {
                say(&format!("palisade: error: {}", one_line(error)));
                ExitCode::from(FAILED)
            }
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

/// Ends as a native program does that does not care about signals: by this one.
///
/// The standard library ignores the signal from the start, so whether the command was started with it ignored cannot
/// be known.
fn end_by_broken_pipe() -> ExitCode {
    #[cfg(unix)]
    {
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    }
    // What a shell reports of that, where there is no such signal.
    ExitCode::from(141)
}

/// The guest ran and was stopped: the reason on one line, then where.
fn stopped(error: &vm_engine::Error) -> ExitCode {
    let (reason, code) = match error.trap() {
        Some(trap) => (format!("wasm trap: {trap}"), TRAPPED),
        None if imports::is_call_of_unknown(error) => (cause(error), TRAPPED),
        None => (cause(error), FAILED),
    };
    let mut text = format!("palisade: error: {reason}");
    if let Some(backtrace) = error.backtrace() {
        text.push_str(&format!("\nwasm backtrace:\n{backtrace}"));
    }
    say(&text);
    ExitCode::from(code)
}

/// The cause of an error that has a backtrace, without the backtrace.
fn cause(error: &vm_engine::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once("\ncaused by: ") {
        Some((_, cause)) => cause.to_owned(),
        None => text,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes a line to standard error. If that is closed, nobody wants to know.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    // The guest's own errors at writing are the guest's.
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// An error and what lies behind it, on one line. Parsers draw the place of a
/// mistake over several lines; of those the first says what is wrong and the
/// one with the arrow says where.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = flatten(&text);
        // Some errors end with the text of what lies behind them.
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

fn flatten(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim();
    let place = lines
        .map(str::trim)
        .find_map(|line| line.strip_prefix("--> "))
        .and_then(|place| {
            let mut parts = place.rsplitn(3, ':');
            let (column, line) = (parts.next()?, parts.next()?);
            Some(format!(" at line {line}, column {column}"))
        });
    format!("{first}{}", place.unwrap_or_default())
}

/// What a parser of command lines says in its first paragraph, on one line.
pub(crate) fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_error_becomes_one_line() {
        let drawn = "expected `(`\n     --> <anon>:3:7\n      |\n    3 | nonsense\n      | ^";
        assert_eq!(flatten(drawn), "expected `(` at line 3, column 7");
        assert_eq!(flatten("plain"), "plain");
        assert_eq!(flatten(""), "");
    }

    #[test]
    fn causes_are_named_once() {
        let inner = anyhow::anyhow!("no space");
        let error = inner
            .context("cannot create: no space")
            .context("file.wasm");
        assert_eq!(one_line(&error), "file.wasm: cannot create: no space");
        let error = anyhow::anyhow!("no space").context("file.wasm");
        assert_eq!(one_line(&error), "file.wasm: no space");
    }

    #[test]
    fn the_first_paragraph_is_kept() {
        let text = "error: the following are missing:\n  <FILE>\n\nUsage: x\n";
        assert_eq!(first_paragraph(text), "the following are missing: <FILE>");
    }
}
