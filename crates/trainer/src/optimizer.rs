//! Optimisation steps.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::{AdamW, AdamWConfig, AdamWState, GradientsParams, Optimizer},
    tensor::{Device, Gradients as BurnGradients, Tensor, TensorData},
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

/// What a step goes by: a loss, and its gradient with respect to the module's parameters.
#[derive(Debug)]
pub struct Gradients {
    /// The loss.
    pub loss: f32,
    /// The gradient. Parameters that have none do not change.
    pub of_parameters: GradientsParams,
}

impl Gradients {
    /// The gradients of `loss`, a single value computed with a module whose operations are
    /// recorded.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of_loss<M: Module>(loss: Tensor<1>, module: &M) -> Result<Self, TrainError> {
        Ok(Self::of_recorded(single_value(&loss)?, loss.backward(), module))
    }

    /// The gradients of a loss that were taken already.
    pub fn of_recorded<M: Module>(loss: f32, recorded: BurnGradients, module: &M) -> Self {
        Self { loss, of_parameters: GradientsParams::from_grads(recorded, module) }
    }

    /// Drops the gradients of parameters that are not to change, by their paths.
    pub fn retain<M: Module>(&mut self, module: &M, trains: &dyn Fn(&str) -> bool) {
        let of_parameters = &mut self.of_parameters;
        module.visit(&mut Retain { path: Vec::new(), trains, of_parameters });
    }

    /// Adds gradients that were computed elsewhere, by the paths of their parameters; each in the
    /// layout of its parameter. What the module does not have is left out.
    pub fn add_by_path<M: Module>(&mut self, module: &M, gradients: BTreeMap<String, Vec<f32>>) {
        let of_parameters = std::mem::take(&mut self.of_parameters);
        let mut register = Register { path: Vec::new(), gradients, of_parameters };
        module.visit(&mut register);
        self.of_parameters = register.of_parameters;
    }
}

/// The value of a loss.
///
/// # Errors
/// If the device fails.
pub(crate) fn single_value(loss: &Tensor<1>) -> Result<f32, TrainError> {
    let value: Vec<f32> = loss
        .clone()
        .inner()
        .try_into_vec_as()
        .map_err(|error| TrainError::Device(error.to_string()))?;
    Ok(value.first().copied().unwrap_or(f32::NAN))
}

/// A module in training.
pub struct Trainer<M> {
    pub(crate) module: M,
    /// Adam's moments by module path: Burn's own parameter numbers differ from run to run.
    pub(crate) moments: BTreeMap<String, AdamWState<1>>,
    /// The parameters' moving averages by module path, if they are kept.
    pub(crate) averages: BTreeMap<String, Tensor<1>>,
    optimizer: AdamW,
    pub(crate) config: OptimizerConfig,
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
        let (moments, averages) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { module, moments, averages, optimizer, config, global_step: 0, steps, device })
    }

    /// The module, whose operations are recorded for the gradient.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The module for inference: the moving average, if one is kept.
    pub fn valid(&self) -> M {
        if self.averages.is_empty() {
            return self.module.valid();
        }
        let averages = &self.averages;
        self.module.valid().map(&mut Averaged { path: Vec::new(), averages })
    }

    /// The module as the next step finds it, without the recording of operations.
    pub fn current(&self) -> M {
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
        let gradients = Gradients::of_loss(loss, &self.module)?;
        self.step_by(gradients)
    }

    /// Takes a step against gradients of [`Trainer::module`]'s parameters.
    ///
    /// # Errors
    /// If the loss is not a finite number, or the device fails.
    pub fn step_by(&mut self, gradients: Gradients) -> Result<StepMetrics, TrainError> {
        let Gradients { loss, of_parameters } = gradients;
        let learning_rate = self.rate_at(self.global_step);
        if !loss.is_finite() {
            let (step, rate) = (self.global_step, learning_rate);
            return Err(TrainError::NonFinite { step, loss, rate });
        }
        let most = self.config.max_gradient_norm;
        let shorten = if most > 0.0 {
            let mut squares = Squares { gradients: &of_parameters, sum: 0.0, problem: None };
            self.module.visit(&mut squares);
            if let Some(problem) = squares.problem {
                return Err(TrainError::Device(problem));
            }
            (most / squares.sum.sqrt().max(most)) as f32
        } else {
            1.0
        };
        let mut update = Update {
            path: Vec::new(),
            gradients: of_parameters,
            shorten,
            moments: &mut self.moments,
            averages: &mut self.averages,
            optimizer: &self.optimizer,
            config: &self.config,
            step: self.global_step,
            rate: learning_rate,
        };
        self.module = self.module.clone().map(&mut update);
        self.global_step += 1;
        Ok(StepMetrics { loss, learning_rate })
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

/// Puts gradients by path with those by Burn's parameter numbers.
struct Register {
    path: Vec<String>,
    gradients: BTreeMap<String, Vec<f32>>,
    of_parameters: GradientsParams,
}

impl ModuleVisitor for Register {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(values) = self.gradients.remove(&self.path.join(".")) else { return };
        let value = param.val();
        if values.len() == value.dims().iter().product::<usize>() {
            let data = TensorData::new(values, value.dims());
            let gradient = Tensor::<D>::from_data(data, &value.device().inner());
            self.of_parameters.register(param.id, gradient);
        }
    }
}

/// Drops gradients by path.
struct Retain<'a> {
    path: Vec<String>,
    trains: &'a dyn Fn(&str) -> bool,
    of_parameters: &'a mut GradientsParams,
}

impl ModuleVisitor for Retain<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !(self.trains)(&self.path.join(".")) {
            self.of_parameters.remove::<D>(param.id);
        }
    }
}

/// Adds the squares of all gradients, on the host and in the parameters' order.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
    problem: Option<String>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        match gradient.try_into_vec_as::<f32>() {
            Ok(values) => self.sum += values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>(),
            Err(error) => self.problem = Some(error.to_string()),
        }
    }
}

/// Puts averages in the parameters' places.
struct Averaged<'a> {
    path: Vec<String>,
    averages: &'a BTreeMap<String, Tensor<1>>,
}

impl ModuleMapper for Averaged<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.averages.get(&self.path.join(".")) {
            Some(average) => param.map(|tensor| average.clone().reshape(tensor.dims())),
            None => param,
        }
    }
}

/// Takes an optimiser's step with every parameter.
struct Update<'a> {
    path: Vec<String>,
    gradients: GradientsParams,
    /// What the gradients are multiplied by.
    shorten: f32,
    moments: &'a mut BTreeMap<String, AdamWState<1>>,
    averages: &'a mut BTreeMap<String, Tensor<1>>,
    optimizer: &'a AdamW,
    config: &'a OptimizerConfig,
    step: usize,
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
            let (flat, mut gradient) =
                (tensor.inner().flatten::<1>(0, D - 1), gradient.flatten(0, D - 1));
            if self.shorten != 1.0 {
                gradient = gradient.mul_scalar(self.shorten);
            }
            let first = flat.clone();
            let moments = self.moments.remove(&path);
            let rate = self.rate * self.config.rate_factor(&path);
            let (flat, moments) = self.optimizer.step(rate, flat, gradient, moments);
            if let Some(moments) = moments {
                self.moments.insert(path.clone(), moments);
            }
            if self.config.average > 0.0 {
                let past = self.config.average_at(self.step);
                let average = self.averages.remove(&path).unwrap_or(first);
                let average = average.mul_scalar(past) + flat.clone().mul_scalar(1.0 - past);
                self.averages.insert(path, average);
            }
            Tensor::from_inner(flat.reshape(shape)).require_grad()
        })
    }
}
