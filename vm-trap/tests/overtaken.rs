//! Handlers that are installed after ours, and pass on what is not theirs, or do not.

#![cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::{mem, ptr, thread};

use common::*;
use vm_trap::{
    NotFirst, RegionClass, Standing, UninstallError, ensure_first, install, prepare_thread,
    standing, uninstall,
};

/// The signals by which the kernel reports an access to a guard, the first of them for pages that are
/// mapped without access.
#[cfg(target_os = "linux")]
const SIGNALS: [i32; 1] = [libc::SIGSEGV];
#[cfg(target_os = "macos")]
const SIGNALS: [i32; 2] = [libc::SIGBUS, libc::SIGSEGV];

/// A crash reporter as Python's `faulthandler` is one: it reports every signal as the end of the process,
/// puts back the handlers that it found, and raises the signal again. A guest's fault that it sees first is
/// the end.
struct Reporter {
    found: Mutex<Vec<(i32, libc::sigaction)>>,
}

static REPORTER: Reporter = Reporter {
    found: Mutex::new(Vec::new()),
};

impl Reporter {
    fn enable(&self) {
        let action = new_action(
            report as InfoHandler as usize,
            libc::SA_SIGINFO | libc::SA_NODEFER,
        );
        let mut found = self.found.lock().unwrap();
        found.extend(SIGNALS.map(|signal| (signal, set_action(signal, &action))));
    }

    fn disable(&self) {
        for (signal, found) in self.found.lock().unwrap().drain(..) {
            set_action(signal, &found);
        }
    }
}

extern "C" fn report(signal: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    say("Fatal error: reported\n");
    // (No lock is held when a test faults.)
    REPORTER.disable();
    // SAFETY: async-signal-safe.
    unsafe { libc::raise(signal) };
}

/// Async-signal-safe.
fn say(text: &str) {
    // SAFETY: readable bytes.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// A guest's fault is a trap.
fn check_guest() {
    register();
    let pages = Pages::new();
    let regions = pages.regions(RegionClass::Memory);
    assert!(guest_load(&regions, pages.guard()).is_err());
    assert_eq!(guest_load(&regions, pages.readable()), Ok(7));
}

#[test]
fn a_reporter_installed_before_the_first_guest_of_a_thread_ends_nothing() {
    const NAME: &str = "a_reporter_installed_before_the_first_guest_of_a_thread_ends_nothing";
    in_child(NAME, || {
        install().expect("supported here");
        REPORTER.enable();
        let signal = if cfg!(target_os = "linux") {
            "SIGSEGV"
        } else {
            "SIGBUS"
        };
        assert!(
            matches!(standing(), Standing::Behind { signal: s } if s == signal || cfg!(target_os = "macos"))
        );
        check_guest();
        assert_eq!(standing(), Standing::First);
        thread::spawn(check_guest).join().unwrap();
    });
}

#[test]
fn a_reporter_installed_later_ends_nothing_for_those_who_look() {
    in_child(
        "a_reporter_installed_later_ends_nothing_for_those_who_look",
        || {
            install().expect("supported here");
            check_guest();
            REPORTER.enable();
            ensure_first().expect("there are layers left");
            assert_eq!(standing(), Standing::First);
            check_guest();

            // Another thread's first guest looks for all of them.
            REPORTER.disable();
            REPORTER.enable();
            thread::spawn(check_guest).join().unwrap();
            check_guest();
        },
    );
}

/// What is documented, and no more than that: nobody looks before each entry.
#[test]
fn a_reporter_installed_later_ends_the_process_of_those_who_do_not_look() {
    const NAME: &str = "a_reporter_installed_later_ends_the_process_of_those_who_do_not_look";
    let stderr = dies_in_child(NAME, SIGNALS[0], || {
        host_default();
        install().expect("supported here");
        check_guest();
        REPORTER.enable();
        check_guest();
    });
    assert!(
        is_child() || stderr.contains("Fatal error: reported"),
        "{stderr}"
    );
}

fn host_default() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        set_action(signal, &new_action(libc::SIG_DFL, 0));
    }
}

#[test]
fn a_reporter_still_reports_what_is_not_a_guests() {
    const NAME: &str = "a_reporter_still_reports_what_is_not_a_guests";
    let stderr = dies_in_child(NAME, SIGNALS[0], || {
        host_default();
        install().expect("supported here");
        REPORTER.enable();
        check_guest();
        host_load(Pages::new().guard());
    });
    assert!(
        is_child() || stderr.matches("Fatal error: reported").count() == 1,
        "{stderr}"
    );
}

#[test]
fn a_reporter_can_come_and_go() {
    in_child("a_reporter_can_come_and_go", || {
        install().expect("supported here");
        let ours = SIGNALS.map(action);
        for round in 0..100 {
            REPORTER.enable();
            if round % 3 != 0 {
                ensure_first().expect("the same handler takes the same layer");
                check_guest();
            }
            REPORTER.disable();
            for (signal, ours) in SIGNALS.into_iter().zip(ours) {
                assert_eq!(action(signal).sa_sigaction, ours.sa_sigaction);
            }
            check_guest();
        }
        uninstall().expect("nobody is above");
    });
}

