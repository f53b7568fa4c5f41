//! The loop over epochs.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::{CheckpointKind, Gradients, StepMetrics, TrainError, Trainer};

/// Where a task's batches come from, and what it is judged by.
pub trait Source<M> {
    /// What one step learns from.
    type Batch;

    /// Yields the batches of an epoch in their order; random changes follow from the epoch and the
    /// batch alone.
    ///
    /// # Errors
    /// If a sample cannot be read, and those of `take`.
    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(Self::Batch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError>;

    /// How good a module is on samples that it does not learn from.
    ///
    /// # Errors
    /// If a sample cannot be read or the module cannot run.
    fn validate(&self, module: &M) -> Result<Validation, TrainError>;
}

/// What is learned, and from what.
pub trait Task<M: Module> {
    /// What one step learns from.
    type Batch;

    /// Steps of an epoch.
    fn steps_per_epoch(&self) -> usize;

    /// Yields the batches of an epoch, counted from 0, in their order.
    ///
    /// # Errors
    /// The task's own, and those of `take`.
    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(Self::Batch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError>;

    /// The loss of a batch and its gradients. Random numbers must follow from the step alone.
    ///
    /// # Errors
    /// If the batch does not fit the module, or the device fails.
    fn gradients(
        &self,
        trainer: &Trainer<M>,
        batch: &Self::Batch,
    ) -> Result<BatchGradients, TrainError>;

    /// How good the module is on samples that it does not learn from.
    ///
    /// # Errors
    /// If the device fails.
    fn validate(&self, module: &M) -> Result<Validation, TrainError>;
}

/// What a batch yields.
#[derive(Debug)]
pub struct BatchGradients {
    /// Mean loss over the batch, and its gradients.
    pub gradients: Gradients,
    /// Samples in the batch.
    pub samples: usize,
    /// Fraction of them, or of what is to be found in them, that was right.
    pub accuracy: f64,
}

/// How good a module is on validation samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Mean loss.
    pub loss: f64,
    /// Accuracy, or another score in [0, 1] of which more is better.
    pub accuracy: f64,
}

/// An epoch's metrics: a row of `history.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean loss over its samples.
    pub train_loss: f64,
    /// Fraction of its samples that were right.
    pub train_accuracy: f64,
    /// See [`Validation::loss`].
    pub validation_loss: f64,
    /// See [`Validation::accuracy`].
    pub validation_accuracy: f64,
}

/// Which epoch's module is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectBest {
    /// The last one's.
    #[default]
    Last,
    /// That of the lowest validation loss.
    Loss,
    /// That of the highest validation accuracy.
    Accuracy,
}

/// How long to train and what to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FitConfig {
    /// Passes over the samples.
    pub epochs: usize,
    /// Which epoch's module is kept.
    pub select_best: SelectBest,
    /// Epochs without improvement after which training stops; 0 for never.
    pub patience: usize,
    /// What checkpoints are of.
    pub checkpoints: CheckpointKind,
}

/// What a checkpoint holds beside the trainer's own state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What data and settings the training is of, in the caller's words.
    pub fingerprint: String,
    /// Metrics of the epochs done.
    #[serde(with = "csv_text")]
    pub history: Vec<EpochMetrics>,
    /// The best epoch so far, from 1; 0 for none.
    pub best_epoch: usize,
}

/// Who is told how training goes, and keeps what it yields.
pub trait Observer<M> {
    /// An epoch, counted from 0, begins, with so many steps.
    fn epoch_started(&mut self, _epoch: usize, _steps: usize) {}

    /// A step was taken.
    fn step(&mut self, _metrics: &StepMetrics, _samples: usize) {}

    /// An epoch is over.
    fn epoch(&mut self, _metrics: &EpochMetrics) {}

    /// Training stops early.
    fn stopped_early(&mut self, _patience: usize) {}

    /// The best module so far is to be kept.
    ///
    /// # Errors
    /// If it cannot be.
    fn keep_best(&mut self, module: &M) -> Result<(), TrainError>;

    /// The module kept last.
    ///
    /// # Errors
    /// If it cannot be read.
    fn best(&mut self) -> Result<M, TrainError>;

