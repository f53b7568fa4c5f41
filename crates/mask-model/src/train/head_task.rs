//! A head's task: cross-entropy on features of the frozen backbone.

use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{log_softmax, softmax},
};
use rand::{RngExt, seq::SliceRandom};
use trainer::{BatchGradients, Gradients, Task, TrainError, Trainer, Validation, generator};

use super::HeadTrainingConfig;
use crate::{FEATURE_DIM, MaskHead, argmax};

/// Where features of samples come from: a backbone behind a loader, or a cache.
pub trait FeatureSource {
    /// Yields the features of samples, `[batch, FEATURE_DIM]`, in batches of their order, each
    /// sample changed at random as its epoch and number say; unchanged without an epoch.
    ///
    /// # Errors
    /// If a sample cannot be read or the backbone fails, and those of `take`.
    fn features(
        &self,
        samples: &[usize],
        epoch: Option<u64>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), TrainError>,
    ) -> Result<(), TrainError>;

    /// A random order of `count` samples for an epoch.
    fn order(&self, count: usize, epoch: u64) -> Vec<usize>;
}

/// What a head learns from.
pub struct HeadTask<S> {
    config: HeadTrainingConfig,
    classes: Vec<String>,
    class_weights: Vec<f32>,
    train: Samples,
    validation: Samples,
    /// Features of the validation samples.
    validation_features: Vec<f32>,
    /// Features of augmented views of the training samples, if these are kept.
    views: Vec<Vec<f32>>,
    source: S,
    device: Device,
}

/// Samples by their number in the source, with their classes.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Numbers.
    pub samples: Vec<usize>,
    /// The class of each.
    pub classes: Vec<usize>,
}

impl<S: FeatureSource> HeadTask<S> {
    /// Prepares a task: checks it, and computes the features of the validation samples and, if
    /// `cached_views` is not 0, of so many augmented views of each training sample.
    ///
    /// `balance_classes` lets rare classes weigh as much as frequent ones.
    ///
    /// # Errors
    /// If a class does not exist, there are no samples, a setting is outside its range, or the
    /// source fails.
    #[allow(clippy::too_many_arguments, reason = "each is data of another kind")]
    pub fn new(
        config: HeadTrainingConfig,
        classes: Vec<String>,
        train: Samples,
        validation: Samples,
        balance_classes: bool,
        cached_views: usize,
        source: S,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        for part in [&train, &validation] {
            let unknown = part.classes.iter().any(|class| *class >= classes.len());
            if part.samples.is_empty() || part.samples.len() != part.classes.len() || unknown {
                let message = "samples are missing, or of classes that do not exist";
                return Err(TrainError::Data(message.to_owned()));
            }
        }
        let mut class_weights = vec![1.0; classes.len()];
        if balance_classes {
            let mut support = vec![0usize; classes.len()];
            train.classes.iter().for_each(|class| support[*class] += 1);
            let mean = train.samples.len() as f32 / classes.len() as f32;
            for (weight, support) in class_weights.iter_mut().zip(support) {
                *weight = mean / support.max(1) as f32;
            }
        }
        let collect = |samples: &[usize], epoch| -> Result<Vec<f32>, TrainError> {
            let mut features = Vec::with_capacity(samples.len() * FEATURE_DIM);
            source.features(samples, epoch, &mut |batch| {
                features.extend_from_slice(batch);
                Ok(())
            })?;
            if features.len() != samples.len() * FEATURE_DIM {
                return Err(TrainError::Data("features are missing".to_owned()));
            }
            Ok(features)
        };
        let validation_features = collect(&validation.samples, None)?;
        let views = (0..cached_views as u64)
            .map(|view| collect(&train.samples, Some(view)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config,
            classes,
            class_weights,
            train,
            validation,
            validation_features,
            views,
            source,
            device: device.clone(),
        })
    }

