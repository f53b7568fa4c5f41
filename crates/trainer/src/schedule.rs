//! The optimiser's settings, and how the learning rate changes from step to step.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How the learning rate changes. Written here and not taken from Burn, whose schedulers count
/// calls: a rate must follow from the step alone for a resumed training to repeat itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Keras's `decay`: `rate / (1 + decay * step)`, with `decay` the rate over the epochs.
    #[serde(rename = "inverse-time", alias = "reference")]
    InverseTime,
    /// No change.
    Constant,
    /// Half a cosine down to zero at the end.
    Cosine,
}

/// Settings of AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate. Default: 1e-4.
    pub learning_rate: f64,
    /// How it changes. Default: not at all.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from zero. Default: 0.
    pub warmup_steps: usize,
    /// What [`Schedule::InverseTime`] divides the rate by. Default: 1.
    pub epochs: usize,
    /// Decoupled weight decay. Default: 0, which makes it plain Adam.
    pub weight_decay: f32,
    /// Added to the root of the second moment. Default: 1e-7, as Keras.
    pub epsilon: f32,
    /// Largest L2 norm of all gradients together; longer ones are shortened to it. 0 for no limit.
    /// Default: 0.
    pub max_gradient_norm: f64,
    /// Weight of the past in the moving average of the parameters, which is what validation sees
    /// and what training yields, in [0, 1). 0 for no average. In the first steps less, so that the
    /// first parameters are soon forgotten. Default: 0.
    pub average: f64,
    /// Factors of the learning rate for parameters whose path begins so; the first one counts.
    /// Default: none.
    pub rate_factors: Vec<(String, f64)>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            epochs: 1,
            weight_decay: 0.0,
            epsilon: 1e-7,
            max_gradient_norm: 0.0,
            average: 0.0,
            rate_factors: Vec::new(),
        }
    }
}

impl OptimizerConfig {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        TrainError::check_range("learning rate", self.learning_rate, 1e-12, 1e3)?;
        TrainError::check_range("weight decay", self.weight_decay.into(), 0.0, 1e3)?;
        TrainError::check_range("epsilon", self.epsilon.into(), 1e-30, 1.0)?;
        TrainError::check_range("max-gradient-norm", self.max_gradient_norm, 0.0, 1e9)?;
        TrainError::check_range("average", self.average, 0.0, 0.999_999)?;
        let mut factors = self.rate_factors.iter();
        factors
            .try_for_each(|(_, factor)| TrainError::check_range("rate factor", *factor, 0.0, 1e6))
    }

    /// The weight of the past in the moving average at `step`, counted from 0.
    pub(crate) fn average_at(&self, step: usize) -> f64 {
        self.average.min((1.0 + step as f64) / (10.0 + step as f64))
    }

    /// The factor of the learning rate for a parameter.
    pub(crate) fn rate_factor(&self, path: &str) -> f64 {
        let mut factors = self.rate_factors.iter();
        factors.find(|(prefix, _)| path.starts_with(prefix.as_str())).map_or(1.0, |(_, by)| *by)
    }

    /// The learning rate at `step`, counted from 0, of `steps`.
    pub fn rate_at(&self, step: usize, steps: usize) -> f64 {
        let (warmup, rate) = (self.warmup_steps, self.learning_rate);
        if step < warmup {
            return rate * (step + 1) as f64 / warmup as f64;
        }
        match self.schedule {
            Schedule::InverseTime => rate / (1.0 + rate / self.epochs.max(1) as f64 * step as f64),
            Schedule::Constant => rate,
            Schedule::Cosine => {
                let part = (step - warmup) as f64 / (steps.max(warmup + 1) - warmup) as f64;
                rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_their_schedules() {
        let config = OptimizerConfig { warmup_steps: 20, epochs: 20, ..OptimizerConfig::default() };
        let rate =
            |schedule, step| OptimizerConfig { schedule, ..config.clone() }.rate_at(step, 200);
        assert!((rate(Schedule::Constant, 0) - 5e-6).abs() < 1e-12);
        assert!((rate(Schedule::Constant, 19) - 1e-4).abs() < 1e-12);
        assert_eq!(rate(Schedule::Constant, 150), 1e-4);
        assert!((rate(Schedule::Cosine, 110) - 5e-5).abs() < 1e-12);
        assert!((rate(Schedule::InverseTime, 100) - 1e-4 / (1.0 + 5e-6 * 100.0)).abs() < 1e-15);
    }

    #[test]
    fn the_former_name_of_a_schedule_is_still_read() {
        let old: Schedule = serde_json::from_str(r#""reference""#).unwrap();
        assert_eq!(old, Schedule::InverseTime);
        assert_eq!(serde_json::to_string(&old).unwrap(), r#""inverse-time""#);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for config in [
            OptimizerConfig { learning_rate: 0.0, ..OptimizerConfig::default() },
            OptimizerConfig { learning_rate: f64::NAN, ..OptimizerConfig::default() },
            OptimizerConfig { weight_decay: -1.0, ..OptimizerConfig::default() },
            OptimizerConfig { epsilon: 0.0, ..OptimizerConfig::default() },
            OptimizerConfig { average: 1.0, ..OptimizerConfig::default() },
            OptimizerConfig { max_gradient_norm: -1.0, ..OptimizerConfig::default() },
        ] {
            assert!(matches!(config.validate(), Err(TrainError::Setting { .. })), "{config:?}");
        }
    }
}