/// How often the handler that passes on was called, and for what.
static PASSED: AtomicUsize = AtomicUsize::new(0);
static REPAIRED: AtomicUsize = AtomicUsize::new(0);
static FOUND: AtomicUsize = AtomicUsize::new(0);
static MINE: AtomicUsize = AtomicUsize::new(0);

/// Repairs a page of its own, and passes everything else on.
extern "C" fn polite(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a handler's own argument.
    let address = unsafe { fault_address(info) };
    if address & !0xfff == MINE.load(SeqCst) {
        REPAIRED.fetch_add(1, SeqCst);
        open_guard(address);
        return;
    }
    PASSED.fetch_add(1, SeqCst);
    // SAFETY: the handler that was found, which has three arguments.
    let found: InfoHandler = unsafe { mem::transmute(FOUND.load(SeqCst)) };
    found(signal, info, context);
}

/// The handler that stands lowest, for what nobody above has repaired.
static LOWEST: AtomicUsize = AtomicUsize::new(0);

extern "C" fn lowest(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    LOWEST.fetch_add(1, SeqCst);
    // SAFETY: a handler's own argument.
    open_guard(unsafe { fault_address(info) });
}

#[test]
fn a_handler_that_passes_on_goes_on_doing_so() {
    in_child("a_handler_that_passes_on_goes_on_doing_so", || {
        host_installs(lowest, libc::SA_ONSTACK);
        install().expect("supported here");
        FOUND.store(host_installs(polite, libc::SA_ONSTACK).sa_sigaction, SeqCst);
        for first in [false, true] {
            if first {
                ensure_first().expect("there are layers left");
            } else {
                // This thread has been looked after before.
                let above = action(SIGNALS[0]);
                prepare_thread().expect("there is memory");
                set_action(SIGNALS[0], &above);
            }
            let before = (PASSED.load(SeqCst), LOWEST.load(SeqCst));
            check_guest();
            // It sees guests' faults only as long as it stands first.
            assert_eq!(PASSED.load(SeqCst) - before.0, usize::from(!first));

            let its_own = Pages::new();
            MINE.store(its_own.guard(), SeqCst);
            let repaired = REPAIRED.load(SeqCst);
            host_load(its_own.guard() + 5);
            assert_eq!(REPAIRED.load(SeqCst), repaired + 1);
            assert_eq!(LOWEST.load(SeqCst), before.1);

            // Through all of them, once each.
            let passed = PASSED.load(SeqCst);
            host_load(Pages::new().guard() + 5);
            assert_eq!(PASSED.load(SeqCst), passed + 1);
            assert_eq!(LOWEST.load(SeqCst), before.1 + 1);
        }
    });
}

thread_local! { static SEEN: Cell<(i32, i32)> = const { Cell::new((-1, -1)) }; }

/// Notes whether it runs on the alternate stack, and whether `SIGUSR1` is blocked.
extern "C" fn notes(signal: i32) {
    // SAFETY: async-signal-safe questions.
    unsafe {
        let mut stack: libc::stack_t = mem::zeroed();
        libc::sigaltstack(ptr::null(), &mut stack);
        let mut mask: libc::sigset_t = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
        let blocked = libc::sigismember(&mask, libc::SIGUSR1);
        SEEN.set((stack.ss_flags & libc::SS_ONSTACK, blocked));
    }
    assert!(SIGNALS.contains(&signal));
    open_guard(MINE.load(SeqCst));
}

#[test]
fn a_later_handler_gets_what_it_asked_for() {
    in_child("a_later_handler_gets_what_it_asked_for", || {
        install().expect("supported here");
        prepare_thread().expect("there is memory");
        SEEN.set((0, 0));
        for (flags, on_stack) in [(0, 0), (libc::SA_ONSTACK, libc::SS_ONSTACK)] {
            let mut later = new_action(notes as extern "C" fn(i32) as usize, flags);
            // SAFETY: a valid set.
            unsafe { libc::sigaddset(&mut later.sa_mask, libc::SIGUSR1) };
            for signal in SIGNALS {
                set_action(signal, &later);
            }
            ensure_first().expect("there are layers left");
            check_guest();
            let pages = Pages::new();
            MINE.store(pages.guard(), SeqCst);
            host_load(pages.guard());
            assert_eq!(SEEN.get(), (on_stack, 1));
        }
    });
}

/// As many different handlers as one likes, all of which pass on what they see to the one that they found.
extern "C" fn numbered<const N: usize>(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the handler that was found, which has three arguments.
    let found: InfoHandler = unsafe { mem::transmute(FOUND_BY[N].load(SeqCst)) };
    found(signal, info, context);
}
static FOUND_BY: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

