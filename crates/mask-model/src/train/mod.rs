//! Training a head on the backbone's features.

mod classifier;
mod classifier_task;
mod head_task;
mod temperature;

use burn::{module::Module, tensor::Device};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use trainer::{
    CheckpointKind, Fitted, Observer, OptimizerConfig, Schedule, SelectBest, TrainError, Trainer,
    Training, same,
};
use weights_file::WeightsSource;

pub use classifier::{ClassifierTraining, ClassifierTrainingConfig};
pub use classifier_task::{ClassifierBatch, ClassifierTask};
pub use head_task::{FeatureSource, HeadBatch, HeadTask, Samples, shuffled, validation_of};

use crate::{BACKBONE_NAME, MaskHead, MaskHeadConfig};

/// The name in the metadata of checkpoints.
const CHECKPOINT_NAME: &str = "mask-head-checkpoint";

/// Settings of the optimisation. The defaults are the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadTrainingConfig {
    /// Passes over the training samples. Default: 20.
    pub epochs: usize,
    /// Samples per step. Default: 32.
    pub batch_size: usize,
    /// Learning rate of Adam. Default: 1e-4.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: [`Schedule::InverseTime`].
    pub schedule: Schedule,
    /// Epochs in which the learning rate rises from zero. Default: 0.
    pub warmup_epochs: usize,
    /// Decoupled weight decay (AdamW). Default: 0.
    pub weight_decay: f32,
    /// Fraction of the target that is spread over all classes. Default: 0.
    pub label_smoothing: f32,
    /// Fraction of hidden activations left out of each step. Default: 0.5.
    pub dropout: f64,
    /// Units of the hidden layer. Default: 128.
    pub hidden: usize,
    /// Seed of first weights and dropout. Default: 42.
    pub seed: u64,
}

impl Default for HeadTrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 32,
            learning_rate: 1e-4,
            schedule: Schedule::InverseTime,
            warmup_epochs: 0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            dropout: 0.5,
            hidden: 128,
            seed: 42,
        }
    }
}

impl HeadTrainingConfig {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let check = TrainError::check_range;
        check("epochs", self.epochs as f64, 1.0, 1e6)?;
        check("batch-size", self.batch_size as f64, 1.0, 65536.0)?;
        check("hidden", self.hidden as f64, 1.0, 65536.0)?;
        check("learning-rate", self.learning_rate, 1e-12, 1e3)?;
        check("weight-decay", self.weight_decay.into(), 0.0, 1e3)?;
        check("label-smoothing", self.label_smoothing.into(), 0.0, 0.9)?;
        check("dropout", self.dropout, 0.0, 0.95)?;
        check("warmup-epochs", self.warmup_epochs as f64, 0.0, self.epochs as f64 - 1.0)
    }

    /// The optimiser's settings for so many steps per epoch.
    fn optimizer(&self, steps_per_epoch: usize) -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup_steps: self.warmup_epochs * steps_per_epoch,
            epochs: self.epochs,
            weight_decay: self.weight_decay,
            ..OptimizerConfig::default()
        }
    }

    /// A head with first weights as Keras draws them: uniform in Glorot's range, biases zero.
    fn first_head(&self, classes: usize, device: &Device) -> MaskHead {
        let config = MaskHeadConfig { hidden: self.hidden, classes, dropout: self.dropout };
        let mut first = FirstWeights { rng: trainer::generator(self.seed, u64::MAX) };
        config.init(device).map(&mut first)
    }
}

/// A head in training: its settings, its state, and where it came from.
pub struct HeadTraining {
    training: Training<MaskHead>,
    config: HeadTrainingConfig,
    classes: Vec<String>,
}

impl HeadTraining {
    /// Begins a training. `fingerprint` tells the data and settings from others.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new<S: FeatureSource>(
        task: &HeadTask<S>,
        fingerprint: &str,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let (config, classes) = (task.config().clone(), task.classes().to_vec());
        config.validate()?;
        let steps_per_epoch = trainer::Task::steps_per_epoch(task);
        let steps = config.epochs * steps_per_epoch;
        let head = config.first_head(classes.len(), device);
        let trainer = Trainer::new(head, config.optimizer(steps_per_epoch), steps, device)?;
        let text = |value: serde_json::Value| value.to_string();
        let description = vec![
            ("backbone".to_owned(), BACKBONE_NAME.to_owned()),
            ("classes".to_owned(), text(serde_json::json!(classes))),
            ("settings".to_owned(), text(serde_json::json!(config))),
        ];
        let kind = CheckpointKind { network: CHECKPOINT_NAME.to_owned(), description };
        Ok(Self { training: Training::new(trainer, kind, fingerprint), config, classes })
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

    /// Trains to the end.
    ///
    /// # Errors
    /// Those of the task, the device and the observer.
    pub fn run<S: FeatureSource>(
        self,
        task: &HeadTask<S>,
        select_best: SelectBest,
        patience: usize,
        observer: &mut dyn Observer<MaskHead>,
    ) -> Result<Fitted<MaskHead>, TrainError> {
        self.training.run(task, self.config.epochs, select_best, patience, observer)
    }
}

/// Draws weights uniformly from Glorot's range and sets biases to zero.
pub(super) struct FirstWeights<R> {
    pub(super) rng: R,
}

impl<R: rand::Rng> burn::module::ModuleMapper for FirstWeights<R> {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<burn::tensor::Tensor<D>>,
    ) -> burn::module::Param<burn::tensor::Tensor<D>> {
        use burn::tensor::{Tensor, TensorData};
        param.map(|tensor| {
            let shape = tensor.dims();
            let count = shape.iter().product();
            let values: Vec<f32> = match shape[..] {
                [input, output] => {
                    let limit = (6.0 / (input + output) as f32).sqrt();
                    (0..count).map(|_| self.rng.random_range(-limit..=limit)).collect()
                }
                _ => vec![0.0; count],
            };
            Tensor::from_data(TensorData::new(values, shape), &tensor.device())
        })
    }
}

#[cfg(test)]
mod tests;
