//! The classifier as users see it: crops in, probabilities out.

use std::path::PathBuf;

use burn::tensor::{Device, activation::softmax};
use image::RgbImage;

use crate::{Backbone, CropBatch, Head, MaskModelError};

/// Settings of a [`MaskClassifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct MaskClassifierConfig {
    /// A head's weights file. Default: the embedded head.
    pub head: Option<PathBuf>,
    /// The backbone's weights file. Default: the embedded backbone.
    pub backbone: Option<PathBuf>,
    /// Most crops that enter the network at once, which bounds its memory. Default: 8.
    pub max_batch: usize,
}

impl Default for MaskClassifierConfig {
    fn default() -> Self {
        Self { head: None, backbone: None, max_batch: 8 }
    }
}

/// Tells the class of crops of faces.
#[derive(Debug)]
pub struct MaskClassifier {
    backbone: Backbone,
    head: Head,
    max_batch: usize,
    device: Device,
}

impl MaskClassifier {
    /// Loads the networks onto `device`.
    ///
    /// # Errors
    /// If weights cannot be used.
    pub fn new(config: MaskClassifierConfig, device: &Device) -> Result<Self, MaskModelError> {
        Ok(Self {
            backbone: Backbone::load(config.backbone.as_deref(), device)?,
            head: Head::load(config.head.as_deref(), device)?,
            max_batch: config.max_batch.max(1),
            device: device.clone(),
        })
    }

    /// Names of the classes, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
    }

    /// The name of the most probable class.
    pub fn label(&self, probabilities: &[f32]) -> &str {
        let named = self.head.classes.iter().zip(probabilities);
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
        let features = self.backbone.forward(batch.into_tensor(&self.device));
        let probabilities = softmax(self.head.layers.forward(features), 1)
            .try_into_vec_as::<f32>()
            .map_err(|error| MaskModelError::Output(error.to_string()))?;
        Ok(probabilities.chunks(self.head.classes.len().max(1)).map(<[f32]>::to_vec).collect())
    }
}