#[test]
fn who_is_always_overtaken_says_so() {
    in_child("who_is_always_overtaken_says_so", || {
        host_installs(lowest, libc::SA_ONSTACK);
        assert!(matches!(ensure_first(), Err(NotFirst::NotInstalled)));
        assert_eq!(standing(), Standing::NotInstalled);
        install().expect("supported here");
        let handlers: [InfoHandler; 8] = [
            numbered::<0>,
            numbered::<1>,
            numbered::<2>,
            numbered::<3>,
            numbered::<4>,
            numbered::<5>,
            numbered::<6>,
            numbered::<7>,
        ];
        for (n, handler) in handlers.into_iter().enumerate() {
            let found = host_installs(handler, libc::SA_ONSTACK);
            FOUND_BY[n].store(found.sa_sigaction, SeqCst);
            let result = ensure_first();
            assert_eq!(result.is_ok(), n < 7, "{n}: {result:?}");
            assert!(result.is_ok() || matches!(result, Err(NotFirst::Overtaken { .. })));
            // This one passes guests' faults on, and all pass on the host's.
            check_guest();
            let (lower, page) = (LOWEST.load(SeqCst), Pages::new());
            host_load(page.guard());
            assert_eq!(LOWEST.load(SeqCst), lower + 1);
        }
        assert!(matches!(standing(), Standing::Behind { .. }));
    });
}

#[test]
fn a_handler_restored_without_its_flags_is_mended() {
    in_child("a_handler_restored_without_its_flags_is_mended", || {
        install().expect("supported here");
        check_guest();
        for overtaken in [false, true] {
            if overtaken {
                REPORTER.enable();
                ensure_first().expect("there are layers left");
            }
            // As a library does that sets a handler for a while.
            for signal in SIGNALS {
                // SAFETY: restores what it found, as far as `signal` can.
                unsafe {
                    let found = libc::signal(signal, libc::SIG_IGN);
                    libc::signal(signal, found);
                }
            }
            assert!(matches!(standing(), Standing::Behind { .. }));
            ensure_first().expect("it is ours");
            assert_eq!(standing(), Standing::First);
            assert_ne!(action(SIGNALS[0]).sa_flags & libc::SA_SIGINFO, 0);
            check_guest();
        }
    });
}

#[test]
fn uninstalling_uncovers_the_handler_in_between() {
    in_child("uninstalling_uncovers_the_handler_in_between", || {
        let before = action(SIGNALS[0]).sa_sigaction;
        install().expect("supported here");
        let ours = action(SIGNALS[0]).sa_sigaction;
        REPORTER.enable();
        ensure_first().expect("there are layers left");
        assert!(matches!(
            uninstall(),
            Err(UninstallError::InstalledAbove { .. })
        ));
        // Its owner finds it where it was put.
        assert_eq!(
            action(SIGNALS[0]).sa_sigaction,
            report as InfoHandler as usize
        );
        // Still installed: it is put first again for the next guest that asks.
        ensure_first().expect("the same layer");
        check_guest();
        assert!(matches!(
            uninstall(),
            Err(UninstallError::InstalledAbove { .. })
        ));
        REPORTER.disable();
        assert_eq!(action(SIGNALS[0]).sa_sigaction, ours);
        uninstall().expect("nobody is above");
        assert_eq!(action(SIGNALS[0]).sa_sigaction, before);
        assert!(matches!(ensure_first(), Err(NotFirst::NotInstalled)));
    });
}

#[test]
fn a_host_that_resets_a_signal_does_not_lose_traps_for_it() {
    const NAME: &str = "a_host_that_resets_a_signal_does_not_lose_traps_for_it";
    dies_in_child(NAME, SIGNALS[0], || {
        host_installs(lowest, libc::SA_ONSTACK);
        install().expect("supported here");
        host_default();
        check_guest();
        assert_eq!(standing(), Standing::First);
        // Removing them leaves what the host has set.
        uninstall().expect("nobody is above");
        assert_eq!(action(SIGNALS[0]).sa_sigaction, libc::SIG_DFL);
        install().expect("supported here");
        check_guest();
        // And a fault of the host's ends the process, as the host would have it.
        host_load(Pages::new().guard());
    });
}

#[test]
fn many_threads_may_look_at_once() {
    const THREADS: usize = 16;
    in_child("many_threads_may_look_at_once", || {
        host_installs(lowest, libc::SA_ONSTACK);
        install().expect("supported here");
        for _ in 0..20 {
            FOUND.store(host_installs(polite, libc::SA_ONSTACK).sa_sigaction, SeqCst);
            let start = Arc::new(Barrier::new(THREADS));
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let start = Arc::clone(&start);
                    thread::spawn(move || {
                        start.wait();
                        ensure_first().expect("there are layers left");
                        check_guest();
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            let (passed, low) = (PASSED.load(SeqCst), LOWEST.load(SeqCst));
            host_load(Pages::new().guard());
            assert_eq!(
                (PASSED.load(SeqCst), LOWEST.load(SeqCst)),
                (passed + 1, low + 1)
            );
            // The handler goes, and comes back.
            let ours = new_action(FOUND.load(SeqCst), libc::SA_SIGINFO | libc::SA_ONSTACK);
            for signal in SIGNALS {
                set_action(signal, &ours);
            }
        }
    });
}
