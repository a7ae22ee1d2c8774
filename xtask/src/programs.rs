//! `cargo xtask programs`: guest programs run in every mode and print what they should.
//!
//! The programs in `programs/corpus` are what the shape table is trained on; they are checked like the
//! others, and never part of a benchmark.

use std::env::temp_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::guest::{self, Clock, Kind};
use crate::mode::{Mode, Modes};
use crate::published::Published;

/// Options of `cargo xtask programs`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the programs below this folder, which have to exit with 0 and print something, instead of
    /// the in-tree ones, whose digests are known
    #[arg(long)]
    dir: Option<PathBuf>,

    /// The mode to run them in
    #[arg(long, value_enum, default_value_t = Modes::All)]
    mode: Modes,

    /// Run the in-tree programs for one round only
    #[arg(long)]
    quick: bool,

    /// Run only programs whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

/// A guest program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) kind: Kind,
    /// What it is given, if it is a published one.
    pub(crate) published: Option<Published>,
}

/// A line of `programs/digests.txt`: what an in-tree program prints after so many rounds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Digest {
    /// The source's path from `programs`, without its extension.
    pub(crate) program: String,
    pub(crate) rounds: u64,
    pub(crate) digest: String,
}

/// Runs the programs and prints one line for each run, then the sums.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut tally = Tally::default();
    match &options.dir {
        Some(dir) => {
            for program in below(dir, &options.filter)? {
                for mode in options.mode.list() {
                    let name = format!("{} [{}]", program.name, mode.name());
                    tally.count(&name, prints_something(&program, mode));
                }
            }
        }
        None => in_tree_digests(options, &mut tally)?,
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 && tally.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, name: &str, result: Result<String>) {
        match result {
            Ok(output) => {
                self.passed += 1;
                println!("ok      {name}: {output}");
            }
            Err(error) => {
                self.failed += 1;
                println!("failed  {name}: {error:#}");
            }
        }
    }
}

fn in_tree_digests(options: &Options, tally: &mut Tally) -> Result<()> {
    let native = Native::build()?;
    for expected in digests()? {
        let name = &expected.program;
        if !name.contains(&options.filter) || (options.quick && expected.rounds > 1) {
            continue;
        }
        let rounds = expected.rounds.to_string();
        let check = |mut command: Command| {
            let digest = output(command.arg(&rounds))?;
            ensure!(
                digest == expected.digest,
                "prints {digest}, programs/digests.txt says {}",
                expected.digest
            );
            Ok(digest)
        };
        for module in modules(name) {
            let file = in_tree_folder().join(&module).with_extension("wasm");
            for mode in options.mode.list() {
                let result = guest::command(mode, Clock::Counted, &file).and_then(check);
                tally.count(&format!("{module} {rounds} [{}]", mode.name()), result);
            }
        }
        if let Some(native) = &native {
            let result = check(Command::new(native.folder.join(name)));
            tally.count(&format!("{name} {rounds} [native]"), result);
        }
    }
    Ok(())
}

fn prints_something(program: &Program, mode: Mode) -> Result<String> {
    let output = output(&mut guest::command(mode, Clock::Counted, &program.file)?)?;
    match program.kind {
        Kind::Wasi => ensure!(!output.is_empty(), "prints nothing"),
        // CoreMark checks its own results, and its score is 0 if they are wrong.
        Kind::CoreMark => ensure!(output == "200", "its score is {output}, not 200"),
    }
    Ok(output.lines().last().unwrap_or_default().to_owned())
}

/// Runs a command that has to succeed; what it prints, without the space around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("ends with {}: {}", output.status, stderr.trim());
    }
    let stdout = String::from_utf8(output.stdout).context("prints what is not UTF-8")?;
    Ok(stdout.trim().to_owned())
}

/// Native builds of the in-tree programs, in a temporary folder.
struct Native {
    folder: PathBuf,
}

