//! Who gets which signal, when the host has handlers for `SIGSEGV` of its own:
//!
//! ```text
//! $ cargo run --example host_handlers -- before   # the host's, then ours
//! $ cargo run --example host_handlers -- after    # ours, then the host's
//! $ cargo run --example host_handlers -- own      # only the host's
//! ```
//!
//! Each time the guest faults once, and the host faults once. The host's
//! handlers say what they were given; those that get the host's fault make the
//! page accessible, so that the program goes on.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn main() -> std::process::ExitCode {
    demo::main()
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn main() {
    println!("this example is for Linux (macOS reports guard pages as SIGBUS)");
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod demo {
    use std::arch::naked_asm;
    use std::error::Error;
    use std::ffi::{c_int, c_void};
    use std::process::ExitCode;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::{io, mem, ptr};

    use libc::siginfo_t;
    use vm_trap::{AccessSites, Activation, Region, RegionClass, RegionSet};

    /// The guest: its first instruction loads a byte.
    #[cfg(target_arch = "x86_64")]
    #[unsafe(naked)]
    unsafe extern "C" fn load_byte(address: usize) -> u64 {
        naked_asm!("movzx eax, byte ptr [rdi]", "ret")
    }

    /// The guest: its first instruction loads a byte.
    #[cfg(target_arch = "aarch64")]
    #[unsafe(naked)]
    unsafe extern "C" fn load_byte(address: usize) -> u64 {
        naked_asm!("ldrb w0, [x0]", "ret")
    }

    #[unsafe(naked)]
    unsafe extern "C" fn landing_pad() {
        naked_asm!("ret")
    }

    type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

    /// Pages of the host that may be made accessible: the start of the mapping.
    static HOST_PAGES: AtomicUsize = AtomicUsize::new(0);
    /// The handler that the host's found when it was installed.
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    static PAGE: AtomicUsize = AtomicUsize::new(0);

    /// Makes the page accessible if it is the host's.
    fn repair(info: *mut siginfo_t) -> bool {
        // SAFETY: the kernel's.
        let address = unsafe { (*info).si_addr() } as usize;
        let (start, bytes) = (HOST_PAGES.load(Relaxed), PAGE.load(Relaxed));
        let is_hosts = (start..start + bytes).contains(&address);
        if is_hosts {
            // SAFETY: the host's own page.
            unsafe { libc::mprotect(start as *mut c_void, bytes, libc::PROT_READ) };
        }
        is_hosts
    }

    /// Writes without allocating or locking, as a handler must.
    fn say(text: &str) {
        // SAFETY: reads the text.
        unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
    }

    extern "C" fn below(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
        say("  host's handler: vm-trap passed this one on to me\n");
        if !repair(info) {
            say("  ... and it should not have\n");
            // SAFETY: ends the process.
            unsafe { libc::_exit(1) };
        }
    }

    extern "C" fn above(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        if repair(info) {
            say("  host's handler: this one is mine\n");
            return;
        }
        say("  host's handler: not mine, I pass it on to the one I found\n");
        // SAFETY: the address that `sigaction` gave, of a handler with three
        // arguments, as its flags said.
        let found: Handler = unsafe { mem::transmute(FOUND.load(Relaxed)) };
        found(signal, info, context);
    }

    extern "C" fn owner(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the handler's own arguments.
        if unsafe { vm_trap::try_handle(signal, info, context) } {
            say("  host's handler: vm-trap said that this is the guest's\n");
        } else if repair(info) {
            say("  host's handler: vm-trap said no; this one is mine\n");
        } else {
            // SAFETY: ends the process.
            unsafe { libc::_exit(1) };
        }
    }

    fn host_installs(handler: Handler) -> Result<(), Box<dyn Error>> {
        // SAFETY: plain data, for which zero is valid; the handler is
        // async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            let mut found: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            if libc::sigaction(libc::SIGSEGV, &action, &mut found) != 0 {
                return Err(io::Error::last_os_error().into());
            }
            FOUND.store(found.sa_sigaction, Relaxed);
        }
        Ok(())
    }

    fn inaccessible_page() -> Result<usize, Box<dyn Error>> {
        // SAFETY: a new mapping.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE.load(Relaxed),
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        Ok(page as usize)
    }

    fn run(order: &str) -> Result<bool, Box<dyn Error>> {
        match order {
            "before" => {
                host_installs(below)?;
                vm_trap::install()?;
            }
            "after" => {
                vm_trap::install()?;
                host_installs(above)?;
            }
            "own" => host_installs(owner)?,
            _ => return Ok(false),
        }

        // SAFETY: only asks.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
        PAGE.store(page, Relaxed);
        let (guests, hosts) = (inaccessible_page()?, inaccessible_page()?);
        HOST_PAGES.store(hosts, Relaxed);

        let start = load_byte as *const () as usize;
        let sites = [AccessSites {
            text: start..start + 1,
            class: RegionClass::Memory,
        }];
        // SAFETY: at that instruction, returning is all that is left to do.
        unsafe { vm_trap::register_sites(Vec::from(sites).leak())? };
        let mut regions = RegionSet::new();
        regions.insert(Region {
            range: guests..guests + page,
            class: RegionClass::Memory,
        })?;

        println!("the guest faults");
        let activation = Activation::new(landing_pad as *const () as usize, &regions);
        // SAFETY: the landing pad returns from `load_byte`, and the regions
        // stay as they are meanwhile.
        unsafe { activation.enter(|| load_byte(guests)) };
        match activation.take_fault() {
            Some(fault) => println!("  trap: {} at {:#x}", fault.code, fault.address),
            None => return Err("the guest's fault was lost".into()),
        }

        println!("the host faults");
        // SAFETY: the host's handler makes the page accessible.
        let byte = unsafe { (hosts as *const u8).read_volatile() };
        println!("  and goes on: it read {byte}");
        Ok(true)
    }

    pub(crate) fn main() -> ExitCode {
        let order = std::env::args().nth(1).unwrap_or_else(|| "before".into());
        match run(&order) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => {
                eprintln!("usage: host_handlers before|after|own");
                ExitCode::from(2)
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
