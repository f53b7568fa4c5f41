//! The detector as users see it: pictures in, faces out.

use std::collections::HashMap;

use burn::tensor::Device;
use fused_cpu::Engine;
use image::RgbImage;

use crate::{
    Detection, DetectionOutput, FaceSsdError, InputBatch, InputSize, PixelBox, PriorBoxes,
    PriorLayout, WeightsSource,
    execution::{Execution, OutputValues},
    network::Res10Ssd,
};

/// A face found in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Where, in the picture's pixels.
    pub bbox: PixelBox,
    /// The network's probability that it is a face, in [0, 1].
    pub confidence: f32,
}

/// Settings of a [`FaceDetector`].
#[derive(Debug, Clone, PartialEq)]
pub struct FaceDetectorConfig {
    /// Size at which pictures enter the network. Default: a long side of 560 pixels, the best on
    /// photographs with boxes (docs/performance.md has the table).
    pub input_size: InputSize,
    /// Where the prior boxes stand. Default: [`PriorLayout::Corrected`].
    pub prior_layout: PriorLayout,
    /// Faces must be at least this confident, in [0, 1]. Default: 0.5, as the reference.
    pub min_confidence: f32,
    /// Suppression of overlapping boxes. Default: as in `deploy.prototxt`.
    pub output: DetectionOutput,
    /// Most pictures that enter the network at once. Default: 8.
    pub max_batch: usize,
    /// Where the weights come from. Default: embedded.
    pub weights: WeightsSource,
    /// What runs the network. Default: [`Engine::Fused`].
    pub engine: Engine,
}

impl Default for FaceDetectorConfig {
    fn default() -> Self {
        Self {
            input_size: InputSize::LongSide(560),
            prior_layout: PriorLayout::Corrected,
            min_confidence: 0.5,
            output: DetectionOutput::default(),
            max_batch: 8,
            weights: WeightsSource::Embedded,
            engine: Engine::default(),
        }
    }
}

/// Finds faces in pictures.
#[derive(Debug)]
pub struct FaceDetector {
    config: FaceDetectorConfig,
    execution: Execution,
}

impl FaceDetector {
    /// Loads the network onto `device`.
    ///
    /// # Errors
    /// If the weights cannot be used, the input size is out of range, or the network cannot be
    /// prepared for the device.
    pub fn new(config: FaceDetectorConfig, device: &Device) -> Result<Self, FaceSsdError> {
        config.input_size.validate()?;
        let network = Res10Ssd::load(&config.weights, device)?;
        let execution = Execution::new(network, config.engine, device)?;
        Ok(Self { config, execution })
    }

    /// The settings.
    pub fn config(&self) -> &FaceDetectorConfig {
        &self.config
    }

    /// The faces in a picture, the most confident first.
    ///
    /// # Errors
    /// If the picture has no pixels or the device fails.
    pub fn detect(&self, picture: &RgbImage) -> Result<Vec<Face>, FaceSsdError> {
        Ok(self.detect_batch(&[picture])?.pop().unwrap_or_default())
    }

    /// The faces in each picture, the most confident first.
    ///
    /// Pictures that enter the network at the same size share a run.
    ///
    /// # Errors
    /// If a picture has no pixels or the device fails.
    pub fn detect_batch(&self, pictures: &[&RgbImage]) -> Result<Vec<Vec<Face>>, FaceSsdError> {
        let mut by_size: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
        for (index, picture) in pictures.iter().enumerate() {
            let size = self.config.input_size.for_picture(picture.width(), picture.height());
            by_size.entry(size).or_default().push(index);
        }
        let mut faces = vec![Vec::new(); pictures.len()];
        for ((width, height), indices) in by_size {
            let priors = PriorBoxes::new(self.config.prior_layout, width, height);
            for chunk in indices.chunks(self.config.max_batch.max(1)) {
                let mut batch = InputBatch::new(width, height);
                for &index in chunk {
                    batch.push(pictures[index])?;
                }
                let detections = self.detect_inputs(batch, &priors)?;
                for (&index, detections) in chunk.iter().zip(detections) {
                    let (width, height) = pictures[index].dimensions();
                    faces[index] = self.to_faces(&detections, width, height);
                }
            }
        }
        Ok(faces)
    }

    /// Runs the network on a batch and decodes each picture's output.
    ///
    /// # Errors
    /// If the device fails.
    pub fn detect_inputs(
        &self,
        batch: InputBatch,
        priors: &PriorBoxes,
    ) -> Result<Vec<Vec<Detection>>, FaceSsdError> {
        let pictures = batch.len();
        let OutputValues { locations, confidences } = self.execution.run(batch)?;
        let (locations_each, confidences_each) =
            (locations.len() / pictures.max(1), confidences.len() / pictures.max(1));
        Ok(locations
            .chunks(locations_each.max(1))
            .zip(confidences.chunks(confidences_each.max(1)))
            .map(|(locations, confidences)| {
                self.config.output.decode(priors, locations, confidences)
            })
            .collect())
    }

    /// The confident detections as boxes in a picture of `width` x `height` pixels.
    fn to_faces(&self, detections: &[Detection], width: u32, height: u32) -> Vec<Face> {
        detections
            .iter()
            .filter(|detection| detection.confidence >= self.config.min_confidence)
            .filter_map(|detection| {
                let bbox = detection.bbox.to_pixels(width, height)?;
                Some(Face { bbox, confidence: detection.confidence })
            })
            .collect()
    }
}
