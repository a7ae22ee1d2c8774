//! Signals that are not ours, and the handlers around ours.

#![cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::thread;

use common::*;
use vm_trap::{
    Activation, RegionClass, UninstallError, install, prepare_thread, try_handle, uninstall,
};

#[cfg(target_os = "linux")]
const GUARD_SIGNAL: i32 = libc::SIGSEGV;
#[cfg(target_os = "macos")]
const GUARD_SIGNAL: i32 = libc::SIGBUS;

/// How often the host's handler was called.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The address that it was told last.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
/// The `si_code` that it was told last.
static CODE: AtomicI32 = AtomicI32::new(0);
/// Where a handler without arguments finds the page to open.
static TO_OPEN: AtomicUsize = AtomicUsize::new(0);
/// Whether it ran on the alternate stack; with `SIGUSR1`, and with its own signal, blocked.
static ON_ALT_STACK: AtomicI32 = AtomicI32::new(-1);
static USR1_BLOCKED: AtomicI32 = AtomicI32::new(-1);
static SELF_BLOCKED: AtomicI32 = AtomicI32::new(-1);

/// Repairs the fault, and takes notes.
extern "C" fn host_handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if context.is_null() || ![libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
        return; // Not counted.
    }
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: a handler's own argument.
    unsafe { CODE.store((*info).si_code, SeqCst) };
    if CODE.load(SeqCst) <= 0 {
        return;
    }
    // SAFETY: a handler's own argument.
    let address = unsafe { fault_address(info) };
    ADDRESS.store(address, SeqCst);
    // SAFETY: async-signal-safe questions.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &mut stack);
        ON_ALT_STACK.store(stack.ss_flags & libc::SS_ONSTACK, SeqCst);
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        USR1_BLOCKED.store(libc::sigismember(&mask, libc::SIGUSR1), SeqCst);
        SELF_BLOCKED.store(libc::sigismember(&mask, signal), SeqCst);
    }
    open_guard(address);
}

extern "C" fn plain_host_handler(signal: i32) {
    CALLS.fetch_add(1, SeqCst);
    CODE.store(signal, SeqCst);
    open_guard(TO_OPEN.load(SeqCst));
}

/// A guest fault traps, and a host fault reaches the host's handler once.
fn check_both() {
    register();
    let (guest, host) = (Pages::new(), Pages::new());
    let regions = guest.regions(RegionClass::Memory);
    let calls = CALLS.load(SeqCst);
    assert!(guest_load(&regions, guest.guard()).is_err());
    assert_eq!(CALLS.load(SeqCst), calls, "a guest fault is not the host's");

    assert_eq!(host_load(host.guard() + 3), 0);
    assert_eq!(CALLS.load(SeqCst), calls + 1);
    assert_eq!(ADDRESS.load(SeqCst), host.guard() + 3);

    // Also in a host function called by a guest.
    let host = Pages::new();
    let activation = Activation::new(landing_pad_pc(), &regions);
    // SAFETY: as in `guest_load`.
    let byte = unsafe {
        activation.enter(|| {
            activation.disarm();
            assert_eq!(host_load(host.guard()), 0);
            activation.arm();
            load_byte(guest.guard(), 0)
        })
    };
    assert_eq!(CALLS.load(SeqCst), calls + 2);
    assert_eq!(byte, FAULTED);
}

#[test]
fn an_earlier_handler_still_gets_host_faults() {
    in_child("an_earlier_handler_still_gets_host_faults", || {
        host_installs(host_handler, libc::SA_ONSTACK);
        install().expect("supported here");
        check_both();
        assert_ne!(ON_ALT_STACK.load(SeqCst), 0);
        assert_eq!(USR1_BLOCKED.load(SeqCst), 0);
        assert_eq!(SELF_BLOCKED.load(SeqCst), 1);
        // Not longer than it ran.
        assert_eq!(blocked(GUARD_SIGNAL), 0);
    });
}

fn blocked(signal: i32) -> i32 {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        libc::sigismember(&mask, signal)
    }
}

#[test]
fn an_earlier_handler_may_want_its_own_signal_unblocked() {
    in_child(
        "an_earlier_handler_may_want_its_own_signal_unblocked",
        || {
            host_installs(host_handler, libc::SA_NODEFER);
            install().expect("supported here");
            check_both();
            assert_eq!(SELF_BLOCKED.load(SeqCst), 0);
        },
    );
}

#[test]
fn an_earlier_handlers_mask_holds_while_it_runs() {
    in_child("an_earlier_handlers_mask_holds_while_it_runs", || {
        let mut action = new_action(host_handler as *const () as usize, libc::SA_SIGINFO);
        // SAFETY: a valid set.
        unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1) };
        set_action(libc::SIGSEGV, &action);
        set_action(libc::SIGBUS, &action);
        install().expect("supported here");
        check_both();
        assert_eq!(USR1_BLOCKED.load(SeqCst), 1);
    });
}

