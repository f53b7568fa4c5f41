//! What can go wrong in training.

use std::io;

use weights_file::WeightsError;

/// An error of a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is outside its range.
    #[error("{setting} is {value}; it must be {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// The data do not fit the network or each other.
    #[error("{0}")]
    Data(String),
    /// The loss is not a finite number any more.
    #[error("the loss is {loss} at step {step} (learning rate {rate:e})")]
    NonFinite {
        /// The step, counted from 0.
        step: usize,
        /// The loss.
        loss: f32,
        /// The learning rate.
        rate: f64,
    },
    /// A checkpoint cannot be used or made.
    #[error(transparent)]
    Checkpoint(#[from] WeightsError),
    /// The device failed.
    #[error("cannot read from the device: {0}")]
    Device(String),
    /// The task's own error.
    #[error(transparent)]
    Task(Box<dyn std::error::Error + Send + Sync>),
    /// The observer could not write what it was given.
    #[error(transparent)]
    Observer(#[from] io::Error),
}

impl TrainError {
    /// An error of a task.
    pub fn task(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Task(error.into())
    }

    /// # Errors
    /// If a number is not from `least` to `most`.
    pub fn check_range(
        setting: &'static str,
        value: f64,
        least: f64,
        most: f64,
    ) -> Result<(), Self> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let (value, expected) = (value.to_string(), format!("from {least} to {most}"));
        Err(Self::Setting { setting, value, expected })
    }
}
