//! From batches of images to gradients.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use fused_cpu::{Engine, Graph, TrainingPlan};
use geometry::UnitBox;
use image_input::NetworkInput;
use rayon::prelude::*;
use trainer::{BatchGradients, Gradients, Task, TrainError, Trainer, Validation, single_value};

use super::{
    FaceTrainingConfig, multibox_loss,
    targets::{ImageTargets, Targets},
};
use crate::{
    InputSize, PriorBoxes,
    network::{Res10Ssd, SsdOutput},
};

/// Images of one size with what is in them.
#[derive(Debug, Clone)]
pub struct FaceBatch {
    /// The images, normalised by [`crate::NORMALIZATION`].
    pub input: NetworkInput,
    /// Each image's faces, with an area.
    pub faces: Vec<Vec<UnitBox>>,
    /// Each image's regions that count neither as faces nor as background.
    pub ignored: Vec<Vec<UnitBox>>,
}

/// Where batches come from.
pub trait FaceSource {
    /// Yields the batches of an epoch in their order; random changes follow from the epoch and the
    /// batch alone.
    ///
    /// # Errors
    /// If a sample cannot be read, and those of `take`.
    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(FaceBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError>;

    /// How good a network is on images that it does not learn from: average precision as accuracy.
    ///
    /// # Errors
    /// If an image cannot be read or the network cannot run.
    fn validate(&self, network: &Res10Ssd) -> Result<Validation, TrainError>;
}

/// The task of finding faces.
pub struct FaceTask<S> {
    config: FaceTrainingConfig,
    source: S,
    /// The network on the CPU; Burn runs it elsewhere.
    plan: Option<Mutex<TrainingPlan>>,
}

impl<S: FaceSource> FaceTask<S> {
    /// Prepares a task for networks like `network` on `device`.
    ///
    /// # Errors
    /// If everything is frozen, or the engine cannot hold the network.
    pub fn new(
        config: FaceTrainingConfig,
        network: &Res10Ssd,
        source: S,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let plan = if engine.uses_plan(device) {
            let side = InputSize::MIN_SIDE as usize;
            let forward = |network: &Res10Ssd, input| {
                let SsdOutput { box_deltas, class_logits } = network.forward(input);
                (box_deltas, class_logits)
            };
            let (graph, mut parameters) =
                Graph::trace_parameters(network, [1, 3, side, side], forward)
                    .map_err(TrainError::task)?;
            parameters.retain(|parameter| !config.is_frozen(&parameter.name));
            Some(Mutex::new(TrainingPlan::new(graph, parameters).map_err(TrainError::task)?))
        } else {
            None
        };
        Ok(Self { config, source, plan })
    }

    /// Where batches come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    fn targets(&self, batch: &FaceBatch, class_logits: &[f32]) -> Targets {
        let priors = PriorBoxes::new(self.config.priors, batch.input.size());
        let config = &self.config;
        let images = batch.faces.par_iter().zip(&batch.ignored);
        let images: Vec<ImageTargets> = images
            .map(|(faces, ignored)| ImageTargets::new(&priors, faces, ignored, config))
            .collect();
        Targets::mine(&images, class_logits, config)
    }
}

impl FaceTrainingConfig {
    fn is_frozen(&self, path: &str) -> bool {
        self.frozen.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }
}

impl<S: FaceSource> Task<Res10Ssd> for FaceTask<S> {
    type Batch = FaceBatch;

    fn steps_per_epoch(&self) -> usize {
        self.config.steps_per_epoch()
    }

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(FaceBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        self.source.batches(epoch, take)
    }

    fn gradients(
        &self,
        trainer: &Trainer<Res10Ssd>,
        batch: &FaceBatch,
    ) -> Result<BatchGradients, TrainError> {
        let device = trainer.device();
        let shape = batch.input.shape();
        let samples = shape[0];
        let Some(plan) = &self.plan else {
            let data = TensorData::new(batch.input.values().to_vec(), shape);
            let input = Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2]);
            let output = trainer.module().forward(input);
            let logits = host(output.class_logits.clone().inner())?;
            let targets = self.targets(batch, &logits);
            let loss = multibox_loss(output, &targets);
            let mut gradients = Gradients::of_loss(loss, trainer.module())?;
            gradients.retain(trainer.module(), &|path| !self.config.is_frozen(path));
            return Ok(BatchGradients {
                gradients,
                samples,
                accuracy: accuracy(&targets, &logits),
            });
        };
        // A panic elsewhere leaves a plan that is updated before it is used.
        let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.update_from(&trainer.current()).map_err(TrainError::task)?;
        plan.forward(batch.input.values(), shape).map_err(TrainError::task)?;
        let leaf = |index: usize, values: usize| {
            let (output, _) = plan.output(index);
            let shape = [samples, output.len() / samples / values, values];
            Tensor::<3>::from_data(TensorData::new(output.to_vec(), shape), device).require_grad()
        };
        let output = SsdOutput { box_deltas: leaf(0, 4), class_logits: leaf(1, 2) };
        let logits = plan.output(1).0.to_vec();
        let targets = self.targets(batch, &logits);
        let loss = multibox_loss(output.clone(), &targets);
        let value = single_value(&loss)?;
        let recorded = loss.backward();
        let gradient = |tensor: &Tensor<3>| match tensor.grad(&recorded) {
            Some(gradient) => host(gradient),
            None => Ok(vec![0.0; tensor.dims().iter().product()]),
        };
        let (deltas, classes) = (gradient(&output.box_deltas)?, gradient(&output.class_logits)?);
        let by_name = plan.backward_by_name(&[&deltas, &classes]).map_err(TrainError::task)?;
        let mut gradients = Gradients { loss: value, of_parameters: Default::default() };
        gradients.add_by_path(trainer.module(), by_name);
        Ok(BatchGradients { gradients, samples, accuracy: accuracy(&targets, &logits) })
    }

    fn validate(&self, network: &Res10Ssd) -> Result<Validation, TrainError> {
        self.source.validate(network)
    }
}

/// The fraction of the targets whose class is right.
fn accuracy(targets: &Targets, class_logits: &[f32]) -> f64 {
    let (logits, _) = class_logits.as_chunks::<2>();
    let is_face = |prior: &&usize| logits[**prior][1] > logits[**prior][0];
    let right = targets.positives.iter().filter(is_face).count()
        + targets.negatives.iter().filter(|prior| !is_face(prior)).count();
    right as f64 / (targets.positives.len() + targets.negatives.len()).max(1) as f64
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    tensor.try_into_vec_as().map_err(|error| TrainError::Device(error.to_string()))
}
