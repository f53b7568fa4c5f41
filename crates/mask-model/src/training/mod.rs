//! Training a head on the backbone's features.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer},
    tensor::{Device, Tensor, TensorData, activation::log_softmax},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use weights_file::{
    NamedTensor, Precision, Problem, WeightsError, WeightsFile, encode, named_tensors,
};

use crate::{BACKBONE_NAME, FEATURES, Head, MaskHead, MaskHeadConfig, MaskModelError};

/// The name in the metadata of checkpoints.
const CHECKPOINT_NAME: &str = "mask-head-checkpoint";

/// How the learning rate changes, from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Keras's `decay`, as the reference sets it: `rate / (1 + rate / epochs * step)`.
    Reference,
    /// No change.
    Constant,
    /// Half a cosine down to zero at the end.
    Cosine,
}

/// Settings of the optimisation. The defaults are the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingSettings {
    /// Passes over the training samples. Default: 20.
    pub epochs: usize,
    /// Samples a step. Default: 32.
    pub batch_size: usize,
    /// Learning rate of Adam. Default: 1e-4.
    pub learning_rate: f64,
    /// How the learning rate changes. Default: the reference's decay.
    pub schedule: Schedule,
    /// Epochs in which the learning rate rises from zero. Default: 0.
    pub warmup_epochs: usize,
    /// Decoupled weight decay (AdamW). Default: 0.
    pub weight_decay: f32,
    /// Part of the target that is spread over all classes. Default: 0.
    pub label_smoothing: f32,
    /// Fraction of hidden units left out of each step. Default: 0.5.
    pub dropout: f64,
    /// Hidden units. Default: 128.
    pub hidden: usize,
    /// Seed of first weights and dropout. Default: 42.
    pub seed: u64,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 32,
            learning_rate: 1e-4,
            schedule: Schedule::Reference,
            warmup_epochs: 0,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            dropout: 0.5,
            hidden: 128,
            seed: 42,
        }
    }
}

impl TrainingSettings {
    /// The learning rate at `step`, counted from 0, of `steps`.
    pub fn rate_at(&self, step: usize, steps: usize) -> f64 {
        let warmup = (steps / self.epochs.max(1)) * self.warmup_epochs;
        let rate = self.learning_rate;
        if step < warmup {
            return rate * (step + 1) as f64 / warmup as f64;
        }
        match self.schedule {
            Schedule::Reference => rate / (1.0 + rate / self.epochs.max(1) as f64 * step as f64),
            Schedule::Constant => rate,
            Schedule::Cosine => {
                let part = (step - warmup) as f64 / (steps.max(warmup + 1) - warmup) as f64;
                rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
        }
    }
}

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The loss is no number any more.
    #[error(
        "the loss is {loss} at step {step} (learning rate {rate:e}); \
         lower the learning rate, or look for damaged pictures"
    )]
    NonFinite {
        /// The step, counted from 0.
        step: usize,
        /// The loss.
        loss: f32,
        /// The learning rate.
        rate: f64,
    },
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] WeightsError),
    /// The device failed.
    #[error(transparent)]
    Model(#[from] MaskModelError),
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the batch, before the step.
    pub loss: f32,
    /// Samples labelled right, with dropout on.
    pub correct: usize,
}

/// A head in training.
pub struct HeadTrainer {
    layers: MaskHead,
    classes: Vec<String>,
    class_weights: Vec<f32>,
    moments: BTreeMap<String, AdamWState<1>>,
    optimizer: AdamW,
    settings: TrainingSettings,
    step: usize,
    steps: usize,
    device: Device,
}

impl HeadTrainer {
    /// A head with first weights as Keras draws them (Glorot's uniform, biases zero).
    ///
    /// `class_weights` scale the loss of each class's samples; `steps` is the number of steps to
    /// come, which the schedule wants to know.
    pub fn new(
        settings: TrainingSettings,
        classes: Vec<String>,
        class_weights: Vec<f32>,
        steps: usize,
        device: &Device,
    ) -> Self {
        let device = device.clone().autodiff();
        let dropout = settings.dropout;
        let config = MaskHeadConfig { hidden: settings.hidden, classes: classes.len(), dropout };
        let mut first = FirstWeights { rng: generator(settings.seed, u64::MAX) };
        let layers = config.init(&device).map(&mut first);
        // Epsilon as Keras has it; the decay is decoupled, so that without it this is plain Adam.
        let optimizer =
            AdamWConfig::new().with_epsilon(1e-7).with_weight_decay(settings.weight_decay).build();
        let moments = BTreeMap::new();
        Self {
            layers,
            classes,
            class_weights,
            moments,
            optimizer,
            settings,
            step: 0,
            steps,
            device,
        }
    }

