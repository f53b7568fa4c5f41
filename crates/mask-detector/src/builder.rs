//! Building a detector from settings that have defaults.

use face_ssd::{Arithmetic, Engine, FaceDetectorConfig, InputSize, WeightsSource};
use mask_model::MaskClassifierConfig;

use crate::{DetectError, DeviceChoice, MaskDetector, MaskDetectorConfig};

/// Settings of a detector to be. What is not set has its default.
#[derive(Debug, Clone, Default)]
pub struct MaskDetectorBuilder {
    device: DeviceChoice,
    config: MaskDetectorConfig,
}

impl MaskDetectorBuilder {
    /// Which device to run on. Default: [`DeviceChoice::Auto`].
    #[must_use]
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// All settings at once.
    #[must_use]
    pub fn config(mut self, config: MaskDetectorConfig) -> Self {
        self.config = config;
        self
    }

    /// How faces are found.
    #[must_use]
    pub fn faces(mut self, config: FaceDetectorConfig) -> Self {
        self.config.faces = config;
        self
    }

    /// How faces are classified.
    #[must_use]
    pub fn masks(mut self, config: MaskClassifierConfig) -> Self {
        self.config.masks = config;
        self
    }

    /// Minimum score of a face, in [0, 1].
    #[must_use]
    pub fn score_threshold(mut self, threshold: f32) -> Self {
        self.config.faces.postprocess.score_threshold = threshold;
        self
    }

    /// Size at which images enter the face network.
    #[must_use]
    pub fn input_size(mut self, size: InputSize) -> Self {
        self.config.faces.input_size = size;
        self
    }

    /// Where the face network's weights come from: a file, or bytes.
    #[must_use]
    pub fn face_weights(mut self, weights: impl Into<WeightsSource>) -> Self {
        self.config.faces.weights = weights.into();
        self
    }

    /// Where the classifier's head comes from: a file, or bytes.
    #[must_use]
    pub fn head(mut self, head: impl Into<WeightsSource>) -> Self {
        self.config.masks.head = head.into();
        self
    }

    /// What runs both networks.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.config.faces.engine = engine;
        self.config.masks.engine = engine;
        self
    }

    /// In what both networks multiply on the CPU. Default: in eight bits, if their weights were calibrated
    /// for it and the processor is faster so.
    #[must_use]
    pub fn arithmetic(mut self, arithmetic: Arithmetic) -> Self {
        self.config.faces.arithmetic = Some(arithmetic);
        self.config.masks.arithmetic = Some(arithmetic);
        self
    }

    /// Maximum number of images, and of faces, that enter a network at once.
    #[must_use]
    pub fn max_batch(mut self, images: usize) -> Self {
        self.config.faces.max_batch = images;
        self.config.masks.max_batch = images;
        self
    }

    /// Opens the device and loads both networks.
    ///
    /// # Errors
    /// If the device cannot be used, weights cannot be read, or the input size is out of range.
    pub fn build(self) -> Result<MaskDetector, DetectError> {
        MaskDetector::new(self.config, &self.device.open()?.device)
    }
}
