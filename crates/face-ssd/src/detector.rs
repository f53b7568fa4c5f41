//! The detector as users see it: images in, faces out.

use std::{
    collections::BTreeMap,
    iter, mem,
    sync::{Arc, Mutex, PoisonError},
};

use burn::tensor::{Device, Tensor};
use fused_cpu::{Arithmetic, Calibration, Engine, Graph, Runner, RunnerOptions};
use geometry::{BoundingBox, ImageSize, PixelRect};
use image_input::{ImageView, NetworkInput};
use serde::{Deserialize, Serialize};
use weights_file::WeightsSource;

use crate::{
    Detection, FaceCheckpoint, FaceSsdError, InputSize, NORMALIZATION, PostprocessConfig,
    PriorBoxes, PriorLayout,
    network::{Res10Ssd, SsdOutput},
    tiles::{counts, merged, tiles},
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
    /// Size at which images enter the network. Default: a long side of 640 pixels; larger ones find few
    /// more faces in more time (docs/performance.md has the table).
    pub input_size: InputSize,
    /// The prior boxes. Default: those that the weights were trained with.
    pub prior_layout: Option<PriorLayout>,
    /// Which boxes become faces.
    pub postprocess: PostprocessConfig,
    /// Side, in pixels, of the tiles in which larger images are seen besides as a whole, each at
    /// `input_size`; at least [`InputSize::MIN_SIDE`]. Default: none.
    pub tiles: Option<u32>,
    /// Maximum number of images that enter the network at once. Default: 8.
    pub max_batch: usize,
    /// Where the weights come from. Default: embedded.
    pub weights: WeightsSource,
    /// What runs the network. Default: [`Engine::Fused`].
    pub engine: Engine,
    /// In what the fused plan multiplies. Default: in eight bits, if the weights were calibrated
    /// for it and the processor is faster so.
    pub arithmetic: Option<Arithmetic>,
}

impl Default for FaceDetectorConfig {
    fn default() -> Self {
        Self {
            input_size: InputSize::LongSide(640),
            prior_layout: None,
            postprocess: PostprocessConfig::default(),
            tiles: None,
            max_batch: 8,
            weights: WeightsSource::Embedded,
            engine: Engine::default(),
            arithmetic: None,
        }
    }
}

impl FaceDetectorConfig {
    /// What the reference pipeline does: the published weights, 300 x 300, Caffe's priors, faces from
    /// a confidence of 0.5 on.
    #[cfg(feature = "embedded-weights")]
    pub fn reference() -> Self {
        Self {
            input_size: InputSize::REFERENCE,
            prior_layout: Some(PriorLayout::Caffe),
            postprocess: PostprocessConfig::CAFFE.with_score_threshold(0.5),
            weights: mask_reference_models::RES10_SSD.into(),
            ..Self::default()
        }
    }

    /// With a layout of priors. OpenCV's comes with its way of taking boxes, which has no voting.
    pub fn with_prior_layout(mut self, layout: PriorLayout) -> Self {
        self.prior_layout = Some(layout);
        if layout == PriorLayout::Caffe {
            self.postprocess.voting_iou = PostprocessConfig::CAFFE.voting_iou;
        }
        self
    }
}

/// An input that the network is recorded with. Any size will do: a plan then runs at every other.
const EXAMPLE: [usize; 4] = [1, 3, InputSize::MIN_SIDE as usize, InputSize::MIN_SIDE as usize];

/// What of the network's output is wanted.
fn outputs(network: &Res10Ssd, input: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
    let SsdOutput { box_deltas, class_logits } = network.forward(input);
    (box_deltas, class_logits)
}

impl FaceCheckpoint {
    /// Begins to look for the ranges that running the network in eight bits takes; it is to observe
    /// images as they enter it.
    ///
    /// # Errors
    /// If a plan cannot hold the network.
    pub fn calibration(&self) -> Result<Calibration, FaceSsdError> {
        Ok(Calibration::new(&Graph::trace(&self.network, EXAMPLE, outputs)?)?)
    }
}

/// Finds faces in images. May be shared between threads.
#[derive(Debug)]
pub struct FaceDetector {
    config: FaceDetectorConfig,
    runner: Runner<Res10Ssd, (Tensor<3>, Tensor<3>)>,
    /// See [`Res10Ssd::input_step`].
    input_step: u32,
    priors: PriorCache,
}

impl FaceDetector {
    /// Loads the network onto `device`.
    ///
    /// # Errors
    /// If the weights cannot be used, the input size is out of range, or the network cannot be
    /// prepared for the device.
    pub fn new(config: FaceDetectorConfig, device: &Device) -> Result<Self, FaceSsdError> {
        Self::from_checkpoint(FaceCheckpoint::load(&config.weights, device)?, config, device)
    }

