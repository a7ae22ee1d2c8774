//! A guest of two instructions: enough to fault, and small enough to be right.
//!
//! [`load_byte`] is an entry trampoline as an executor has one: it saves the
//! callee-saved registers, fills them with rubbish, and goes to the access
//! site. Both ways out, the ordinary one and the landing pad, restore them.

#![allow(dead_code, unreachable_pub, reason = "shared by several test programs")]

use std::arch::naked_asm;
use std::ops::Range;
use std::process::{Command, Output};
use std::ptr;
use std::sync::OnceLock;

use vm_trap::{AccessSites, Activation, Fault, Region, RegionClass, RegionSet, register_sites};

/// What [`load_byte`] returns after a fault.
pub const FAULTED: u64 = u64::MAX;

/// Loads a byte at `address`, with `marker` in a register while it does
/// (r12 on x86-64, x21 on aarch64: see [`MARKER`]).
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "sysv64" fn load_byte(address: usize, marker: u64) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov r12, rsi",
        "mov rbx, -1",
        "mov rbp, -1",
        "mov r13, -1",
        "mov r14, -1",
        "mov r15, -1",
        "jmp {site}",
        site = sym site,
    )
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "sysv64" fn site() {
    naked_asm!("movzx eax, byte ptr [rdi]", "jmp {leave}", leave = sym leave)
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "sysv64" fn landing_pad() {
    naked_asm!("mov rax, -1", "jmp {leave}", leave = sym leave)
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "sysv64" fn leave() {
    naked_asm!(
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp", "ret"
    )
}

/// A load that is not registered as an access site.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "sysv64" fn load_byte_unregistered(address: usize) -> u64 {
    naked_asm!("movzx eax, byte ptr [rdi]", "ret")
}

/// Where the marker is among the registers of a fault.
#[cfg(target_arch = "x86_64")]
pub const MARKER: usize = vm_trap::gpr::R12;

/// Where the stack pointer is among the registers of a fault.
#[cfg(target_arch = "x86_64")]
pub const STACK_POINTER: usize = vm_trap::gpr::RSP;

/// Loads a byte at `address`, with `marker` in a register while it does
/// (r12 on x86-64, x21 on aarch64: see [`MARKER`]).
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn load_byte(address: usize, marker: u64) -> u64 {
    naked_asm!(
        "stp x29, x30, [sp, #-96]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "mov x21, x1",
        "mov x19, #-1",
        "mov x20, #-1",
        "mov x22, #-1",
        "mov x23, #-1",
        "mov x24, #-1",
        "mov x25, #-1",
        "mov x26, #-1",
        "mov x27, #-1",
        "mov x28, #-1",
        "mov x30, #-1",
        "b {site}",
        site = sym site,
    )
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn site() {
    naked_asm!("ldrb w0, [x0]", "b {leave}", leave = sym leave)
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn landing_pad() {
    naked_asm!("mov x0, #-1", "b {leave}", leave = sym leave)
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp x29, x30, [sp], #96",
        "ret",
    )
}

/// A load that is not registered as an access site.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn load_byte_unregistered(address: usize) -> u64 {
    naked_asm!("ldrb w0, [x0]", "ret")
}

/// Where the marker is among the registers of a fault.
#[cfg(target_arch = "aarch64")]
pub const MARKER: usize = 21;

/// Where the stack pointer is among the registers of a fault.
#[cfg(target_arch = "aarch64")]
pub const STACK_POINTER: usize = vm_trap::gpr::SP;

/// Address of the one instruction that may fault.
pub fn site_pc() -> usize {
    site as *const () as usize
}

/// Address of the landing pad.
pub fn landing_pad_pc() -> usize {
    landing_pad as *const () as usize
}

/// Registers the access site, for memory and for stacks.
pub fn register() {
    register_for(RegionClass::Memory);
    register_for(RegionClass::Stack);
}

/// Registers the access site for one class of regions.
pub fn register_for(class: RegionClass) {
    static SITES: [OnceLock<[AccessSites; 1]>; 2] = [OnceLock::new(), OnceLock::new()];
    let sites = SITES[usize::from(class == RegionClass::Stack)].get_or_init(|| {
        // The first byte suffices: a fault's pc is its instruction's start.
        let text = site_pc()..site_pc() + 1;
        [AccessSites { text, class }]
    });
    // SAFETY: the site keeps no frame of its own below the trampoline's.
    unsafe { register_sites(sites) }.expect("there is room");
}

/// One readable page of sevens, then one that is not accessible.
pub struct Pages {
    base: usize,
    page: usize,
}

impl Pages {
    pub fn new() -> Pages {
        // SAFETY: a new mapping, of which the first page is made accessible
        // and written.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let base = libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            );
            assert_ne!(base, libc::MAP_FAILED);
            let status = libc::mprotect(base, page, libc::PROT_READ | libc::PROT_WRITE);
            assert_eq!(status, 0);
            ptr::write_bytes(base.cast::<u8>(), 7, page);
            Pages {
                base: base as usize,
                page,
            }
        }
    }

    pub fn range(&self) -> Range<usize> {
        self.base..self.base + 2 * self.page
    }

    pub fn readable(&self) -> usize {
        self.base
    }

    pub fn guard(&self) -> usize {
        self.base + self.page
    }

    pub fn regions(&self, class: RegionClass) -> RegionSet {
        let mut regions = RegionSet::new();
        let range = self.range();
        regions.insert(Region { range, class }).expect("not empty");
        regions
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.base as *mut libc::c_void, 2 * self.page) };
    }
}

