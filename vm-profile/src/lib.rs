#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod pattern;
mod program;
mod report;
mod table;
mod train;

pub use program::Program;
pub use report::{folded, report};
pub use table::ShapeTable;
pub use train::{Budget, Line, LineUse, Progress, dispatches, line_uses, train};
