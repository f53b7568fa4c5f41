//! Settings of a classifier's training, and crops as it takes them.

use std::sync::Arc;

use burn::tensor::Device;
use detection_schema::{WITH_INCORRECT_MASK, WITH_MASK, WITHOUT_MASK};
use geometry::BoundingBox;
use image_input::DecodeOptions;
use mask_data::{
    Augmentation, AugmentedSample, Dataset, ImageCache, LoaderConfig, Overlay, Sample, Split,
    load_samples, seed,
};
use mask_model::{
    ClassifierBatch, ClassifierCheckpoint, ClassifierNetwork, ClassifierTrainingConfig, INPUT_SIZE,
    Labels, MaskClassifier, MaskClassifierConfig, argmax, validation_of,
};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use trainer::{Source, TrainError, Validation};

use crate::{DataSettings, network_input};

/// What decides the result of a training of a head with the last blocks of its backbone, beside the
/// images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierSettings {
    /// The optimisation.
    pub training: ClassifierTrainingConfig,
    /// The images. By default faces are cropped as squares with a margin of 0.2.
    pub data: DataSettings,
    /// How images become samples. By default less is shifted and turned than for a head alone, and
    /// crops are blurred, darkened, shrunk and partly hidden.
    pub augmentation: Augmentation,
    /// Classes are drawn in proportion to their number of samples to the power of this: 1 for all
    /// samples alike, 0 for all classes alike. Default: 0.5.
    pub class_power: f64,
    /// Of the samples of `with_mask` and `with_incorrect_mask`, the part that are faces of
    /// `without_mask` with a mask drawn onto them. Default: 0.
    pub drawn_masks: f64,
    /// The part of the samples that have a hand, a scarf or sunglasses drawn onto them, as far as
    /// these leave the class as it is. Default: 0.
    pub drawn_distractors: f64,
}

/// A sample as an epoch shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawnSample {
    /// Index of the sample.
    pub sample: usize,
    /// Its class as it is shown.
    pub class: usize,
    /// What is drawn onto it.
    pub overlay: Option<Overlay>,
}

impl Default for ClassifierSettings {
    fn default() -> Self {
        Self {
            training: ClassifierTrainingConfig::default(),
            data: DataSettings { margin: 0.2, square: true, ..DataSettings::default() },
            augmentation: Augmentation {
                rotation: 15.0,
                zoom: 0.15,
                shift: 0.06,
                shear: 0.0,
                flip: true,
                jitter: 0.05,
                brightness: 0.35,
                contrast: 0.35,
                blur: 1.0,
                low_resolution: 20,
                jpeg_quality: 40,
                occlusion: 0.25,
            },
            class_power: 0.5,
            drawn_masks: 0.0,
            drawn_distractors: 0.0,
        }
    }
}

impl ClassifierSettings {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.training.validate()?;
        self.data.validate()?;
        self.augmentation.validate().map_err(TrainError::task)?;
        TrainError::check_range("class_power", self.class_power, 0.0, 1.0)?;
        TrainError::check_range("drawn_masks", self.drawn_masks, 0.0, 1.0)?;
        TrainError::check_range("drawn_distractors", self.drawn_distractors, 0.0, 1.0)
    }
}

/// Crops to learn from and to validate on.
pub struct CropImages {
    settings: ClassifierSettings,
    classes: Vec<String>,
    samples: Arc<Vec<Sample>>,
    /// Samples to learn from, by class.
    train: Vec<Vec<usize>>,
    /// Bare faces among them, with their boxes.
    bare: Vec<usize>,
    validation: Vec<usize>,
    cache: Arc<ImageCache>,
    device: Device,
}

impl CropImages {
    /// The two parts of a data set. `cache_bytes` bounds the decoded images that are kept.
    ///
    /// # Errors
    /// If a setting is outside its range, or there is nothing to learn from.
    pub fn new(
        dataset: &Dataset,
        split: &Split,
        settings: &ClassifierSettings,
        cache_bytes: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        settings.validate()?;
        if split.train.is_empty() {
            return Err(TrainError::Data("there are no samples to learn from".to_owned()));
        }
        let mut train = vec![Vec::new(); dataset.set.classes.len()];
        for sample in &split.train {
            train[dataset.set.samples[*sample].class].push(*sample);
        }
        let classes = dataset.set.classes.clone();
        let samples = dataset.shared_samples();
        let bare = classes.iter().position(|name| name == WITHOUT_MASK);
        let bare = bare.map_or(Vec::new(), |class| train[class].clone());
        let bare = bare.into_iter().filter(|at| samples[*at].region.is_some()).collect();
        Ok(Self {
            settings: settings.clone(),
            classes,
            samples,
            train,
            bare,
            validation: split.validation.clone(),
            cache: Arc::new(ImageCache::new(DecodeOptions::default(), cache_bytes)),
            device: device.clone(),
        })
    }

    fn loader(&self, augmentation: Augmentation) -> LoaderConfig {
        LoaderConfig {
            side: INPUT_SIZE,
            crop: self.settings.data.crop(),
            augmentation,
            seed: self.settings.training.seed,
            batch_size: self.settings.training.batch_size,
        }
    }