    /// A detector with a network at hand, which lives on `device`; `config.weights` is not used.
    ///
    /// # Errors
    /// As [`FaceDetector::new`].
    pub fn from_checkpoint(
        checkpoint: FaceCheckpoint,
        config: FaceDetectorConfig,
        device: &Device,
    ) -> Result<Self, FaceSsdError> {
        let FaceCheckpoint { network, priors: trained, input_ranges } = checkpoint;
        config.input_size.validate()?;
        if let Some(side) = config.tiles.filter(|side| *side < InputSize::MIN_SIDE) {
            return Err(FaceSsdError::TileSize(side));
        }
        let layout = config.prior_layout.unwrap_or(trained);
        if !layout.shares_weights(trained) {
            return Err(FaceSsdError::PriorLayout { asked: layout, trained });
        }
        let input_step = network.input_step();
        let options = RunnerOptions {
            engine: config.engine,
            arithmetic: config.arithmetic,
            input_ranges: input_ranges.as_ref(),
        };
        let runner = Runner::new(network, EXAMPLE, outputs, options, device)?;
        let priors = PriorCache::new(layout);
        Ok(Self { config, runner, input_step, priors })
    }

    /// As [`FaceDetector::from_checkpoint`], of a network that was trained with a layout of prior boxes and
    /// was not calibrated.
    ///
    /// # Errors
    /// As [`FaceDetector::new`].
    pub fn from_network(
        network: Res10Ssd,
        priors: PriorLayout,
        config: FaceDetectorConfig,
        device: &Device,
    ) -> Result<Self, FaceSsdError> {
        Self::from_checkpoint(
            FaceCheckpoint { network, priors, input_ranges: None },
            config,
            device,
        )
    }

    /// The settings.
    pub fn config(&self) -> &FaceDetectorConfig {
        &self.config
    }

    /// The size at which an image enters the network.
    pub fn input_size(&self, image: ImageSize) -> ImageSize {
        self.config.input_size.for_image(image, self.input_step)
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
        // What enters the network: whole images and tiles, by the size at which they do.
        let mut by_size: BTreeMap<(u32, u32), Vec<(usize, PixelRect)>> = BTreeMap::new();
        let mut seen_in_parts = vec![false; images.len()];
        for (index, image) in images.iter().enumerate() {
            let size = image.size();
            let parts = self.config.tiles.map_or(Vec::new(), |side| tiles(size, side));
            seen_in_parts[index] = !parts.is_empty();
            for rect in iter::once(PixelRect::of_image(size)).chain(parts) {
                let input = ImageSize { width: rect.width, height: rect.height };
                let input = self.input_size(input);
                by_size.entry((input.width, input.height)).or_default().push((index, rect));
            }
        }
        let mut faces = vec![Vec::new(); images.len()];
        for (size, views) in by_size {
            for chunk in views.chunks(self.config.max_batch.max(1)) {
                let mut batch = NetworkInput::new(size, NORMALIZATION);
                for (index, rect) in chunk {
                    batch.push_rect(images[*index], *rect)?;
                }
                for ((index, rect), detections) in chunk.iter().zip(self.detect_inputs(&batch)?) {
                    faces[*index].extend(to_faces(&detections, *rect, images[*index].size()));
                }
            }
        }
        for (index, image) in images.iter().enumerate().filter(|(index, _)| seen_in_parts[*index]) {
            let all = mem::take(&mut faces[index]);
            faces[index] = merged(all, image.size(), &self.config.postprocess);
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

/// Detections in a rectangle of an image as boxes in the image. What is less than a pixel wide or high
/// there is left out, and in a tile what does not count.
fn to_faces(detections: &[Detection], rect: PixelRect, image: ImageSize) -> Vec<Face> {
    let (x, y) = (rect.x as f32, rect.y as f32);
    let size = ImageSize { width: rect.width, height: rect.height };
    let faces = detections.iter().map(|detection| {
        let BoundingBox { x_min, y_min, x_max, y_max } = detection.bbox.to_pixels(size).clamp(size);
        let bbox =
            BoundingBox { x_min: x_min + x, y_min: y_min + y, x_max: x_max + x, y_max: y_max + y };
        Face { bbox, score: detection.score }
    });
    let whole = size == image;
    faces
        .filter(|face| face.bbox.width() >= 1.0 && face.bbox.height() >= 1.0)
        .filter(|face| whole || counts(&face.bbox, rect, image))
        .collect()
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
