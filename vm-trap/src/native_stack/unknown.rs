//! Systems that have not been taught to answer.

use std::ops::Range;

pub(super) fn bounds() -> Option<Range<usize>> {
    None
}
