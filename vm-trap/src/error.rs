//! What can go wrong outside guest code.

use std::io;

/// Why faults cannot be turned into traps here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// There is no support for this operating system on this processor.
    #[error(
        "faults cannot be turned into traps on {arch} under {os}: \
         only x86_64 and aarch64 under Linux and macOS are supported; use software bounds checks"
    )]
    Platform {
        /// The processor architecture, as in [`std::env::consts::ARCH`].
        arch: &'static str,
        /// The operating system, as in [`std::env::consts::OS`].
        os: &'static str,
    },
    /// The program runs under Miri, which has no signals.
    #[error("faults cannot be turned into traps under Miri: use software bounds checks")]
    Miri,
}

/// Why the handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The platform has no support.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The operating system refused.
    #[error("sigaction refused a handler for {signal}")]
    Sigaction {
        /// Name of the signal.
        signal: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Why a guest's fault may not come to our handlers first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotFirst {
    /// They are not installed.
    #[error("the handlers are not installed")]
    NotInstalled,
    /// There are handlers above ours, again and again others.
    #[error(
        "another handler for {signal} was installed after ours, and ours has been put above others \
         too often already: if it does not pass guests' faults on, they end the process; install it \
         before the first engine, or use software bounds checks"
    )]
    Overtaken {
        /// Name of the signal.
        signal: &'static str,
    },
    /// The operating system refused.
    #[error("sigaction refused to put the handler for {signal} first")]
    Sigaction {
        /// Name of the signal.
        signal: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Why guests cannot be stopped by a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterruptError {
    /// There is no support for it here.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Another signal has been chosen in this process.
    #[error(
        "signal {signal} cannot stop guests: signal {chosen} does so already in this process, and there \
         is one for all of it"
    )]
    OtherSignal {
        /// The one that does.
        chosen: std::ffi::c_int,
        /// The one that was asked for.
        signal: std::ffi::c_int,
    },
    /// The operating system refused the signal.
    #[error("sigaction refused a handler for signal {signal}: is it a signal that can be handled?")]
    Sigaction {
        /// The signal.
        signal: std::ffi::c_int,
        /// What it said.
        source: io::Error,
    },
}

/// Why the handlers could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UninstallError {
    /// They are not installed.
    #[error("the handlers are not installed")]
    NotInstalled,
    /// Someone has installed another handler since.
    #[error(
        "another handler for {signal} was installed after ours and may call ours: remove it first"
    )]
    InstalledAbove {
        /// Name of the signal.
        signal: &'static str,
    },
    /// Guests are running.
    #[error("{threads} threads are inside an activation: let them return first")]
    ActivationsLive {
        /// How many threads.
        threads: usize,
    },
    /// The operating system refused.
    #[error("sigaction refused to restore the handler for {signal}")]
    Sigaction {
        /// Name of the signal.
        signal: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Why a thread could not be given an alternate signal stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AltStackError {
    /// The host refused the memory.
    #[error("no memory for an alternate signal stack of {bytes} bytes")]
    Map {
        /// Bytes asked for, guard page included.
        bytes: usize,
        /// What the host said.
        source: io::Error,
    },
    /// `sigaltstack(2)` failed.
    #[error("sigaltstack refused an alternate signal stack of {bytes} bytes")]
    Register {
        /// Size of the stack in bytes.
        bytes: usize,
        /// What the host said.
        source: io::Error,
    },
}