/// Loads a byte in an activation of its own.
pub fn guest_load(regions: &RegionSet, address: usize) -> Result<u8, Box<Fault>> {
    let activation = Activation::new(landing_pad_pc(), regions);
    // SAFETY: the landing pad leaves the trampoline as the site would; the
    // regions are borrowed meanwhile.
    let byte = unsafe { activation.enter(|| load_byte(address, 0)) };
    match activation.take_fault() {
        Some(fault) => {
            assert_eq!(byte, FAULTED);
            Err(Box::new(fault))
        }
        None => Ok(u8::try_from(byte).expect("a byte was loaded")),
    }
}

/// A host handler's work: makes the guard accessible, so that the instruction
/// succeeds when it runs again. Async-signal-safe.
pub fn open_guard(address: usize) {
    // SAFETY: tests call it with addresses of their own guards.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let start = address & !(page - 1);
        libc::mprotect(
            start as *mut libc::c_void,
            page,
            libc::PROT_READ | libc::PROT_WRITE,
        );
    }
}

/// The kernel's `si_addr`.
///
/// # Safety
///
/// In a signal handler, with its own second argument.
pub unsafe fn fault_address(info: *mut libc::siginfo_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe { (*info).si_addr() as usize }
}

/// Sets the action of a signal; returns the one before.
pub fn set_action(signal: i32, action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, action, &mut old), 0);
        old
    }
}

/// The action of a signal.
pub fn action(signal: i32) -> libc::sigaction {
    // SAFETY: plain data, written by the call.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, ptr::null(), &mut now), 0);
        now
    }
}

/// A handler with three arguments.
pub type InfoHandler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// An action with this handler (or `SIG_DFL`, `SIG_IGN`) and these flags.
pub fn new_action(handler: usize, flags: i32) -> libc::sigaction {
    // SAFETY: plain data, for which zero is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// Installs a handler for `SIGSEGV` and `SIGBUS`; returns the action that
/// `SIGSEGV` had before.
pub fn host_installs(handler: InfoHandler, flags: i32) -> libc::sigaction {
    let action = new_action(handler as usize, flags | libc::SA_SIGINFO);
    set_action(libc::SIGBUS, &action);
    set_action(libc::SIGSEGV, &action)
}

/// A memory access of the host.
pub fn host_load(address: usize) -> u8 {
    // SAFETY: that it faults is the point; the handler makes it succeed, or
    // the process ends.
    unsafe { (address as *const u8).read_volatile() }
}

/// Whether this process is the one that shall do what the test is about.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

const CHILD: &str = "VM_TRAP_TEST_CHILD";

/// Runs the test of that name in a process of its own, where [`is_child`] holds.
pub fn run_in_child(test: &str) -> Output {
    child(test).output().expect("the test program runs")
}

/// The command that runs the test of that name in a process of its own.
pub fn child(test: &str) -> Command {
    let program = std::env::current_exe().expect("the test program has a path");
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1");
    command
}

/// Runs `body` in a process of its own, which must succeed and do all of it.
pub fn in_child(test: &str, body: impl FnOnce()) {
    const DONE: &str = "the child has done it all";
    if is_child() {
        body();
        eprintln!("{DONE}");
        return;
    }
    let output = run_in_child(test);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.contains(DONE),
        "{}\n{}\n{stderr}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
    );
}

/// Runs `body` in a process of its own, which must die of `signal`. Returns
/// what it wrote to standard error.
pub fn dies_in_child(test: &str, signal: i32, body: impl FnOnce()) -> String {
    use std::os::unix::process::ExitStatusExt;
    const SURVIVED: &str = "the child has survived";
    if is_child() {
        // Crashes are expected here: leave no core files about.
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: plain data.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        body();
        eprintln!("{SURVIVED}");
        std::process::exit(1);
    }
    let output = run_in_child(test);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(signal), "{stderr}");
    assert!(!stderr.contains(SURVIVED), "{stderr}");
    stderr
}

/// Whether this is a build with the address sanitizer.
pub fn sanitized() -> bool {
    option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sanitizer=address"))
}
