//! Recursion that ends where `native_stack` says that the stack does: not later, which would end the
//! process, and not much earlier.

#![cfg(all(any(target_os = "linux", target_os = "macos"), not(miri)))]

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::{ptr, thread};

use common::{in_child, new_action, set_action};
use vm_trap::native_stack::{bounds, remaining};

/// So much is left unused. (Frames of unoptimised code and of sanitizers are large.)
const RESERVE: usize = 12 << 10;

/// Uses the stack until fewer than `until` bytes are left; returns how many are at the deepest point.
#[inline(never)]
fn descend(until: usize, above: usize) -> usize {
    let frame = black_box([above as u8; 256]);
    let left = remaining().expect("known above, so known here");
    assert!(left < above, "{left} are left below {above}");
    let deepest = if left < until {
        left
    } else {
        descend(until, left)
    };
    // Not a tail call.
    deepest + usize::from(black_box(frame)[0] ^ frame[255])
}

/// Goes to the end of the stack and back; returns how many bytes there were.
fn all_of_it() -> usize {
    let start = remaining().expect("a stack of the thread's own");
    descend(RESERVE, usize::MAX);
    start
}

#[test]
fn threads_have_what_they_were_given() {
    for kib in [64, 256, 1 << 10, 64 << 10] {
        let bytes = kib << 10;
        let thread = thread::Builder::new().stack_size(bytes);
        let found = thread.spawn(all_of_it).unwrap().join().unwrap();
        // What the C library and the standard library keep there is not left. It may be more: glibc gives a thread
        // the stack of one that has ended, if that is large enough. That it is not too much, going to its end says.
        assert!(found + (16 << 10) > bytes, "{found} of {bytes}");
    }
}

#[test]
fn threads_differ_and_keep_their_bounds() {
    let first = bounds().unwrap();
    assert_eq!(bounds().unwrap(), first);
    let left = remaining().unwrap();
    let (low, high) = (first.start + left - 4096, first.start + left + 4096);
    // The address of a local variable is on another stack in a build with a sanitizer.
    let local = black_box(0u8);
    let here = (&raw const local).addr();
    assert!((low..high).contains(&here) || common::sanitized());
    let other = thread::spawn(|| bounds().unwrap()).join().unwrap();
    assert!(other.end <= first.start || first.end <= other.start);
}

/// What a thread's body leaves for the one that waits for it.
static FOUND: AtomicUsize = AtomicUsize::new(0);

extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
    FOUND.store(all_of_it(), SeqCst);
    ptr::null_mut()
}

/// Runs a thread that the standard library does not make, and returns what it found.
fn with_attributes(set: impl FnOnce(&mut libc::pthread_attr_t)) -> usize {
    FOUND.store(0, SeqCst);
    // SAFETY: attributes that are set, used and given back, and a thread that is waited for.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        set(&mut attributes);
        let mut thread = std::mem::zeroed();
        let status = libc::pthread_create(&mut thread, &attributes, body, ptr::null_mut());
        assert_eq!(status, 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
        libc::pthread_attr_destroy(&mut attributes);
    }
    FOUND.load(SeqCst)
}

#[test]
fn guards_are_not_counted() {
    const STACK: usize = 1 << 20;
    for guard in [0, 1 << 16, 4 << 20] {
        let found = with_attributes(|attributes| {
            // SAFETY: valid attributes and sizes.
            unsafe {
                assert_eq!(libc::pthread_attr_setstacksize(attributes, STACK), 0);
                assert_eq!(libc::pthread_attr_setguardsize(attributes, guard), 0);
            }
        });
        assert!(found < STACK + 4096, "{found}, guard {guard}");
        assert!(found + (16 << 10) > STACK, "{found}, guard {guard}");
    }
}