    /// Where features come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The settings.
    pub fn config(&self) -> &HeadTrainingConfig {
        &self.config
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// True class and class probabilities of every validation sample.
    ///
    /// # Errors
    /// If the device fails.
    pub fn validation_probabilities(
        &self,
        head: &MaskHead,
    ) -> Result<Vec<(usize, Vec<f32>)>, TrainError> {
        let count = self.validation.samples.len();
        let data = TensorData::new(self.validation_features.clone(), [count, FEATURE_DIM]);
        let logits = head.forward(Tensor::from_data(data, &self.device));
        let values = host_values(softmax(logits, 1))?;
        let rows = values.chunks(self.classes.len()).map(<[f32]>::to_vec);
        Ok(self.validation.classes.iter().copied().zip(rows).collect())
    }

    /// A factor for each hidden activation of each sample.
    pub(super) fn dropout_mask(&self, step: usize, batch: usize) -> Vec<f32> {
        let HeadTrainingConfig { dropout, hidden, seed, .. } = self.config;
        dropout_mask(batch * hidden, dropout, &mut generator(seed, step as u64))
    }

    /// Loss and logits of features `[batch, FEATURE_DIM]` under a dropout mask.
    pub(super) fn loss_and_logits(
        &self,
        head: &MaskHead,
        features: Tensor<2>,
        targets: &[usize],
        dropout_mask: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>) {
        let logits = head.forward_with_dropout_mask(features, dropout_mask);
        let smoothing = self.config.label_smoothing;
        let loss = cross_entropy(logits.clone(), targets, smoothing, &self.class_weights);
        (loss, logits)
    }
}

/// Cross-entropy of logits `[batch, classes]`, a mean weighted by class. `smoothing` of each target is
/// spread over all classes.
pub(super) fn cross_entropy(
    logits: Tensor<2>,
    targets: &[usize],
    smoothing: f32,
    class_weights: &[f32],
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    let total: f32 = targets.iter().map(|target| class_weights[*target]).sum();
    let mut wanted = vec![smoothing / classes as f32; batch * classes];
    for (row, target) in wanted.chunks_mut(classes).zip(targets) {
        row[*target] += 1.0 - smoothing;
        row.iter_mut().for_each(|value| *value *= class_weights[*target] / total);
    }
    let wanted = TensorData::new(wanted, [batch, classes]);
    let wanted = Tensor::<2>::from_data(wanted, &logits.device());
    (log_softmax(logits, 1) * wanted).sum().neg()
}

/// Inverted dropout: zero, or what keeps the mean.
pub(super) fn dropout_mask(count: usize, dropout: f64, rng: &mut impl rand::Rng) -> Vec<f32> {
    let scale = (1.0 / (1.0 - dropout)) as f32;
    (0..count).map(|_| if rng.random_bool(dropout) { 0.0 } else { scale }).collect()
}

/// Features of a batch, with their classes.
pub struct HeadBatch {
    /// `[batch, FEATURE_DIM]`.
    pub features: Vec<f32>,
    /// The class of each.
    pub targets: Vec<usize>,
}

impl<S: FeatureSource> Task<MaskHead> for HeadTask<S> {
    type Batch = HeadBatch;

    fn steps_per_epoch(&self) -> usize {
        self.train.samples.len().div_ceil(self.config.batch_size)
    }

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(HeadBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        // Positions in the list of training samples.
        let order = self.source.order(self.train.samples.len(), epoch as u64);
        let batch_size = self.config.batch_size;
        let mut positions = order.chunks(batch_size);
        let mut pass = |features: &[f32]| {
            let positions = positions.next().unwrap_or_default();
            let targets: Vec<usize> = positions.iter().map(|at| self.train.classes[*at]).collect();
            if features.len() != targets.len() * FEATURE_DIM {
                return Err(TrainError::Data("features are missing".to_owned()));
            }
            take(HeadBatch { features: features.to_vec(), targets })
        };
        if self.views.is_empty() {
            let samples: Vec<usize> = order.iter().map(|at| self.train.samples[*at]).collect();
            return self.source.features(&samples, Some(epoch as u64), &mut pass);
        }
        let view = &self.views[epoch % self.views.len()];
        for batch in order.chunks(batch_size) {
            let rows = batch.iter().flat_map(|at| &view[at * FEATURE_DIM..(at + 1) * FEATURE_DIM]);
            pass(&rows.copied().collect::<Vec<f32>>())?;
        }
        Ok(())
    }

    fn gradients(
        &self,
        trainer: &Trainer<MaskHead>,
        batch: &HeadBatch,
    ) -> Result<BatchGradients, TrainError> {
        let (samples, device) = (batch.targets.len(), trainer.device());
        let features = TensorData::new(batch.features.clone(), [samples, FEATURE_DIM]);
        let mask = self.dropout_mask(trainer.global_step(), samples);
        let mask = TensorData::new(mask, [samples, self.config.hidden]);
        let (loss, logits) = self.loss_and_logits(
            trainer.module(),
            Tensor::from_data(features, device),
            &batch.targets,
            Tensor::from_data(mask, device),
        );
        let logits = host_values(logits.inner())?;
        let right = |(row, target): &(&[f32], &usize)| argmax(row) == **target;
        let correct = logits.chunks(self.classes.len()).zip(&batch.targets).filter(right).count();
        let gradients = Gradients::of_loss(loss, trainer.module())?;
        let accuracy = correct as f64 / samples.max(1) as f64;
        Ok(BatchGradients { gradients, samples, accuracy })
    }

    fn validate(&self, head: &MaskHead) -> Result<Validation, TrainError> {
        Ok(validation_of(&self.validation_probabilities(head)?))
    }
}

/// Mean cross-entropy and accuracy of true classes with the probabilities found.
pub fn validation_of(rows: &[(usize, Vec<f32>)]) -> Validation {
    let count = rows.len().max(1) as f64;
    let (mut loss, mut correct) = (0.0, 0);
    for (truth, row) in rows {
        loss -= f64::from(row[*truth].max(f32::MIN_POSITIVE)).ln();
        correct += usize::from(argmax(row) == *truth);
    }
    Validation { loss: loss / count, accuracy: correct as f64 / count }
}

/// A random order of `count` samples.
pub fn shuffled(count: usize, rng: &mut impl rand::Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    order
}

pub(super) fn host_values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    tensor.try_into_vec_as().map_err(|error| TrainError::Device(error.to_string()))
}
