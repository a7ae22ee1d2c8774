//! What concerns the whole process: handlers of the host before and after ours, faults of host
//! functions, stack overflows, `fork`, threads, and signals that arrive in the middle of guest code.
//! Each in a process of its own. `vm-trap/tests` has the same for its crate alone, with a guest of two
//! instructions; here guests are WebAssembly, in every mode.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod common;

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::{mem, ptr, thread};

use common::process::{alone, dies};
use common::{call, modes, modes_with};
use vm_engine::{
    Bounds, Caller, Engine, Instance, Linker, Module, Result, SignalHandlers, Store, Trap,
};

/// Traps in several ways, and calls the host in between.
const GUEST: &str = r#"
(module
  (import "host" "call" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "host") (param i32) (result i32) (call $host (local.get 0)))
  ;; Stores around a call of the host, then loads at the given address.
  (func (export "through") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i32.store (i32.const 20) (call $host (local.get 1)))
    (i32.add (i32.load (i32.const 20)) (i32.load (local.get 0))))
  (func $recurse (export "recurse") (call $recurse))
  ;; Runs for a while: the sum of 0 … n-1, over memory.
  (func (export "sum") (param $n i32) (result i32) (local $i i32)
    (i32.store (i32.const 64) (i32.const 0))
    (loop $again
      (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (local.get $i)))
      (br_if $again
        (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 1)))
          (local.get $n))))
    (i32.load (i32.const 64))))"#;

type HostFunction = fn(Caller<'_, ()>, i32) -> Result<i32>;

fn instantiate(engine: &Engine, host: HostFunction) -> (Store<()>, Instance) {
    let module = Module::new(engine, GUEST).unwrap();
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "call", host).unwrap();
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn no_host(_: Caller<'_, ()>, _: i32) -> Result<i32> {
    Ok(0)
}

/// The guest's accesses inside succeed, and those outside trap.
fn check_guest(store: &mut Store<()>, instance: Instance) {
    assert_eq!(
        call::<_, u32, i32>(store, instance, "load", 65532).unwrap(),
        0
    );
    for at in [65533, 65536, 1 << 31, u32::MAX] {
        let error = call::<_, u32, i32>(store, instance, "load", at).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    }
    let error = call::<_, (), ()>(store, instance, "recurse", ()).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::StackOverflow));
}

/// Engines whose guests' faults need a signal handler. Empty where there are none.
fn guarded() -> Option<Engine> {
    modes()
        .into_iter()
        .find(|engine| engine.strategy().bounds == Bounds::Guarded)
}

// The host's own handlers and faults.

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// How often the host's handler was called, and the address that it was told last.
static CALLS: AtomicUsize = AtomicUsize::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
/// A page of the host's that cannot be accessed until its handler has repaired that.
static PAGE: AtomicUsize = AtomicUsize::new(0);
/// The handler that the host's found when it was installed.
static FOUND: AtomicUsize = AtomicUsize::new(0);

fn protect(protection: c_int) {
    // SAFETY: the host's own page; async-signal-safe.
    let status = unsafe { libc::mprotect(PAGE.load(SeqCst) as *mut c_void, 4096, protection) };
    assert_eq!(status, 0);
}

/// A page that faults.
fn host_page() -> usize {
    // SAFETY: a new mapping.
    let page = unsafe {
        let (protection, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    PAGE.store(page as usize, SeqCst);
    page as usize
}

/// Repairs the host's page. Returns whether that was the matter.
fn repair(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: a handler's own argument.
    let address = unsafe { (*info).si_addr() } as usize;
    let page = PAGE.load(SeqCst);
    if !(page..page + 4096).contains(&address) {
        return false;
    }
    CALLS.fetch_add(1, SeqCst);
    ADDRESS.store(address, SeqCst);
    protect(libc::PROT_READ | libc::PROT_WRITE);
    true
}

/// The host's handler below ours. A fault that is not the host's ends the process.
extern "C" fn below(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    if !repair(info) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(33) };
    }
}

