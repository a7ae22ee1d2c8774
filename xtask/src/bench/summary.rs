//! What the table comes to: geometric means, worst programs, guard pages against checks in software.

use std::fmt;

use super::statistics::geometric_mean;
use super::table::{Row, Table};
use crate::mode::Mode;

/// Lines below the table.
pub(super) struct Summary<'a>(pub(super) &'a Table);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = &self.0.contestants;
        let rows: Vec<&Row> = self.0.programs().flat_map(|group| &group.rows).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        for index in 1..names.len() {
            self.compare(f, &rows, index, 0)?;
        }
        let place = |mode: Mode| names.iter().position(|name| name == mode.name());
        if let (Some(guarded), Some(software)) =
            (place(Mode::DirectGuarded), place(Mode::DirectSoftware))
            && software > 0
        {
            self.compare(f, &rows, guarded, software)?;
        }
        Ok(())
    }
}

impl Summary<'_> {
    fn compare(
        &self,
        f: &mut fmt::Formatter<'_>,
        rows: &[&Row],
        index: usize,
        base: usize,
    ) -> fmt::Result {
        let mut ratios: Vec<(f64, &str)> = rows
            .iter()
            .filter_map(|row| Some((row.ratio(index, base)?, &*row.program)))
            .collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let values: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
        let (Some(mean), Some(least), Some(most)) =
            (geometric_mean(&values), ratios.first(), ratios.last())
        else {
            return Ok(());
        };
        writeln!(
            f,
            "- {} against {}: geometric mean {mean:.2}× over {} programs; least {:.2}× ({}), most \
             {:.2}× ({})",
            self.0.contestants[index],
            self.0.contestants[base],
            ratios.len(),
            least.0,
            least.1,
            most.0,
            most.1
        )
    }
}