#[test]
fn a_stack_that_the_host_has_made_is_known() {
    const STACK: usize = 512 << 10;
    let mut memory = vec![0u8; STACK + 4096];
    let low = memory
        .as_mut_ptr()
        .wrapping_add(memory.as_ptr().align_offset(4096));
    let found = with_attributes(|attributes| {
        // SAFETY: memory that outlives the thread.
        let status = unsafe { libc::pthread_attr_setstack(attributes, low.cast(), STACK) };
        assert_eq!(status, 0);
    });
    assert!((STACK - (16 << 10)..STACK).contains(&found), "{found}");
}

/// What [`on_another_stack`] was told, plus 1; 0 before.
static TOLD: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_another_stack(_: i32) {
    TOLD.store(remaining().map_or(1, |left| left + 2), SeqCst);
}

/// Has a signal handled on an alternate stack; returns what `remaining` says there.
fn asked_on_another_stack() -> Option<usize> {
    TOLD.store(0, SeqCst);
    let mut memory = vec![0u8; 256 << 10];
    // SAFETY: the memory is there until it is no alternate stack any more.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        let mut before: libc::stack_t = std::mem::zeroed();
        stack.ss_sp = memory.as_mut_ptr().cast();
        stack.ss_size = memory.len();
        assert_eq!(libc::sigaltstack(&stack, &mut before), 0);
        let handler = on_another_stack as extern "C" fn(i32) as usize;
        set_action(libc::SIGUSR1, &new_action(handler, libc::SA_ONSTACK));
        assert_eq!(libc::raise(libc::SIGUSR1), 0);
        assert_eq!(libc::sigaltstack(&before, ptr::null_mut()), 0);
    }
    TOLD.load(SeqCst)
        .checked_sub(1)
        .expect("it was asked")
        .checked_sub(1)
}

#[test]
fn nothing_is_known_of_another_stack() {
    in_child("nothing_is_known_of_another_stack", || {
        for _ in 0..2 {
            thread::spawn(|| {
                // The thread's first question, and one after it knows its own.
                assert_eq!(asked_on_another_stack(), None);
                let left = remaining().expect("back on the thread's own");
                assert_eq!(asked_on_another_stack(), None);
                assert_eq!(remaining(), Some(left));
            })
            .join()
            .unwrap();
        }
    });
}

/// A coroutine's stack, as libraries for them make it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn nothing_is_known_of_a_coroutine() {
    static MAIN: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn coroutine() {
        TOLD.store(
            1 + usize::from(remaining().is_some()) + usize::from(bounds().is_some()),
            SeqCst,
        );
        // SAFETY: goes back to where it was made.
        unsafe { libc::setcontext(MAIN.load(SeqCst) as *const libc::ucontext_t) };
    }
    in_child("nothing_is_known_of_a_coroutine", || {
        let mut memory = vec![0u8; 256 << 10];
        let left = remaining().unwrap();
        // SAFETY: contexts and a stack that live until the end.
        unsafe {
            let mut main: libc::ucontext_t = std::mem::zeroed();
            let mut other: libc::ucontext_t = std::mem::zeroed();
            MAIN.store((&raw mut main).expose_provenance(), SeqCst);
            assert_eq!(libc::getcontext(&mut other), 0);
            other.uc_stack.ss_sp = memory.as_mut_ptr().cast();
            other.uc_stack.ss_size = memory.len();
            libc::makecontext(&mut other, coroutine, 0);
            assert_eq!(libc::swapcontext(&mut main, &other), 0);
        }
        assert_eq!(TOLD.load(SeqCst), 1);
        assert_eq!(remaining(), Some(left));
    });
}

#[test]
fn a_child_of_a_thread_has_the_threads_stack() {
    in_child("a_child_of_a_thread_has_the_threads_stack", || {
        for asked_before in [false, true] {
            let thread = thread::Builder::new().stack_size(256 << 10);
            let status = thread.spawn(move || {
                if asked_before {
                    remaining().unwrap();
                }
                // SAFETY: the child goes down its stack and ends.
                unsafe {
                    let child = libc::fork();
                    if child == 0 {
                        let found = all_of_it();
                        libc::_exit(i32::from(found > 256 << 10));
                    }
                    let mut status = -1;
                    assert_eq!(libc::waitpid(child, &mut status, 0), child);
                    status
                }
            });
            assert_eq!(status.unwrap().join().unwrap(), 0);
        }
    });
}

