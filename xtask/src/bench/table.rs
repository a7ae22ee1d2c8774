//! The table of figures and ratios, in Markdown.

use std::fmt;

use super::statistics::{Sample, geometric_mean};
use super::summary::Summary;

/// What is printed at the end.
pub(crate) struct Table {
    /// Their names; ratios are formed with the first.
    pub(crate) contestants: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) passes: usize,
    /// What a program's seconds are.
    pub(crate) seconds: &'static str,
}

/// Rows under one heading.
pub(crate) struct Group {
    pub(crate) name: String,
    /// Whether they are programs, whose ratios have a mean.
    pub(crate) programs: bool,
    pub(crate) rows: Vec<Row>,
}

/// One program.
pub(crate) struct Row {
    pub(crate) program: String,
    pub(crate) unit: &'static str,
    /// Whether more is faster.
    pub(crate) rate: bool,
    /// One for each contestant; `None` if it cannot run the program.
    pub(crate) samples: Vec<Option<Sample>>,
    /// Why a contestant cannot run it.
    pub(crate) note: Option<String>,
}

impl Row {
    /// How many times as fast as the contestant at `base` the one at `index` is.
    pub(crate) fn ratio(&self, index: usize, base: usize) -> Option<f64> {
        let first = self.samples.get(base)?.as_ref()?.median;
        let own = self.samples.get(index)?.as_ref()?.median;
        let ratio = if self.rate { own / first } else { first / own };
        ratio.is_finite().then_some(ratio)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.contestants.split_first() else {
            return Ok(());
        };
        writeln!(
            f,
            "Medians of {} passes (least–greatest). Seconds are {}; 1/s is CoreMark's \
             score by CPU time. × is speed relative to {first}: more is faster, and less of what is no \
             speed.",
            self.passes, self.seconds
        )?;
        for group in &self.groups {
            writeln!(f)?;
            write!(f, "| {} | unit | {first} |", group.name)?;
            for name in others {
                write!(f, " {name} | × |")?;
            }
            write!(f, "\n| :-- | :-- | --: |")?;
            for _ in others {
                write!(f, " --: | --: |")?;
            }
            writeln!(f)?;
            for row in &group.rows {
                write!(f, "| {} | {} |", row.program, row.unit)?;
                for (index, sample) in row.samples.iter().enumerate() {
                    write!(f, " {} |", Cell(*sample))?;
                    if index > 0 {
                        write!(f, " {} |", Ratio(row.ratio(index, 0)))?;
                    }
                }
                writeln!(f)?;
            }
            if group.programs {
                self.mean(f, group)?;
            }
            for row in &group.rows {
                if let Some(note) = &row.note {
                    write!(f, "\n{}: {note}\n", row.program)?;
                }
            }
        }
        write!(f, "{}", Summary(self))?;
        // One pass has no spread.
        if self.passes > 1
            && let Some((median, greatest)) = self.noise()
        {
            writeln!(
                f,
                "\nNoise: the figures of one contestant on one program lie {:.1} % apart in the \
                 median, {:.1} % at most.",
                median * 100.0,
                greatest * 100.0
            )?;
        }
        Ok(())
    }
}

impl Table {
    /// The row of geometric means, over the programs that the contestant and the first one both run.
    fn mean(&self, f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
        write!(f, "| **geometric mean** | | |")?;
        for index in 1..self.contestants.len() {
            let ratios: Vec<f64> = group
                .rows
                .iter()
                .filter_map(|row| row.ratio(index, 0))
                .collect();
            write!(f, " {} of {} | ", ratios.len(), group.rows.len())?;
            write!(f, "**{}** |", Ratio(geometric_mean(&ratios)))?;
        }
        writeln!(f)
    }

    /// The groups that are programs.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.programs)
    }

    /// The median and the greatest of the spreads of all programs' samples.
    fn noise(&self) -> Option<(f64, f64)> {
        let rows = self.programs().flat_map(|group| &group.rows);
        let samples = rows.flat_map(|row| row.samples.iter().flatten());
        let spreads = Sample::of(samples.map(Sample::spread).collect())?;
        Some((spreads.median, spreads.greatest))
    }
}

struct Cell(Option<Sample>);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(sample) = self.0 else {
            return f.write_str("–");
        };
        let digits = match sample.median {
            ..0.1 => 5,
            0.1..10.0 => 3,
            10.0..100.0 => 2,
            _ => 0,
        };
        write!(
            f,
            "{:.digits$} ({:.digits$}–{:.digits$})",
            sample.median, sample.least, sample.greatest
        )
    }
}

struct Ratio(Option<f64>);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ratio) => write!(f, "{ratio:.2}×"),
            None => f.write_str("–"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: &'static str, rate: bool, figures: [f64; 2]) -> Row {
        Row {
            program: "p".to_owned(),
            unit,
            rate,
            samples: figures.map(|figure| Sample::of(vec![figure])).to_vec(),
            note: None,
        }
    }

    #[test]
    fn half_the_time_is_twice_the_speed() {
        assert_eq!(row("s", false, [2.0, 1.0]).ratio(1, 0), Some(2.0));
    }

    #[test]
    fn half_the_rate_is_half_the_speed() {
        assert_eq!(row("1/s", true, [2.0, 1.0]).ratio(1, 0), Some(0.5));
    }

    #[test]
    fn who_cannot_run_a_program_has_no_ratio_and_is_not_in_the_mean() {
        let mut missing = row("s", false, [2.0, 1.0]);
        missing.samples[0] = None;
        let table = Table {
            contestants: vec!["a".to_owned(), "b".to_owned()],
            groups: vec![Group {
                name: "g".to_owned(),
                programs: true,
                rows: vec![missing, row("s", false, [3.0, 1.0])],
            }],
            passes: 1,
            seconds: "user CPU seconds",
        };
        let text = table.to_string();
        assert!(
            text.contains("| p | s | – | 1.000 (1.000–1.000) | – |"),
            "{text}"
        );
        assert!(text.contains("| 1 of 2 | **3.00×** |"), "{text}");
    }
}
