//! The frozen backbone alone, for those who train a head over it.

use burn::tensor::{Device, Tensor};
use fused_cpu::{Engine, Runner, RunnerOptions};
use image_input::NetworkInput;
use weights_file::WeightsSource;

use crate::{Backbone, INPUT_SIZE, MaskModelError};

/// Makes the features that a head learns from.
#[derive(Debug)]
pub struct FeatureExtractor {
    runner: Runner<Backbone, Tensor<2>>,
}

impl FeatureExtractor {
    /// Loads the backbone onto `device`.
    ///
    /// # Errors
    /// If its weights cannot be used, or it cannot be prepared for the device.
    pub fn new(
        backbone: &WeightsSource,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, MaskModelError> {
        let backbone = Backbone::load(backbone, device)?;
        let side = INPUT_SIZE as usize;
        let options = RunnerOptions { engine, ..RunnerOptions::default() };
        let runner = Runner::new(backbone, [1, 3, side, side], Backbone::forward, options, device)?;
        Ok(Self { runner })
    }

    /// Features of each crop, `[batch, FEATURE_DIM]`, row after row.
    ///
    /// # Errors
    /// If the device fails.
    pub fn features(&self, batch: &NetworkInput) -> Result<Vec<f32>, MaskModelError> {
        Ok(self.runner.run(batch.values(), batch.shape())?.pop().unwrap_or_default())
    }
}
