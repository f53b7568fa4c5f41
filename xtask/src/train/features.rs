//! The frozen backbone over views of pictures.

use std::sync::Arc;

use burn::tensor::Device;
use image::{RgbImage, imageops};
use mask_data::{Augmentation, DecodeLimits, PictureCache, Sample, View, load_views};
use mask_model::{CROP_SIDE, CropBatch, Engine, FEATURES, FeatureExtractor};

use super::{dataset::TrainingData, settings::Settings};
use crate::progress::bar;

/// The backbone, with everything it needs to look at samples.
pub(crate) struct Backbone {
    extractor: FeatureExtractor,
    samples: Arc<Vec<Sample>>,
    cache: Arc<PictureCache>,
    augmentation: Augmentation,
    batch: usize,
    seed: u64,
}

impl Backbone {
    pub(crate) fn new(
        data: &TrainingData,
        settings: &Settings,
        cache_bytes: usize,
        device: &Device,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            extractor: FeatureExtractor::new(None, Engine::default(), device)?,
            samples: data.shared_samples(),
            cache: Arc::new(PictureCache::new(DecodeLimits::default(), cache_bytes)),
            augmentation: settings.augmentation.clone(),
            batch: settings.training.batch_size,
            seed: settings.training.seed,
        })
    }

    /// Calls `take` with the features of each batch of augmented samples, in order.
    pub(crate) fn augmented(
        &self,
        order: &[usize],
        epoch: u64,
        take: impl FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_batch(order, epoch, self.augmentation.clone(), take)
    }

    /// Features of samples as they are, row after row.
    pub(crate) fn plain(&self, samples: &[usize]) -> anyhow::Result<Vec<f32>> {
        let bar = bar(samples.len(), "validation");
        let mut features = Vec::with_capacity(samples.len() * FEATURES);
        self.each_batch(samples, 0, Augmentation::none(), |batch| {
            bar.inc((batch.len() / FEATURES) as u64);
            features.extend_from_slice(batch);
            Ok(())
        })?;
        bar.finish_and_clear();
        Ok(features)
    }

    fn each_batch(
        &self,
        order: &[usize],
        epoch: u64,
        augmentation: Augmentation,
        mut take: impl FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let views = order.iter().map(|sample| View { sample: *sample, epoch }).collect();
        let (samples, cache) = (Arc::clone(&self.samples), Arc::clone(&self.cache));
        let shape = (CROP_SIDE, self.batch, self.seed);
        for pictures in load_views(samples, cache, augmentation, views, shape) {
            let mut batch = CropBatch::default();
            for picture in pictures? {
                batch.push(&picture)?;
            }
            take(&self.extractor.features(batch)?)?;
        }
        Ok(())
    }
}

/// Augmented views of evenly chosen samples: a row each, the sample as it is on the left.
pub(crate) fn contact_sheet(
    data: &TrainingData,
    settings: &Settings,
    rows: usize,
    views: usize,
) -> anyhow::Result<RgbImage> {
    const SIDE: u32 = 160;
    let count = data.set.samples.len();
    let rows = rows.min(count);
    let chosen: Vec<usize> = (0..rows).map(|row| row * count / rows).collect();
    let cache = Arc::new(PictureCache::new(DecodeLimits::default(), 0));
    let mut sheet = RgbImage::new(SIDE * (views as u32 + 1), SIDE * rows as u32);
    let mut paste = |augmentation: Augmentation, epochs: std::ops::Range<usize>, column: usize| {
        let views = chosen.iter().flat_map(|sample| {
            epochs.clone().map(|epoch| View { sample: *sample, epoch: epoch as u64 })
        });
        let shape = (CROP_SIDE, epochs.len(), settings.training.seed);
        let samples = data.shared_samples();
        let loaded = load_views(samples, Arc::clone(&cache), augmentation, views.collect(), shape);
        for (row, pictures) in loaded.into_iter().enumerate() {
            for (at, picture) in pictures?.iter().enumerate() {
                let small = imageops::thumbnail(picture, SIDE, SIDE);
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