    /// A checkpoint is to be kept, instead of the one before.
    ///
    /// # Errors
    /// If it cannot be.
    fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), TrainError>;
}

/// The end of a training.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The module kept.
    pub module: M,
    /// Metrics of every epoch.
    pub history: Vec<EpochMetrics>,
    /// The epoch, from 1, whose module was kept.
    pub kept_epoch: usize,
}

/// Trains from where `progress` stands to the end.
///
/// # Errors
/// Those of the task, the trainer and the observer.
pub fn fit<M: Module, T: Task<M>>(
    trainer: &mut Trainer<M>,
    task: &T,
    config: &FitConfig,
    mut progress: Progress,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    while progress.history.len() < config.epochs {
        let since_best = progress.history.len() - progress.best_epoch;
        if config.patience > 0 && since_best >= config.patience {
            observer.stopped_early(config.patience);
            break;
        }
        let metrics = epoch(trainer, task, progress.history.len(), observer)?;
        observer.epoch(&metrics);
        if is_better(config.select_best, &metrics, &progress.history) {
            observer.keep_best(&trainer.valid())?;
            progress.best_epoch = metrics.epoch;
        }
        progress.history.push(metrics);
        let state = serde_json::to_string(&progress).map_err(TrainError::task)?;
        observer.checkpoint(&trainer.checkpoint(&config.checkpoints, &state)?)?;
    }
    let (kept_epoch, module) = match config.select_best {
        SelectBest::Last => (progress.history.len(), trainer.valid()),
        SelectBest::Loss | SelectBest::Accuracy => (progress.best_epoch, observer.best()?),
    };
    Ok(Fitted { module, history: progress.history, kept_epoch })
}

fn epoch<M: Module, T: Task<M>>(
    trainer: &mut Trainer<M>,
    task: &T,
    epoch: usize,
    observer: &mut dyn Observer<M>,
) -> Result<EpochMetrics, TrainError> {
    observer.epoch_started(epoch, task.steps_per_epoch());
    let (mut loss, mut samples, mut correct, mut learning_rate) = (0.0, 0, 0.0, 0.0);
    task.batches(epoch, &mut |batch| {
        let BatchGradients { gradients, samples: count, accuracy } =
            task.gradients(trainer, &batch)?;
        let metrics = trainer.step_by(gradients)?;
        loss += f64::from(metrics.loss) * count as f64;
        samples += count;
        correct += accuracy * count as f64;
        learning_rate = metrics.learning_rate;
        observer.step(&metrics, count);
        Ok(())
    })?;
    let validation = task.validate(&trainer.valid())?;
    let count = samples.max(1) as f64;
    Ok(EpochMetrics {
        epoch: epoch + 1,
        learning_rate,
        train_loss: loss / count,
        train_accuracy: correct / count,
        validation_loss: validation.loss,
        validation_accuracy: validation.accuracy,
    })
}

fn is_better(select: SelectBest, metrics: &EpochMetrics, history: &[EpochMetrics]) -> bool {
    let best = |value: fn(&EpochMetrics) -> f64| {
        history.iter().map(value).fold(f64::INFINITY, f64::min) > value(metrics)
    };
    match select {
        SelectBest::Last => false,
        SelectBest::Loss => best(|metrics| metrics.validation_loss),
        SelectBest::Accuracy => best(|metrics| -metrics.validation_accuracy),
    }
}

/// A history as CSV, one line per epoch under a line of names. Its numbers are read back to the
/// last bit.
///
/// # Errors
/// If the history cannot be written, which memory does not do.
pub fn history_csv(history: &[EpochMetrics]) -> Result<String, TrainError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for metrics in history {
        writer.serialize(metrics).map_err(TrainError::task)?;
    }
    let bytes = writer.into_inner().map_err(|error| TrainError::task(error.to_string()))?;
    String::from_utf8(bytes).map_err(TrainError::task)
}

/// The history in checkpoints: as CSV, whose numbers come back to the last bit; JSON's need not.
mod csv_text {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _,
    };

    use super::{EpochMetrics, history_csv};

    pub(super) fn serialize<S: Serializer>(
        history: &[EpochMetrics],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        history_csv(history).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<EpochMetrics>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
