//! Samples through the loader and the backbone: features for training, and a contact sheet.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;
use burn::tensor::Device;
use face_ssd::{FaceDetector, FaceDetectorConfig};
use image::{RgbImage, imageops};
use image_input::{DecodeLimits, NetworkInput};
use indicatif::ProgressBar;
use mask_data::{
    Augmentation, AugmentedSample, Dataset, DatasetConfig, DatasetError, ImageCache, LoaderConfig,
    Sample, SampleRegions, load_samples, seed,
};
use mask_model::{
    Engine, FEATURE_DIM, FeatureExtractor, FeatureSource, INPUT_SIZE, NORMALIZATION, WeightsSource,
    shuffled,
};
use trainer::TrainError;

use super::settings::{DataSettings, Input, Settings};
use crate::progress::{bar, remark};

/// Reads a data set and, if asked for, finds the faces in its images.
pub(crate) fn read(
    root: &Path,
    settings: &DataSettings,
    device: &Device,
) -> anyhow::Result<Dataset> {
    let config = DatasetConfig {
        max_unreadable: settings.max_unreadable,
        duplicate_distance: settings.copy_distance,
        difficult: settings.difficult,
    };
    let progress = bar(0, "reading");
    let dataset = Dataset::open(root, &config, &|| progress.inc(1)).map_err(with_remedy)?;
    progress.finish_and_clear();
    for error in &dataset.unreadable {
        remark(format_args!("skipped: {error}"));
    }
    let regions = match settings.input {
        Input::Whole => return Ok(dataset),
        Input::Faces => SampleRegions::Found,
        Input::Both => SampleRegions::Both,
    };
    let detector = FaceDetector::new(FaceDetectorConfig::default(), device)?;
    let progress = bar(dataset.set.samples.len(), "faces");
    let dataset = dataset.with_regions(regions, |image| {
        progress.inc(1);
        let faces = detector.detect(image)?;
        Ok::<_, face_ssd::FaceSsdError>(faces.first().map(|face| face.bbox))
    })?;
    progress.finish_and_clear();
    Ok(dataset)
}

/// The error, with the flags that help.
pub(crate) fn with_remedy(error: DatasetError) -> anyhow::Error {
    match &error {
        DatasetError::TooManyUnreadable { .. } => {
            anyhow!("{error}; remove them or raise --max-unreadable")
        }
        DatasetError::TooFew { .. } => {
            anyhow!("{error}; add some, or name the images with --split")
        }
        _ => error.into(),
    }
}

/// The backbone behind a loader of samples.
pub(crate) struct Features {
    extractor: FeatureExtractor,
    samples: Arc<Vec<Sample>>,
    cache: Arc<ImageCache>,
    augmented: LoaderConfig,
    /// Shows the features that are computed ahead of training.
    pub(crate) progress: ProgressBar,
}

impl Features {
    /// `cache_bytes` bounds the decoded images that are kept between epochs.
    pub(crate) fn new(
        dataset: &Dataset,
        settings: &Settings,
        cache_bytes: usize,
        device: &Device,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            extractor: FeatureExtractor::new(&WeightsSource::Embedded, Engine::default(), device)?,
            samples: dataset.shared_samples(),
            cache: Arc::new(ImageCache::new(DecodeLimits::default(), cache_bytes)),
            augmented: loader_config(settings),
            progress: ProgressBar::hidden(),
        })
    }
}

impl FeatureSource for Features {
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
        let views = samples.iter().map(|sample| AugmentedSample { sample: *sample, epoch });
        let (all, cache) = (Arc::clone(&self.samples), Arc::clone(&self.cache));
        for images in load_samples(all, cache, config, views.collect()) {
            let batch = network_input(&images.map_err(TrainError::task)?)?;
            let features = self.extractor.features(&batch).map_err(TrainError::task)?;
            self.progress.inc((features.len() / FEATURE_DIM) as u64);
            take(&features)?;
        }
        Ok(())
    }

    fn order(&self, count: usize, epoch: u64) -> Vec<usize> {
        shuffled(count, &mut seed::generator(seed::Purpose::Order, self.augmented.seed, epoch, 0))
    }
}

/// Images as a batch for the backbone.
pub(crate) fn network_input(images: &[RgbImage]) -> Result<NetworkInput, TrainError> {
    let mut batch = NetworkInput::new((INPUT_SIZE, INPUT_SIZE), NORMALIZATION);
    images.iter().try_for_each(|image| batch.push(image)).map_err(TrainError::task)?;
    Ok(batch)
}

/// How training sees samples.
fn loader_config(settings: &Settings) -> LoaderConfig {
    LoaderConfig {
        side: INPUT_SIZE,
        margin: settings.data.margin,
        augmentation: settings.augmentation.clone(),
        seed: settings.training.seed,
        batch_size: settings.training.batch_size,
    }
}

/// Augmented views of evenly chosen samples: a row each, the sample as it is on the left.
pub(crate) fn contact_sheet(
    dataset: &Dataset,
    settings: &Settings,
    rows: usize,
    views: usize,
) -> anyhow::Result<RgbImage> {
    const SIDE: u32 = 160;
    let count = dataset.set.samples.len();
    let rows = rows.min(count);
    let chosen: Vec<usize> = (0..rows).map(|row| row * count / rows).collect();
    let cache = Arc::new(ImageCache::new(DecodeLimits::default(), 0));
    let mut sheet = RgbImage::new(SIDE * (views as u32 + 1), SIDE * rows as u32);
    let mut paste = |augmentation: Augmentation, epochs: std::ops::Range<usize>, column: usize| {
        let views = chosen.iter().flat_map(|sample| {
            epochs.clone().map(|epoch| AugmentedSample { sample: *sample, epoch: epoch as u64 })
        });
        let config =
            LoaderConfig { augmentation, batch_size: epochs.len(), ..loader_config(settings) };
        let samples = dataset.shared_samples();
        let loaded = load_samples(samples, Arc::clone(&cache), config, views.collect());
        for (row, images) in loaded.into_iter().enumerate() {
            for (at, image) in images?.iter().enumerate() {
                let small = imageops::thumbnail(image, SIDE, SIDE);
                let (x, y) = ((column + at) as u32 * SIDE, row as u32 * SIDE);
                imageops::replace(&mut sheet, &small, x.into(), y.into());
            }
        }
        anyhow::Ok(())
    };
    paste(Augmentation::none(), 0..1, 0)?;
    paste(settings.augmentation.clone(), 0..views, 1)?;
    Ok(sheet)
}
