//! Samples for a head through the loader and the backbone, and a contact sheet of them.

use std::sync::Arc;

use burn::tensor::Device;
use image::{RgbImage, imageops};
use image_input::{DecodeOptions, NetworkInput};
use mask_data::{
    Augmentation, AugmentedSample, Dataset, ImageCache, LoaderConfig, Sample, load_samples, seed,
};
use mask_model::{
    Engine, FEATURE_DIM, FeatureExtractor, FeatureSource, INPUT_SIZE, NORMALIZATION, WeightsSource,
    shuffled,
};
use trainer::TrainError;

use crate::HeadSettings;

/// The backbone behind a loader of samples.
pub struct HeadFeatures {
    extractor: FeatureExtractor,
    samples: Arc<Vec<Sample>>,
    cache: Arc<ImageCache>,
    augmented: LoaderConfig,
    progress: Box<dyn Fn(usize) + Send + Sync>,
}

impl HeadFeatures {
    /// `cache_bytes` bounds the decoded images that are kept between epochs; `progress` is told how
    /// many more features there are.
    ///
    /// # Errors
    /// If the backbone cannot be prepared for the device.
    pub fn new(
        dataset: &Dataset,
        settings: &HeadSettings,
        cache_bytes: usize,
        device: &Device,
        progress: Box<dyn Fn(usize) + Send + Sync>,
    ) -> Result<Self, TrainError> {
        let backbone = WeightsSource::Embedded;
        Ok(Self {
            extractor: FeatureExtractor::new(&backbone, Engine::default(), device)
                .map_err(TrainError::task)?,
            samples: dataset.shared_samples(),
            cache: Arc::new(ImageCache::new(DecodeOptions::default(), cache_bytes)),
            augmented: loader_config(settings),
            progress,
        })
    }
}

impl FeatureSource for HeadFeatures {
    fn features(
        &self,
        samples: &[usize],
        epoch: Option<u64>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let augmentation = match epoch {
            Some(_) => self.augmented.augmentation.clone(),
            None => Augmentation::none(),
        };
        let config = LoaderConfig { augmentation, ..self.augmented.clone() };
        let epoch = epoch.unwrap_or(0);
        let views =
            samples.iter().map(|sample| AugmentedSample { sample: *sample, epoch, overlay: None });
        let (all, cache) = (Arc::clone(&self.samples), Arc::clone(&self.cache));
        for images in load_samples(all, cache, config, views.collect()) {
            let batch = network_input(&images.map_err(TrainError::task)?)?;
            let features = self.extractor.features(&batch).map_err(TrainError::task)?;
            (self.progress)(features.len() / FEATURE_DIM);
            take(&features)?;
        }
        Ok(())
    }

    fn order(&self, count: usize, epoch: u64) -> Vec<usize> {
        shuffled(count, &mut seed::generator(seed::Purpose::Order, self.augmented.seed, epoch, 0))
    }
}

/// Images as a batch for the backbone.
///
/// # Errors
/// If an image has no pixels.
pub fn network_input(images: &[RgbImage]) -> Result<NetworkInput, TrainError> {
    let mut batch = NetworkInput::new((INPUT_SIZE, INPUT_SIZE), NORMALIZATION);
    images.iter().try_for_each(|image| batch.push(image)).map_err(TrainError::task)?;
    Ok(batch)
}

/// How training sees samples.
fn loader_config(settings: &HeadSettings) -> LoaderConfig {
    LoaderConfig {
        side: INPUT_SIZE,
        crop: settings.data.crop(),
        augmentation: settings.augmentation.clone(),
        seed: settings.training.seed,
        batch_size: settings.training.batch_size,
    }
}

/// Augmented views of evenly chosen samples: a row each, the sample as it is on the left.
///
/// # Errors
/// If an image cannot be read.
pub fn contact_sheet(
    dataset: &Dataset,
    settings: &HeadSettings,
    rows: usize,
    views: usize,
) -> Result<RgbImage, TrainError> {
    const SIDE: u32 = 160;
    let count = dataset.set.samples.len();
    let rows = rows.min(count);
    let chosen: Vec<usize> = (0..rows).map(|row| row * count / rows).collect();
    let cache = Arc::new(ImageCache::new(DecodeOptions::default(), 0));
    let mut sheet = RgbImage::new(SIDE * (views as u32 + 1), SIDE * rows as u32);
    let mut paste = |augmentation: Augmentation, epochs: std::ops::Range<usize>, column: usize| {
        let views = chosen.iter().flat_map(|sample| {
            epochs.clone().map(|epoch| AugmentedSample {
                sample: *sample,
                epoch: epoch as u64,
                overlay: None,
            })
        });
        let config =
            LoaderConfig { augmentation, batch_size: epochs.len(), ..loader_config(settings) };
        let samples = dataset.shared_samples();
        let loaded = load_samples(samples, Arc::clone(&cache), config, views.collect());
        for (row, images) in loaded.into_iter().enumerate() {
            for (at, image) in images.map_err(TrainError::task)?.iter().enumerate() {
                let small = imageops::thumbnail(image, SIDE, SIDE);
                let (x, y) = ((column + at) as u32 * SIDE, row as u32 * SIDE);
                imageops::replace(&mut sheet, &small, x.into(), y.into());
            }
        }
        Ok::<_, TrainError>(())
    };
    paste(Augmentation::none(), 0..1, 0)?;
    paste(settings.augmentation.clone(), 0..views, 1)?;
    Ok(sheet)
}
