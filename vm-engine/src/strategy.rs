//! Which mode an engine runs in, and why.

use std::fmt;

use vm_memory::Layout;

use crate::allocation::InstanceAllocationStrategy;
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
    /// How guarded memories lie in their address space, if there are any.
    pub layout: Option<Layout>,
    /// Whether memories and stacks come from a pool.
    pub allocation: InstanceAllocationStrategy,
    /// Whether large initial data is mapped copy-on-write.
    pub init_cow: bool,
    /// One sentence for each choice, in the order of the fields, those of memories only if they are
    /// guarded; then what else there is to know.
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

impl Strategy {
    /// Adds how guarded memories are made. `init_cow` is why initial data is not mapped
    /// copy-on-write, if it is not.
    pub(crate) fn with_memories(
        mut self,
        layout: Layout,
        allocation: &InstanceAllocationStrategy,
        init_cow: Result<(), String>,
    ) -> Strategy {
        // After the reasons for threading and bounds; in place of those of the engine, if a store
        // differs from it.
        let old = if self.layout.is_some() { 3 } else { 0 };
        let layout_reason = format!(
            "A guarded memory reserves {} bytes of address space, {} of them as guard behind 4 GiB{}.",
            layout.reservation_bytes(),
            layout.guard_bytes(),
            if layout.guard_bytes() == Layout::FULL.guard_bytes() {
                ", so that no access needs a check"
            } else {
                "; accesses with larger offsets are checked by code"
            }
        );
        let allocation_reason = match allocation {
            InstanceAllocationStrategy::OnDemand => {
                "Memories and stacks are asked of the host when they are made.".to_owned()
            }
            InstanceAllocationStrategy::Pooling(pool) => format!(
                "Memories and stacks come from a pool of {} and {}, as was asked for.",
                pool.memories(),
                pool.stacks()
            ),
        };
        self.layout = Some(layout);
        self.allocation = allocation.clone();
        self.init_cow = init_cow.is_ok();
        let cow_reason = match init_cow {
            Ok(()) => "Large initial data is mapped copy-on-write.".to_owned(),
            Err(reason) => format!("Initial data is copied for every instance: {reason}."),
        };
        let new = [layout_reason, allocation_reason, cow_reason];
        self.reasons.splice(2..2 + old, new);
        self
    }
}

/// What the host can do, or why it cannot.
pub(crate) struct HostAbilities {
    pub(crate) direct: Result<(), String>,
    pub(crate) guards: Result<(), String>,
    /// The sanitizer that this is a build with.
    pub(crate) sanitizer: Option<&'static str>,
    /// Whether the host's own signal handlers catch the faults of guarded memory.
    pub(crate) owns_signals: bool,
}

