//! Tests that need a process of their own: the same test again, in a child.

use std::process::{Command, ExitStatus};

/// Set in the child; its value says which case of the test it is.
const CHILD: &str = "VM_ENGINE_TEST_CHILD";
/// What a child says when it has come to the end of the test.
const DONE: &str = "the child has done it all";

/// In a child: which case of its test it is.
pub(crate) fn child_case() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// How a child ended, and what it wrote to both outputs.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) text: String,
}

impl Ended {
    /// Whether it came to the end of its test.
    pub(crate) fn is_done(&self) -> bool {
        self.status.success() && self.text.contains(DONE)
    }
}

/// Runs one case of a test of this file in a child, after a shell command.
pub(crate) fn run_case(test: &str, case: &str, first: &str) -> Ended {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(r#"{first} && exec "$0" "$@""#))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, case)
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ended {
        status: output.status,
        text: text.join("\n"),
    }
}

/// Runs the body in a child, which must come to its end.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    after("true", test, body);
}

/// Runs the body in a child started by a shell after this command, which must come to its end.
pub(crate) fn after(first: &str, test: &str, body: impl FnOnce()) {
    if child_case().is_some() {
        body();
        eprintln!("{DONE}");
        return;
    }
    let ended = run_case(test, "alone", first);
    assert!(ended.is_done(), "{}\n{}", ended.status, ended.text);
}

/// Runs the body in a child for each of these cases. None must come to its end; how it ended is
/// given to `check`.
#[cfg(unix)]
pub(crate) fn dies(
    test: &str,
    cases: &[&str],
    body: impl FnOnce(&str),
    check: impl Fn(&str, Ended),
) {
    if let Some(case) = child_case() {
        // Crashes are expected here: leave no core files about.
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: plain data.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        body(&case);
        eprintln!("{DONE}");
        return;
    }
    for case in cases {
        let ended = run_case(test, case, "true");
        assert!(!ended.text.contains(DONE), "{case}: {}", ended.text);
        check(case, ended);
    }
}
