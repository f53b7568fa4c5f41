//! Calibration of a trained classifier by one temperature, as in Guo et al., "On Calibration of Modern
//! Neural Networks" (2017).

use crate::Labels;

/// Temperatures that are tried. Validation without errors would ask for ever lower ones.
const RANGE: [f64; 2] = [0.5, 5.0];

/// Halvings of the range; beyond, a temperature changes in its seventh digit.
const STEPS: usize = 60;

impl Labels {
    /// With the temperature of the lowest cross-entropy on validation samples: pairs of a true class
    /// and class probabilities at a temperature of 1. The probabilities become those at the new
    /// temperature.
    #[must_use]
    pub fn calibrated(self, rows: &mut [(usize, Vec<f32>)]) -> Self {
        let temperature = best_temperature(rows);
        for (_, row) in &mut *rows {
            *row = at_temperature(row, temperature).into_iter().map(|p| p as f32).collect();
        }
        Self { temperature: temperature as f32, ..self }
    }
}

/// Class probabilities whose logarithms were divided by a temperature.
fn at_temperature(row: &[f32], temperature: f64) -> Vec<f64> {
    let logit = |p: &f32| f64::from(p.max(f32::MIN_POSITIVE)).ln() / temperature;
    let logits: Vec<f64> = row.iter().map(logit).collect();
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// 1 where there are no samples.
fn best_temperature(rows: &[(usize, Vec<f32>)]) -> f64 {
    if rows.is_empty() {
        return 1.0;
    }
    let loss = |inverse: f64| -> f64 {
        let of = |(truth, row): &(usize, Vec<f32>)| {
            at_temperature(row, 1.0 / inverse).get(*truth).map_or(0.0, |p| -p.max(1e-300).ln())
        };
        rows.iter().map(of).sum()
    };
    // The cross-entropy is convex in the inverse.
    let [mut low, mut high] = [1.0 / RANGE[1], 1.0 / RANGE[0]];
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        if loss(low + third) < loss(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    2.0 / (low + high)
}

#[cfg(test)]
mod tests {
    use geometry::Crop;
    use rand::RngExt;

    use super::*;

    fn labels() -> Labels {
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        Labels { classes, crop: Crop::default(), temperature: 1.0 }
    }

    /// Classes drawn with known probabilities; the network says them as if sharpened.
    #[test]
    fn a_sharpened_network_is_found_out() {
        let mut rng = trainer::generator(7, 0);
        let mut rows = Vec::new();
        for _ in 0..20_000 {
            let logits: [f32; 3] = [0; 3].map(|_| rng.random_range(-2.0..2.0));
            let powers = logits.map(f32::exp);
            let sum: f32 = powers.iter().sum();
            let mut at = rng.random_range(0.0..sum);
            let truth = powers.iter().position(|power| {
                at -= power;
                at < 0.0
            });
            let sharp = powers.map(|power| (power / sum).powf(1.7));
            let sum: f32 = sharp.iter().sum();
            rows.push((truth.unwrap_or(2), sharp.map(|power| power / sum).to_vec()));
        }
        let before = rows.clone();
        let found = labels().calibrated(&mut rows).temperature;
        assert!((found - 1.7).abs() < 0.05, "{found}");
        assert!((rows[0].1.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // And no temperature of a grid is better.
        let loss = |temperature: f64| -> f64 {
            before.iter().map(|(truth, row)| -at_temperature(row, temperature)[*truth].ln()).sum()
        };
        let best = (50..500).map(|t| loss(f64::from(t) / 100.0)).fold(f64::INFINITY, f64::min);
        assert!(loss(found.into()) <= best + 1e-6 * best);
    }

    #[test]
    fn few_samples_without_errors_do_not_make_certain() {
        let mut rows = vec![(0, vec![0.8, 0.1, 0.1]), (1, vec![0.2, 0.7, 0.1])];
        let found = labels().calibrated(&mut rows).temperature;
        assert!((f64::from(found) - RANGE[0]).abs() < 1e-6, "{found}");
        assert_eq!(labels().calibrated(&mut []).temperature, 1.0);
    }
}
