//! A host that owns the handler for `SIGSEGV` and lets nobody install another: vm-trap installs nothing,
//! and the host's handler asks it about each signal.
//!
//! ```text
//! $ cargo run --example host_owned
//! ```

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

    use libc::siginfo_t;

    use super::guest;
    use super::host::{Page, action, give_up, load, page_bytes, say, set};

    /// A page that the host knows how to repair.
    static HOSTS: Page = Page::unmapped();

    extern "C" fn owner(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // First of all, before anything changes the context.
        // SAFETY: the handler's own arguments.
        if unsafe { vm_trap::try_handle(signal, info, context) } {
            say("  host's handler: vm-trap says that this is the guest's\n");
            return; // at once: the thread continues at the landing pad
        }
        say("  host's handler: vm-trap says that this is not the guest's");
        if !HOSTS.repair(info) {
            give_up();
        }
        say(", and it is mine\n");
    }

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        set(&action(owner))?;
        let hosts = HOSTS.map()?;
        let guests = Page::unmapped().map()?;
        // Sites are registered and nothing is installed.
        guest::register()?;

        println!("the guest faults");
        match guest::load(guests..guests + page_bytes(), guests)? {
            Err(fault) => println!(
                "  and that is a trap: {} at {:#x}",
                fault.code, fault.address
            ),
            Ok(_) => return Err("the guest's fault was lost".into()),
        }
        println!("the host faults");
        println!("  and goes on: it read {}", load(hosts));

        let there = set(&action(owner))?;
        assert_eq!(there.sa_sigaction, action(owner).sa_sigaction);
        println!("the handler is still the host's");
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
