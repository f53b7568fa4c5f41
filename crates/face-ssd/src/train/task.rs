//! From batches of images to gradients.

use burn::tensor::{Device, Tensor};
use fused_cpu::Engine;
use geometry::UnitBox;
use image_input::NetworkInput;
use rayon::prelude::*;
use trainer::{BatchGradients, NetworkGradients, Source, Task, TrainError, Trainer, Validation};

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

/// The task of finding faces. A source's accuracy is average precision.
pub struct FaceTask<S> {
    config: FaceTrainingConfig,
    source: S,
    network: NetworkGradients<Res10Ssd>,
}

impl<S> FaceTask<S> {
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
        let side = InputSize::MIN_SIDE as usize;
        let forward = |network: &Res10Ssd, input: Tensor<4>| {
            let SsdOutput { box_deltas, class_logits } = network.forward(input);
            vec![box_deltas, class_logits]
        };
        let frozen = config.frozen.clone();
        let trains = move |path: &str| !frozen.iter().any(|prefix| path.starts_with(&**prefix));
        let example = [1, 3, side, side];
        let network =
            NetworkGradients::new(network, example, forward, Box::new(trains), engine, device)?;
        Ok(Self { config, source, network })
    }

    /// Where batches come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Gradients of a batch.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradients(
        &self,
        trainer: &Trainer<Res10Ssd>,
        batch: &FaceBatch,
    ) -> Result<BatchGradients, TrainError> {
        let images = (batch.input.values(), batch.input.shape());
        let (gradients, accuracy) = self.network.of(trainer, images, |mut outputs| {
            let (Some(class_logits), Some(box_deltas)) = (outputs.pop(), outputs.pop()) else {
                return Err(TrainError::Data("the network has not two outputs".to_owned()));
            };
            let logits: Vec<f32> = class_logits
                .clone()
                .inner()
                .try_into_vec_as()
                .map_err(|error| TrainError::Device(error.to_string()))?;
            let targets = self.targets(batch, &logits);
            let loss = multibox_loss(SsdOutput { box_deltas, class_logits }, &targets);
            Ok((loss, accuracy(&targets, &logits)))
        })?;
        Ok(BatchGradients { gradients, samples: batch.faces.len(), accuracy })
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

impl<S: Source<Res10Ssd, Batch = FaceBatch>> Task<Res10Ssd> for FaceTask<S> {
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
        self.gradients(trainer, batch)
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
