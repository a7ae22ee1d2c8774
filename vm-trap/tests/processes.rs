//! Threads, fork, other signals, alternate stacks, and nothing that grows.

#![cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod common;

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::{ptr, thread};

use common::*;
use vm_trap::{Activation, RegionClass, install, prepare_thread, uninstall};

fn ready() {
    register();
    install().expect("supported here");
}

/// Largest resident set so far, in bytes.
fn peak_bytes() -> usize {
    // SAFETY: plain data, written by the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    usize::try_from(usage.ru_maxrss).expect("a size") * unit
}

/// Number of mappings of this process.
#[cfg(target_os = "linux")]
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .expect("readable")
        .lines()
        .count()
}

#[cfg(target_os = "macos")]
fn mappings() -> usize {
    0 // Not to be had without Mach calls; the peak of memory serves there.
}

fn alt_stack() -> libc::stack_t {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        assert_eq!(libc::sigaltstack(ptr::null(), &mut stack), 0);
        stack
    }
}

#[test]
fn a_million_faults_leave_nothing_behind() {
    in_child("a_million_faults_leave_nothing_behind", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        let fault_at = |address| {
            // SAFETY: as in `guest_load`.
            let byte = unsafe { activation.enter(|| load_byte(address, 0)) };
            assert_eq!(byte, FAULTED);
            activation.take_fault().expect("it is the guard")
        };
        let first = fault_at(pages.guard());
        let (peak, mapped) = (peak_bytes(), mappings());
        for round in 0..1_000_000 {
            let address = pages.guard() + round % 4096;
            let fault = fault_at(address);
            assert_eq!(fault.address, address);
            assert_eq!(fault.gpr[STACK_POINTER], first.gpr[STACK_POINTER]);
        }
        // Not a mapping for every thousand faults, nor sixteen bytes for each. (A sanitizer's allocator maps
        // some.)
        assert!(mappings() < mapped + 100, "{mapped} {}", mappings());
        assert!(peak_bytes() - peak < 16 << 20, "{peak} {}", peak_bytes());
    });
}

#[test]
fn threads_fault_at_once() {
    in_child("threads_fault_at_once", || {
        const THREADS: usize = 64;
        ready();
        let start = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let start = Arc::clone(&start);
                thread::spawn(move || {
                    let pages = Pages::new();
                    let regions = pages.regions(RegionClass::Memory);
                    start.wait();
                    for round in 0..2000 {
                        let address = pages.guard() + round;
                        let fault = guest_load(&regions, address).expect_err("the guard");
                        assert_eq!(fault.address, address);
                        assert_eq!(guest_load(&regions, pages.readable()), Ok(7));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("all its faults were traps");
        }
        uninstall().expect("all activations have ended");
    });
}

#[test]
fn threads_give_everything_back() {
    in_child("threads_give_everything_back", || {
        ready();
        let one_thread = || {
            thread::spawn(|| {
                let pages = Pages::new();
                let regions = pages.regions(RegionClass::Memory);
                assert!(guest_load(&regions, pages.guard()).is_err());
            })
            .join()
            .expect("no failure");
        };
        for _ in 0..20 {
            one_thread();
        }
        let before = mappings();
        for _ in 0..500 {
            one_thread();
        }
        // A leaked alternate stack would be two mappings for each thread.
        assert!(mappings() < before + 50, "{before} {}", mappings());
    });
}

#[test]
fn a_fork_goes_on_faulting() {
    in_child("a_fork_goes_on_faulting", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());

        // Another thread is inside an activation while the process forks.
        let (entered, forked) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let other = {
            let (entered, forked) = (Arc::clone(&entered), Arc::clone(&forked));
            thread::spawn(move || {
                let activation = Activation::new(landing_pad_pc(), ptr::null());
                // SAFETY: no guest runs.
                unsafe {
                    activation.enter(|| {
                        entered.wait();
                        forked.wait();
                    });
                }
            })
        };
        entered.wait();

        // SAFETY: the child calls nothing that could wait for another thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let activation = Activation::new(landing_pad_pc(), &regions);
            for _ in 0..1000 {
                // SAFETY: as in `guest_load`.
                let byte = unsafe { activation.enter(|| load_byte(pages.guard(), 0)) };
                if byte != FAULTED || activation.take_fault().is_none() {
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(1) };
                }
            }
            // The other thread does not exist here.
            let status = if uninstall().is_ok() { 0 } else { 2 };
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: waits for the child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "status {status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 0);
        assert!(guest_load(&regions, pages.guard()).is_err());
        assert!(uninstall().is_err(), "the other thread still exists here");
        forked.wait();
        other.join().expect("no failure");
    });
}

static TICKS: AtomicUsize = AtomicUsize::new(0);
static TICKS_IN_GUEST: AtomicUsize = AtomicUsize::new(0);
static RUNNING: AtomicPtr<Activation> = AtomicPtr::new(ptr::null_mut());

extern "C" fn tick(_: i32) {
    TICKS.fetch_add(1, SeqCst);
    // SAFETY: null, or the activation of the test, which outlives the timer.
    if unsafe { RUNNING.load(SeqCst).as_ref() }.is_some_and(Activation::is_armed) {
        TICKS_IN_GUEST.fetch_add(1, SeqCst);
    }
}

