//! The detector as users see it: images in, faces out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use burn::tensor::{Device, Tensor};
use fused_cpu::{Engine, Runner};
use geometry::{BoundingBox, ImageSize};
use image_input::{ImageView, NetworkInput};
use serde::{Deserialize, Serialize};
use weights_file::WeightsSource;

use crate::{
    Detection, FaceSsdError, InputSize, NORMALIZATION, PostprocessConfig, PriorBoxes, PriorLayout,
    network::{Res10Ssd, SsdOutput},
};

/// A face found in an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Where it is, in pixels, inside the image and at least a pixel wide and high.
    pub bbox: BoundingBox,
    /// The network's probability that it is a face, in [0, 1].
    pub score: f32,
}

/// Settings of a [`FaceDetector`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FaceDetectorConfig {
    /// Size at which images enter the network. Default: a long side of 560 pixels, the best on
    /// photographs with boxes (docs/performance.md has the table).
    pub input_size: InputSize,
    /// The prior boxes. Default: those that the weights were trained with.
    pub prior_layout: Option<PriorLayout>,
    /// Which boxes become faces.
    pub postprocess: PostprocessConfig,
    /// Maximum number of images that enter the network at once. Default: 8.
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
            prior_layout: None,
            postprocess: PostprocessConfig::default(),
            max_batch: 8,
            weights: WeightsSource::Embedded,
            engine: Engine::default(),
        }
    }
}

impl FaceDetectorConfig {
    /// What the reference pipeline does: 300 x 300, Caffe's priors.
    pub fn reference() -> Self {
        Self {
            input_size: InputSize::REFERENCE,
            prior_layout: Some(PriorLayout::Caffe),
            ..Self::default()
        }
    }
}

/// Finds faces in images. May be shared between threads.
#[derive(Debug)]
pub struct FaceDetector {
    config: FaceDetectorConfig,
    runner: Runner<Res10Ssd, (Tensor<3>, Tensor<3>)>,
    priors: PriorCache,
}

impl FaceDetector {
    /// Loads the network onto `device`.
    ///
    /// # Errors
    /// If the weights cannot be used, the input size is out of range, or the network cannot be
    /// prepared for the device.
    pub fn new(config: FaceDetectorConfig, device: &Device) -> Result<Self, FaceSsdError> {
        let (network, trained) = Res10Ssd::load(&config.weights, device)?;
        Self::from_network(network, trained, config, device)
    }

    /// A detector with a network at hand, which lives on `device` and was trained with a layout of
    /// prior boxes; `config.weights` is not used.
    ///
    /// # Errors
    /// As [`FaceDetector::new`].
    pub fn from_network(
        network: Res10Ssd,
        trained: PriorLayout,
        config: FaceDetectorConfig,
        device: &Device,
    ) -> Result<Self, FaceSsdError> {
        config.input_size.validate()?;
        let layout = config.prior_layout.unwrap_or(trained);
        if !layout.shares_weights(trained) {
            return Err(FaceSsdError::PriorLayout { asked: layout, trained });
        }
        // Any size will do: a plan then runs at every other.
        let side = InputSize::MIN_SIDE as usize;
        let forward = |network: &Res10Ssd, input| {
            let SsdOutput { box_deltas, class_logits } = network.forward(input);
            (box_deltas, class_logits)
        };
        let runner = Runner::new(network, [1, 3, side, side], forward, config.engine, device)?;
        let priors = PriorCache::new(layout);
        Ok(Self { config, runner, priors })
    }

    /// The settings.
    pub fn config(&self) -> &FaceDetectorConfig {
        &self.config
    }

    /// The faces in an image, highest score first.
    ///
    /// # Errors
    /// If the image has no pixels or the device fails.
    pub fn detect<'a>(&self, image: impl Into<ImageView<'a>>) -> Result<Vec<Face>, FaceSsdError> {
        Ok(self.detect_batch(&[image.into()])?.pop().unwrap_or_default())
    }

    /// The faces in each image, highest score first.
    ///
    /// Images that enter the network at the same size share a run.
    ///
    /// # Errors
    /// If an image has no pixels or the device fails.
    pub fn detect_batch(&self, images: &[ImageView<'_>]) -> Result<Vec<Vec<Face>>, FaceSsdError> {
        let mut by_size: HashMap<ImageSize, Vec<usize>> = HashMap::new();
        for (index, image) in images.iter().enumerate() {
            let size = self.config.input_size.for_image(image.size());
            by_size.entry(size).or_default().push(index);
        }
        let mut faces = vec![Vec::new(); images.len()];
        for (size, indices) in by_size {
            for chunk in indices.chunks(self.config.max_batch.max(1)) {
                let mut batch = NetworkInput::new(size, NORMALIZATION);
                for &index in chunk {
                    batch.push(images[index])?;
                }
                for (&index, detections) in chunk.iter().zip(self.detect_inputs(&batch)?) {
                    faces[index] = to_faces(&detections, images[index].size());
                }
            }
        }
        Ok(faces)
    }

    /// Runs the network on a batch, normalised by [`NORMALIZATION`], and decodes each image's
    /// output.
    ///
    /// # Errors
    /// If the device fails.
    pub fn detect_inputs(&self, batch: &NetworkInput) -> Result<Vec<Vec<Detection>>, FaceSsdError> {
        let priors = self.priors.of(batch.size());
        let mut outputs = self.runner.run(batch.values(), batch.shape())?.into_iter();
        let (deltas, logits) = (outputs.next(), outputs.next());
        let (deltas, logits) = (deltas.unwrap_or_default(), logits.unwrap_or_default());
        let count = priors.as_slice().len().max(1);
        let images = deltas.chunks(4 * count).zip(logits.chunks(2 * count));
        Ok(images
            .map(|(deltas, logits)| self.config.postprocess.detections(&priors, deltas, logits))
            .collect())
    }

    /// Returns the memory that is kept for the next image.
    pub fn trim(&self) {
        self.runner.trim();
    }
}

/// Detections as boxes in an image; what is less than a pixel wide or high there is left out.
fn to_faces(detections: &[Detection], size: ImageSize) -> Vec<Face> {
    let faces = detections.iter().map(|detection| Face {
        bbox: detection.bbox.to_pixels(size).clamp(size),
        score: detection.score,
    });
    faces.filter(|face| face.bbox.width() >= 1.0 && face.bbox.height() >= 1.0).collect()
}

/// Prior boxes of the sizes seen last: a folder or a camera has few.
#[derive(Debug)]
struct PriorCache {
    layout: PriorLayout,
    /// Most recently used last.
    recent: Mutex<Vec<(ImageSize, Arc<PriorBoxes>)>>,
}

impl PriorCache {
    /// Sizes that are kept: some megabytes at the default input size.
    const CAPACITY: usize = 16;

    fn new(layout: PriorLayout) -> Self {
        Self { layout, recent: Mutex::default() }
    }

    fn of(&self, size: ImageSize) -> Arc<PriorBoxes> {
        // A panic elsewhere leaves the list whole.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let priors = match recent.iter().position(|(of, _)| *of == size) {
            Some(at) => recent.remove(at).1,
            None => Arc::new(PriorBoxes::new(self.layout, size)),
        };
        if recent.len() == Self::CAPACITY {
            recent.remove(0);
        }
        recent.push((size, Arc::clone(&priors)));
        priors
    }
}
