//! The table of costs, in Markdown.

use std::fmt;

/// What a case costs a contestant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    pub(super) mebibytes: f64,
}

/// What a case costs all of them, in their order; nothing if one does not come to its end.
pub(super) struct Row {
    pub(super) label: &'static str,
    /// Of the module.
    pub(super) bytes: u64,
    pub(super) costs: Vec<Option<Cost>>,
}

/// What is printed at the end.
pub(crate) struct Report {
    pub(super) contestants: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    pub(super) passes: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Medians of {} passes: seconds of CPU time, and MiB of memory at most, each with what it is of the first \
             contestant's: less is better. – is for what does not come to an end.\n",
            self.passes
        )?;
        write!(f, "| costs | module |")?;
        for (n, name) in self.contestants.iter().enumerate() {
            let ratios = if n == 0 { "" } else { " × |" };
            write!(f, " {name}: s |{ratios} MiB |{ratios}")?;
        }
        write!(f, "\n| :-- | --: |")?;
        for n in 0..self.contestants.len() {
            f.write_str(if n == 0 {
                " --: | --: |"
            } else {
                " --: | --: | --: | --: |"
            })?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "| {} | {} kB |", row.label, row.bytes / 1000)?;
            let first = row.costs.first().copied().flatten();
            for (n, cost) in row.costs.iter().enumerate() {
                for what in [|cost: Cost| cost.seconds, |cost: Cost| cost.mebibytes] {
                    match cost {
                        Some(cost) => write!(f, " {:.*} |", digits(what(*cost)), what(*cost))?,
                        None => write!(f, " – |")?,
                    }
                    if n > 0 {
                        match (cost, first) {
                            (Some(cost), Some(first)) => {
                                write!(f, " {:.2} |", what(*cost) / what(first))?;
                            }
                            _ => write!(f, " – |")?,
                        }
                    }
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn digits(value: f64) -> usize {
    if value < 10.0 { 2 } else { 0 }
}
