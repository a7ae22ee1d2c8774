//! What the host grants the process: native stack and memory.
//!
//! The standard library ends a process that runs out of either by a signal, whatever the program does about it. So
//! where a limit is in force, the command asks whether there is enough before it is needed, and says so if not.

use std::process::ExitCode;

use crate::output::Failure;

/// The stack that parsing, validation and nested calls of the guest count on, in bytes: what systems give the main
/// thread by default.
const NATIVE_STACK: usize = 8 << 20;

/// Runs the command on a stack of at least [`NATIVE_STACK`] bytes.
pub(crate) fn with_enough_stack(run: fn() -> ExitCode) -> ExitCode {
    if limits::stack().is_none_or(|limit| limit >= NATIVE_STACK as u64) {
        return run();
    }
    // The main thread's stack ends at the limit; another thread's is a mapping of its own.
    if let Err(failure) = require_memory(START + NATIVE_STACK, "start") {
        return failure.report();
    }
    let thread = std::thread::Builder::new().stack_size(NATIVE_STACK);
    match thread.spawn(run) {
        Ok(thread) => match thread.join() {
            Ok(code) => code,
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(error) => Failure::from(anyhow::anyhow!(
            "cannot start: the limit on the stack (`ulimit -s`) is too small, and a thread with a larger one cannot \
             be had: {error}"
        ))
        .report(),
    }
}

/// What the command itself needs besides what a module needs, in bytes.
pub(crate) const START: usize = 4 << 20;

/// How many bytes of memory a module may take for each of its own: parsed, validated, translated for speed. (Text of
/// many small functions takes 9, a binary of such that are all hot 14.)
const PER_BYTE: usize = 16;

/// What listings take besides, in bytes: the names of all handlers.
pub(crate) const LISTING: usize = 64 << 20;
/// What counting takes besides, in bytes.
pub(crate) const COUNTING: usize = 16 << 20;
/// What choosing shapes takes besides, in bytes.
pub(crate) const CHOOSING: usize = 256 << 20;

/// How many bytes a module of that size may take, besides its memories and tables.
pub(crate) fn needed_for(module: &[u8]) -> usize {
    START + module.len().saturating_mul(PER_BYTE)
}

/// Fails if the limits in force leave less than so many bytes to allocate; see [`has_memory`].
pub(crate) fn require_memory(bytes: usize, purpose: &str) -> Result<(), Failure> {
    if has_memory(bytes) {
        return Ok(());
    }
    Err(anyhow::anyhow!(
        "not enough memory to {purpose}: it may take {} MiB, and there is less under {}",
        bytes.div_ceil(1 << 20),
        limits::memory().unwrap_or_default()
    )
    .into())
}

/// Whether the limits in force leave so many bytes to allocate.
///
/// Without limits nothing is asked: what the system promises then says nothing about what it has.
pub(crate) fn has_memory(bytes: usize) -> bool {
    if limits::memory().is_none() {
        return true;
    }
    let mut probe = Vec::<u8>::new();
    let has = probe.try_reserve_exact(bytes).is_ok();
    // Seen by nobody, the allocation would be left out.
    std::hint::black_box(&mut probe);
    has
}

#[cfg(unix)]
mod limits {
    use rustix::process::{Resource, getrlimit};

    /// The largest size of the main thread's stack in bytes, if it is limited.
    pub(super) fn stack() -> Option<u64> {
        getrlimit(Resource::Stack).current
    }

    /// The limits on memory in force, in words.
    pub(super) fn memory() -> Option<String> {
        let limits = [
            (Resource::As, "address space (`ulimit -v`)"),
            (Resource::Data, "data (`ulimit -d`)"),
        ];
        let in_force: Vec<String> = limits
            .into_iter()
            .filter_map(|(resource, name)| {
                let limit = getrlimit(resource).current?;
                Some(format!("the limit on {name} of {} KiB", limit >> 10))
            })
            .collect();
        (!in_force.is_empty()).then(|| in_force.join(" and "))
    }
}

#[cfg(not(unix))]
mod limits {
    pub(super) fn stack() -> Option<u64> {
        None
    }

    pub(super) fn memory() -> Option<String> {
        None
    }
}
