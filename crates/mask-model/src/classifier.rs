//! The classifier as users see it: crops in, probabilities out.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, activation::softmax};
use fused_cpu::Engine;
use image::RgbImage;

use crate::{Backbone, CropBatch, Head, MaskHead, MaskModelError, execution::Execution};

/// Settings of a [`MaskClassifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct MaskClassifierConfig {
    /// A head's weights file. Default: the embedded head.
    pub head: Option<PathBuf>,
    /// The backbone's weights file. Default: the embedded backbone.
    pub backbone: Option<PathBuf>,
    /// Most crops that enter the network at once, which bounds its memory. Default: 8.
    pub max_batch: usize,
    /// What runs the networks. Default: [`Engine::Fused`].
    pub engine: Engine,
}

impl Default for MaskClassifierConfig {
    fn default() -> Self {
        Self { head: None, backbone: None, max_batch: 8, engine: Engine::default() }
    }
}

/// Tells the class of crops of faces.
#[derive(Debug)]
pub struct MaskClassifier {
    execution: Execution<(Backbone, MaskHead)>,
    classes: Vec<String>,
    max_batch: usize,
}

impl MaskClassifier {
    /// Loads the networks onto `device`.
    ///
    /// # Errors
    /// If weights cannot be used, or the networks cannot be prepared for the device.
    pub fn new(config: MaskClassifierConfig, device: &Device) -> Result<Self, MaskModelError> {
        let backbone = Backbone::load(config.backbone.as_deref(), device)?;
        let Head { layers, classes } = Head::load(config.head.as_deref(), device)?;
        let execution = Execution::new((backbone, layers), probabilities, config.engine, device)?;
        Ok(Self { execution, classes, max_batch: config.max_batch.max(1) })
    }

    /// Names of the classes, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The name of the most probable class.
    pub fn label(&self, probabilities: &[f32]) -> &str {
        let named = self.classes.iter().zip(probabilities);
        // The first of equals, as the reference labels.
        named.rev().max_by(|a, b| a.1.total_cmp(b.1)).map_or("", |(name, _)| name)
    }

    /// Class probabilities, in [0, 1] and of sum 1, of each crop.
    ///
    /// # Errors
    /// If a crop has no pixels or the device fails.
    pub fn classify(&self, crops: &[RgbImage]) -> Result<Vec<Vec<f32>>, MaskModelError> {
        let mut probabilities = Vec::with_capacity(crops.len());
        for chunk in crops.chunks(self.max_batch) {
            let mut batch = CropBatch::default();
            for crop in chunk {
                batch.push(crop)?;
            }
            probabilities.extend(self.classify_batch(batch)?);
        }
        Ok(probabilities)
    }

    /// Class probabilities of each crop of a batch.
    ///
    /// # Errors
    /// If the device fails.
    pub fn classify_batch(&self, batch: CropBatch) -> Result<Vec<Vec<f32>>, MaskModelError> {
        let probabilities = self.execution.run(batch)?;
        Ok(probabilities.chunks(self.classes.len().max(1)).map(<[f32]>::to_vec).collect())
    }
}

fn probabilities((backbone, head): &(Backbone, MaskHead), crops: Tensor<4>) -> Tensor<2> {
    softmax(head.forward(backbone.forward(crops)), 1)
}
