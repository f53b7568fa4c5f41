//! The frozen backbone alone, for those who train a head over it.

use std::path::Path;

use burn::tensor::Device;
use fused_cpu::Engine;

use crate::{Backbone, CropBatch, FEATURES, MaskModelError, execution::Execution};

/// Makes the features that a head learns from.
#[derive(Debug)]
pub struct FeatureExtractor {
    execution: Execution<Backbone>,
}

impl FeatureExtractor {
    /// Loads the backbone, the embedded one unless a file is given, onto `device`.
    ///
    /// # Errors
    /// If its weights cannot be used, or it cannot be prepared for the device.
    pub fn new(
        backbone: Option<&Path>,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, MaskModelError> {
        let backbone = Backbone::load(backbone, device)?;
        let execution = Execution::new(backbone, Backbone::forward, engine, device)?;
        Ok(Self { execution })
    }

    /// Features of each crop, `[batch, 1280]`, row after row.
    ///
    /// # Errors
    /// If the device fails.
    pub fn features(&self, batch: CropBatch) -> Result<Vec<f32>, MaskModelError> {
        let features = self.execution.run(batch)?;
        debug_assert_eq!(features.len() % FEATURES, 0);
        Ok(features)
    }
}
