//! Decodes and augments images in the background, ahead of the consumer.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use geometry::{BoundingBox, Crop};
use image::{RgbImage, imageops};
use image_input::{DecodeOptions, ImageError, decode_file};
use rand::Rng;
use rayon::prelude::*;

use crate::{
    Augmentation, Overlay, Sample,
    seed::{Purpose, generator},
};

/// Batches that may wait, so that memory stays bounded.
const WAITING: usize = 2;

/// Decoded images, kept as far as a limit allows.
#[derive(Debug)]
pub struct ImageCache {
    options: DecodeOptions,
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    images: HashMap<PathBuf, Arc<RgbImage>>,
}

impl ImageCache {
    /// A cache of up to `capacity` bytes of pixels. What comes first is kept, because epochs read
    /// all images equally often.
    pub fn new(options: DecodeOptions, capacity: usize) -> Self {
        Self { options, capacity, kept: Mutex::default() }
    }

    /// The decoded image.
    ///
    /// # Errors
    /// As [`decode_file`].
    pub fn get(&self, path: &Path) -> Result<Arc<RgbImage>, ImageError> {
        // A panic elsewhere leaves the map whole.
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = kept().images.get(path) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(decode_file(path, &self.options)?.image);
        let bytes = image.as_raw().len();
        let mut kept = kept();
        if kept.bytes + bytes <= self.capacity
            && kept.images.insert(path.to_path_buf(), Arc::clone(&image)).is_none()
        {
            kept.bytes += bytes;
        }
        Ok(image)
    }
}

/// A sample to be loaded: which one, and whose random numbers change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AugmentedSample {
    /// Index of the sample.
    pub sample: usize,
    /// The epoch, or the number of the view, that the random numbers belong to.
    pub epoch: u64,
    /// What is drawn onto the sample's region first.
    pub overlay: Option<Overlay>,
}

/// How samples become the input of a network.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Width and height of the result, in pixels.
    pub side: u32,
    /// How a sample's region is grown.
    pub crop: Crop,
    /// The random changes.
    pub augmentation: Augmentation,
    /// Seed of the random changes.
    pub seed: u64,
    /// Samples per batch.
    pub batch_size: usize,
}

/// Makes an image of each sample, in batches, on all cores, ahead of the receiver.
///
/// `views` must name samples that exist; a view that does not ends the work.
///
/// Order and content do not depend on the number of threads. When the receiver goes, so does the
/// work.
pub fn load_samples(
    samples: Arc<Vec<Sample>>,
    cache: Arc<ImageCache>,
    settings: LoaderConfig,
    views: Vec<AugmentedSample>,
) -> Receiver<Result<Vec<RgbImage>, ImageError>> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || {
        let LoaderConfig { side, crop, augmentation, seed, batch_size } = settings;
        for batch in views.chunks(batch_size.max(1)) {
            let load = |view: &AugmentedSample| {
                let sample = &samples[view.sample];
                let image = cache.get(&sample.image)?;
                let size = image.dimensions().into();
                let region = sample.region.map(|region| crop.region(&region, size));
                let index = view.sample as u64;
                let mut rng = generator(Purpose::Augmentation, seed, view.epoch, index);
                if let (Some(overlay), Some(face), Some(region)) =
                    (view.overlay, sample.region, region)
                {
                    let mut drawing = generator(Purpose::Overlay, seed, view.epoch, index);
                    let (image, region) = drawn(&image, overlay, face, region, &mut drawing);
                    return Ok(augmentation.apply(&image, Some(region), side, &mut rng));
                }
                Ok(augmentation.apply(&image, region, side, &mut rng))
            };
            if sender.send(batch.par_iter().map(load).collect()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The surroundings of a region, with something drawn onto the face, and the region there.
fn drawn(
    image: &RgbImage,
    overlay: Overlay,
    face: BoundingBox,
    region: BoundingBox,
    rng: &mut impl Rng,
) -> (RgbImage, BoundingBox) {
    // What augmentation turns and shifts into the result.
    let around = region.expand(0.5).enclosing_rect(image.dimensions().into());
    let mut part =
        imageops::crop_imm(image, around.x, around.y, around.width, around.height).to_image();
    let moved = |bbox: BoundingBox| {
        let (x, y) = (around.x as f32, around.y as f32);
        let BoundingBox { x_min, y_min, x_max, y_max } = bbox;
        BoundingBox { x_min: x_min - x, y_min: y_min - y, x_max: x_max - x, y_max: y_max - y }
    };
    overlay.draw(&mut part, moved(face), rng);
    (part, moved(region))
}
