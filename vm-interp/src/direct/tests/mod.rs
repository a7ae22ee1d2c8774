//! Handlers against the semantics of their operators.
//!
//! - [`table`]: every handler of the shape table, found by decoding the table's keys, so a new
//!   shape is tested by being in the table; with corner values and others by chance.
//! - [`operators`]: every operator that a cell can compute, on every pair of corner values.
//! - [`fixed`]: the handlers that no shape describes.
//!
//! And [`tiers`]: what becomes of functions that cannot have the better code.
//!
//! Each handler runs in a program of its own: registers are loaded from slots, the cell under test runs,
//! registers are stored back.

mod atomics;
mod case;
mod fixed;
mod operators;
mod shape;
mod table;
mod tiers;
mod values;
mod world;
