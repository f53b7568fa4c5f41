//! The face network's settings, and images as it takes them.

use std::sync::Arc;

use burn::tensor::Device;
use face_ssd::{
    FaceDetector, FaceDetectorConfig, NORMALIZATION, PriorLayout,
    network::Res10Ssd,
    train::{FaceBatch, FaceTrainingConfig},
};
use geometry::{BoundingBox, UnitBox};
use image_input::{DecodeOptions, NetworkInput, decode_file};
use mask_data::{ImageCache, Scene, SceneAugmentation, SceneLoader, SceneSample, seed};
use mask_metrics::{Detection, GroundTruth, ImageResult, average_precision};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use trainer::{Source, TrainError, Validation};

/// What decides the result of a training of the face network, beside the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct FaceSettings {
    /// The optimisation.
    pub training: FaceTrainingConfig,
    /// The images.
    pub data: FaceData,
    /// How images become samples.
    pub augmentation: SceneAugmentation,
}

/// What the images are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaceData {
    /// Fraction of the images that validation gets. Default: 0.15.
    pub validation: f64,
    /// Whether duplicates may straddle training and validation. Default: no.
    pub allow_duplicates: bool,
    /// Tolerated fraction of unreadable images. Default: 0.01.
    pub max_unreadable: f64,
    /// What the weights of the start take for a face with at least this confidence, where the data
    /// has none, counts neither as a face nor as background: crowds are seldom labelled whole.
    /// Default: 1, nothing.
    pub ignore_found: f32,
}

impl Default for FaceData {
    fn default() -> Self {
        Self { validation: 0.15, allow_duplicates: false, max_unreadable: 0.01, ignore_found: 1.0 }
    }
}

impl FaceSettings {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.training.validate()?;
        self.augmentation.validate().map_err(TrainError::task)?;
        TrainError::check_range("validation", self.data.validation, 0.01, 0.9)?;
        TrainError::check_range("max-unreadable", self.data.max_unreadable, 0.0, 1.0)?;
        TrainError::check_range("ignore_found", self.data.ignore_found.into(), 0.01, 1.0)
    }
}

/// Two boxes of a larger IoU, or of which one lies in the other by more than half, show one face.
const SAME_FACE: f32 = 0.3;

/// Adds to the ignored regions of scenes what a network takes for a face with at least a confidence
/// of [`FaceData::ignore_found`] where there is none; the number of those regions. `progress` is
/// called once per image, from any thread.
///
/// # Errors
/// If an image cannot be read, or the network cannot run.
pub fn ignore_found(
    scenes: &mut [Scene],
    network: &Res10Ssd,
    settings: &FaceSettings,
    device: &Device,
    progress: &(dyn Fn() + Sync),
) -> Result<usize, TrainError> {
    let confidence = settings.data.ignore_found;
    if confidence >= 1.0 {
        return Ok(0);
    }
    let detector = detector(network, settings.training.priors, confidence, device)?;
    let add = |scene: &mut Scene| {
        let decoded = decode_file(&scene.image, &DecodeOptions::default());
        let image = decoded.map_err(TrainError::task)?.image;
        let faces = detector.detect(&image).map_err(TrainError::task)?;
        progress();
        let known = |bbox: &BoundingBox| {
            let mut others = scene.faces.iter().chain(&scene.ignored);
            others.any(|other| bbox.iou(other) > SAME_FACE || bbox.overlap(other) > 0.5)
        };
        let new: Vec<BoundingBox> =
            faces.iter().map(|face| face.bbox).filter(|bbox| !known(bbox)).collect();
        scene.ignored.extend(&new);
        Ok(new.len())
    };
    scenes.par_iter_mut().map(add).sum()
}

/// A detector with a network in training, at the size at which it will be used.
fn detector(
    network: &Res10Ssd,
    priors: PriorLayout,
    confidence: f32,
    device: &Device,
) -> Result<FaceDetector, TrainError> {
    let mut config = FaceDetectorConfig::default();
    config.postprocess = config.postprocess.with_score_threshold(confidence);
    FaceDetector::from_network(network.clone(), priors, config, device).map_err(TrainError::task)
}