/// The main thread's stack, in processes of their own. A test harness runs its tests on other threads,
/// so that what is asked here happens before the harness begins.
#[cfg(target_os = "linux")]
mod main_thread {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    const CASE: &str = "VM_TRAP_TEST_MAIN_THREAD";

    /// Run by the loader, on the main thread.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEFORE_MAIN: extern "C" fn() = before_main;

    extern "C" fn before_main() {
        let Ok(case) = std::env::var(CASE) else {
            return;
        };
        match &*case {
            "all" => {}
            "without /proc" => no_files(),
            "a mapping below" => map_below(24 << 20),
            // Too much to go to its end.
            "enough" => {
                let start = remaining().unwrap();
                descend(start - (48 << 20), usize::MAX);
                println!("{start}");
                std::process::exit(0);
            }
            other => panic!("{other}"),
        }
        println!("{}", all_of_it());
        std::process::exit(0);
    }

    /// No file can be opened any more, those of `/proc` among them.
    fn no_files() {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: plain data.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
        assert!(std::fs::File::open("/proc/self/maps").is_err());
    }

    /// Maps a page so far below here.
    fn map_below(bytes: usize) {
        let local = 0u8;
        let at = ((&raw const local).addr() - bytes) & !0xffff;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: a new mapping where there is none.
        let mapped = unsafe { libc::mmap(at as *mut _, 65536, libc::PROT_READ, flags, -1, 0) };
        assert_eq!(mapped.addr(), at, "{}", io::Error::last_os_error());
    }

    /// What a process finds whose stack is limited to so many bytes.
    fn found(case: &str, limit: libc::rlim_t, environment: usize) -> usize {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env_clear().env(CASE, case);
        for n in 0..environment.div_ceil(10_000) {
            command.env(format!("LARGE_{n}"), "x".repeat(9_990));
        }
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: the closure only sets a limit.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_STACK, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{case}, {limit:?}: {}\n{text}{errors}",
            output.status
        );
        text.trim().parse().unwrap()
    }

    #[test]
    fn the_main_thread_has_what_the_limit_allows() {
        for kib in [128, 256, 1 << 10, 8 << 10, 64 << 10] {
            let limit = kib << 10;
            let found = found("all", limit as libc::rlim_t, 0);
            assert!(found < limit, "{found} of {limit}");
            assert!(found + (48 << 10) > limit, "{found} of {limit}");
        }
    }

    #[test]
    fn arguments_and_environment_are_in_it() {
        const LIMIT: usize = 256 << 10;
        let found = found("all", LIMIT as libc::rlim_t, 100 << 10);
        assert!(
            (LIMIT - (150 << 10)..LIMIT - (100 << 10)).contains(&found),
            "{found}"
        );
    }

    #[test]
    fn the_main_thread_may_be_unlimited() {
        let found = found("enough", libc::RLIM_INFINITY, 0);
        assert!(found > 64 << 20, "{found}");
    }

    #[test]
    fn the_main_thread_ends_above_what_is_mapped_below_it() {
        for limit in [64 << 20, libc::RLIM_INFINITY] {
            let found = found("a mapping below", limit, 0);
            // 24 MiB, less the gap of 1 MiB.
            assert!((22 << 20..24 << 20).contains(&found), "{found}");
        }
    }

    #[test]
    fn the_main_thread_is_known_without_files() {
        let found_1 = found("without /proc", 1 << 20, 0);
        assert!((960 << 10..1 << 20).contains(&found_1), "{found_1}");
        for limit in [64 << 20, libc::RLIM_INFINITY] {
            let found = found("without /proc", limit, 0);
            assert!((7 << 20..8 << 20).contains(&found), "{found}");
        }
    }
}