/// The host's handler above ours: passes on what is not the host's.
extern "C" fn above(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if !repair(info) {
        // SAFETY: the handler that was found, which has three arguments.
        let found: Handler = unsafe { mem::transmute(FOUND.load(SeqCst)) };
        found(signal, info, context);
    }
}

fn host_installs(signal: c_int, handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: plain data, for which zero is valid; the handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        let mut found: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART | flags;
        assert_eq!(libc::sigaction(signal, &action, &mut found), 0);
        found
    }
}

fn current_handler(signal: c_int) -> usize {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut found: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(signal, ptr::null(), &mut found), 0);
        found.sa_sigaction
    }
}

fn host_load(address: usize) -> u8 {
    // SAFETY: that it faults is the point; the handler makes it succeed, or the process ends.
    unsafe { (address as *const u8).read_volatile() }
}

/// A fault of the host's that its handler repairs, in a host function.
fn faulting_host(_: Caller<'_, ()>, offset: i32) -> Result<i32> {
    protect(libc::PROT_NONE);
    Ok(host_load(PAGE.load(SeqCst) + offset as usize).into())
}

/// Guests' faults trap; the host's reach its handler, from outside guests and from host functions.
fn check_who_gets_what(store: &mut Store<()>, instance: Instance) {
    let page = PAGE.load(SeqCst);
    let calls = CALLS.load(SeqCst);
    check_guest(store, instance);
    assert_eq!(
        CALLS.load(SeqCst),
        calls,
        "a guest's fault is not the host's"
    );

    protect(libc::PROT_NONE);
    host_load(page + 5);
    assert_eq!(
        (CALLS.load(SeqCst), ADDRESS.load(SeqCst)),
        (calls + 1, page + 5)
    );

    let through = call::<_, (u32, i32), i32>(store, instance, "through", (0, 77));
    assert_eq!(through.unwrap(), 0);
    assert_eq!(
        (CALLS.load(SeqCst), ADDRESS.load(SeqCst)),
        (calls + 2, page + 77)
    );

    // And a trap after the host's fault, in the same call.
    let through = call::<_, (u32, i32), i32>(store, instance, "through", (65533, 78));
    assert_eq!(through.unwrap_err().trap(), Some(Trap::MemoryOutOfBounds));
    assert_eq!(
        (CALLS.load(SeqCst), ADDRESS.load(SeqCst)),
        (calls + 3, page + 78)
    );
}

#[test]
fn an_earlier_handler_still_receives_the_hosts_faults() {
    alone("an_earlier_handler_still_receives_the_hosts_faults", || {
        host_page();
        host_installs(libc::SIGSEGV, below as Handler as usize, 0);
        for engine in modes() {
            let (mut store, instance) = instantiate(&engine, faulting_host);
            check_who_gets_what(&mut store, instance);
        }
    });
}

#[test]
fn a_handler_installed_after_ours_passes_on_what_is_not_its_own() {
    const NAME: &str = "a_handler_installed_after_ours_passes_on_what_is_not_its_own";
    alone(NAME, || {
        host_page();
        let engines = modes();
        let found = host_installs(libc::SIGSEGV, above as Handler as usize, 0);
        FOUND.store(found.sa_sigaction, SeqCst);
        for engine in engines {
            let (mut store, instance) = instantiate(&engine, faulting_host);
            check_who_gets_what(&mut store, instance);
        }
        // A thread that has run guests already, in which it stands first again. A store puts ours above it, and
        // it still gets what is not a guest's.
        host_installs(libc::SIGSEGV, above as Handler as usize, 0);
        for engine in modes() {
            let (mut store, instance) = instantiate(&engine, faulting_host);
            check_who_gets_what(&mut store, instance);
        }
    });
}

/// A crash reporter as Python's `faulthandler` is one: any fault is the end, whosever it is.
extern "C" fn reporter(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(34) };
}

