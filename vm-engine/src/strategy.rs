//! Which mode an engine runs in, and why.

use std::fmt;

use crate::config::{Bounds, Threading};
use crate::error::ConfigError;

/// How an engine runs code and checks bounds, and why it does it that way.
///
/// Neither setting is ever `Auto`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strategy {
    /// [`Threading::Direct`] or [`Threading::Token`].
    pub threading: Threading,
    /// [`Bounds::Guarded`] or [`Bounds::Software`]. A single instance may have software checks
    /// under an engine with guards: see [`Instance::bounds`](crate::Instance::bounds).
    pub bounds: Bounds,
    /// One sentence for each choice, in the order of the fields.
    pub reasons: Vec<String>,
}

/// The choice on the first line, then one line for each reason.
impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} threading, {} bounds checks",
            self.threading, self.bounds
        )?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}")?;
        }
        Ok(())
    }
}

/// What the host can do, or why it cannot.
pub(crate) struct HostAbilities {
    pub(crate) direct: Result<(), String>,
    pub(crate) guards: Result<(), String>,
}

/// Combines what was asked for with what the host can do (architecture, "Modes").
pub(crate) fn choose(
    threading: Threading,
    bounds: Bounds,
    host: &HostAbilities,
) -> Result<Strategy, ConfigError> {
    if (threading, bounds) == (Threading::Token, Bounds::Guarded) {
        return Err(ConfigError::TokenGuarded);
    }
    let needs_direct = bounds == Bounds::Guarded;
    let (threading, threading_reason) = match (threading, &host.direct) {
        (Threading::Token, _) => (
            Threading::Token,
            "Token threading was asked for.".to_owned(),
        ),
        (Threading::Direct, Ok(())) => (
            Threading::Direct,
            "Direct threading was asked for, and this host supports it.".to_owned(),
        ),
        (Threading::Direct, Err(reason)) => {
            return Err(ConfigError::Direct {
                reason: reason.clone(),
            });
        }
        (Threading::Auto, Ok(())) => (
            Threading::Direct,
            "Direct threading is the fastest, and this host supports it.".to_owned(),
        ),
        (Threading::Auto, Err(reason)) if needs_direct => {
            return Err(ConfigError::GuardedNeedsDirect {
                reason: reason.clone(),
            });
        }
        (Threading::Auto, Err(reason)) => (
            Threading::Token,
            format!("Token threading runs everywhere; direct threading cannot be had: {reason}."),
        ),
    };
    let (bounds, bounds_reason) = match (bounds, &host.guards) {
        (Bounds::Software, _) => (
            Bounds::Software,
            "Bounds checks in software were asked for.".to_owned(),
        ),
        (Bounds::Auto, _) if threading == Threading::Token => (
            Bounds::Software,
            "Token threading always checks bounds in software.".to_owned(),
        ),
        (Bounds::Guarded, Ok(())) => (
            Bounds::Guarded,
            "Guarded bounds checks were asked for, and this host supports them.".to_owned(),
        ),
        (Bounds::Guarded, Err(reason)) => {
            return Err(ConfigError::Guarded {
                reason: reason.clone(),
            });
        }
        (Bounds::Auto, Ok(())) => (
            Bounds::Guarded,
            "Guarded bounds checks cost guests nothing, and this host supports them.".to_owned(),
        ),
        (Bounds::Auto, Err(reason)) => (
            Bounds::Software,
            format!("Bounds are checked in software because guard pages cannot be had: {reason}."),
        ),
    };
    Ok(Strategy {
        threading,
        bounds,
        reasons: vec![threading_reason, bounds_reason],
    })
}
