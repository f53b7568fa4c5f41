//! Checkpoints: everything that the next step depends on, in a weights file.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::{AdamWState, AdaptiveMomentumState},
    tensor::{Tensor, TensorData},
};
use weights_file::{
    NamedTensor, Precision, Problem, WeightsError, WeightsFile, WeightsSource, encode,
    named_tensors,
};

use crate::{TrainError, Trainer};

/// What a checkpoint is of, so that another training's is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointKind {
    /// The name in the metadata of the weights file.
    pub network: String,
    /// Further metadata, which only describe it.
    pub description: Vec<(String, String)>,
}

impl<M: Module> Trainer<M> {
    /// The bytes of a checkpoint. `progress` is the caller's own state.
    ///
    /// # Errors
    /// If the device fails.
    pub fn checkpoint(&self, kind: &CheckpointKind, progress: &str) -> Result<Vec<u8>, TrainError> {
        let mut tensors = named_tensors(&self.current());
        for (path, AdamWState { momentum }) in &self.moments {
            for (name, moment) in [("mean", &momentum.moment_1), ("square", &momentum.moment_2)] {
                let values: Vec<f32> = moment
                    .clone()
                    .try_into_vec_as()
                    .map_err(|error| TrainError::Device(error.to_string()))?;
                let name = format!("adam.{name}.{path}");
                tensors.push(NamedTensor::new(name, [values.len()], values));
            }
        }
        for (path, average) in &self.averages {
            let values: Vec<f32> = average
                .clone()
                .try_into_vec_as()
                .map_err(|error| TrainError::Device(error.to_string()))?;
            tensors.push(NamedTensor::new(format!("average.{path}"), [values.len()], values));
        }
        let step = self.global_step.to_string();
        let mut metadata: Vec<(&str, &str)> = vec![("step", &step), ("progress", progress)];
        metadata.extend(kind.description.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        Ok(encode(&kind.network, &metadata, tensors, Precision::F32)?)
    }

    /// Goes on from a checkpoint; yields the caller's state. `check` may refuse it by its metadata.
    ///
    /// # Errors
    /// If it cannot be read, is not such a checkpoint, does not fit the module, or is refused.
    pub fn resume(
        &mut self,
        kind: &CheckpointKind,
        source: &WeightsSource,
        check: impl FnOnce(&WeightsFile) -> Result<(), WeightsError>,
    ) -> Result<String, TrainError> {
        let weights = source.open(&kind.network, None)?;
        check(&weights)?;
        let damaged = |key: &str| weights.error(Problem::Metadata(key.to_owned()));
        let step: usize = weights.metadata("step")?.parse().map_err(|_| damaged("step"))?;
        let progress = weights.metadata("progress")?.to_owned();
        let mut restore = Restore {
            path: Vec::new(),
            weights: &weights,
            step,
            moments: BTreeMap::new(),
            averages: BTreeMap::new(),
            averaged: self.config.average > 0.0,
            problem: None,
        };
        let module = self.module.clone().map(&mut restore);
        if let Some(problem) = restore.problem {
            return Err(problem.into());
        }
        (self.module, self.moments, self.global_step) = (module, restore.moments, step);
        self.averages = restore.averages;
        Ok(progress)
    }
}

/// Puts a checkpoint's parameters and moments into place.
struct Restore<'a> {
    path: Vec<String>,
    weights: &'a WeightsFile,
    step: usize,
    moments: BTreeMap<String, AdamWState<1>>,
    averages: BTreeMap<String, Tensor<1>>,
    averaged: bool,
    problem: Option<WeightsError>,
}

impl Restore<'_> {
    fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &burn::tensor::Device,
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
                // What was never part of a gradient has no moments.
                if self.weights.shape(&format!("adam.mean.{path}")).is_none() {
                    return Ok((values, None, None));
                }
                let count = [shape.iter().product()];
                let moment =
                    |name: &str| self.tensor(&format!("adam.{name}.{path}"), count, &inner);
                let moments =
                    AdaptiveMomentumState::new(self.step, moment("mean")?, moment("square")?);
                let average = self
                    .averaged
                    .then(|| self.tensor(&format!("average.{path}"), count, &inner))
                    .transpose()?;
                Ok((values, Some(AdamWState::new(moments)), average))
            };
            match read() {
                Ok((values, moments, average)) => {
                    if let Some(average) = average {
                        self.averages.insert(path.clone(), average);
                    }
                    if let Some(moments) = moments {
                        self.moments.insert(path, moments);
                    }
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
