//! The direct executor's shape table, as text, and the registers that it names.
//!
//! For tools that choose shapes. The notation is that of [`vm_translate::shape::table`].

#![allow(
    unreachable_pub,
    reason = "the build script includes this file as a module of a program"
)]

use vm_translate::Registers;

/// The registers that shapes name.
pub const REGISTERS: Registers = Registers {
    pinned_ints: 6,
    temp_ints: 1,
    pinned_floats: 5,
    temp_floats: 1,
};

/// The shapes that are always there: one operator each, over all kinds of operands, and a few families of two.
pub const BASE: &str = include_str!("../shapes/base.shapes");

/// The shapes of vectors, which are always there too.
pub const VECTORS: &str = include_str!("../shapes/vectors.shapes");

/// The shapes that training has chosen, most useful first: see `cargo xtask train`.
pub const TRAINED: &str = include_str!("../shapes/trained.shapes");

/// The families that the large table has besides (feature `large-table`).
pub const FAMILIES: &str = include_str!("../shapes/families.shapes");

/// The shapes that training has chosen for the large table besides.
pub const LARGE: &str = include_str!("../shapes/large.shapes");

/// All that this build's table is made of, if it has the direct executor.
pub const TABLE: &[&str] = if cfg!(feature = "large-table") {
    &[TRAINED, LARGE, BASE, VECTORS, FAMILIES]
} else {
    &[TRAINED, BASE, VECTORS]
};