#[test]
fn an_earlier_plain_handler_is_called_with_the_signal() {
    in_child("an_earlier_plain_handler_is_called_with_the_signal", || {
        let action = new_action(plain_host_handler as *const () as usize, 0);
        set_action(libc::SIGSEGV, &action);
        set_action(libc::SIGBUS, &action);
        install().expect("supported here");
        let pages = Pages::new();
        TO_OPEN.store(pages.guard(), SeqCst);
        assert_eq!(host_load(pages.guard()), 0);
        assert_eq!(CALLS.load(SeqCst), 1);
        assert_eq!(CODE.load(SeqCst), GUARD_SIGNAL);
    });
}

#[test]
fn an_earlier_handler_for_one_call_gets_one() {
    const NAME: &str = "an_earlier_handler_for_one_call_gets_one";
    let stderr = dies_in_child(NAME, GUARD_SIGNAL, || {
        host_installs(host_handler, libc::SA_RESETHAND);
        install().expect("supported here");
        let pages = Pages::new();
        assert_eq!(host_load(pages.guard()), 0);
        eprintln!("calls: {}", CALLS.load(SeqCst));
        let pages = Pages::new();
        host_load(pages.guard());
    });
    assert!(is_child() || stderr.contains("calls: 1\n"), "{stderr}");
}

/// The host's handler above ours: repairs faults in one page, and passes all
/// others on to the handler that it found.
extern "C" fn host_handler_above(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: a handler's own argument.
    let address = unsafe { fault_address(info) };
    if address & !0xfff == TO_OPEN.load(SeqCst) & !0xfff {
        CALLS.fetch_add(1, SeqCst);
        ADDRESS.store(address, SeqCst);
        open_guard(address);
    } else {
        // SAFETY: ours, which has three arguments.
        let below: InfoHandler = unsafe { std::mem::transmute(BELOW.load(SeqCst)) };
        below(signal, info, context);
    }
}
static BELOW: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_later_handler_that_chains_to_ours() {
    in_child("a_later_handler_that_chains_to_ours", || {
        let std_action = action(libc::SIGSEGV);
        install().expect("supported here");
        // Before: see `overtaken.rs` for threads that come later.
        prepare_thread().expect("there is memory");
        let ours = host_installs(host_handler_above, libc::SA_ONSTACK);
        assert_ne!(ours.sa_flags & libc::SA_SIGINFO, 0);
        assert_ne!(ours.sa_flags & libc::SA_ONSTACK, 0);
        BELOW.store(ours.sa_sigaction, SeqCst);

        register();
        let (guest, host) = (Pages::new(), Pages::new());
        TO_OPEN.store(host.guard(), SeqCst);
        let regions = guest.regions(RegionClass::Memory);
        assert!(guest_load(&regions, guest.guard()).is_err());
        assert_eq!(CALLS.load(SeqCst), 0);
        assert_eq!(host_load(host.guard()), 0);
        assert_eq!(CALLS.load(SeqCst), 1);

        // Installing again does not jump over it; removing is refused.
        install().expect("installed already");
        assert_eq!(
            action(libc::SIGSEGV).sa_sigaction,
            host_handler_above as *const () as usize
        );
        assert!(matches!(
            uninstall(),
            Err(UninstallError::InstalledAbove { signal: "SIGSEGV" })
        ));
        assert!(guest_load(&regions, guest.guard()).is_err());

        // It goes for SIGSEGV, but is still there for SIGBUS.
        set_action(libc::SIGSEGV, &ours);
        assert!(matches!(
            uninstall(),
            Err(UninstallError::InstalledAbove { signal: "SIGBUS" })
        ));
        assert!(guest_load(&regions, guest.guard()).is_err() || GUARD_SIGNAL == libc::SIGBUS);
        set_action(libc::SIGBUS, &ours);
        uninstall().expect("it is gone");
        assert_eq!(action(libc::SIGSEGV).sa_sigaction, std_action.sa_sigaction);
    });
}

#[test]
fn without_an_earlier_handler_a_fault_ends_the_process() {
    const NAME: &str = "without_an_earlier_handler_a_fault_ends_the_process";
    dies_in_child(NAME, GUARD_SIGNAL, || {
        host_default();
        install().expect("supported here");
        host_load(Pages::new().guard());
    });
}

#[test]
fn an_ignored_fault_ends_the_process() {
    dies_in_child("an_ignored_fault_ends_the_process", GUARD_SIGNAL, || {
        set_action(libc::SIGSEGV, &new_action(libc::SIG_IGN, 0));
        set_action(libc::SIGBUS, &new_action(libc::SIG_IGN, 0));
        install().expect("supported here");
        host_load(Pages::new().guard());
    });
}