fn profile_every(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: plain data.
    let status = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, ptr::null_mut()) };
    assert_eq!(status, 0);
}

#[test]
fn a_profiler_disturbs_nothing() {
    in_child("a_profiler_disturbs_nothing", || {
        ready();
        let action = new_action(
            tick as *const () as usize,
            libc::SA_RESTART | libc::SA_ONSTACK,
        );
        set_action(libc::SIGPROF, &action);
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        RUNNING.store(ptr::from_ref(&activation).cast_mut(), SeqCst);
        profile_every(1000);
        while TICKS.load(SeqCst) < 100 || TICKS_IN_GUEST.load(SeqCst) < 50 {
            // SAFETY: as in `guest_load`.
            let byte = unsafe {
                activation.enter(|| {
                    for _ in 0..1000 {
                        assert_eq!(load_byte(pages.readable(), 0), 7);
                    }
                    load_byte(pages.guard() + 9, 0)
                })
            };
            assert_eq!(byte, FAULTED);
            let fault = activation.take_fault().expect("it is the guard");
            assert_eq!(fault.address, pages.guard() + 9);
        }
        profile_every(0);
    });
}

#[test]
fn errno_is_preserved() {
    in_child("errno_is_preserved", || {
        #[cfg(target_os = "linux")]
        // SAFETY: the thread's own variable.
        let errno = unsafe { libc::__errno_location() };
        #[cfg(target_os = "macos")]
        // SAFETY: the thread's own variable.
        let errno = unsafe { libc::__error() };
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        let activation = Activation::new(landing_pad_pc(), &regions);
        // SAFETY: as in `guest_load`, and the thread's own variable.
        let after = unsafe {
            activation.enter(|| {
                errno.write(77);
                load_byte(pages.guard(), 0);
                errno.read()
            })
        };
        assert!(activation.fault().is_some());
        assert_eq!(after, 77);
    });
}

#[test]
fn a_thread_without_an_alternate_stack_gets_one() {
    in_child("a_thread_without_an_alternate_stack_gets_one", || {
        ready();
        thread::spawn(|| {
            // SAFETY: takes away what the standard library set up.
            unsafe {
                let mut none: libc::stack_t = std::mem::zeroed();
                none.ss_flags = libc::SS_DISABLE;
                none.ss_size = libc::SIGSTKSZ;
                assert_eq!(libc::sigaltstack(&none, ptr::null_mut()), 0);
            }
            prepare_thread().expect("there is memory");
            let stack = alt_stack();
            assert_eq!(stack.ss_flags & libc::SS_DISABLE, 0);
            assert!(stack.ss_size >= 64 * 1024);

            // Doing it again changes nothing.
            prepare_thread().expect("there is one");
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            assert!(guest_load(&regions, pages.guard()).is_err());
            assert_eq!(alt_stack().ss_sp, stack.ss_sp);
        })
        .join()
        .expect("no failure");
    });
}

/// (The usual size on macOS is large enough.)
#[cfg(target_os = "linux")]
#[test]
fn a_small_alternate_stack_is_replaced() {
    in_child("a_small_alternate_stack_is_replaced", || {
        // Enough for the kernel, but not for handlers of any size.
        // SAFETY: only asks.
        let kernel = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let small = kernel.max(libc::SIGSTKSZ);
        let mut memory = vec![0u8; small];
        thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: the memory outlives the thread.
                unsafe {
                    let mut stack: libc::stack_t = std::mem::zeroed();
                    stack.ss_sp = memory.as_mut_ptr().cast();
                    stack.ss_size = memory.len();
                    assert_eq!(libc::sigaltstack(&stack, ptr::null_mut()), 0);
                }
                prepare_thread().expect("there is memory");
                assert!(alt_stack().ss_size > small);
            });
        });
    });
}

#[test]
fn a_large_alternate_stack_is_kept() {
    in_child("a_large_alternate_stack_is_kept", || {
        ready();
        // As large as that of the Go runtime on Linux.
        let bytes = if cfg!(target_os = "macos") {
            libc::SIGSTKSZ
        } else {
            32 * 1024
        };
        let mut memory = vec![0u8; bytes];
        let own = memory.as_mut_ptr();
        thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: the memory outlives the thread.
                unsafe {
                    let mut stack: libc::stack_t = std::mem::zeroed();
                    stack.ss_sp = memory.as_mut_ptr().cast();
                    stack.ss_size = memory.len();
                    assert_eq!(libc::sigaltstack(&stack, ptr::null_mut()), 0);
                }
                let pages = Pages::new();
                let regions = pages.regions(RegionClass::Memory);
                assert!(guest_load(&regions, pages.guard()).is_err());
                assert_eq!(alt_stack().ss_sp, memory.as_mut_ptr().cast());
                // SAFETY: takes it away again.
                unsafe {
                    let mut none: libc::stack_t = std::mem::zeroed();
                    none.ss_flags = libc::SS_DISABLE;
                    none.ss_size = libc::SIGSTKSZ;
                    assert_eq!(libc::sigaltstack(&none, ptr::null_mut()), 0);
                }
            });
        });
        let used = memory.iter().filter(|byte| **byte != 0).count();
        assert!(used > 0, "the handler ran on {own:p}");
    });
}

