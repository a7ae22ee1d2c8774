//! The in-tree programs print the same digests in every mode and as native programs.

use std::process::Command;

#[test]
fn digests_are_the_same_everywhere() {
    // The standard number of rounds takes about a second in an optimised interpreter, and a minute in
    // one that is not.
    let rounds: &[&str] = if cfg!(debug_assertions) {
        &["--quick"]
    } else {
        &[]
    };
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("programs")
        .args(rounds)
        .output()
        .expect("xtask starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}:\n{stdout}{stderr}",
        output.status
    );
}
