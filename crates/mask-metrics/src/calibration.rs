//! Calibration: whether probabilities match frequencies.

use serde::Serialize;

/// Samples whose label's probability lies in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Bin {
    /// Number of samples.
    pub count: usize,
    /// Mean probability of their labels.
    pub confidence: f64,
    /// Fraction of them labelled correctly.
    pub accuracy: f64,
}

/// A reliability diagram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Equal intervals of [0, 1], from the lowest; each holds its upper end, not its lower.
    pub bins: Vec<Bin>,
    /// Expected calibration error: mean distance of confidence and accuracy, weighted by the bins'
    /// counts.
    pub expected_error: f64,
}

impl Calibration {
    /// Sorts pairs of the label's probability and whether the label is right into `bins` intervals.
    pub fn new(labels: impl IntoIterator<Item = (f64, bool)>, bins: usize) -> Self {
        let last = bins.max(1) - 1;
        let mut bins = vec![Bin::default(); last + 1];
        for (probability, right) in labels {
            let at = (probability * (last + 1) as f64).ceil() as usize;
            let bin = &mut bins[at.saturating_sub(1).min(last)];
            bin.count += 1;
            bin.confidence += probability;
            bin.accuracy += f64::from(u8::from(right));
        }
        let total: usize = bins.iter().map(|bin| bin.count).sum();
        let mut expected_error = 0.0;
        for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
            bin.confidence /= bin.count as f64;
            bin.accuracy /= bin.count as f64;
            let weight = bin.count as f64 / total as f64;
            expected_error += weight * (bin.confidence - bin.accuracy).abs();
        }
        Self { bins, expected_error }
    }
}