/// Who reports faults is the address sanitizer in a build with it, which has handlers from the start, and
/// otherwise the kernel.
#[test]
fn a_fault_of_the_hosts_is_reported_as_without_us() {
    const NAME: &str = "a_fault_of_the_hosts_is_reported_as_without_us";
    if is_child() {
        register();
        install().expect("supported here");
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        for _ in 0..100 {
            assert!(guest_load(&regions, pages.guard()).is_err());
        }
        eprintln!("now the host");
        host_load(pages.guard());
        return;
    }
    let output = child(NAME)
        .env("ASAN_OPTIONS", "handle_segv=1")
        .output()
        .expect("the test program runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("now the host"), "{stderr}");
    let sanitized = option_env!("RUSTFLAGS").is_some_and(|f| f.contains("sanitizer=address"));
    if sanitized {
        assert!(
            stderr.contains("AddressSanitizer: SEGV on unknown address"),
            "{stderr}"
        );
    } else {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(GUARD_SIGNAL), "{stderr}");
    }
}

fn host_default() {
    set_action(libc::SIGSEGV, &new_action(libc::SIG_DFL, 0));
    set_action(libc::SIGBUS, &new_action(libc::SIG_DFL, 0));
}

fn send(signal: i32) {
    // SAFETY: sends this process a signal.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
    // One for the process may be given to another thread: wait for it.
    thread::sleep(std::time::Duration::from_millis(200));
}

#[test]
fn a_signal_that_was_sent_ends_the_process() {
    dies_in_child(
        "a_signal_that_was_sent_ends_the_process",
        libc::SIGBUS,
        || {
            host_default();
            install().expect("supported here");
            send(libc::SIGBUS);
        },
    );
}

#[test]
fn a_signal_that_was_sent_can_be_ignored() {
    in_child("a_signal_that_was_sent_can_be_ignored", || {
        set_action(libc::SIGSEGV, &new_action(libc::SIG_IGN, 0));
        install().expect("supported here");
        send(libc::SIGSEGV);
        // And our handler is still there.
        register();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
    });
}

#[test]
fn a_signal_that_was_sent_reaches_the_earlier_handler() {
    in_child("a_signal_that_was_sent_reaches_the_earlier_handler", || {
        host_installs(host_handler, 0);
        install().expect("supported here");
        CODE.store(1, SeqCst);
        send(libc::SIGSEGV);
        assert_eq!(CALLS.load(SeqCst), 1);
        assert!(CODE.load(SeqCst) <= 0);
    });
}

/// A handler of a host that owns the signals.
extern "C" fn host_owned_handler(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: a handler's own arguments.
    if unsafe { try_handle(signal, info, context) } {
        return;
    }
    host_handler(signal, info, context);
}

#[test]
fn a_host_can_own_the_handler() {
    in_child("a_host_can_own_the_handler", || {
        host_installs(host_owned_handler, libc::SA_ONSTACK);
        check_both();
        assert!(matches!(uninstall(), Err(UninstallError::NotInstalled)));
        assert_eq!(
            action(libc::SIGSEGV).sa_sigaction,
            host_owned_handler as *const () as usize
        );
    });
}

/// What `try_handle` said of altered copies of a guest's fault: one bit each.
static CLAIMED: AtomicUsize = AtomicUsize::new(usize::MAX);

extern "C" fn altering_handler(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: of all these calls: a handler's own arguments, or a copy of them.
    unsafe {
        let altered = |code| {
            let mut copy = info.read();
            copy.si_code = code;
            try_handle(signal, &mut copy, context)
        };
        let claims = [
            altered(0),        // SI_USER of Linux
            altered(0x1_0001), // SI_USER of macOS
            altered(-1),       // SI_QUEUE of Linux
            altered(0x80),     // SI_KERNEL of Linux: no address
            altered(5),        // BUS_MCEERR_AO of Linux: the hardware failed
            try_handle(libc::SIGILL, info, context),
            try_handle(signal, std::ptr::null_mut(), context),
            try_handle(signal, info, std::ptr::null_mut()),
        ];
        let bits = claims.iter().fold(0, |bits, c| bits << 1 | usize::from(*c));
        CLAIMED.store(bits, SeqCst);
        if !try_handle(signal, info, context) {
            libc::_exit(3);
        }
    }
}

#[test]
fn only_memory_faults_of_the_kernel_are_the_guests() {
    in_child("only_memory_faults_of_the_kernel_are_the_guests", || {
        host_installs(altering_handler, libc::SA_ONSTACK);
        register();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
        assert_eq!(CLAIMED.load(SeqCst), 0, "one bit for each that was claimed");
    });
}

