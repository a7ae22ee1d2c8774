//! The command line: what can be said, and the help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "\
Runs and inspects WebAssembly programs.

Palisade interprets WebAssembly and lets the memory-management unit check the
bounds of the guest's memory, where the host allows it.";

const EXIT_STATUS: &str = "\
Exit status:
  The guest's own, if it ends by itself.
  134  the guest trapped; the message and a backtrace are on standard error
  1    it could not be run: unreadable or invalid file, missing import, a mode
       that this host does not allow
  2    the command line is wrong";

const RUN_USAGE: &str = "palisade run [OPTIONS] FILE [ARGS]...";

const PROFILE_USAGE: &str = "palisade profile [OPTIONS] FILE [ARGS]...";

const RUN_ARGUMENTS: &str = "\
Arguments:
  FILE       The program: a WebAssembly module in the binary or the text format
  [ARGS]...  The program's own arguments. Whatever follows FILE goes to the
             guest untouched, options included";

const RUN_EXAMPLES: &str = "\
Examples:
  palisade run hello.wasm
  palisade run --dir . --dir /srv/data::/data --env LANG=C sort.wasm -r in.txt
  palisade run --invoke fib fibonacci.wat 20";

/// What was asked for.
#[derive(Debug, Parser)]
#[command(name = "palisade", version, about = ABOUT.split("\n\n").next(), long_about = ABOUT)]
#[command(after_long_help = EXIT_STATUS, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a WebAssembly program, with WASI preview 1
    #[command(
        override_usage = RUN_USAGE,
        after_help = RUN_ARGUMENTS,
        after_long_help = format!("{RUN_ARGUMENTS}\n\n{RUN_EXAMPLES}\n\n{EXIT_STATUS}"),
    )]
    Run(RunArgs),

    /// Prints the register code and the threaded code of a module's functions
    Explore(ExploreArgs),

    /// Runs a program and says what it spent its time on
    ///
    /// Takes what `run` takes. Afterwards a report on standard error says which
    /// functions, which shapes of instructions and which pairs of shapes ran
    /// how often. Needs direct threading.
    #[command(
        override_usage = PROFILE_USAGE,
        after_help = RUN_ARGUMENTS,
        after_long_help = format!("{RUN_ARGUMENTS}\n\n{EXIT_STATUS}"),
    )]
    Profile(ProfileArgs),

    /// Says which modes this host allows, which one is chosen, and why
    Strategy,
}

/// Options of `palisade run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Gives the guest a directory of the host
    ///
    /// The guest can use all that is below HOST, and nothing outside, under the
    /// name GUEST, which is HOST if not given. Can be repeated. Without it the
    /// guest has no files.
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = preopen)]
    pub(crate) dir: Vec<Preopen>,

    /// Sets a variable of the guest's environment
    ///
    /// Can be repeated. Nothing of the host's environment is passed on.
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// Calls an exported function instead of running the program
    ///
    /// ARGS are the function's arguments then: numbers (decimal or with 0x), or
    /// `null` for a reference. Its results are printed, one on a line.
    #[arg(long, value_name = "NAME")]
    pub(crate) invoke: Option<String>,

    #[command(flatten)]
    pub(crate) mode: ModeArgs,

    /// Says on standard error how the program is run, and why
    #[arg(long)]
    pub(crate) verbose: bool,

    /// FILE, then ARGS. One list, because the parser then takes everything
    /// after its first element as it is.
    #[arg(
        hide = true,
        required = true,
        trailing_var_arg = true,
        value_name = "FILE"
    )]
    pub(crate) command: Vec<OsString>,
}

/// Options of `palisade profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// How many lines of each kind the report has
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,

    /// Writes each function's dispatches in the folded format of flame graphs
    #[arg(long, value_name = "OUT")]
    pub(crate) folded: Option<PathBuf>,

    /// Writes the shapes that would save this program the most dispatches
    ///
    /// Build Palisade with the environment variable PALISADE_SHAPES set to the
    /// file's absolute path to have handlers for them.
    #[arg(long, value_name = "OUT")]
    pub(crate) shapes: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Options of `palisade explore`.
#[derive(Debug, Args)]
pub(crate) struct ExploreArgs {
    /// A WebAssembly module in the binary or the text format
    pub(crate) file: OsString,

