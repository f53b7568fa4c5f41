//! Training of a head with a part of its backbone: gradients against Burn's own differentiation,
//! what stays frozen, and checkpoints.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Tensor},
};
use image_input::NetworkInput;
use mask_model::{
    ClassifierBatch, ClassifierNetwork, ClassifierTask, ClassifierTraining,
    ClassifierTrainingConfig, Engine, NORMALIZATION, WeightsSource,
};
use trainer::{
    Gradients, Observer, OptimizerConfig, Source, Task, TrainError, Trainer, Validation,
};

/// Crops of two kinds, upright and lying stripes, small so that Burn is quick.
struct Stripes;

fn batch(first: u32, count: u32) -> ClassifierBatch {
    let mut input = NetworkInput::new((64, 64), NORMALIZATION);
    let mut targets = Vec::new();
    for number in first..first + count {
        let class = number % 2;
        let image = image::RgbImage::from_fn(64, 64, |x, y| {
            let at = if class == 0 { x } else { y };
            let bright = (at + number) / (3 + number % 5) % 2 == 0;
            image::Rgb(if bright { [200, 180, 150 + number as u8] } else { [30, 60, 20] })
        });
        input.push(&image).unwrap();
        targets.push(class as usize);
    }
    ClassifierBatch { input, targets }
}

impl Source<ClassifierNetwork> for Stripes {
    type Batch = ClassifierBatch;

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(ClassifierBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        take(batch(epoch as u32, 6))?;
        take(batch(epoch as u32 + 6, 6))
    }

    fn validate(&self, _network: &ClassifierNetwork) -> Result<Validation, TrainError> {
        Ok(Validation { loss: 0.0, accuracy: 0.0 })
    }
}

fn classes() -> Vec<String> {
    ["upright", "lying"].map(str::to_owned).to_vec()
}

fn config() -> ClassifierTrainingConfig {
    let mut config = ClassifierTrainingConfig::default();
    (config.epochs, config.samples_per_epoch, config.batch_size) = (4, 12, 6);
    (config.hidden, config.warmup_steps, config.unfreeze, config.average) = (16, 1, 3, 0.5);
    config
}

fn training(config: &ClassifierTrainingConfig) -> ClassifierTraining {
    let device = Device::flex();
    let backbone = WeightsSource::from(mask_reference_models::MOBILENET_V2);
    ClassifierTraining::new(config.clone(), &classes(), &backbone, "", &device).unwrap()
}

fn task(config: &ClassifierTrainingConfig, engine: Engine) -> ClassifierTask<Stripes> {
    let network = training(config).network();
    ClassifierTask::new(config.clone(), &network, Stripes, engine, &Device::flex()).unwrap()
}

#[derive(Default)]
struct Read<'a> {
    path: Vec<String>,
    gradients: Option<&'a Gradients>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Read<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = match self.gradients {
            None => Some(param.val()),
            Some(gradients) => gradients.of_parameters.get::<D>(param.id),
        };
        if let Some(value) = value {
            self.found.insert(self.path.join("."), value.try_into_vec_as().unwrap());
        }
    }
}

#[test]
fn a_plan_s_gradients_are_burn_s_and_only_of_the_last_blocks() {
    let device = Device::flex();
    let config = config();
    let gradients = |engine| {
        let task = task(&config, engine);
        let network = training(&config).network();
        let trainer = Trainer::new(network, OptimizerConfig::default(), 1, &device).unwrap();
        let found = task.gradients(&trainer, &batch(0, 4)).unwrap().gradients;
        let mut read = Read { gradients: Some(&found), ..Read::default() };
        trainer.module().visit(&mut read);
        (found.loss, read.found)
    };
    let (burn_loss, burn) = gradients(Engine::Burn);
    let (loss, plan) = gradients(Engine::Fused);
    assert!((burn_loss - loss).abs() < 1e-3 * loss.abs(), "{burn_loss} {loss}");
    assert_eq!(burn.keys().collect::<Vec<_>>(), plan.keys().collect::<Vec<_>>());
    // The last convolution and two blocks of three, each with a bias, and the head's two layers.
    assert_eq!(plan.len(), 2 * (1 + 2 * 3) + 4);
    for (name, burn) in &burn {
        let scale = burn.iter().fold(1e-7f32, |most, value| most.max(value.abs()));
        for (a, b) in burn.iter().zip(&plan[name]) {
            assert!((a - b).abs() < 5e-3 * scale, "{name}: {a} {b} of {scale}");
        }
    }
}

/// Keeps the checkpoints.
#[derive(Default)]
struct Keep {
    checkpoints: Vec<Vec<u8>>,
    accuracy: Vec<f64>,
}

impl Observer<ClassifierNetwork> for Keep {
    fn epoch(&mut self, metrics: &trainer::EpochMetrics) {
        self.accuracy.push(metrics.train_accuracy);
    }

    fn keep_best(&mut self, _module: &ClassifierNetwork) -> Result<(), TrainError> {
        Ok(())
    }

    fn best(&mut self) -> Result<ClassifierNetwork, TrainError> {
        Err(TrainError::Data("none is kept".to_owned()))
    }

    fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        self.checkpoints.push(bytes.to_vec());
        Ok(())
    }
}

#[test]
fn it_learns_keeps_what_is_frozen_and_resumes_to_the_same_bits() {
    let values = |network: &ClassifierNetwork| {
        let mut read = Read::default();
        network.visit(&mut read);
        read.found
    };
    let mut config = config();
    (config.epochs, config.dropout) = (8, 0.1);
    let before = values(&training(&config).network());
    let mut keep = Keep::default();
    let task = task(&config, Engine::Fused);
    let fitted = training(&config).run(&task, &mut keep).unwrap();
    assert!(keep.accuracy.last().unwrap() > &0.9, "{:?}", keep.accuracy);
    let after = values(&fitted.module);
    let changed: Vec<&String> =
        before.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(changed.len(), 2 * (1 + 2 * 3) + 4, "{changed:?}");
    assert!(changed.iter().any(|name| name.starts_with("backbone.network.conv2d46.")));

    for done in [1, 5] {
        let mut again = training(&config);
        let checkpoint = WeightsSource::from(keep.checkpoints[done - 1].clone());
        assert_eq!(again.resume(&checkpoint).unwrap(), done);
        let resumed = again.run(&task, &mut Keep::default()).unwrap();
        assert_eq!(values(&resumed.module), after, "after {done} epochs");
    }
    let mut other = config.clone();
    other.learning_rate = 1e-4;
    let checkpoint = WeightsSource::from(keep.checkpoints[0].clone());
    let refused = training(&other).resume(&checkpoint).unwrap_err().to_string();
    assert!(refused.contains("a checkpoint of other settings"), "{refused}");
    other.unfreeze = 0;
    assert!(other.validate().is_err());
}
