//! Validates WebAssembly and translates it to Palisade's register IR, with checked and unchecked
//! forms of every memory access.

pub mod ir;
pub mod op;
pub mod shape;

pub use ir::Function;
pub use op::{Effect, Op, StoreOp, Ty};
pub use shape::{PlainShapes, Registers, ShapeKey, Shapes};