    /// The loss of features `[batch, 1280]` under hidden units scaled by `kept`, and the class
    /// scores.
    fn loss(
        &self,
        features: Tensor<2>,
        targets: &[usize],
        kept: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>) {
        let scores = self.layers.forward_kept(features, kept);
        let (batch, classes) = (targets.len(), self.classes.len());
        let smoothing = self.settings.label_smoothing;
        let total: f32 = targets.iter().map(|target| self.class_weights[*target]).sum();
        let mut wanted = vec![smoothing / classes as f32; batch * classes];
        for (row, target) in wanted.chunks_mut(classes).zip(targets) {
            row[*target] += 1.0 - smoothing;
            row.iter_mut().for_each(|value| *value *= self.class_weights[*target] / total);
        }
        let wanted =
            Tensor::<2>::from_data(TensorData::new(wanted, [batch, classes]), &self.device);
        ((log_softmax(scores.clone(), 1) * wanted).sum().neg(), scores)
    }

    /// One step on a batch: features `[batch, 1280]` and their classes.
    ///
    /// # Errors
    /// If the loss is no finite number, or the device fails.
    pub fn step(
        &mut self,
        features: &[f32],
        targets: &[usize],
    ) -> Result<StepOutcome, TrainingError> {
        let (batch, hidden) = (targets.len(), self.settings.hidden);
        let features =
            Tensor::from_data(TensorData::new(features.to_vec(), [batch, FEATURES]), &self.device);
        let kept = Tensor::from_data(
            TensorData::new(self.kept_units(batch), [batch, hidden]),
            &self.device,
        );
        let (loss, scores) = self.loss(features, targets, kept);
        let rate = self.settings.rate_at(self.step, self.steps);
        let value = host_values(loss.clone().inner())?[0];
        if !value.is_finite() {
            return Err(TrainingError::NonFinite { step: self.step, loss: value, rate });
        }
        let scores = host_values(scores.inner())?;
        let right = |(row, target): &(&[f32], &usize)| largest(row) == **target;
        let correct = scores.chunks(self.classes.len()).zip(targets).filter(right).count();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.layers);
        let mut update = Update {
            path: Vec::new(),
            gradients,
            moments: &mut self.moments,
            optimizer: &self.optimizer,
            rate,
        };
        self.layers = self.layers.clone().map(&mut update);
        self.step += 1;
        Ok(StepOutcome { loss: value, correct })
    }

    /// Inverted dropout: zero, or what keeps the mean, for each hidden unit of each sample.
    fn kept_units(&self, batch: usize) -> Vec<f32> {
        let dropout = self.settings.dropout;
        let mut rng = generator(self.settings.seed, self.step as u64);
        let scale = (1.0 / (1.0 - dropout)) as f32;
        let count = batch * self.settings.hidden;
        (0..count).map(|_| if rng.random_bool(dropout) { 0.0 } else { scale }).collect()
    }

    /// The head as it stands.
    pub fn head(&self) -> Head {
        Head { layers: self.layers.valid(), classes: self.classes.clone() }
    }

    /// Steps done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Everything that the next step depends on, as the bytes of a file. `progress` is the caller's
    /// own state.
    ///
    /// # Errors
    /// If the device fails.
    pub fn checkpoint(&self, progress: &str) -> Result<Vec<u8>, TrainingError> {
        let mut tensors = named_tensors(&self.layers.valid());
        for (path, AdamWState { momentum }) in &self.moments {
            for (name, moment) in [("mean", &momentum.moment_1), ("square", &momentum.moment_2)] {
                let values = host_values(moment.clone())?;
                tensors.push(NamedTensor::new(
                    format!("adam.{name}.{path}"),
                    [values.len()],
                    values,
                ));
            }
        }
        let (step, settings) =
            (self.step.to_string(), serde_json::json!(self.settings).to_string());
        let classes = serde_json::json!(self.classes).to_string();
        let metadata = [
            ("backbone", BACKBONE_NAME),
            ("classes", &*classes),
            ("settings", &*settings),
            ("step", &*step),
            ("progress", progress),
        ];
        Ok(encode(CHECKPOINT_NAME, &metadata, tensors, Precision::F32)?)
    }

    /// Goes on from a checkpoint; yields the caller's state.
    ///
    /// # Errors
    /// If the file is no checkpoint, or one of other classes or settings.
    pub fn resume(&mut self, file: &Path) -> Result<String, TrainingError> {
        let weights = WeightsFile::open(file, CHECKPOINT_NAME)?;
        let same = [
            ("classes", serde_json::json!(self.classes).to_string()),
            ("settings", serde_json::json!(self.settings).to_string()),
        ];
        for (key, wanted) in same {
            let found = weights.metadata(key)?;
            if found != wanted {
                let message = format!(
                    "a checkpoint of other {key} ({found}; asked for: {wanted}); repeat them, or \
                     train anew in another folder"
                );
                return Err(weights.error(Problem::Mismatch(message)).into());
            }
        }
        let damaged = |key: &str| weights.error(Problem::Metadata(key.to_owned()));
        let step: usize = weights.metadata("step")?.parse().map_err(|_| damaged("step"))?;
        let progress = weights.metadata("progress")?.to_owned();
        let mut restore = Restore {
            path: Vec::new(),
            weights: &weights,
            step,
            moments: BTreeMap::new(),
            problem: None,
        };
        let layers = self.layers.clone().map(&mut restore);
        if let Some(problem) = restore.problem {
            return Err(problem.into());
        }
        (self.layers, self.moments, self.step) = (layers, restore.moments, step);
        Ok(progress)
    }
}