    /// Only the functions of that name, or the one with that index
    ///
    /// Names are those of the module's name section; an index counts imported
    /// functions too. Without it, all functions are printed.
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) func: Option<String>,

    #[command(flatten)]
    pub(crate) mode: ModeArgs,
}

/// Options that choose the mode.
#[derive(Debug, Args)]
pub(crate) struct ModeArgs {
    /// How code is run
    ///
    /// What is asked for explicitly is an error where the host does not allow
    /// it; see `palisade strategy`.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(crate) threading: Threading,

    /// How accesses to memory are bounds-checked
    ///
    /// Guarded checks need direct threading.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(crate) bounds: Bounds,

    /// Translate every function for speed at its first call
    ///
    /// Otherwise functions get code first that is made in a third of the time
    /// and runs two to three times as long, and are translated again when they
    /// are hot.
    #[arg(long)]
    pub(crate) no_baseline: bool,
}

/// Values of `--threading`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Threading {
    /// The best that this host allows
    Auto,
    /// Threaded assembly
    Direct,
    /// A portable loop
    Token,
}

/// Values of `--bounds`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Bounds {
    /// The best that this host allows
    Auto,
    /// By page protection, at no cost to the guest
    Guarded,
    /// By a comparison before every access
    Software,
}

/// A value of `--dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preopen {
    pub(crate) host: String,
    pub(crate) guest: String,
}

impl ModeArgs {
    /// The engine's settings.
    pub(crate) fn config(&self) -> vm_engine::Config {
        let mut config = vm_engine::Config::new();
        config.threading(match self.threading {
            Threading::Auto => vm_engine::Threading::Auto,
            Threading::Direct => vm_engine::Threading::Direct,
            Threading::Token => vm_engine::Threading::Token,
        });
        config.bounds(match self.bounds {
            Bounds::Auto => vm_engine::Bounds::Auto,
            Bounds::Guarded => vm_engine::Bounds::Guarded,
            Bounds::Software => vm_engine::Bounds::Software,
        });
        if self.no_baseline {
            config.baseline(None);
        }
        config
    }
}

fn preopen(text: &str) -> Result<Preopen, String> {
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err("expected HOST or HOST::GUEST, neither of them empty".to_owned());
    }
    Ok(Preopen {
        host: host.to_owned(),
        guest: guest.to_owned(),
    })
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, with a name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunArgs {
        let args = ["palisade", "run"].iter().chain(args);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn all_that_follows_the_file_is_the_guests() {
        let all = [
            "a.wasm",
            "--help",
            "--",
            "--dir",
            "-x",
            "--verbose",
            "--",
            "--env=A=B",
            "-V",
            "",
        ];
        let args = run(&all);
        assert_eq!(args.command, all);
        assert!(!args.verbose && args.dir.is_empty() && args.env.is_empty());
        // A leading `--` is ours: it allows a file whose name begins with a dash.
        assert_eq!(
            run(&["--verbose", "--", "-odd.wasm", "--"]).command,
            ["-odd.wasm", "--"]
        );
    }

    #[test]
    fn options_before_the_file_are_ours() {
        let args = run(&[
            "--dir",
            "/a::/b",
            "--dir=c",
            "--env",
            "K=V=W",
            "--verbose",
            "f",
        ]);
        assert_eq!(
            args.dir,
            [
                Preopen {
                    host: "/a".into(),
                    guest: "/b".into()
                },
                Preopen {
                    host: "c".into(),
                    guest: "c".into()
                },
            ]
        );
        assert_eq!(args.env, [("K".to_owned(), "V=W".to_owned())]);
        assert!(args.verbose);
        assert_eq!(args.command, ["f"]);
    }

    #[test]
    fn malformed_options_are_refused() {
        for args in [
            &["--dir", "::x", "f"][..],
            &["--dir", "x::", "f"],
            &["--env", "novalue", "f"],
            &["--env", "=x", "f"],
            &["--threading", "fast", "f"],
            &["--bounds", "none", "f"],
            &["--unknown", "f"],
            &[],
        ] {
            let args = ["palisade", "run"].iter().chain(args);
            assert!(Cli::try_parse_from(args.clone()).is_err(), "{args:?}");
        }
    }
}
