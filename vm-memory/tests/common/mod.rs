//! What several of the test programs need.
#![allow(dead_code, reason = "each test program uses a part of it")]

/// Runs `body` in a process of its own and returns how it ended and what it printed.
///
/// `name` is the calling test's own name: this program is started anew with only that test, which
/// then runs `body` instead. For what changes a process as a whole, or ends it.
#[cfg(all(unix, not(miri)))]
pub(crate) fn in_child(name: &str, body: impl FnOnce()) -> std::process::Output {
    const CHILD: &str = "VM_MEMORY_TEST_CHILD";
    if std::env::var_os(CHILD).is_some_and(|value| value == name) {
        body();
        println!("child of {name} reached its end");
        std::process::exit(0);
    }
    std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .output()
        .unwrap()
}

/// As [`in_child`], for a body that must reach its end.
#[cfg(all(unix, not(miri)))]
pub(crate) fn passes_in_child(name: &str, body: impl FnOnce()) {
    let output = in_child(name, body);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let end = format!("child of {name} reached its end");
    assert!(output.status.success() && text.contains(&end), "{text}");
}

/// One line of `/proc/self/maps`, clipped to the range that was asked for.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Such as `rw-p`.
    pub(crate) access: String,
}

/// What the kernel says about a range of addresses, in order. Neighbours with equal access are
/// joined: how the kernel splits them is its own affair.
#[cfg(target_os = "linux")]
pub(crate) fn mappings(range: std::ops::Range<usize>) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (span, rest) = line.split_once(' ').unwrap();
        let (start, end) = span.split_once('-').unwrap();
        let start = usize::from_str_radix(start, 16).unwrap().max(range.start);
        let end = usize::from_str_radix(end, 16).unwrap().min(range.end);
        if start >= end {
            continue;
        }
        push_joined(&mut found, start, end, &rest[..4]);
    }
    found
}

#[cfg(target_os = "linux")]
fn push_joined(mappings: &mut Vec<Mapping>, start: usize, end: usize, access: &str) {
    match mappings.last_mut() {
        Some(last) if last.end == start && last.access == access => last.end = end,
        _ => mappings.push(Mapping {
            start,
            end,
            access: access.to_string(),
        }),
    }
}

/// Asserts that a range of addresses consists of these pieces and nothing else: (length, access).
/// Empty pieces are left out.
#[cfg(target_os = "linux")]
pub(crate) fn assert_mapped(range: std::ops::Range<usize>, pieces: &[(usize, &str)]) {
    let mut start = range.start;
    let mut expected = Vec::new();
    for (len, access) in pieces.iter().filter(|(len, _)| *len > 0) {
        let end = start + len;
        push_joined(&mut expected, start, end, access);
        start = end;
    }
    assert_eq!(start, range.end, "the pieces must fill the range");
    // The list is read in pieces. Where the kernel joins a mapping with that of another thread's in
    // between, one may be listed twice or not at all; what is really wrong stays wrong.
    let agrees = (0..100).any(|_| mappings(range.clone()) == expected);
    assert!(agrees, "{:x?} instead of {expected:x?}", mappings(range));
}

/// Asserts that exactly the accessible bytes of a guarded memory are accessible.
#[cfg(target_os = "linux")]
pub(crate) fn assert_exactly_accessible(memory: &vm_memory::LinearMemory) {
    let range = memory.reservation().unwrap();
    let front = memory.base_ptr().addr() - range.start;
    let len = memory.byte_len() as usize;
    let rest = range.len() - front - len;
    assert_mapped(range, &[(front, "---p"), (len, "rw-p"), (rest, "---p")]);
    assert!(front > 0 && rest > 0);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn assert_exactly_accessible(_memory: &vm_memory::LinearMemory) {}

/// Limits this process, which is a test's child.
#[cfg(target_os = "linux")]
pub(crate) fn set_limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the call only reads the limit.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// A line of `/proc/self/status` in bytes: `VmHWM`, the largest resident set so far, or `VmSize`.
#[cfg(target_os = "linux")]
pub(crate) fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let rest = text.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    let kib = rest.trim_start_matches(':').trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}