/// Training samples and validation images for the face network.
pub struct FaceImages {
    loader: SceneLoader,
    validation: Vec<Scene>,
    cache: Arc<ImageCache>,
    config: FaceTrainingConfig,
    device: Device,
    progress: Box<dyn Fn() + Send + Sync>,
}

impl FaceImages {
    /// Images to learn from and to validate on. `cache_bytes` bounds the decoded images that are
    /// kept; `progress` is called once per image of a validation, from any thread.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new(
        train: Vec<Scene>,
        validation: Vec<Scene>,
        settings: &FaceSettings,
        cache_bytes: usize,
        device: &Device,
        progress: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, TrainError> {
        settings.validate()?;
        let cache = Arc::new(ImageCache::new(DecodeOptions::default(), cache_bytes));
        // What the network sees where there is nothing: zero after normalisation.
        let [blue, green, red] = NORMALIZATION.offset.map(|value| value.round() as u8);
        let config = settings.training.clone();
        let loader = SceneLoader::new(
            train,
            Arc::clone(&cache),
            settings.augmentation.clone(),
            [red, green, blue],
            config.seed,
        )
        .map_err(TrainError::task)?;
        Ok(Self { loader, validation, cache, config, device: device.clone(), progress })
    }

    /// What a network finds in the validation images, down to a confidence of 0.01.
    ///
    /// # Errors
    /// If an image cannot be read, or the network cannot run.
    pub fn results(&self, network: &Res10Ssd) -> Result<Vec<ImageResult>, TrainError> {
        let detector = detector(network, self.config.priors, 0.01, &self.device)?;
        let result = |scene: &Scene| {
            let image = self.cache.get(&scene.image).map_err(TrainError::task)?;
            let faces = detector.detect(&*image).map_err(TrainError::task)?;
            (self.progress)();
            let truth = |difficult: bool| {
                move |bbox: &BoundingBox| GroundTruth { bbox: *bbox, class: 0, difficult }
            };
            let truths = scene.faces.iter().map(truth(false));
            Ok(ImageResult {
                truths: truths.chain(scene.ignored.iter().map(truth(true))).collect(),
                detections: faces
                    .into_iter()
                    .map(|face| Detection {
                        bbox: face.bbox,
                        confidence: face.score.into(),
                        probabilities: Vec::new(),
                    })
                    .collect(),
            })
        };
        self.validation.par_iter().map(result).collect()
    }
}

impl Source<Res10Ssd> for FaceImages {
    type Batch = FaceBatch;

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(FaceBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let FaceTrainingConfig { batch_size, samples_per_epoch, sides, seed, .. } = &self.config;
        for first in (0..*samples_per_epoch).step_by(*batch_size) {
            // The side belongs to the step, as the samples' changes belong to them.
            let of_step = u64::MAX - first as u64;
            let (purpose, epoch) = (seed::Purpose::Augmentation, epoch as u64);
            let mut rng = seed::generator(purpose, *seed, epoch, of_step);
            let side = sides[rng.random_range(0..sides.len())];
            let count = (*batch_size).min(samples_per_epoch - first);
            let samples =
                self.loader.samples(epoch, first, count, side).map_err(TrainError::task)?;
            take(batch(&samples, side)?)?;
        }
        Ok(())
    }

    fn validate(&self, network: &Res10Ssd) -> Result<Validation, TrainError> {
        let accuracy = average_precision(&self.results(network)?, None, 0.5).unwrap_or_default();
        Ok(Validation { loss: 1.0 - accuracy, accuracy })
    }
}

fn batch(samples: &[SceneSample], side: u32) -> Result<FaceBatch, TrainError> {
    let mut input = NetworkInput::new((side, side), NORMALIZATION);
    samples.iter().try_for_each(|sample| input.push(&sample.image)).map_err(TrainError::task)?;
    let unit = |boxes: &Vec<BoundingBox>| -> Vec<UnitBox> {
        boxes.iter().map(|bbox| bbox.to_unit((side, side).into())).collect()
    };
    Ok(FaceBatch {
        input,
        faces: samples.iter().map(|sample| unit(&sample.faces)).collect(),
        ignored: samples.iter().map(|sample| unit(&sample.ignored)).collect(),
    })
}
