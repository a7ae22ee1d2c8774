//! Medians, spreads, means of ratios.

/// The figures of one contestant on one program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Sample {
    /// `None` if there are no figures. Of an even number of figures the median is the mean of the two
    /// in the middle.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Sample> {
        figures.sort_by(f64::total_cmp);
        let (least, greatest) = (*figures.first()?, *figures.last()?);
        let upper = *figures.get(figures.len() / 2)?;
        let lower = *figures.get((figures.len() - 1) / 2)?;
        Some(Sample {
            median: (lower + upper) / 2.0,
            least,
            greatest,
        })
    }

    /// How far apart the figures lie, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.greatest - self.least) / self.median
    }
}

/// The geometric mean; `None` of nothing, or if a value is not positive.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    Some((sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let sample = Sample::of(vec![3.0, 1.0, 2.0]).expect("three figures");
        assert_eq!(
            (sample.least, sample.median, sample.greatest),
            (1.0, 2.0, 3.0)
        );
        assert_eq!(sample.spread(), 1.0);
        let sample = Sample::of(vec![4.0, 1.0, 2.0, 3.0]).expect("four figures");
        assert_eq!(sample.median, 2.5);
        assert_eq!(Sample::of(Vec::new()), None);
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        let mean = geometric_mean(&[4.0, 0.25]).expect("positive values");
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
    }
}