#[test]
fn the_alternate_stack_goes_with_its_thread() {
    /// Looks at the alternate stack after this crate has cleaned up.
    struct LooksLate;
    impl Drop for LooksLate {
        fn drop(&mut self) {
            assert_ne!(alt_stack().ss_flags & libc::SS_DISABLE, 0);
            // Guests still run then, on the thread's own stack.
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            assert!(guest_load(&regions, pages.guard()).is_err());
            LOOKED.fetch_add(1, SeqCst);
        }
    }
    static LOOKED: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static LATE: LooksLate = const { LooksLate }; }

    extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
        assert_ne!(alt_stack().ss_flags & libc::SS_DISABLE, 0);
        // Destructors run in the reverse order of first use.
        LATE.with(|_| {});
        prepare_thread().expect("there is memory");
        assert_eq!(alt_stack().ss_flags & libc::SS_DISABLE, 0);
        ptr::null_mut()
    }

    in_child("the_alternate_stack_goes_with_its_thread", || {
        ready();
        // A thread that the standard library does not know: it would take the
        // alternate stack away itself.
        // SAFETY: a thread with default attributes, waited for.
        unsafe {
            let mut thread = std::mem::zeroed();
            let status = libc::pthread_create(&mut thread, ptr::null(), body, ptr::null_mut());
            assert_eq!(status, 0);
            assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
        }
        assert_eq!(LOOKED.load(SeqCst), 1);
    });
}

/// Blocks all signals in this thread, as designs around `sigwait` have it; threads that it starts inherit
/// that.
fn block_all() {
    // SAFETY: a valid set.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        assert_eq!(
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, ptr::null_mut()),
            0
        );
    }
}

fn is_blocked(signal: i32) -> bool {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
        libc::sigismember(&mask, signal) == 1
    }
}

#[test]
fn a_thread_that_has_inherited_blocked_signals_faults() {
    in_child("a_thread_that_has_inherited_blocked_signals_faults", || {
        ready();
        block_all();
        thread::spawn(|| {
            assert!(is_blocked(libc::SIGSEGV) && is_blocked(libc::SIGBUS));
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            for _ in 0..2 {
                assert!(guest_load(&regions, pages.guard()).is_err());
            }
            // Those of faults, and no other.
            assert!(!is_blocked(libc::SIGSEGV) && !is_blocked(libc::SIGBUS));
            assert!(is_blocked(libc::SIGTERM) && is_blocked(libc::SIGUSR1));
        })
        .join()
        .expect("all its faults were traps");
        assert!(
            is_blocked(libc::SIGSEGV),
            "the other thread's mask is its own"
        );
    });
}

#[test]
fn a_thread_that_blocks_signals_later_says_so() {
    in_child("a_thread_that_blocks_signals_later_says_so", || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
        for _ in 0..2 {
            block_all();
            prepare_thread().expect("it has all else");
            assert!(guest_load(&regions, pages.guard()).is_err());
        }
    });
}

/// What is documented, and no more than that: nobody looks at the mask again.
#[test]
fn a_thread_that_blocks_signals_later_and_does_not_say_so_ends_the_process() {
    const NAME: &str = "a_thread_that_blocks_signals_later_and_does_not_say_so_ends_the_process";
    let signal = if cfg!(target_os = "macos") {
        libc::SIGBUS
    } else {
        libc::SIGSEGV
    };
    dies_in_child(NAME, signal, || {
        ready();
        let pages = Pages::new();
        let regions = pages.regions(RegionClass::Memory);
        assert!(guest_load(&regions, pages.guard()).is_err());
        block_all();
        let _ = guest_load(&regions, pages.guard());
    });
}

/// Engines that check bounds in code have no access sites, and leave the thread as it is.
#[test]
fn without_access_sites_nothing_of_the_thread_changes() {
    in_child("without_access_sites_nothing_of_the_thread_changes", || {
        block_all();
        thread::spawn(|| {
            // SAFETY: takes away what the standard library set up.
            unsafe {
                let mut none: libc::stack_t = std::mem::zeroed();
                none.ss_flags = libc::SS_DISABLE;
                none.ss_size = libc::SIGSTKSZ;
                assert_eq!(libc::sigaltstack(&none, ptr::null_mut()), 0);
            }
            let pages = Pages::new();
            let regions = pages.regions(RegionClass::Memory);
            assert_eq!(guest_load(&regions, pages.readable()), Ok(7));
            assert!(is_blocked(libc::SIGSEGV));
            assert_ne!(alt_stack().ss_flags & libc::SS_DISABLE, 0);
            // From when there are some, it is made ready.
            ready();
            assert!(guest_load(&regions, pages.guard()).is_err());
            assert_eq!(alt_stack().ss_flags & libc::SS_DISABLE, 0);
        })
        .join()
        .expect("no failure");
    });
}
