//! From batches of crops to gradients of a head and the last blocks of its backbone.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use fused_cpu::{Engine, Graph, TrainingPlan};
use image_input::NetworkInput;
use trainer::{
    BatchGradients, Gradients, Task, TrainError, Trainer, Validation, generator, single_value,
};

use super::{
    ClassifierTrainingConfig,
    head_task::{cross_entropy, dropout_mask, host_values},
};
use crate::{ClassifierNetwork, FEATURE_DIM, INPUT_SIZE, argmax, backbone::last_blocks};

/// Crops with their classes.
#[derive(Debug, Clone)]
pub struct ClassifierBatch {
    /// The crops, normalised by [`crate::NORMALIZATION`].
    pub input: NetworkInput,
    /// The class of each.
    pub targets: Vec<usize>,
}

/// Where batches of crops come from.
pub trait CropSource {
    /// Yields the batches of an epoch in their order; random changes follow from the epoch and the
    /// batch alone.
    ///
    /// # Errors
    /// If a sample cannot be read, and those of `take`.
    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(ClassifierBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError>;

    /// How good a network is on crops that it does not learn from.
    ///
    /// # Errors
    /// If a sample cannot be read or the network cannot run.
    fn validate(&self, network: &ClassifierNetwork) -> Result<Validation, TrainError>;
}

/// The task of telling classes of crops.
pub struct ClassifierTask<S> {
    config: ClassifierTrainingConfig,
    source: S,
    /// The backbone on the CPU; Burn runs it elsewhere.
    plan: Option<Mutex<TrainingPlan>>,
}

impl<S: CropSource> ClassifierTask<S> {
    /// Prepares a task for networks like `network` on `device`.
    ///
    /// # Errors
    /// If the engine cannot hold the backbone.
    pub fn new(
        config: ClassifierTrainingConfig,
        network: &ClassifierNetwork,
        source: S,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let plan = if engine.uses_plan(device) {
            let side = INPUT_SIZE as usize;
            let forward = |network: &ClassifierNetwork, crops| network.backbone.forward(crops);
            let (graph, mut parameters) =
                Graph::trace_parameters(network, [1, 3, side, side], forward)
                    .map_err(TrainError::task)?;
            parameters.retain(|parameter| trains(&config, &parameter.name));
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

    /// Loss and logits of features, `[batch, FEATURE_DIM]`.
    fn loss(
        &self,
        trainer: &Trainer<ClassifierNetwork>,
        features: Tensor<2>,
        targets: &[usize],
    ) -> (Tensor<1>, Tensor<2>) {
        let ClassifierTrainingConfig { dropout, hidden, seed, label_smoothing, .. } = self.config;
        let mut rng = generator(seed, trainer.global_step() as u64);
        let batch = targets.len();
        let mut mask = |width: usize| {
            let values = dropout_mask(batch * width, dropout, &mut rng);
            Tensor::<2>::from_data(TensorData::new(values, [batch, width]), trainer.device())
        };
        let (of_features, of_hidden) = (mask(FEATURE_DIM), mask(hidden));
        let head = &trainer.module().head;
        let logits = head.forward_with_dropout_mask(features * of_features, of_hidden);
        let [_, classes] = logits.dims();
        let equal = vec![1.0; classes];
        (cross_entropy(logits.clone(), targets, label_smoothing, &equal), logits)
    }
}

impl<S: CropSource> Task<ClassifierNetwork> for ClassifierTask<S> {
    type Batch = ClassifierBatch;

    fn steps_per_epoch(&self) -> usize {
        self.config.steps_per_epoch()
    }

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(ClassifierBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        self.source.batches(epoch, take)
    }

    fn gradients(
        &self,
        trainer: &Trainer<ClassifierNetwork>,
        batch: &ClassifierBatch,
    ) -> Result<BatchGradients, TrainError> {
        let (shape, device, targets) = (batch.input.shape(), trainer.device(), &batch.targets);
        let (gradients, logits) = match &self.plan {
            None => {
                let data = TensorData::new(batch.input.values().to_vec(), shape);
                let crops = Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2]);
                let features = trainer.module().backbone.forward(crops);
                let (loss, logits) = self.loss(trainer, features, targets);
                let mut gradients = Gradients::of_loss(loss, trainer.module())?;
                gradients.retain(trainer.module(), &|path| trains(&self.config, path));
                (gradients, logits)
            }
            Some(plan) => {
                // A panic elsewhere leaves a plan that is updated before it is used.
                let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                plan.update_from(&trainer.current()).map_err(TrainError::task)?;
                plan.forward(batch.input.values(), shape).map_err(TrainError::task)?;
                let features = TensorData::new(plan.output(0).0.to_vec(), [shape[0], FEATURE_DIM]);
                let features = Tensor::<2>::from_data(features, device).require_grad();
                let (loss, logits) = self.loss(trainer, features.clone(), targets);
                let value = single_value(&loss)?;
                let recorded = loss.backward();
                let of_features = match features.grad(&recorded) {
                    Some(gradient) => host_values(gradient)?,
                    None => vec![0.0; shape[0] * FEATURE_DIM],
                };
                let mut gradients = Gradients::of_recorded(value, recorded, trainer.module());
                let by_name = plan.backward_by_name(&[&of_features]).map_err(TrainError::task)?;
                gradients.add_by_path(trainer.module(), by_name);
                (gradients, logits)
            }
        };
        let [samples, classes] = logits.dims();
        let logits = host_values(logits.inner())?;
        let rows = logits.chunks(classes).zip(targets);
        let right = rows.filter(|(row, target)| argmax(row) == **target).count();
        let accuracy = right as f64 / samples.max(1) as f64;
        Ok(BatchGradients { gradients, samples, accuracy })
    }

    fn validate(&self, network: &ClassifierNetwork) -> Result<Validation, TrainError> {
        self.source.validate(network)
    }
}

/// Whether a parameter of a [`ClassifierNetwork`] is trained, by its path.
fn trains(config: &ClassifierTrainingConfig, path: &str) -> bool {
    match path.strip_prefix("backbone.") {
        None => true,
        Some(path) => last_blocks(config.unfreeze).iter().any(|block| path.starts_with(&**block)),
    }
}