impl HostAbilities {
    /// The sanitizer for whose sake automatic engines run every access as compiled code. (It does not
    /// stand in the way of guards that were asked for.)
    fn sanitizer_to_please(&self, bounds: Bounds) -> Option<&'static str> {
        self.sanitizer.filter(|_| bounds != Bounds::Guarded)
    }

    /// Whether the answer about guards can matter.
    pub(crate) fn needs_guards(&self, threading: Threading, bounds: Bounds) -> bool {
        let direct = match threading {
            Threading::Direct => true,
            Threading::Token => false,
            Threading::Auto => self.sanitizer_to_please(bounds).is_none(),
        };
        direct && self.direct.is_ok() && bounds != Bounds::Software
    }
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
        (Threading::Auto, Ok(())) if let Some(name) = host.sanitizer_to_please(bounds) => (
            Threading::Token,
            format!(
                "Token threading because this is a build with the {name} sanitizer, which sees the \
                 accesses of compiled code only; direct threading works if it is asked for."
            ),
        ),
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
    let mut reasons = vec![threading_reason, bounds_reason];
    if bounds == Bounds::Guarded && host.owns_signals {
        reasons.push(
            "The host owns the signal handlers, which must pass faults on to `try_handle`."
                .to_owned(),
        );
    }
    Ok(Strategy {
        threading,
        bounds,
        layout: None,
        allocation: InstanceAllocationStrategy::OnDemand,
        init_cow: false,
        reasons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(direct: bool, guards: bool) -> HostAbilities {
        let able = |can: bool, why: &str| if can { Ok(()) } else { Err(why.to_owned()) };
        HostAbilities {
            direct: able(direct, "no assembly"),
            guards: able(guards, "no pages"),
            sanitizer: None,
            owns_signals: false,
        }
    }

    const THREADING: [Threading; 3] = [Threading::Auto, Threading::Direct, Threading::Token];
    const BOUNDS: [Bounds; 3] = [Bounds::Auto, Bounds::Guarded, Bounds::Software];

    #[test]
    fn what_is_asked_for_is_met_or_refused_and_auto_takes_the_best() {
        for direct in [true, false] {
            for guards in [true, false] {
                for threading in THREADING {
                    for bounds in BOUNDS {
                        let chosen = choose(threading, bounds, &host(direct, guards));
                        let can_direct = direct && threading != Threading::Token;
                        let can_guard = can_direct && guards && bounds != Bounds::Software;
                        let possible = (threading != Threading::Direct || direct)
                            && (bounds != Bounds::Guarded || can_guard);
                        let case = format!("{threading} {bounds} {direct} {guards}: {chosen:?}");
                        assert_eq!(chosen.is_ok(), possible, "{case}");
                        let Ok(chosen) = chosen else { continue };
                        assert_eq!(chosen.threading == Threading::Direct, can_direct, "{case}");
                        assert_eq!(chosen.bounds == Bounds::Guarded, can_guard, "{case}");
                        assert!(
                            chosen.threading != Threading::Auto && chosen.bounds != Bounds::Auto
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_sanitizer_gets_the_mode_that_it_sees_unless_another_is_asked_for() {
        for threading in THREADING {
            for bounds in BOUNDS {
                let plain = host(true, true);
                let sanitized = HostAbilities {
                    sanitizer: Some("address"),
                    ..host(true, true)
                };
                let chosen = choose(threading, bounds, &sanitized);
                if threading == Threading::Auto && bounds != Bounds::Guarded {
                    let chosen = chosen.unwrap();
                    assert_eq!(chosen.threading, Threading::Token);
                    assert_eq!(chosen.bounds, Bounds::Software);
                    assert!(chosen.to_string().contains("address sanitizer"), "{chosen}");
                    assert!(!sanitized.needs_guards(threading, bounds));
                } else {
                    assert_eq!(chosen, choose(threading, bounds, &plain));
                }
            }
        }
    }

    #[test]
    fn guards_are_asked_for_only_where_they_can_come_to_use() {
        for threading in THREADING {
            for bounds in BOUNDS {
                for direct in [true, false] {
                    let needs = host(direct, true).needs_guards(threading, bounds);
                    let chosen = choose(threading, bounds, &host(direct, true));
                    let guarded = chosen.is_ok_and(|chosen| chosen.bounds == Bounds::Guarded);
                    assert_eq!(needs, guarded, "{threading} {bounds} {direct}");
                }
            }
        }
    }

    #[test]
    fn what_the_host_has_to_do_is_told() {
        let owning = HostAbilities {
            owns_signals: true,
            ..host(true, true)
        };
        let text = |bounds| {
            choose(Threading::Auto, bounds, &owning)
                .unwrap()
                .to_string()
        };
        assert!(text(Bounds::Auto).contains("try_handle"));
        assert!(!text(Bounds::Software).contains("try_handle"));
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let text = |threading, bounds, direct, guards| match choose(
            threading,
            bounds,
            &host(direct, guards),
        ) {
            Ok(strategy) => strategy.to_string(),
            Err(error) => error.to_string(),
        };
        for (text, reason) in [
            (
                text(Threading::Auto, Bounds::Auto, false, true),
                "no assembly",
            ),
            (text(Threading::Auto, Bounds::Auto, true, false), "no pages"),
            (
                text(Threading::Direct, Bounds::Auto, false, true),
                "no assembly",
            ),
            (
                text(Threading::Auto, Bounds::Guarded, true, false),
                "no pages",
            ),
            (
                text(Threading::Auto, Bounds::Guarded, false, true),
                "no assembly",
            ),
        ] {
            assert!(text.contains(reason), "{text}");
        }
    }
}