/// Index of the largest value, the first of equals.
fn largest(values: &[f32]) -> usize {
    let indexed = values.iter().enumerate().rev();
    indexed.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

/// Random numbers for a step, or for the first weights.
fn generator(seed: u64, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

fn host_values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, MaskModelError> {
    tensor.try_into_vec_as().map_err(|error| MaskModelError::Output(error.to_string()))
}

/// Draws weights uniformly from Glorot's range and sets biases to zero.
struct FirstWeights {
    rng: ChaCha8Rng,
}

impl ModuleMapper for FirstWeights {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
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
            Tensor::from_data(TensorData::new(values, shape), &tensor.device()).require_grad()
        })
    }
}

/// Takes an optimiser's step with every parameter.
struct Update<'a> {
    path: Vec<String>,
    gradients: GradientsParams,
    moments: &'a mut BTreeMap<String, AdamWState<1>>,
    optimizer: &'a AdamW,
    rate: f64,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let path = self.path.join(".");
        param.map(|tensor| {
            let shape = tensor.dims();
            let (flat, gradient) =
                (tensor.inner().flatten::<1>(0, D - 1), gradient.flatten(0, D - 1));
            let moments = self.moments.remove(&path);
            let (flat, moments) = self.optimizer.step(self.rate, flat, gradient, moments);
            if let Some(moments) = moments {
                self.moments.insert(path, moments);
            }
            Tensor::from_inner(flat.reshape(shape)).require_grad()
        })
    }
}

/// Puts a checkpoint's parameters and moments into place.
struct Restore<'a> {
    path: Vec<String>,
    weights: &'a WeightsFile,
    step: usize,
    moments: BTreeMap<String, AdamWState<1>>,
    problem: Option<WeightsError>,
}

impl Restore<'_> {
    fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, WeightsError> {
        let values = self.weights.values(name)?;
        if values.len() != shape.iter().product::<usize>() {
            let message = format!("`{name}` has {} values, not {shape:?}", values.len());
            return Err(self.weights.error(Problem::Mismatch(message)));
        }
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let inner = device.clone().inner();
            let read = || -> Result<_, WeightsError> {
                let values = self.tensor(&path, shape, &device)?;
                let count = [shape.iter().product()];
                let moment =
                    |name: &str| self.tensor(&format!("adam.{name}.{path}"), count, &inner);
                Ok((
                    values,
                    AdaptiveMomentumState::new(self.step, moment("mean")?, moment("square")?),
                ))
            };
            match read() {
                Ok((values, moments)) => {
                    self.moments.insert(path, AdamWState::new(moments));
                    values.require_grad()
                }
                Err(problem) => {
                    self.problem.get_or_insert(problem);
                    tensor
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