    /// The samples of an epoch, drawn with replacement: a class first, then one of its samples.
    pub fn draw(&self, epoch: u64) -> Vec<DrawnSample> {
        let weights: Vec<f64> = (self.train.iter())
            .map(|samples| match samples.len() {
                0 => 0.0,
                count => (count as f64).powf(self.settings.class_power),
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let training = &self.settings.training;
        let mut rng = seed::generator(seed::Purpose::Order, training.seed, epoch, 0);
        let mut draw = || {
            let mut at = rng.random_range(0.0..total);
            let class = weights.iter().position(|weight| {
                at -= weight;
                at < 0.0
            });
            // Rounding may leave nothing; then it is the last class that has samples.
            let last = weights.iter().rposition(|weight| *weight > 0.0).unwrap_or_default();
            self.show(class.unwrap_or(last), &mut rng)
        };
        (0..training.samples_per_epoch).map(|_| draw()).collect()
    }

    /// A sample of a class: photographed so, or made so.
    fn show(&self, class: usize, rng: &mut impl Rng) -> DrawnSample {
        let masks: &[Overlay] = match self.classes[class].as_str() {
            WITH_MASK => &[Overlay::Mask],
            WITH_INCORRECT_MASK => &Overlay::INCORRECT_MASKS,
            _ => &[],
        };
        // All numbers are drawn in any case, so that one setting does not change another's samples.
        let [masked, distracted] = [self.settings.drawn_masks, self.settings.drawn_distractors]
            .map(|part| rng.random_bool(part));
        if masked && !self.bare.is_empty() && !masks.is_empty() {
            let overlay = Some(masks[rng.random_range(0..masks.len())]);
            let sample = self.bare[rng.random_range(0..self.bare.len())];
            return DrawnSample { sample, class, overlay };
        }
        let samples = &self.train[class];
        let sample = samples[rng.random_range(0..samples.len())];
        // A hand or a scarf may hide how a mask is worn.
        let distractors: &[Overlay] = match self.classes[class].as_str() {
            WITHOUT_MASK => &Overlay::DISTRACTORS,
            _ => &[Overlay::Sunglasses],
        };
        let overlay = distracted.then(|| distractors[rng.random_range(0..distractors.len())]);
        DrawnSample { sample, class, overlay }
    }

    /// True class and class probabilities of every validation sample, in their order.
    ///
    /// # Errors
    /// If a sample cannot be read, or the network cannot run.
    pub fn probabilities(
        &self,
        network: &ClassifierNetwork,
    ) -> Result<Vec<(usize, Vec<f32>)>, TrainError> {
        let (classes, crop) = (self.classes.clone(), self.settings.data.crop());
        let labels = Labels { classes, crop, temperature: 1.0 };
        let checkpoint =
            ClassifierCheckpoint { network: network.clone(), labels, input_ranges: None };
        let config = MaskClassifierConfig::default();
        let classifier = MaskClassifier::from_checkpoint(checkpoint, config, &self.device)
            .map_err(TrainError::task)?;
        let views = self.validation.iter().map(|sample| AugmentedSample {
            sample: *sample,
            epoch: 0,
            overlay: None,
        });
        let (samples, cache) = (Arc::clone(&self.samples), Arc::clone(&self.cache));
        let config = self.loader(Augmentation::none());
        let mut rows = Vec::with_capacity(self.validation.len());
        for images in load_samples(samples, cache, config, views.collect()) {
            let input = network_input(&images.map_err(TrainError::task)?)?;
            rows.extend(classifier.classify_inputs(&input).map_err(TrainError::task)?);
        }
        let truths = self.validation.iter().map(|sample| self.samples[*sample].class);
        Ok(truths.zip(rows).collect())
    }

    /// Validation samples whose label the network doubts, a line each, the most certain errors first:
    /// labels to look at. Nothing is left out of a training because of them.
    ///
    /// `probabilities` are those of [`CropImages::probabilities`].
    pub fn doubtful(&self, probabilities: &[(usize, Vec<f32>)]) -> String {
        let mut wrong: Vec<(f32, usize, &Sample)> = (probabilities.iter().zip(&self.validation))
            .filter(|((truth, row), _)| argmax(row) != *truth)
            .map(|((_, row), sample)| (row[argmax(row)], argmax(row), &self.samples[*sample]))
            .collect();
        wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
        let line = |(probability, found, sample): &(f32, usize, &Sample)| {
            let (found, truth) = (&self.classes[*found], &self.classes[sample.class]);
            let region = sample.region.map_or(String::new(), |region| {
                let BoundingBox { x_min, y_min, x_max, y_max } = region;
                format!("\t{x_min:.0} {y_min:.0} {x_max:.0} {y_max:.0}")
            });
            format!("{probability:.4}\t{found}, not {truth}\t{}{region}\n", sample.image.display())
        };
        wrong.iter().map(line).collect()
    }
}

impl Source<ClassifierNetwork> for CropImages {
    type Batch = ClassifierBatch;

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(ClassifierBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let drawn = self.draw(epoch as u64);
        // A sample that is drawn twice is changed in two ways.
        let first = (epoch * drawn.len()) as u64;
        let views =
            drawn.iter().zip(first..).map(|(DrawnSample { sample, overlay, .. }, epoch)| {
                AugmentedSample { sample: *sample, epoch, overlay: *overlay }
            });
        let (samples, cache) = (Arc::clone(&self.samples), Arc::clone(&self.cache));
        let config = self.loader(self.settings.augmentation.clone());
        let mut drawn = drawn.chunks(config.batch_size);
        for images in load_samples(samples, cache, config, views.collect()) {
            let input = network_input(&images.map_err(TrainError::task)?)?;
            let targets = drawn.next().unwrap_or_default().iter();
            let targets = targets.map(|sample| sample.class).collect();
            take(ClassifierBatch { input, targets })?;
        }
        Ok(())
    }

    fn validate(&self, network: &ClassifierNetwork) -> Result<Validation, TrainError> {
        Ok(validation_of(&self.probabilities(network)?))
    }
}
