//! The classifier as users see it: crops in, probabilities out.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use fused_cpu::{Arithmetic, Calibration, Engine, Graph, Runner, RunnerOptions};
use geometry::{Crop, PixelRect};
use image_input::{ImageView, NetworkInput};
use serde::{Deserialize, Serialize};
use weights_file::WeightsSource;

use crate::{
    ClassifierCheckpoint, ClassifierNetwork, INPUT_SIZE, Labels, MaskModelError, NORMALIZATION,
    argmax,
};

/// Settings of a [`MaskClassifier`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskClassifierConfig {
    /// Where the head comes from; a file that holds a backbone, too, is used with that. Default:
    /// embedded.
    pub head: WeightsSource,
    /// What is added to faces' boxes, see [`Crop::margin`]. Default: as the head was trained.
    pub margin: Option<f32>,
    /// Where the backbone's weights come from. Default: embedded.
    pub backbone: WeightsSource,
    /// Maximum number of crops that enter the network at once, which bounds its memory. Default: 8.
    pub max_batch: usize,
    /// What runs the networks. Default: [`Engine::Fused`].
    pub engine: Engine,
    /// In what the fused plan multiplies. Default: in eight bits, if the weights were calibrated
    /// for it and the processor is faster so.
    pub arithmetic: Option<Arithmetic>,
}

impl Default for MaskClassifierConfig {
    fn default() -> Self {
        Self {
            head: WeightsSource::Embedded,
            margin: None,
            backbone: WeightsSource::Embedded,
            max_batch: 8,
            engine: Engine::default(),
            arithmetic: None,
        }
    }
}

/// An input that the network is recorded with.
const EXAMPLE: [usize; 4] = [1, 3, INPUT_SIZE as usize, INPUT_SIZE as usize];

impl ClassifierCheckpoint {
    /// Begins to look for the ranges that running the network in eight bits takes; it is to observe
    /// crops as they enter it.
    ///
    /// # Errors
    /// If a plan cannot hold the network.
    pub fn calibration(&self) -> Result<Calibration, MaskModelError> {
        let forward = ClassifierNetwork::forward;
        Ok(Calibration::new(&Graph::trace(&self.network, EXAMPLE, forward)?)?)
    }
}

/// Finds the class of crops of faces. May be shared between threads.
#[derive(Debug)]
pub struct MaskClassifier {
    runner: Runner<ClassifierNetwork, Tensor<2>>,
    classes: Arc<[String]>,
    crop: Crop,
    max_batch: usize,
}

impl MaskClassifier {
    /// Loads the networks onto `device`.
    ///
    /// # Errors
    /// If weights cannot be used, or the networks cannot be prepared for the device.
    pub fn new(config: MaskClassifierConfig, device: &Device) -> Result<Self, MaskModelError> {
        let checkpoint = ClassifierCheckpoint::load(&config.backbone, &config.head, device)?;
        Self::from_checkpoint(checkpoint, config, device)
    }

    /// A classifier with networks at hand, which live on `device`; the sources of `config` are not
    /// used.
    ///
    /// # Errors
    /// If the networks cannot be prepared for the device.
    pub fn from_checkpoint(
        checkpoint: ClassifierCheckpoint,
        config: MaskClassifierConfig,
        device: &Device,
    ) -> Result<Self, MaskModelError> {
        let Labels { classes, crop, .. } = checkpoint.labels.clone();
        let input_ranges = checkpoint.input_ranges.clone();
        let options = RunnerOptions {
            engine: config.engine,
            arithmetic: config.arithmetic,
            input_ranges: input_ranges.as_ref(),
        };
        let (network, forward) = (checkpoint.calibrated(), ClassifierNetwork::forward);
        let runner = Runner::new(network, EXAMPLE, forward, options, device)?;
        let crop = Crop { margin: config.margin.unwrap_or(crop.margin), ..crop };
        Ok(Self { runner, classes: classes.into(), crop, max_batch: config.max_batch.max(1) })
    }

    /// Names of the classes, in the order of the probabilities.
    pub fn classes(&self) -> &Arc<[String]> {
        &self.classes
    }

    /// How a face's box is to be grown before it is cropped.
    pub fn crop(&self) -> Crop {
        self.crop
    }

    /// The name of the most probable class.
    pub fn label(&self, probabilities: &[f32]) -> &str {
        self.classes.get(argmax(probabilities)).map_or("", String::as_str)
    }

    /// Class probabilities, in [0, 1] with a sum of 1, of each crop.
    ///
    /// # Errors
    /// If a crop has no pixels or the device fails.
    pub fn classify(&self, crops: &[ImageView<'_>]) -> Result<Vec<Vec<f32>>, MaskModelError> {
        let whole = crops.iter().map(|crop| (*crop, PixelRect::of_image(crop.size())));
        self.classify_rects(&whole.collect::<Vec<_>>())
    }

    /// Class probabilities of rectangles of images, which are not copied out first.
    ///
    /// # Errors
    /// If a rectangle is empty or reaches beyond its image, or the device fails.
    pub fn classify_rects(
        &self,
        rects: &[(ImageView<'_>, PixelRect)],
    ) -> Result<Vec<Vec<f32>>, MaskModelError> {
        let mut probabilities = Vec::with_capacity(rects.len());
        for chunk in rects.chunks(self.max_batch) {
            let mut batch = NetworkInput::new((INPUT_SIZE, INPUT_SIZE), NORMALIZATION);
            for (image, rect) in chunk {
                batch.push_rect(*image, *rect)?;
            }
            probabilities.extend(self.classify_inputs(&batch)?);
        }
        Ok(probabilities)
    }

    /// Class probabilities of each image of a batch that is already resized and normalised.
    ///
    /// # Errors
    /// If the device fails.
    pub fn classify_inputs(&self, batch: &NetworkInput) -> Result<Vec<Vec<f32>>, MaskModelError> {
        let outputs = self.runner.run(batch.values(), batch.shape())?;
        let probabilities = outputs.into_iter().next().unwrap_or_default();
        Ok(probabilities.chunks(self.classes.len().max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Returns the memory that is kept for the next crop.
    pub fn trim(&self) {
        self.runner.trim();
    }
}
