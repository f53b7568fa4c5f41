//! From batches of crops to gradients of a head and the last blocks of its backbone.

use burn::tensor::{Device, Tensor, TensorData};
use fused_cpu::Engine;
use image_input::NetworkInput;
use trainer::{
    BatchGradients, NetworkGradients, Source, Task, TrainError, Trainer, Validation, generator,
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

/// The task of telling classes of crops.
pub struct ClassifierTask<S> {
    config: ClassifierTrainingConfig,
    source: S,
    backbone: NetworkGradients<ClassifierNetwork>,
}

impl<S> ClassifierTask<S> {
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
        let side = INPUT_SIZE as usize;
        let forward = |network: &ClassifierNetwork, crops: Tensor<4>| {
            let features = network.backbone.forward(crops);
            let [batch, values] = features.dims();
            vec![features.reshape([batch, 1, values])]
        };
        let blocks = last_blocks(config.unfreeze);
        let trains = move |path: &str| match path.strip_prefix("backbone.") {
            None => true,
            Some(path) => blocks.iter().any(|block| path.starts_with(&**block)),
        };
        let example = [1, 3, side, side];
        let backbone =
            NetworkGradients::new(network, example, forward, Box::new(trains), engine, device)?;
        Ok(Self { config, source, backbone })
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

impl<S: Source<ClassifierNetwork, Batch = ClassifierBatch>> Task<ClassifierNetwork>
    for ClassifierTask<S>
{
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
        let (images, targets) = ((batch.input.values(), batch.input.shape()), &batch.targets);
        let (gradients, logits) = self.backbone.of(trainer, images, |mut outputs| {
            let Some(features) = outputs.pop() else {
                return Err(TrainError::Data("the backbone has no output".to_owned()));
            };
            let features = features.reshape([targets.len(), FEATURE_DIM]);
            Ok(self.loss(trainer, features, targets))
        })?;
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
