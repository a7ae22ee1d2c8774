//! The direct executor: functions as sequences of cells, each the address of a handler and its
//! operands, and handlers as generated assembly that jump to each other.
//!
//! `shapes/default.shapes` lists what handlers there are; `build/` writes them. Here is what uses
//! them: [`shapes`] finds the handler of an instruction, [`encode`] turns the IR into cells,
//! [`code`] keeps a module's cells, [`calls`] is what handlers call, and [`run`] enters them.
//!
//! Handlers keep no native frame: between the entry trampoline and any handler's instruction
//! there is no frame of Rust, so the landing pad can end a run from wherever a fault happened.

mod calls;
mod code;
mod encode;
mod fixed;
mod hash;
mod numbers;
mod operands;
mod run;
mod shapes;
#[cfg(test)]
mod tests;
mod tiers;
mod words;

use std::arch::is_x86_feature_detected;
use std::collections::HashMap;
use std::sync::LazyLock;

use fixed::Fixed;
use numbers::fixed_handler;
use vm_translate::shape::ShapeKey;
use vm_translate::shape::table::Shape;

pub(crate) use code::DirectCode;
pub(crate) use run::{host_cell, register_sites, run};

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
    ".text",
    resolve = sym calls::resolve,
    evaluate = sym calls::evaluate,
    tail_call = sym calls::tail_call,
    continue_optimized = sym tiers::continue_optimized,
);

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
    [Fixed::Call, Fixed::Runtime]
        .iter()
        .any(|fixed| fixed_handler(*fixed) == address)
}

/// Whether this processor has the instructions that handlers use beyond the architecture's base:
/// those of x86-64-v2, as the System V ABI supplement calls that level, as far as handlers use it.
pub(crate) fn available() -> Result<(), &'static str> {
    let needed = [
        (
            is_x86_feature_detected!("ssse3"),
            "the processor lacks SSSE3 (x86-64-v2)",
        ),
        (
            is_x86_feature_detected!("sse4.1"),
            "the processor lacks SSE4.1 (x86-64-v2)",
        ),
        (
            is_x86_feature_detected!("sse4.2"),
            "the processor lacks SSE4.2 (x86-64-v2)",
        ),
        (
            is_x86_feature_detected!("popcnt"),
            "the processor lacks POPCNT (x86-64-v2)",
        ),
    ];
    match needed.iter().find(|(present, _)| !present) {
        None => Ok(()),
        Some((_, lacks)) => Err(lacks),
    }
}