#[test]
fn nothing_is_installed_unasked() {
    in_child("nothing_is_installed_unasked", || {
        let before = [libc::SIGSEGV, libc::SIGBUS].map(|s| action(s).sa_sigaction);
        register();
        prepare_thread().expect("there is memory");
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert_eq!(guest_load(&regions, pages.readable()), Ok(7));
        let after = [libc::SIGSEGV, libc::SIGBUS].map(|s| action(s).sa_sigaction);
        assert_eq!(before, after);
    });
}

#[test]
fn installing_again_does_nothing() {
    in_child("installing_again_does_nothing", || {
        host_installs(host_handler, libc::SA_ONSTACK);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| install().expect("supported here"));
            }
        });
        let ours = action(libc::SIGSEGV).sa_sigaction;
        assert_ne!(ours, host_handler as *const () as usize);
        install().expect("supported here");
        assert_eq!(action(libc::SIGSEGV).sa_sigaction, ours);
        // Were ours below itself, this would not end.
        check_both();
        uninstall().expect("it was installed once");
        assert_eq!(
            action(libc::SIGSEGV).sa_sigaction,
            host_handler as *const () as usize
        );
        assert!(matches!(uninstall(), Err(UninstallError::NotInstalled)));
    });
}

#[test]
fn uninstalled_means_gone() {
    dies_in_child("uninstalled_means_gone", GUARD_SIGNAL, || {
        host_default();
        register();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        for _ in 0..3 {
            install().expect("supported here");
            assert!(guest_load(&regions, pages.guard()).is_err());
            uninstall().expect("nobody runs");
            for signal in [libc::SIGSEGV, libc::SIGBUS] {
                assert_eq!(action(signal).sa_sigaction, libc::SIG_DFL);
            }
        }
        let _ = guest_load(&regions, pages.guard());
    });
}

#[test]
fn uninstalling_is_refused_while_guests_run() {
    in_child("uninstalling_is_refused_while_guests_run", || {
        install().expect("supported here");
        register();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        let refused = |expected| {
            let result = uninstall();
            assert!(
                matches!(result, Err(UninstallError::ActivationsLive { threads }) if threads == expected),
                "{result:?}"
            );
        };
        // SAFETY: as in `guest_load`.
        let byte = unsafe {
            activation.enter(|| {
                refused(1);
                // Nested ones of a thread count once.
                let inner = Activation::new(landing_pad_pc(), &regions);
                inner.enter(|| refused(1));
                // Disarmed ones count, and other threads see them.
                activation.disarm();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        refused(1);
                        let inner = Activation::new(landing_pad_pc(), std::ptr::null());
                        inner.enter(|| refused(2));
                        refused(1);
                    });
                });
                activation.arm();
                load_byte(pages.guard(), 0)
            })
        };
        assert_eq!(byte, FAULTED, "the handlers are still there");
        uninstall().expect("nobody runs any more");
    });
}

/// Uses up the native stack.
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 128]);
    if depth == usize::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[depth % 128]
}

fn overflow() {
    black_box(recurse(0));
}

#[test]
fn a_host_stack_overflow_is_reported_by_rust() {
    const NAME: &str = "a_host_stack_overflow_is_reported_by_rust";
    let stderr = dies_in_child(NAME, libc::SIGABRT, || {
        install().expect("supported here");
        overflow();
    });
    assert!(is_child() || stderr.contains("has overflowed its stack"));
}

#[test]
fn a_stack_overflow_in_a_host_function_is_reported_by_rust() {
    const NAME: &str = "a_stack_overflow_in_a_host_function_is_reported_by_rust";
    let stderr = dies_in_child(NAME, libc::SIGABRT, || {
        register();
        install().expect("supported here");
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
        let activation = Activation::new(landing_pad_pc(), &regions);
        // SAFETY: as in `guest_load`.
        unsafe {
            activation.enter(|| {
                activation.disarm();
                overflow();
            });
        }
    });
    assert!(is_child() || stderr.contains("has overflowed its stack"));
}

#[test]
fn a_stack_overflow_in_another_thread_is_reported_by_rust() {
    const NAME: &str = "a_stack_overflow_in_another_thread_is_reported_by_rust";
    let stderr = dies_in_child(NAME, libc::SIGABRT, || {
        register();
        install().expect("supported here");
        let spawn = |body: fn()| {
            let thread = thread::Builder::new().name("busy".into());
            let _ = thread.spawn(body).expect("a thread").join();
        };
        spawn(|| {
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            assert!(guest_load(&regions, pages.guard()).is_err());
            overflow();
        });
    });
    assert!(is_child() || stderr.contains("thread 'busy'"), "{stderr}");
    assert!(is_child() || stderr.contains("has overflowed its stack"));
}
