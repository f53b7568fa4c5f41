//! Training the face network: multibox training as in SSD's paper.
//!
//! A [source](trainer::Source) yields images with faces and regions that do not count; [`FaceTask`] turns them
//! into gradients, on the CPU through a plan; [`FaceTraining`] runs
//! everything and resumes.

mod loss;
mod start;
mod targets;
mod task;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use trainer::{
    CheckpointKind, Fitted, Observer, OptimizerConfig, Schedule, SelectBest, Source, TrainError,
    Trainer, Training, same,
};
use weights_file::WeightsSource;

pub use loss::multibox_loss;
pub use start::Start;
pub use targets::Targets;
pub use task::{FaceBatch, FaceTask};

use crate::{MatchConfig, PriorLayout, network::Res10Ssd};

/// The name in the metadata of checkpoints.
const CHECKPOINT_NAME: &str = "res10-ssd-checkpoint";

/// Settings of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FaceTrainingConfig {
    /// What the network starts from. Default: [`Start::Weights`].
    pub start: Start,
    /// The prior boxes. Default: [`PriorLayout::Squares`].
    pub priors: PriorLayout,
    /// Whether the second feature map adds to the first, also if that of the weights of the start does
    /// not. Default: yes.
    pub top_down: bool,
    /// Leading parts of the paths of parameters that do not change, such as `stem`. Default: the input's
    /// factors and offsets, whose gradients alone would cost a sixth of a step.
    pub frozen: Vec<String>,
    /// Epochs. Default: 20.
    pub epochs: usize,
    /// Samples of an epoch. Default: 3200.
    pub samples_per_epoch: usize,
    /// Samples of a step. Default: 8.
    pub batch_size: usize,
    /// Sides of the square samples, in pixels: each step has one of them. Default: 320, 352, 416.
    pub sides: Vec<u32>,
    /// Learning rate of AdamW. Default: 4e-4.
    pub learning_rate: f64,
    /// How it changes. Default: [`Schedule::Cosine`].
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from zero. Default: 200.
    pub warmup_steps: usize,
    /// Decoupled weight decay. Default: 1e-4.
    pub weight_decay: f32,
    /// See [`OptimizerConfig::max_gradient_norm`]. Default: 10.
    pub max_gradient_norm: f64,
    /// See [`OptimizerConfig::average`]. Default: 0.999.
    pub average: f64,
    /// When a prior finds a face. Default: from an IoU of 0.5 on; below 0.35 it is background.
    pub matching: MatchConfig,
    /// Priors of a larger IoU with an ignored region are not negatives. Default: 0.2.
    pub ignored_iou: f32,
    /// Negatives chosen for each positive. Default: 3, as in SSD's paper.
    pub negatives_per_positive: usize,
    /// Negatives chosen in an image at least. Default: 20.
    pub min_negatives: usize,
    /// Seed of everything random. Default: 42.
    pub seed: u64,
}

impl Default for FaceTrainingConfig {
    fn default() -> Self {
        Self {
            start: Start::Weights,
            priors: PriorLayout::Squares,
            top_down: true,
            frozen: vec!["stem.input".to_owned()],
            epochs: 20,
            samples_per_epoch: 3200,
            batch_size: 8,
            sides: vec![320, 352, 416],
            learning_rate: 4e-4,
            schedule: Schedule::Cosine,
            warmup_steps: 200,
            weight_decay: 1e-4,
            max_gradient_norm: 10.0,
            average: 0.999,
            matching: MatchConfig { positive_iou: 0.5, negative_iou: 0.35 },
            ignored_iou: 0.2,
            negatives_per_positive: 3,
            min_negatives: 20,
            seed: 42,
        }
    }
}

impl FaceTrainingConfig {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let check = TrainError::check_range;
        check("epochs", self.epochs as f64, 1.0, 1e6)?;
        check("samples-per-epoch", self.samples_per_epoch as f64, 1.0, 1e9)?;
        check("batch-size", self.batch_size as f64, 1.0, 4096.0)?;
        check("sides", self.sides.len() as f64, 1.0, 100.0)?;
        for side in &self.sides {
            check("side", f64::from(*side), 64.0, 2048.0)?;
        }
        check("positive_iou", self.matching.positive_iou.into(), 0.1, 0.95)?;
        let most = self.matching.positive_iou.into();
        check("negative_iou", self.matching.negative_iou.into(), 0.0, most)?;
        check("ignored_iou", self.ignored_iou.into(), 0.0, 1.0)?;
        check("warmup-steps", self.warmup_steps as f64, 0.0, self.steps() as f64)?;
        self.optimizer().validate()
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.samples_per_epoch.div_ceil(self.batch_size.max(1))
    }

    fn steps(&self) -> usize {
        self.epochs * self.steps_per_epoch()
    }

    fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup_steps: self.warmup_steps,
            epochs: self.epochs,
            weight_decay: self.weight_decay,
            // PyTorch's and Burn's own.
            epsilon: 1e-8,
            max_gradient_norm: self.max_gradient_norm,
            average: self.average,
            ..OptimizerConfig::default()
        }
    }
}

/// A face network in training.
pub struct FaceTraining {
    training: Training<Res10Ssd>,
    config: FaceTrainingConfig,
}

impl FaceTraining {
    /// Begins a training with the network that the settings start from. `fingerprint` tells the
    /// data and settings from others.
    ///
    /// # Errors
    /// If a setting is outside its range, or the weights to start from cannot be read.
    pub fn new(
        config: FaceTrainingConfig,
        weights: &WeightsSource,
        fingerprint: &str,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let network = config.start.network(&config, weights, device)?;
        let trainer = Trainer::new(network, config.optimizer(), config.steps(), device)?;
        let settings = serde_json::to_string(&config).map_err(TrainError::task)?;
        let description = vec![("settings".to_owned(), settings)];
        let kind = CheckpointKind { network: CHECKPOINT_NAME.to_owned(), description };
        Ok(Self { training: Training::new(trainer, kind, fingerprint), config })
    }

    /// The network as it stands.
    pub fn network(&self) -> Res10Ssd {
        self.training.valid()
    }

    /// Goes on from a checkpoint; the number of epochs it has done.
    ///
    /// # Errors
    /// If it cannot be read, or is of other settings or data.
    pub fn resume(&mut self, checkpoint: &WeightsSource) -> Result<usize, TrainError> {
        let config = &self.config;
        self.training.resume(checkpoint, |weights| same(weights, "settings", config))
    }

    /// Trains to the end; the network of the last epoch is kept.
    ///
    /// # Errors
    /// Those of the source, the device and the observer.
    pub fn run<S: Source<Res10Ssd, Batch = FaceBatch>>(
        self,
        task: &FaceTask<S>,
        observer: &mut dyn Observer<Res10Ssd>,
    ) -> Result<Fitted<Res10Ssd>, TrainError> {
        self.training.run(task, self.config.epochs, SelectBest::Last, 0, observer)
    }
}
