//! Who gets which signal, when the host has a handler for `SIGSEGV` that it installed before vm-trap's,
//! and another that it installed after:
//!
//! ```text
//! $ cargo run --example host_handlers
//! ```
//!
//! The guest faults, and then each of the host's handlers has a page of its own faulted on. They say what
//! they are given. Those that get their own fault make the page accessible, so that the program goes on.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod guest;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[allow(dead_code, reason = "shared with another example")]
mod host;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod demo {
    use std::error::Error;
    use std::ffi::{c_int, c_void};
    use std::mem;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use libc::siginfo_t;

    use super::host::{Handler, Page, action, give_up, load, page_bytes, say, set};
    use super::{guest, host};

    /// The pages that the host's two handlers know.
    static BELOWS: Page = Page::unmapped();
    static ABOVES: Page = Page::unmapped();
    /// The handler that the upper one found when it was installed.
    static FOUND: AtomicUsize = AtomicUsize::new(0);

    /// Installed before vm-trap's: nothing special about it.
    extern "C" fn below(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
        say("  handler below: passed on to me");
        if !BELOWS.repair(info) {
            give_up();
        }
        say(", and it is mine\n");
    }

    /// Installed after vm-trap's: must pass on what is not its own to the handler that it found, with all
    /// arguments as they came.
    extern "C" fn above(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        if ABOVES.repair(info) {
            say("  handler above: mine\n");
            return;
        }
        say("  handler above: not mine, I pass it on to the one I found\n");
        // SAFETY: the address that `sigaction` gave, of a handler with three arguments, as its flags said.
        let found: Handler = unsafe { mem::transmute(FOUND.load(Relaxed)) };
        found(signal, info, context);
    }

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        set(&action(below))?;
        vm_trap::install()?;
        let ours = set(&action(above))?;
        FOUND.store(ours.sa_sigaction, Relaxed);

        let (belows, aboves) = (BELOWS.map()?, ABOVES.map()?);
        let guests = Page::unmapped().map()?;
        guest::register()?;

        println!("the guest faults on its own page");
        match guest::load(guests..guests + page_bytes(), guests)? {
            Err(fault) => println!(
                "  and that is a trap: {} at {:#x}",
                fault.code, fault.address
            ),
            Ok(_) => return Err("the guest's fault was lost".into()),
        }
        println!("the host faults on a page of the handler above");
        println!("  and goes on: it read {}", load(aboves));
        println!("the host faults on a page of the handler below");
        println!("  and goes on: it read {}", load(belows));

        println!("vm-trap's handlers shall go");
        match vm_trap::uninstall() {
            Err(error) => println!("  not yet: {error}"),
            Ok(()) => return Err("uninstalled under the feet of the handler above".into()),
        }
        set(&ours)?;
        vm_trap::uninstall()?;
        let left = set(&action(below))?;
        assert_eq!(left.sa_sigaction, host::action(below).sa_sigaction);
        println!("  now they are gone, and the handler below is the only one");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    demo::run()?;
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    println!("this example is for Linux (macOS reports guard pages as SIGBUS)");
    Ok(())
}
