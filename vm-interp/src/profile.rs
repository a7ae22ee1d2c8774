//! How often instructions have run.

use std::ops::Range;

use vm_translate::Function;
use vm_translate::shape::ShapeKey;

/// What has been counted of a function, see [`Code::profile`](crate::Code::profile).
#[derive(Debug)]
pub struct FunctionProfile {
    /// The function's instructions, as they were encoded.
    pub function: Function,
    /// Its cells, in order. Those that enter the function are not listed. While it is counted, a cell
    /// ends with its first branch, so that all of it runs equally often; without counting, some go on.
    pub cells: Vec<CellProfile>,
}

/// What has been counted of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellProfile {
    /// The instructions that it does: indices into [`Function::insts`].
    pub insts: Range<usize>,
    /// Its shape; nothing if its handler does not come from the shape table.
    pub shape: Option<ShapeKey>,
    /// How often it has been started.
    pub count: u64,
}