#[test]
fn a_handler_installed_after_ours_may_pass_nothing_on() {
    alone("a_handler_installed_after_ours_may_pass_nothing_on", || {
        for engine in modes() {
            let found = host_installs(libc::SIGSEGV, reporter as Handler as usize, 0);
            let check = move || {
                let (mut store, instance) = instantiate(&engine, no_host);
                check_guest(&mut store, instance);
            };
            // Each thread's first guest sees to it, and so does each store.
            thread::spawn(check.clone()).join().unwrap();
            host_installs(libc::SIGSEGV, reporter as Handler as usize, 0);
            check();
            // SAFETY: the action that was found.
            let status = unsafe { libc::sigaction(libc::SIGSEGV, &found, ptr::null_mut()) };
            assert_eq!(status, 0);
        }
    });
}

/// The handler of a host that owns the signals.
extern "C" fn owner(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: a handler's own arguments.
    if !unsafe { vm_engine::try_handle(signal, info, context) } {
        below(signal, info, context);
    }
}

#[test]
fn a_host_that_owns_the_handlers_asks_us() {
    alone("a_host_that_owns_the_handlers_asks_us", || {
        host_page();
        let handler = owner as Handler as usize;
        host_installs(libc::SIGSEGV, handler, 0);
        let others = current_handler(libc::SIGBUS);
        for engine in modes_with(|config| {
            config.signal_handlers(SignalHandlers::HostOwned);
        }) {
            let (mut store, instance) = instantiate(&engine, faulting_host);
            check_who_gets_what(&mut store, instance);
        }
        assert_eq!(current_handler(libc::SIGSEGV), handler);
        assert_eq!(current_handler(libc::SIGBUS), others);
        let uninstalled = vm_trap::uninstall();
        assert!(matches!(
            uninstalled,
            Err(vm_trap::UninstallError::NotInstalled)
        ));
    });
}

fn null_host(_: Caller<'_, ()>, _: i32) -> Result<i32> {
    Ok(host_load(black_box(0)).into())
}

