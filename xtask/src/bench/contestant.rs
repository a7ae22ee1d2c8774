//! Who runs a program, and what is measured of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::clock::Clock;
use crate::guest::{self, Kind};
use crate::mode::Mode;
use crate::programs::{self, Program};
use crate::published;

/// CoreMark is run so many times for a score.
const MOST_TRIES: usize = 3;

/// An engine, or one of Palisade's modes.
#[derive(Clone, Debug)]
pub(crate) enum Contestant {
    Mode {
        mode: Mode,
        /// The `palisade` command, which runs programs as users do: peers are measured by theirs.
        palisade: PathBuf,
    },
    /// A mode, with an option of the guest command for what is added to code.
    Metered {
        mode: Mode,
        name: &'static str,
        option: Option<&'static str>,
    },
    /// A command; `{}` among its words stands for the file.
    Peer { name: String, words: Vec<String> },
}

/// What a run came to: CPU seconds, or CoreMark's score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure(pub(crate) f64);

impl Figure {
    pub(crate) fn unit(kind: Kind) -> &'static str {
        match kind {
            Kind::Wasi => "s",
            Kind::CoreMark => "1/s",
        }
    }

    /// Whether more is faster.
    pub(crate) fn is_rate(kind: Kind) -> bool {
        match kind {
            Kind::Wasi => false,
            Kind::CoreMark => true,
        }
    }
}

impl Contestant {
    /// Reads `NAME=COMMAND`.
    pub(crate) fn peer(text: &str) -> Result<Contestant> {
        let Some((name, command)) = text.split_once('=') else {
            bail!("--peer takes NAME=COMMAND, such as 'wasmi=wasmi {{}}', not {text:?}");
        };
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        ensure!(!words.is_empty(), "--peer {text:?} has an empty command");
        if !words.iter().any(|word| word.contains("{}")) {
            words.push("{}".to_owned());
        }
        Ok(Contestant::Peer {
            name: name.to_owned(),
            words,
        })
    }

    /// A mode as it is, with fuel and with epochs.
    pub(crate) fn metered(mode: Mode) -> [Contestant; 3] {
        let all = [
            ("plain", None),
            ("fuel", Some("--fuel")),
            ("epochs", Some("--epochs")),
        ];
        all.map(|(name, option)| Contestant::Metered { mode, name, option })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Contestant::Mode { mode, .. } => mode.name(),
            Contestant::Metered { name, .. } => name,
            Contestant::Peer { name, .. } => name,
        }
    }

    /// Runs `program` to its end, several times unless it takes long, and checks what it prints.
    pub(crate) fn run(&self, program: &Program, clock: Clock) -> Result<Figure> {
        match program.kind {
            Kind::Wasi => clock
                .measure(|| check_output(program, &programs::output(&mut self.command(program)?)?))
                .map(Figure),
            Kind::CoreMark => {
                // CoreMark runs as many iterations as should take ten seconds by a first short run, and
                // gives no score if they took less, which happens when others disturbed the first run.
                for _ in 0..MOST_TRIES {
                    let output = programs::output(&mut self.command(program)?)?;
                    let score: f64 = output.parse().context("its score is not a number")?;
                    if score > 0.0 {
                        return Ok(Figure(score));
                    }
                }
                bail!(
                    "no score {MOST_TRIES} times: its results are wrong (`cargo xtask programs` checks \
                     them), or the machine is too busy"
                )
            }
        }
    }

    fn command(&self, program: &Program) -> Result<Command> {
        match self {
            Contestant::Mode { mode, palisade } => match program.kind {
                Kind::CoreMark => guest::command(*mode, guest::Clock::Cpu, &program.file),
                Kind::Wasi => {
                    let mut command = Command::new(palisade);
                    command.arg("run").args(mode.options());
                    if let Some(published) = &program.published {
                        for (host, guest) in published.directories()? {
                            command.args(["--dir", &format!("{}::{guest}", host.display())]);
                        }
                    }
                    command.arg(&program.file);
                    Ok(given(command, program))
                }
            },
            Contestant::Metered { mode, option, .. } => {
                guest::command_with(*mode, guest::Clock::Cpu, *option, &program.file)
            }
            Contestant::Peer { name, words } => match program.kind {
                Kind::CoreMark => linked(name, program),
                Kind::Wasi => {
                    let file = program.file.to_string_lossy();
                    let mut words = words.iter();
                    let mut command = Command::new(words.next().map_or("", |word| word));
                    for word in words {
                        if let Some(published) = &program.published
                            && word == "{}"
                        {
                            ensure!(
                                !published.has_mapped_directories(),
                                "it needs a folder under another name, which not all can give it"
                            );
                            command.args(["--dir", "."]);
                        }
                        command.arg(word.replace("{}", &file));
                    }
                    Ok(given(command, program))
                }
            },
        }
    }
}

/// With the arguments of a published program, and where it runs.
fn given(mut command: Command, program: &Program) -> Command {
    if let Some(published) = &program.published {
        command.args(&published.arguments);
        command.current_dir(published::folder());
    }
    command
}

#[cfg(feature = "peers")]
fn linked(name: &str, program: &Program) -> Result<Command> {
    ensure!(
        name == "wasmi",
        "CoreMark needs a host function; only wasmi is linked for it"
    );
    guest::wasmi_command(&program.file)
}

#[cfg(not(feature = "peers"))]
fn linked(_name: &str, _program: &Program) -> Result<Command> {
    bail!(
        "CoreMark needs a host function; build xtask with `--features peers` to link wasmi for it"
    )
}

/// An in-tree program has to print its digest, and a published one what the list says: speed counts only with the right
/// results.
fn check_output(program: &Program, output: &str) -> Result<()> {
    if let Some(published) = &program.published {
        ensure!(
            output.contains(&published.prints),
            "does not print `{}`",
            published.prints
        );
        return Ok(());
    }
    if !program.file.starts_with(programs::in_tree_folder()) {
        return Ok(());
    }
    let digests = programs::digests()?;
    let known = digests
        .iter()
        .any(|digest| digest.program == programs::source(&program.name) && digest.digest == output);
    ensure!(
        known,
        "prints {output:?}, which is not in programs/digests.txt"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_a_command() {
        let words = |text| match Contestant::peer(text) {
            Ok(Contestant::Peer { words, .. }) => Ok(words),
            Ok(_) => bail!("a mode"),
            Err(error) => Err(error),
        };
        assert_eq!(
            words("a=wasmi {} 1").expect("well-formed"),
            ["wasmi", "{}", "1"]
        );
        assert_eq!(
            words("a=wasmi run").expect("well-formed"),
            ["wasmi", "run", "{}"]
        );
        assert!(words("wasmi").is_err());
        assert!(words("wasmi=").is_err());
    }
}