impl Native {
    /// Builds them, if there is a C compiler.
    fn build() -> Result<Option<Native>> {
        if Command::new("cc").arg("--version").output().is_err() {
            println!("no C compiler (cc): native builds are left out");
            return Ok(None);
        }
        let folder = temp_dir().join(format!("palisade-programs-{}", process::id()));
        let native = Native { folder };
        let script = in_tree_folder().join("build.sh");
        output(Command::new(script).arg("native").arg(&native.folder))
            .context("building the in-tree programs with cc")?;
        Ok(Some(native))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // A folder that stays behind in the system's temporary folder is no reason to fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder `programs` of the workspace.
pub(crate) fn in_tree_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs")
}

/// The builds of an in-tree program: those of the corpus are optimised for speed and for size, those about exceptions have the
/// instructions of today and the older ones.
fn builds(program: &str) -> &'static [&'static str] {
    match program.split_once('/') {
        Some(("corpus", _)) => &["-speed", "-size"],
        Some(("exceptions", _)) => &["-exnref", "-legacy"],
        _ => &[""],
    }
}

/// The modules of an in-tree program.
fn modules(program: &str) -> Vec<String> {
    let builds = builds(program).iter();
    builds.map(|build| format!("{program}{build}")).collect()
}

/// The in-tree program that a module was built from: the inverse of [`modules`].
pub(crate) fn source(module: &str) -> &str {
    let mut builds = builds(module).iter();
    builds
        .find_map(|build| module.strip_suffix(build))
        .unwrap_or(module)
}

/// Whether an in-tree program is one that benchmarks report. Those in folders are not: the shape table is trained on the
/// corpus, and those about exceptions are more often thrown than programs that people run.
pub(crate) fn is_measured(program: &str) -> bool {
    !program.contains('/')
}

/// What the in-tree programs print.
pub(crate) fn digests() -> Result<Vec<Digest>> {
    let file = in_tree_folder().join("digests.txt");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    parse_digests(&text)
}

fn parse_digests(text: &str) -> Result<Vec<Digest>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(program), Some(rounds), Some(digest), None) => Ok(Digest {
                    program: program.to_owned(),
                    rounds: rounds
                        .parse()
                        .with_context(|| format!("rounds in {line:?}"))?,
                    digest: digest.to_owned(),
                }),
                _ => bail!("not `program rounds digest`: {line:?}"),
            }
        })
        .collect()
}

/// The programs below `folder` whose name contains `filter`, by name. A name is the path from the
/// folder, without its extension.
pub(crate) fn below(folder: &Path, filter: &str) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    collect(folder, folder, filter, &mut programs)?;
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

fn collect(root: &Path, folder: &Path, filter: &str, programs: &mut Vec<Program>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let file = entry?.path();
        if file.is_dir() {
            collect(root, &file, filter, programs)?;
            continue;
        }
        let name = file.strip_prefix(root).unwrap_or(&file).with_extension("");
        let name = name.to_string_lossy().into_owned();
        if file.extension().is_none_or(|extension| extension != "wasm") || !name.contains(filter) {
            continue;
        }
        let module = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let kind = Kind::of(&module).with_context(|| format!("parsing {}", file.display()))?;
        programs.push(Program {
            name,
            file,
            kind,
            published: None,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_lines_of_three_words() {
        let text = "# program, rounds, digest\n\nhash 12 00ff\n";
        let digests = parse_digests(text).expect("well-formed lines");
        assert_eq!(
            digests,
            [Digest {
                program: "hash".to_owned(),
                rounds: 12,
                digest: "00ff".to_owned()
            }]
        );
        assert!(parse_digests("hash 12").is_err());
        assert!(parse_digests("hash many 00ff").is_err());
    }

    #[test]
    fn every_in_tree_program_has_digests() {
        let digests = digests().expect("programs/digests.txt");
        let programs = below(&in_tree_folder(), "").expect("the folder programs");
        assert!(!programs.is_empty());
        for program in programs {
            let source = source(&program.name);
            let count = digests
                .iter()
                .filter(|digest| digest.program == source)
                .count();
            assert!(count >= 2, "{} has {count} digests", program.name);
        }
    }

    #[test]
    fn every_digest_has_its_modules() {
        for digest in digests().expect("programs/digests.txt") {
            for module in modules(&digest.program) {
                assert_eq!(source(&module), digest.program);
                let file = in_tree_folder().join(&module).with_extension("wasm");
                assert!(file.is_file(), "{} is missing", file.display());
            }
        }
    }
}
