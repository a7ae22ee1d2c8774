//! The direct executor: functions as sequences of cells, each the address of a handler and its
//! operands, and handlers as generated assembly that jump to each other.
//!
//! `shapes/*.shapes` lists what handlers there are; `build/` writes them. Here is what uses
//! them:
//!
//! | module | what |
//! | --- | --- |
//! | [`shapes`], [`simple`], [`fixed`] | the handlers that there are, and how they are found |
//! | [`cells`], [`frames`] | how cells are written |
//! | [`encode`] | the IR as cells |
//! | [`baseline`] | a body as cells, without IR between |
//! | [`code`] | keeps a module's cells |
//! | [`tiers`] | the way from baseline code to optimized code |
//! | [`calls`] | what handlers call |
//! | [`run`] | enters cells |
//!
//! Handlers keep no native frame: between the entry trampoline and any handler's instruction
//! there is no frame of Rust, so the landing pad can end a run from wherever a fault happened.

mod baseline;
mod calls;
mod cells;
mod code;
mod encode;
mod fixed;
mod frames;
mod hash;
mod operands;
mod run;
mod shapes;
mod simple;
#[cfg(test)]
mod tests;
mod tiers;
mod words;

use std::arch::x86_64::__cpuid;
use std::collections::HashMap;
use std::sync::LazyLock;

use fixed::{Bulk, Fixed};
use vm_translate::shape::ShapeKey;
use vm_translate::shape::table::Shape;

use crate::context::{Context, FuncObject, Runtime, Word};
use crate::executor::{Back, Executor};
use crate::options::Threading;

pub(crate) use code::DirectCode;
pub(crate) use run::{register_interruptible, register_sites};

/// The direct executor.
pub(crate) struct Direct;

impl Executor for Direct {
    fn threading(&self) -> Threading {
        Threading::Direct
    }

    fn host_cell(&self) -> u64 {
        fixed_handler(Fixed::Host)
    }

    unsafe fn run(&self, runtime: *mut Runtime, func: *const FuncObject, frame: *mut Word) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { run::run(runtime, func, frame) }
    }

    unsafe fn resume(&self, runtime: *mut Runtime) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { run::resume(runtime) }
    }

    unsafe fn after_host_call(&self, runtime: *mut Runtime) -> (*const u8, *mut Word) {
        // SAFETY: the caller's promise: the run has stopped at a cell that calls a host function.
        unsafe { calls::after_host_call((*runtime).exit_ip, (*runtime).exit_frame) }
    }

    fn finish(&self) -> *const u8 {
        run::exit().cast()
    }

    unsafe fn goes_back(&self, back: *const u8, frame: *mut Word, context: *mut Context) -> Back {
        // SAFETY: the caller's promise: functions return to cells.
        unsafe { calls::goes_back(back, frame, context) }
    }

    unsafe fn fuel_required(&self, runtime: *mut Runtime) -> Option<u64> {
        // SAFETY: the caller's promise: the run has stopped at a cell.
        unsafe { calls::fuel_required((*runtime).exit_ip) }
    }
}

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

core::arch::global_asm!(
    include_str!(concat!(env!("OUT_DIR"), "/handlers.s")),
    options(raw)
);

core::arch::global_asm!(
    ".section .data.rel.ro.palisade, \"aw\", @progbits",
    ".p2align 3",
    ".globl palisade_callees",
    ".hidden palisade_callees",
    "palisade_callees:",
    ".quad {resolve}",
    ".quad {evaluate}",
    ".quad {tail_call}",
    ".quad {continue_optimized}",
    ".quad {epoch_deadline}",
    ".text",
    resolve = sym calls::resolve,
    evaluate = sym calls::evaluate,
    tail_call = sym calls::tail_call,
    continue_optimized = sym tiers::continue_optimized,
    epoch_deadline = sym crate::machine::epoch_deadline,
);

unsafe extern "C" {
    /// How far each fixed handler is from [`run::palisade_enter`].
    safe static palisade_fixed: [u32; FIXED];
}

/// The address of a fixed handler.
fn fixed_handler(fixed: Fixed) -> u64 {
    run::text_base() + u64::from(palisade_fixed[fixed_number(fixed)])
}

/// The handler at an address, for listings.
fn handler_name(address: u64) -> Option<String> {
    enum Handler {
        Fixed(Fixed),
        Shape(ShapeKey),
    }
    static HANDLERS: LazyLock<HashMap<u64, Handler>> = LazyLock::new(|| {
        let fixed = Fixed::all().into_iter();
        let fixed = fixed.map(|fixed| (fixed_handler(fixed), Handler::Fixed(fixed)));
        let shapes = shapes::all();
        let shapes = shapes.map(|(key, handler)| (shapes::address(handler), Handler::Shape(key)));
        fixed.chain(shapes).collect()
    });
    match HANDLERS.get(&address)? {
        Handler::Fixed(fixed) => Some(format!("{fixed:?}")),
        Handler::Shape(key) => Shape::from_key(*key).map(|shape| shape.to_string()),
    }
}

/// Whether the handler at an address calls by an address in its cell.
fn is_call(address: u64) -> bool {
    let calls = [
        Fixed::Call,
        Fixed::Runtime,
        Fixed::Bulk(Bulk::Copy),
        Fixed::Bulk(Bulk::Fill),
    ];
    (calls.iter()).any(|fixed| fixed_handler(*fixed) == address)
}

/// Whether this processor has the instructions that handlers use beyond the architecture's base:
/// those of x86-64-v2, as the System V ABI supplement calls that level, as far as handlers use it. The bits
/// are those of ECX after `CPUID` with leaf 1 (Intel's manual, volume 2, at `CPUID`).
pub(crate) fn available() -> Result<(), &'static str> {
    // Virtual machines answer a request in some microseconds, and the standard library makes a dozen.
    let present = __cpuid(1).ecx;
    let needed = [
        (9, "the processor lacks SSSE3 (x86-64-v2)"),
        (19, "the processor lacks SSE4.1 (x86-64-v2)"),
        (20, "the processor lacks SSE4.2 (x86-64-v2)"),
        (23, "the processor lacks POPCNT (x86-64-v2)"),
    ];
    match needed.iter().find(|(bit, _)| present & 1 << bit == 0) {
        None => Ok(()),
        Some((_, lacks)) => Err(lacks),
    }
}
