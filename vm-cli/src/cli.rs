//! The command line: what can be said, and the help.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "\
Runs and inspects WebAssembly programs.

Palisade interprets WebAssembly and lets the memory-management unit check the
bounds of the guest's memory, where the host allows it.";

const EXIT_STATUS: &str = "\
Exit status:
  The guest's own, if it ends by itself; by SIGPIPE if nobody is left to read
  what it writes. 0 if nobody is left to read what this command writes.
  134  the guest trapped; the message and a backtrace are on standard error
  1    it could not be run: unreadable or invalid file, missing import, a mode
       that this host does not allow
  2    the command line is wrong";

const RUN_USAGE: &str = "palisade [run] [OPTIONS] FILE [ARGS]...";

const PROFILE_USAGE: &str = "palisade profile [OPTIONS] FILE [ARGS]...";

const RUN_ARGUMENTS: &str = "\
Arguments:
  FILE       The program: a WebAssembly module in the binary or the text format,
             or - for standard input
  [ARGS]...  The program's own arguments. Whatever follows FILE goes to the
             guest untouched, options included";

const RUN_EXAMPLES: &str = "\
Examples:
  palisade run hello.wasm
  palisade run --dir . --dir /srv/data::/data --env LANG=C sort.wasm -r in.txt
  palisade run --invoke fib fibonacci.wat 20
  palisade busybox.wasm ls -l
  wat2wasm hello.wat --output=- | palisade -";

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

    /// Gives the guest a socket that listens at an address, like 127.0.0.1:8080
    ///
    /// It is the descriptor after those of `--dir`: 3 if there are none. With port 0 the system chooses one, which
    /// `--verbose` shows. Can be repeated.
    #[cfg(unix)]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) tcplisten: Vec<String>,

    /// Sets a variable of the guest's environment
    ///
    /// A NAME alone passes the host's variable on, if there is one. Can be repeated. Nothing else of the host's
    /// environment is passed on.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub(crate) env: Vec<Variable>,

    /// Passes all of the host's environment on; `--env` then adds to it
    #[arg(long)]
    pub(crate) inherit_env: bool,

    /// Calls the program NAME, in place of FILE, in its first argument
    ///
    /// Programs that are several in one look there for which one they are.
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<String>,

    /// Calls an exported function instead of running the program
    ///
    /// ARGS are the function's arguments then: numbers (decimal or with 0x), or
    /// `null` for a reference. Its results are printed, one on a line.
    #[arg(long, value_name = "NAME")]
    pub(crate) invoke: Option<String>,

    /// Instantiates another module first, whose exports FILE can import as those of a module NAME
    ///
    /// Can be repeated; each can import what those before it export. One that exports a function `_initialize` has
    /// it called.
    #[arg(long, value_name = "NAME=FILE", value_parser = preload)]
    pub(crate) preload: Vec<Preload>,

    /// Runs a program although not all that it imports is there
    #[arg(long, value_name = "HOW")]
    pub(crate) unknown_imports: Option<UnknownImports>,

    /// Lets the program have threads, as wasi-threads has them
    ///
    /// Each is a thread of the host's. Their memory is the one that the program imports; `--fuel` is for each of them.
    #[arg(long)]
    pub(crate) wasi_threads: bool,

    /// How many threads the program may have at a time, besides the first one
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 256,
        requires = "wasi_threads"
    )]
    pub(crate) max_threads: u32,

    /// Has the program compute the same on every machine and in every mode
    ///
    /// NaNs are the canonical ones, and calls go 8,000 deep at most. What the program is told of the world, like the time and
    /// random numbers, is not made the same.
    #[arg(long)]
    pub(crate) deterministic: bool,

    /// When the functions of modules are validated
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "eagerly",
        hide_possible_values = false
    )]
    pub(crate) validate: Validate,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

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

/// Options that limit what the guest may take.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The most bytes that a memory of the guest may have
    ///
    /// K, M or G behind the number mean KiB, MiB or GiB. Growth beyond fails for the guest, and a program that
    /// needs more to begin with is not run.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_memory: Option<usize>,

    /// The most elements that a table of the guest may have
    #[arg(long, value_name = "N")]
    pub(crate) max_table_elements: Option<usize>,

    /// The most bytes that the threaded code of a module may take
    ///
    /// K, M or G as above. It bounds what translation makes of a program while it runs. A function that finds no room
    /// ends the run where it is called first; one that is only to be made faster goes on as it is. By default it is
    /// 64 for each byte of the module, and 16M, which programs do not reach.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_code: Option<usize>,

    /// Stops the guest after so long: 10, 10s, 500ms, 2m or 1h
    ///
    /// It counts from when the guest begins to run. The guest ends as by a trap.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Stops the guest after so much work, in units of fuel
    ///
    /// Most instructions consume one. How much a program needs does not depend on the mode or the machine, and
    /// `--verbose` says it. The guest ends as by a trap.
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<u64>,
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
    /// A WebAssembly module in the binary or the text format, or - for standard input
    pub(crate) file: OsString,

    /// Only the functions of that name, or the one with that index
    ///
    /// Names are those of the module's name section; an index counts imported
    /// functions too. Without it, all functions are printed.
    #[arg(long, value_name = "NAME|INDEX")]
    pub(crate) func: Option<String>,

    /// The code that `run --fuel` makes
    #[arg(long)]
    pub(crate) fuel: bool,

    #[command(flatten)]
    pub(crate) mode: ModeArgs,
}

