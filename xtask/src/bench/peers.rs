//! What is compared: the `palisade` command, and other engines, installed below `target` or linked into
//! this program.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context as _, Result, ensure};

use super::contestant::Contestant;

/// The version of wasmi's command line; `Cargo.toml` links the same version of the library.
const WASMI: &str = "2.0.0";

/// Installs wasmi's command line with Cargo, unless it is there already.
pub(super) fn install() -> Result<()> {
    let root = root()?;
    let build = root.join("build");
    let mut command = cargo();
    command.args(["install", "wasmi_cli", "--version", WASMI, "--locked"]);
    command.args(["--features", "simd", "--root"]).arg(&root);
    command.arg("--target-dir").arg(&build);
    succeed(&mut command, "installing wasmi")?;
    if build.exists() {
        std::fs::remove_dir_all(&build).context("removing what is only needed to build wasmi")?;
    }
    Ok(())
}

/// The `palisade` command, built from the sources as they are, in this program's profile.
pub(super) fn palisade() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "vm-cli"]);
    if cfg!(feature = "large-table") {
        command.args(["--features", "large-table"]);
    }
    if cfg!(not(debug_assertions)) {
        command.arg("--release");
    }
    succeed(&mut command, "building vm-cli")?;
    let program = env::current_exe().context("finding this program")?;
    let palisade = program.with_file_name(format!("palisade{}", env::consts::EXE_SUFFIX));
    ensure!(
        palisade.is_file(),
        "building vm-cli leaves no {}",
        palisade.display()
    );
    Ok(palisade)
}

/// wasmi, if it is installed.
pub(super) fn installed() -> Result<Option<Contestant>> {
    let program = root()?
        .join("bin")
        .join(format!("wasmi{}", env::consts::EXE_SUFFIX));
    if !program.is_file() {
        return Ok(None);
    }
    let words = vec![program.to_string_lossy().into_owned(), "{}".to_owned()];
    Ok(Some(Contestant::Peer {
        name: "wasmi".to_owned(),
        words,
    }))
}

/// Runs the command line that this program was given once more, built so that wasmi is linked: for
/// CoreMark and for the figures.
pub(super) fn run_with_linked_peers() -> Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "xtask"]);
    let features = match cfg!(feature = "large-table") {
        true => "peers,large-table",
        false => "peers",
    };
    command.args(["--features", features, "--"]);
    command.args(
        env::args_os()
            .skip(1)
            .filter(|word| word != "--install-peers"),
    );
    let status: ExitStatus = command.status().context("starting cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs Cargo; `task` is what it does.
fn succeed(command: &mut Command, task: &str) -> Result<()> {
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "{task} ends with {status}");
    Ok(())
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `target/peers`, where `target` is the folder that this program was built into.
fn root() -> Result<PathBuf> {
    let program = env::current_exe().context("finding this program")?;
    // target/release/xtask
    let target = program.parent().and_then(|folder| folder.parent());
    let target = target.context("this program is not in Cargo's target folder")?;
    Ok(target.join("peers"))
}
