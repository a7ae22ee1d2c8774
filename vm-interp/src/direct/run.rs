//! Entering handlers and coming back.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_trap::{AccessSites, Activation, RegionClass, RegisterError};

use super::fixed::Fixed;
use super::fixed_handler;
use super::{SITES, STATUS_FAULT};
use crate::context::{Context, FRAME_CALLER, FRAME_RETURN, FuncObject, Runtime, Word};

#[allow(
    improper_ctypes,
    reason = "handlers know these structures up to the words that are `repr(C)`; the pointer to \
              the machine behind them is opaque to handlers"
)]
unsafe extern "C" {
    /// Runs cells until the first frame returns or something ends the run; answers a status.
    pub(super) fn palisade_enter(
        cell: *const u8,
        frame: *mut Word,
        context: *mut Context,
        object: *const FuncObject,
        flag: *mut u8,
        asked_to_end: *const AtomicBool,
    ) -> u32;

    // Places in the handlers' text.
    safe static palisade_armed: u8;
    safe static palisade_started: u8;
    safe static palisade_landing_pad: u8;
    safe static palisade_plain: u8;
    safe static palisade_stack_sites: u8;
    safe static palisade_memory_sites: u8;
    safe static palisade_sites_end: u8;
}

unsafe extern "C" {
    /// Of every instruction that may fault on guest memory and is not its handler's first to be able to end the
    /// run: how far it is from [`palisade_enter`], and its number among those that are. Ordered.
    safe static palisade_sites: [[i32; 2]; SITES];
}

/// How long the text of all handlers is.
#[cfg(test)]
pub(super) fn text_bytes() -> usize {
    address(&palisade_sites_end) - address(&palisade_plain)
}

/// The number, among all that can end the run in its handler, of the access that faulted at `pc`.
///
/// The encoder notes the places in the module that a cell stands for by these numbers. What ends the run otherwise
/// adds its own to the instruction pointer as it leaves.
fn site(pc: usize) -> usize {
    let distance = pc.wrapping_sub(text_base() as usize) as i32;
    palisade_sites
        .binary_search_by_key(&distance, |[at, _]| *at)
        .map_or(0, |n| palisade_sites[n][1] as usize)
}

/// The address that handlers' places are counted from.
pub(super) fn text_base() -> u64 {
    palisade_enter as *const () as usize as u64
}

fn address(place: &'static u8) -> usize {
    std::ptr::from_ref(place).addr()
}

/// Tells `vm-trap` which instructions may fault on a guest's behalf.
pub(crate) fn register_sites() -> Result<(), RegisterError> {
    static SITES: OnceLock<[AccessSites; 2]> = OnceLock::new();
    let sites = SITES.get_or_init(|| {
        let stack = address(&palisade_stack_sites);
        let memory = address(&palisade_memory_sites);
        [
            AccessSites {
                text: stack..memory,
                class: RegionClass::Stack,
            },
            AccessSites {
                text: memory..address(&palisade_sites_end),
                class: RegionClass::Memory,
            },
        ]
    });
    // SAFETY: handlers keep no frame and leave the stack pointer where the trampoline put it,
    // which is where the landing pad expects it; they call nothing but by the sequence that
    // disarms first, and that is not in these ranges.
    unsafe { vm_trap::register_sites(sites) }
}

/// Tells `vm-trap` where a thread may stop its guest when it is told to.
pub(crate) fn register_interruptible() -> Result<(), RegisterError> {
    // All handlers, and the trampoline from where it has armed the activation: what comes before looks afterwards.
    let handlers = address(&palisade_plain)..address(&palisade_sites_end);
    let start = address(&palisade_armed)..address(&palisade_started);
    for text in [handlers, start] {
        // SAFETY: as for the access sites. Handlers call nothing while the activation is armed, and what the
        // landing pad needs, context and frame, is in its registers from the trampoline on.
        unsafe { vm_trap::register_interruptible(text) }?;
    }
    Ok(())
}

/// Cells that belong to no module.
struct Cells {
    adapter: [u64; 1],
    exit: [u64; 1],
    resume: [u64; 1],
}

fn cells() -> &'static Cells {
    static CELLS: OnceLock<Cells> = OnceLock::new();
    CELLS.get_or_init(|| Cells {
        adapter: [fixed_handler(Fixed::Adapter)],
        exit: [fixed_handler(Fixed::Exit)],
        resume: [fixed_handler(Fixed::Resume)],
    })
}

/// Where a tail call that changed the context returns to, see [`Fixed::Adapter`].
pub(super) fn adapter() -> *const u64 {
    cells().adapter.as_ptr()
}

/// Where the first frame of a run returns to.
pub(super) fn exit() -> *const u64 {
    cells().exit.as_ptr()
}

/// [`Executor::run`](crate::executor::Executor::run).
///
/// # Safety
///
/// As there.
pub(super) unsafe fn run(runtime: *mut Runtime, func: *const FuncObject, frame: *mut Word) -> u32 {
    // SAFETY: the caller's promise about the frame and the function.
    let (context, cell) = unsafe {
        frame.add(FRAME_RETURN).cast::<*const u64>().write(exit());
        let none = std::ptr::null_mut();
        frame.add(FRAME_CALLER).cast::<*mut Word>().write(none);
        ((*func).context, (*func).entry.load(Ordering::Acquire))
    };
    // SAFETY: the caller's promise.
    unsafe { enter(runtime, cell, context, func, frame) }
}

/// [`Executor::resume`](crate::executor::Executor::resume).
///
/// # Safety
///
/// As there.
pub(super) unsafe fn resume(runtime: *mut Runtime) -> u32 {
    let cell = cells().resume.as_ptr().cast();
    // SAFETY: the caller's promise: the handler takes registers and the cell from the runtime.
    unsafe {
        let (context, frame) = ((*runtime).exit_context, (*runtime).exit_frame);
        enter(runtime, cell, context, std::ptr::null(), frame)
    }
}

/// Runs cells until the first frame of the run has returned, or something ends the run. Answers a status.
///
/// # Safety
///
/// As for [`run`]; the cell is the function's first, or one that knows where to go on.
unsafe fn enter(
    runtime: *mut Runtime,
    cell: *const u8,
    context: *mut Context,
    func: *const FuncObject,
    frame: *mut Word,
) -> u32 {
    // SAFETY: the region set lives as long as the runtime, and is changed only by who has the
    // machine, which no one has while handlers run.
    let regions = unsafe { (*runtime).regions };
    let landing_pad = address(&palisade_landing_pad);
    // SAFETY: as above; the machine keeps its interrupt.
    let asked_to_end = unsafe { (*runtime).asked_to_end };
    let activation = Activation::new(landing_pad, regions).interruptible(asked_to_end);
    let flag = std::ptr::from_ref(&activation)
        .cast::<u8>()
        .cast_mut()
        .wrapping_add(Activation::ARMED_OFFSET);
    // SAFETY: translation makes cells from validated code only, for this machine's layout of
    // contexts and frames. The landing pad returns from `palisade_enter` as its exits do. The
    // regions are the machine's own: nothing but its guests' accesses faults on them in handlers.
    let status = unsafe {
        activation.enter(|| palisade_enter(cell, frame, context, func, flag, asked_to_end))
    };
    match activation.take_fault() {
        Some(fault) if status == STATUS_FAULT => {
            // SAFETY: the runtime is alive, and the landing pad has said where the run stopped.
            unsafe { (*runtime).exit_ip = (*runtime).exit_ip.wrapping_add(site(fault.pc)) };
            fault.code as u32
        }
        _ => status,
    }
}
