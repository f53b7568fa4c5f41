//! Training a head together with the last blocks of its backbone.

use burn::{module::Module, tensor::Device};
use serde::{Deserialize, Serialize};
use trainer::{
    CheckpointKind, Fitted, Observer, OptimizerConfig, Schedule, SelectBest, Source, TrainError,
    Trainer, Training, same,
};
use weights_file::WeightsSource;

use super::{ClassifierBatch, ClassifierTask, FirstWeights};
use crate::{ClassifierCheckpoint, ClassifierNetwork, MaskHeadConfig, backbone::BLOCKS};

/// The name in the metadata of checkpoints.
const CHECKPOINT_NAME: &str = "mask-classifier-checkpoint";

/// Settings of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifierTrainingConfig {
    /// Blocks of the backbone that are trained, counted from its end: 1 is the last convolution, 19
    /// is everything. Default: 6.
    pub unfreeze: usize,
    /// Epochs. Default: 16.
    pub epochs: usize,
    /// Samples of an epoch. Default: 3200.
    pub samples_per_epoch: usize,
    /// Samples of a step. Default: 32.
    pub batch_size: usize,
    /// Learning rate of the head. Default: 1e-3.
    pub learning_rate: f64,
    /// Learning rate of the backbone, as a part of the head's. Default: 0.3.
    pub backbone_rate: f64,
    /// How the learning rates change. Default: [`Schedule::Cosine`].
    pub schedule: Schedule,
    /// Steps in which the learning rates rise from zero. Default: 50.
    pub warmup_steps: usize,
    /// Decoupled weight decay. Default: 1e-3.
    pub weight_decay: f32,
    /// See [`OptimizerConfig::max_gradient_norm`]. Default: 10.
    pub max_gradient_norm: f64,
    /// See [`OptimizerConfig::average`]. Default: 0.99.
    pub average: f64,
    /// Fraction of the target that is spread over all classes. Default: 0.05.
    pub label_smoothing: f32,
    /// Fraction of features, and of hidden activations, left out of each step. Default: 0.3.
    pub dropout: f64,
    /// Units of the hidden layer. Default: 128.
    pub hidden: usize,
    /// Seed of everything random. Default: 42.
    pub seed: u64,
}

impl Default for ClassifierTrainingConfig {
    fn default() -> Self {
        Self {
            unfreeze: 6,
            epochs: 16,
            samples_per_epoch: 3200,
            batch_size: 32,
            learning_rate: 1e-3,
            backbone_rate: 0.3,
            schedule: Schedule::Cosine,
            warmup_steps: 50,
            weight_decay: 1e-3,
            max_gradient_norm: 10.0,
            average: 0.99,
            label_smoothing: 0.05,
            dropout: 0.3,
            hidden: 128,
            seed: 42,
        }
    }
}

impl ClassifierTrainingConfig {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let check = TrainError::check_range;
        check("unfreeze", self.unfreeze as f64, 1.0, BLOCKS as f64)?;
        check("epochs", self.epochs as f64, 1.0, 1e6)?;
        check("samples-per-epoch", self.samples_per_epoch as f64, 1.0, 1e9)?;
        check("batch-size", self.batch_size as f64, 1.0, 65536.0)?;
        check("backbone-rate", self.backbone_rate, 0.0, 1e3)?;
        check("label-smoothing", self.label_smoothing.into(), 0.0, 0.9)?;
        check("dropout", self.dropout, 0.0, 0.95)?;
        check("hidden", self.hidden as f64, 1.0, 65536.0)?;
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
            rate_factors: vec![("backbone".to_owned(), self.backbone_rate)],
        }
    }

    /// A new head over a backbone.
    fn network(
        &self,
        backbone: &WeightsSource,
        classes: usize,
        device: &Device,
    ) -> Result<ClassifierNetwork, TrainError> {
        let config = MaskHeadConfig { hidden: self.hidden, classes, dropout: self.dropout };
        let mut first = FirstWeights { rng: trainer::generator(self.seed, u64::MAX) };
        let head = config.init(device).map(&mut first);
        let backbone = ClassifierCheckpoint::load_backbone(backbone, device)?;
        Ok(ClassifierNetwork { backbone, head })
    }
}

/// A classifier in training.
pub struct ClassifierTraining {
    training: Training<ClassifierNetwork>,
    config: ClassifierTrainingConfig,
    classes: Vec<String>,
}

impl ClassifierTraining {
    /// Begins a training from a backbone, or the one of a classifier. `fingerprint` tells the data and
    /// settings from others.
    ///
    /// # Errors
    /// If a setting is outside its range, or the backbone's weights cannot be read.
    pub fn new(
        config: ClassifierTrainingConfig,
        classes: &[String],
        backbone: &WeightsSource,
        fingerprint: &str,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let network = config.network(backbone, classes.len(), device)?;
        let trainer = Trainer::new(network, config.optimizer(), config.steps(), device)?;
        let text = |value: serde_json::Value| value.to_string();
        let description = vec![
            ("classes".to_owned(), text(serde_json::json!(classes))),
            ("settings".to_owned(), text(serde_json::json!(config))),
        ];
        let kind = CheckpointKind { network: CHECKPOINT_NAME.to_owned(), description };
        let training = Training::new(trainer, kind, fingerprint);
        Ok(Self { training, config, classes: classes.to_vec() })
    }

    /// The network as it stands.
    pub fn network(&self) -> ClassifierNetwork {
        self.training.valid()
    }

    /// Goes on from a checkpoint; the number of epochs it has done.
    ///
    /// # Errors
    /// If it cannot be read, or is of other classes, settings or data.
    pub fn resume(&mut self, checkpoint: &WeightsSource) -> Result<usize, TrainError> {
        let (config, classes) = (&self.config, &self.classes);
        self.training.resume(checkpoint, |weights| {
            same(weights, "classes", classes)?;
            same(weights, "settings", config)
        })
    }

    /// Trains to the end; the network of the last epoch is kept.
    ///
    /// # Errors
    /// Those of the source, the device and the observer.
    pub fn run<S: Source<ClassifierNetwork, Batch = ClassifierBatch>>(
        self,
        task: &ClassifierTask<S>,
        observer: &mut dyn Observer<ClassifierNetwork>,
    ) -> Result<Fitted<ClassifierNetwork>, TrainError> {
        self.training.run(task, self.config.epochs, SelectBest::Last, 0, observer)
    }
}
