//! Medians and spread of a few repetitions.

use serde::Serialize;

/// What some measurements say, in the unit of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    #[serde(rename = "median_us")]
    pub median: f64,
    /// The smallest.
    #[serde(rename = "min_us")]
    pub min: f64,
    /// The largest.
    #[serde(rename = "max_us")]
    pub max: f64,
}

impl Summary {
    /// Sums up `samples`; nothing for none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }

    /// Half the range from smallest to largest, in percent of the median.
    #[must_use]
    pub fn spread_percent(&self) -> f64 {
        if self.median > 0.0 {
            (self.max - self.min) / 2.0 / self.median * 100.0
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        assert_eq!(
            Summary::of(&[3.0, 1.0, 10.0]),
            Some(Summary {
                median: 3.0,
                min: 1.0,
                max: 10.0
            })
        );
        assert_eq!(
            Summary::of(&[4.0, 1.0, 2.0, 100.0]).map(|summary| summary.median),
            Some(3.0)
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn spread_is_half_the_range() {
        let summary = Summary::of(&[8.0, 10.0, 12.0]).unwrap();
        assert!((summary.spread_percent() - 20.0).abs() < 1e-9);
        assert!(Summary::of(&[0.0]).unwrap().spread_percent().abs() < 1e-9);
    }
}