#[test]
fn a_null_dereference_in_a_host_function_ends_the_process_as_without_us() {
    const NAME: &str = "a_null_dereference_in_a_host_function_ends_the_process_as_without_us";
    let body = |case: &str| match case.parse::<usize>() {
        Ok(mode) => {
            let Some(engine) = modes().into_iter().nth(mode) else {
                // A mode that this host does not have.
                host_load(black_box(0));
                return;
            };
            let (mut store, instance) = instantiate(&engine, null_host);
            check_guest(&mut store, instance);
            let _ = call::<_, i32, i32>(&mut store, instance, "host", 0);
        }
        Err(_) => {
            host_load(black_box(0));
        }
    };
    dies(NAME, &["without us", "0", "1", "2"], body, |case, ended| {
        assert_eq!(
            ended.status.signal(),
            Some(libc::SIGSEGV),
            "{case}: {}",
            ended.text
        );
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

fn overflowing_host(_: Caller<'_, ()>, _: i32) -> Result<i32> {
    Ok(recurse(0) as i32)
}

#[test]
fn a_stack_overflow_in_a_host_function_is_reported_by_rust() {
    const NAME: &str = "a_stack_overflow_in_a_host_function_is_reported_by_rust";
    let body = |case: &str| {
        let mode = case.parse::<usize>().unwrap();
        let Some(engine) = modes().into_iter().nth(mode) else {
            recurse(0);
            return;
        };
        let overflow = move || {
            let (mut store, instance) = instantiate(&engine, overflowing_host);
            check_guest(&mut store, instance);
            let _ = call::<_, i32, i32>(&mut store, instance, "host", 0);
        };
        // A thread of its own has its own alternate stack, and a name.
        let thread = thread::Builder::new().name("busy".into());
        let _ = thread.spawn(overflow).unwrap().join();
    };
    dies(NAME, &["0", "1", "2"], body, |case, ended| {
        assert_eq!(
            ended.status.signal(),
            Some(libc::SIGABRT),
            "{case}: {}",
            ended.text
        );
        assert!(
            ended.text.contains("has overflowed its stack"),
            "{case}: {}",
            ended.text
        );
    });
}

fn uninstalling_host(_: Caller<'_, ()>, _: i32) -> Result<i32> {
    let refused = vm_trap::uninstall().unwrap_err();
    assert!(
        matches!(
            refused,
            vm_trap::UninstallError::ActivationsLive { threads: 1 }
        ),
        "{refused}"
    );
    Ok(1)
}

#[test]
fn the_handlers_can_be_removed_when_no_guest_runs_and_come_back_with_the_next_engine() {
    const NAME: &str =
        "the_handlers_can_be_removed_when_no_guest_runs_and_come_back_with_the_next_engine";
    alone(NAME, || {
        let before = current_handler(libc::SIGSEGV);
        for _ in 0..3 {
            let Some(engine) = guarded() else { return };
            assert_ne!(current_handler(libc::SIGSEGV), before);
            let (mut store, instance) = instantiate(&engine, uninstalling_host);
            check_guest(&mut store, instance);
            // Refused inside, and the trap that follows is one.
            let through = call::<_, (u32, i32), i32>(&mut store, instance, "through", (65533, 0));
            assert_eq!(through.unwrap_err().trap(), Some(Trap::MemoryOutOfBounds));
            vm_trap::uninstall().unwrap();
            assert_eq!(current_handler(libc::SIGSEGV), before);
        }
    });
}

fn wait_for(child: libc::pid_t) {
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: waits for the child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "status {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0);
}

/// Forks in the middle of a guest: the child's host function returns 2, the parent's 1.
fn forking_host(_: Caller<'_, ()>, _: i32) -> Result<i32> {
    // SAFETY: the process has one thread that does anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        return Ok(2);
    }
    wait_for(child);
    Ok(1)
}

#[test]
fn a_fork_goes_on_running_guests() {
    alone("a_fork_goes_on_running_guests", || {
        for engine in modes() {
            let (mut store, instance) = instantiate(&engine, forking_host);
            check_guest(&mut store, instance);
            // SAFETY: the process has one thread that does anything.
            let child = unsafe { libc::fork() };
            if child == 0 {
                for _ in 0..100 {
                    check_guest(&mut store, instance);
                }
                let (mut store, instance) = instantiate(&engine, no_host);
                check_guest(&mut store, instance);
                // SAFETY: ends the child; a panic would have ended it otherwise.
                unsafe { libc::_exit(0) };
            }
            wait_for(child);
            check_guest(&mut store, instance);

            // Forked inside a host function, both go on in the guest that called it.
            let through = call::<_, (u32, i32), i32>(&mut store, instance, "through", (0, 0));
            let value = through.unwrap();
            check_guest(&mut store, instance);
            if value == 2 {
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            assert_eq!(value, 1);
        }
    });
}

#[test]
fn sixty_four_threads_trap_at_once() {
    const THREADS: u32 = 64;
    alone("sixty_four_threads_trap_at_once", || {
        for engine in modes() {
            let module = Module::new(&engine, GUEST).unwrap();
            let mut linker = Linker::new(&engine);
            linker.func_wrap("host", "call", |n: i32| n).unwrap();
            let (linker, start) = (Arc::new(linker), Arc::new(Barrier::new(THREADS as usize)));
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (engine, module) = (engine.clone(), module.clone());
                    let (linker, start) = (Arc::clone(&linker), Arc::clone(&start));
                    thread::spawn(move || {
                        let mut store = Store::new(&engine, ());
                        let instance = linker.instantiate(&mut store, &module).unwrap();
                        let load = instance
                            .get_typed_func::<u32, i32>(&mut store, "load")
                            .unwrap();
                        start.wait();
                        for round in 0..500 {
                            let at = 65533 + number * 4099 + round * 65537;
                            let error = load.call(&mut store, at).unwrap_err();
                            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
                            if round % 100 == 0 {
                                check_guest(&mut store, instance);
                            }
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

/// Calls the guest again, one level deeper, and catches its trap at every second level.
fn nesting_host(mut caller: Caller<'_, ()>, left: i32) -> Result<i32> {
    if left == 0 {
        return Ok(0);
    }
    let through = caller.get_export("through").unwrap().into_func().unwrap();
    let through = through.typed::<(u32, i32), i32>(&caller)?;
    // The deeper level always traps, after it has called the host.
    let error = through.call(&mut caller, (65533, left - 1)).unwrap_err();
    assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
    if left % 2 == 0 { Ok(left) } else { Err(error) }
}

#[test]
fn traps_nested_through_host_calls_end_their_own_call_only() {
    alone(
        "traps_nested_through_host_calls_end_their_own_call_only",
        || {
            for engine in modes() {
                let (mut store, instance) = instantiate(&engine, nesting_host);
                for depth in 0..20 {
                    // The outermost call does not trap by itself: what it returns came through.
                    let result =
                        call::<_, (u32, i32), i32>(&mut store, instance, "through", (0, depth));
                    if depth % 2 == 0 {
                        assert_eq!(result.unwrap(), depth);
                    } else {
                        let error = result.unwrap_err();
                        assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
                        // The frame that trapped, and that of the call whose host function passed it on.
                        assert_eq!(error.backtrace().unwrap().frames().len(), 2, "{error}");
                    }
                    check_guest(&mut store, instance);
                }
            }
        },
    );
}

/// Workers that block every signal, because one thread waits for all of them with `sigwait`.
#[test]
fn threads_that_block_every_signal_trap() {
    alone("threads_that_block_every_signal_trap", || {
        // SAFETY: a valid set.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&mut all);
            let status = libc::pthread_sigmask(libc::SIG_BLOCK, &all, ptr::null_mut());
            assert_eq!(status, 0);
        }
        for engine in modes() {
            // A thread that makes its store, and one that is given it.
            let worker = thread::spawn(move || {
                let (mut store, instance) = instantiate(&engine, no_host);
                check_guest(&mut store, instance);
                (store, instance)
            });
            let (mut store, instance) = worker.join().unwrap();
            let worker = thread::spawn(move || check_guest(&mut store, instance));
            worker.join().unwrap();
        }
    });
}

// Signals that arrive in the middle of guest code.

/// How often the profiler's handler ran; whether it looks at the page that faults.
static TICKS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn tick(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    TICKS.fetch_add(1, SeqCst);
}

/// As profilers do that walk stacks they do not trust: a read that may fault, in the handler.
extern "C" fn faulting_tick(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    protect(libc::PROT_NONE);
    host_load(PAGE.load(SeqCst) + 9);
    TICKS.fetch_add(1, SeqCst);
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

/// Guests run and trap while signals arrive, until there were enough of them in each mode.
fn run_under_a_profiler(handler: Handler) {
    for engine in modes() {
        let (mut store, instance) = instantiate(&engine, |_, n| Ok(n + 1));
        host_installs(libc::SIGPROF, handler as usize, 0);
        TICKS.store(0, SeqCst);
        profile_every(500);
        let mut rounds = 0;
        while TICKS.load(SeqCst) < 150 {
            let n = 20_000 + rounds % 7;
            let sum: u32 = call(&mut store, instance, "sum", n).unwrap();
            assert_eq!(sum, n * (n - 1) / 2);
            let through = call::<_, (u32, i32), i32>(&mut store, instance, "through", (0, 3));
            assert_eq!(through.unwrap(), 4);
            check_guest(&mut store, instance);
            rounds += 1;
        }
        profile_every(0);
        eprintln!("{rounds} rounds: {}", engine.strategy());
    }
}

#[test]
fn a_profiler_disturbs_no_guest() {
    alone("a_profiler_disturbs_no_guest", || {
        run_under_a_profiler(tick)
    });
}

#[test]
fn a_profiler_whose_handler_faults_disturbs_no_guest() {
    alone("a_profiler_whose_handler_faults_disturbs_no_guest", || {
        host_page();
        host_installs(libc::SIGSEGV, below as Handler as usize, 0);
        run_under_a_profiler(faulting_tick);
        assert!(CALLS.load(SeqCst) >= 150, "{}", CALLS.load(SeqCst));
    });
}
