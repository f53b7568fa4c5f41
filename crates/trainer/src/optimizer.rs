//! Optimisation steps.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::{AdamW, AdamWConfig, AdamWState, GradientsParams, Optimizer},
    tensor::{Device, Tensor},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{OptimizerConfig, TrainError};

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepMetrics {
    /// Loss before the step.
    pub loss: f32,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// A module in training.
pub struct Trainer<M> {
    pub(crate) module: M,
    /// Adam's moments by module path: Burn's own parameter numbers differ from run to run.
    pub(crate) moments: BTreeMap<String, AdamWState<1>>,
    optimizer: AdamW,
    config: OptimizerConfig,
    pub(crate) global_step: usize,
    steps: usize,
    device: Device,
}

impl<M: Module> Trainer<M> {
    /// Starts training a module on `device`; `steps` is the number of steps to come, which the
    /// schedule wants to know.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new(
        module: M,
        config: OptimizerConfig,
        steps: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let device = device.clone().autodiff();
        let module = module.map(&mut RequireGradients { device: device.clone() });
        let optimizer = AdamWConfig::new()
            .with_epsilon(config.epsilon)
            .with_weight_decay(config.weight_decay)
            .build();
        let moments = BTreeMap::new();
        Ok(Self { module, moments, optimizer, config, global_step: 0, steps, device })
    }

    /// The module, whose operations are recorded for the gradient.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The module as it stands, for inference.
    pub fn valid(&self) -> M {
        self.module.valid()
    }

    /// The device on which operations are recorded; inputs of [`Trainer::module`] live there.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Steps done, over all epochs.
    pub fn global_step(&self) -> usize {
        self.global_step
    }

    /// The learning rate of a step.
    pub fn rate_at(&self, step: usize) -> f64 {
        self.config.rate_at(step, self.steps)
    }

    /// Takes a step against the gradient of `loss`, a single value computed with
    /// [`Trainer::module`].
    ///
    /// # Errors
    /// If the loss is not a finite number, or the device fails.
    pub fn step(&mut self, loss: Tensor<1>) -> Result<StepMetrics, TrainError> {
        let learning_rate = self.rate_at(self.global_step);
        let value: Vec<f32> = loss
            .clone()
            .inner()
            .try_into_vec_as()
            .map_err(|error| TrainError::Device(error.to_string()))?;
        let value = value.first().copied().unwrap_or(f32::NAN);
        if !value.is_finite() {
            let (step, rate) = (self.global_step, learning_rate);
            return Err(TrainError::NonFinite { step, loss: value, rate });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.module);
        let mut update = Update {
            path: Vec::new(),
            gradients,
            moments: &mut self.moments,
            optimizer: &self.optimizer,
            rate: learning_rate,
        };
        self.module = self.module.clone().map(&mut update);
        self.global_step += 1;
        Ok(StepMetrics { loss: value, learning_rate })
    }
}

/// Random numbers that belong to a step, or to `u64::MAX` for what comes before the first one.
pub fn generator(seed: u64, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Moves every float parameter to a device that records, and lets it have a gradient.
struct RequireGradients {
    device: Device,
}

impl ModuleMapper for RequireGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| Tensor::from_data(tensor.into_data(), &self.device).require_grad())
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
