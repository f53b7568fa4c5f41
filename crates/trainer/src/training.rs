//! A training that can be interrupted: a trainer, what its checkpoints are of, and how far it is.

use burn::module::Module;
use serde::{Serialize, de::DeserializeOwned};
use weights_file::{Problem, WeightsError, WeightsFile, WeightsSource};

use crate::{
    CheckpointKind, FitConfig, Fitted, Observer, Progress, SelectBest, Task, TrainError, Trainer,
    fit,
};

/// A training that can be interrupted.
pub struct Training<M> {
    trainer: Trainer<M>,
    kind: CheckpointKind,
    progress: Progress,
}

impl<M: Module> Training<M> {
    /// Begins a training. `fingerprint` tells its data and settings from others.
    pub fn new(trainer: Trainer<M>, kind: CheckpointKind, fingerprint: &str) -> Self {
        let progress = Progress { fingerprint: fingerprint.to_owned(), ..Progress::default() };
        Self { trainer, kind, progress }
    }

    /// The module for inference.
    pub fn valid(&self) -> M {
        self.trainer.valid()
    }

    /// Goes on from a checkpoint; the number of epochs it has done. `check` may refuse it by its
    /// metadata, see [`same`].
    ///
    /// # Errors
    /// If it cannot be read, is refused, or is of another fingerprint.
    pub fn resume(
        &mut self,
        checkpoint: &WeightsSource,
        check: impl FnOnce(&WeightsFile) -> Result<(), WeightsError>,
    ) -> Result<usize, TrainError> {
        let state = self.trainer.resume(&self.kind, checkpoint, check)?;
        let progress: Progress = serde_json::from_str(&state)
            .map_err(|error| TrainError::Data(format!("a damaged checkpoint: {error}")))?;
        if progress.fingerprint != self.progress.fingerprint {
            return Err(TrainError::Data(
                "a checkpoint of other images, another split or other settings".to_owned(),
            ));
        }
        self.progress = progress;
        Ok(self.progress.history.len())
    }

    /// Trains to the end; arguments as in [`FitConfig`].
    ///
    /// # Errors
    /// Those of the task, the device and the observer.
    pub fn run<T: Task<M>>(
        mut self,
        task: &T,
        epochs: usize,
        select_best: SelectBest,
        patience: usize,
        observer: &mut dyn Observer<M>,
    ) -> Result<Fitted<M>, TrainError> {
        let config = FitConfig { epochs, select_best, patience, checkpoints: self.kind };
        fit(&mut self.trainer, task, &config, self.progress, observer)
    }
}

/// Checks that a checkpoint's metadata hold a value. Compared as values, not as text: names of
/// settings have changed.
///
/// # Errors
/// If they hold another one.
pub fn same<T: Serialize + DeserializeOwned + PartialEq>(
    weights: &WeightsFile,
    key: &str,
    wanted: &T,
) -> Result<(), WeightsError> {
    let found = weights.metadata(key)?;
    if serde_json::from_str(found).ok().as_ref() == Some(wanted) {
        return Ok(());
    }
    let wanted = serde_json::json!(wanted);
    let message = format!("a checkpoint of other {key} ({found}; asked for: {wanted})");
    Err(weights.error(Problem::Mismatch(message)))
}