/// Options that choose how modules are read and run.
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

    /// Lets modules have the older instructions for exceptions: try, catch, delegate and rethrow
    ///
    /// Browsers have them, and compilers made them before there was `try_table`.
    #[arg(long)]
    pub(crate) legacy_exceptions: bool,
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

/// Values of `--validate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Validate {
    /// All of them before the program runs
    Eagerly,
    /// Each when it is first called: large programs start sooner, and one that is invalid ends the run there
    Lazily,
}

/// Values of `--unknown-imports`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UnknownImports {
    /// A function that is not there traps when it is called
    Trap,
    /// A function that is not there returns zeros; a global, table or memory is new
    Default,
}

/// A value of `--env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Set { name: String, value: String },
    Inherit { name: String },
}

/// A value of `--preload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preload {
    pub(crate) name: String,
    pub(crate) file: String,
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
        config.wasm_legacy_exceptions(self.legacy_exceptions);
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

fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("expected NAME=VALUE or NAME, with a name".to_owned());
    }
    let name = name.to_owned();
    Ok(match value {
        Some(value) => Variable::Set {
            name,
            value: value.to_owned(),
        },
        None => Variable::Inherit { name },
    })
}

fn preload(text: &str) -> Result<Preload, String> {
    match text.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok(Preload {
            name: name.to_owned(),
            file: file.to_owned(),
        }),
        _ => Err("expected NAME=FILE".to_owned()),
    }
}

/// A length of time: a number of seconds, or one with a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("", 1.0),
    ];
    let found = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    found
        .and_then(|(number, seconds)| Some(number.parse::<f64>().ok()? * seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a length of time, like 10s, 500ms, 2m or 1h".to_owned())
}

/// A number of bytes, with K, M or G for a power of 1024.
fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits
        .parse()
        .ok()
        .and_then(|number: usize| number.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes, or one with K, M or G".to_owned())
}

/// The arguments with `run` where it was left out: `palisade FILE` means `palisade run FILE`.
///
/// What is neither a command nor looks like a file or an option of `run` is left alone, so that a mistyped command
/// is called that.
pub(crate) fn with_run(mut args: Vec<OsString>) -> Vec<OsString> {
    let left_out = args.get(1).is_some_and(|first| match first.to_str() {
        Some("-h" | "--help" | "-V" | "--version" | "help") => false,
        Some(name) if Cli::command().find_subcommand(name).is_some() => false,
        Some(text) => {
            text.starts_with('-') || text.contains(['.', '/']) || Path::new(text).exists()
        }
        None => true,
    });
    if left_out {
        args.insert(1, OsString::from("run"));
    }
    args
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
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("3k", 3072),
            ("2M", 2 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("2s", 2000),
            ("1.5s", 1500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "s", "-1", "1d", "nan", "inf", "1e300h", "1 s s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn run_can_be_left_out() {
        let with = |args: &[&str]| -> Vec<String> {
            let args = ["palisade"]
                .iter()
                .chain(args)
                .map(OsString::from)
                .collect();
            let args = with_run(args).into_iter().skip(1);
            args.map(|arg| arg.into_string().unwrap()).collect()
        };
        for args in [
            &["a.wasm", "run"][..],
            &["-"],
            &["--dir", ".", "x"],
            &["./explore"],
            &["--", "x"],
        ] {
            assert_eq!(with(args), [&["run"][..], args].concat());
        }
        for args in [
            &["run", "a.wasm"][..],
            &["explore", "x"],
            &["help", "run"],
            &["--version"],
            &["-h"],
            &["walk"],
        ] {
            assert_eq!(with(args), args);
        }
        assert_eq!(with(&[]), [""; 0]);
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
        let set = Variable::Set {
            name: "K".into(),
            value: "V=W".into(),
        };
        assert_eq!(args.env, [set]);
        assert!(args.verbose);
        assert_eq!(args.command, ["f"]);
    }

    #[test]
    fn malformed_options_are_refused() {
        for args in [
            &["--dir", "::x", "f"][..],
            &["--dir", "x::", "f"],
            &["--env", "=x", "f"],
            &["--env", "", "f"],
            &["--preload", "name", "f"],
            &["--preload", "name=", "f"],
            &["--unknown-imports", "ignore", "f"],
            &["--max-memory", "", "f"],
            &["--max-memory", "1X", "f"],
            &["--max-memory", "-1", "f"],
            &["--max-memory", "17179869184G", "f"],
            &["--max-table-elements", "1K", "f"],
            &["--max-code", "1X", "f"],
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
