//! The head's gradients against finite differences of a second implementation, in `f64`.
#![allow(clippy::unwrap_used, reason = "tests")]

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use trainer::{EpochMetrics, Task};
use weights_file::{NamedTensor, named_tensors};

use super::{head_task::Samples, *};
use crate::FEATURE_DIM;

const BATCH: usize = 5;
const HIDDEN: usize = 7;
const CLASSES: usize = 3;
const TARGETS: [usize; BATCH] = [0, 1, 2, 1, 0];

/// Features from a seed, in the order of the samples.
struct Fixed(Vec<f32>);

impl FeatureSource for Fixed {
    fn features(
        &self,
        samples: &[usize],
        _epoch: Option<u64>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let row = |sample: &usize| &self.0[sample * FEATURE_DIM..(sample + 1) * FEATURE_DIM];
        take(&samples.iter().flat_map(row).copied().collect::<Vec<f32>>())
    }

    fn order(&self, count: usize, _epoch: u64) -> Vec<usize> {
        (0..count).collect()
    }
}

fn features(seed: u64) -> Vec<f32> {
    let mut rng = trainer::generator(seed, 0);
    (0..BATCH * FEATURE_DIM).map(|_| rng.random_range(0.0..2.0)).collect()
}

fn config() -> HeadTrainingConfig {
    let default = HeadTrainingConfig::default();
    HeadTrainingConfig { hidden: HIDDEN, label_smoothing: 0.1, epochs: 30, ..default }
}

fn samples() -> Samples {
    Samples { samples: (0..BATCH).collect(), classes: TARGETS.into() }
}

fn task(config: HeadTrainingConfig, features: Vec<f32>) -> Result<HeadTask<Fixed>, TrainError> {
    let classes = ["a", "b", "c"].map(str::to_owned).into();
    let device = Device::flex();
    HeadTask::new(config, classes, samples(), samples(), true, 0, Fixed(features), &device)
}

/// Parameters in `f64`: both layers' weights `[inputs, outputs]` and biases.
#[derive(Clone)]
struct Parameters(Vec<Vec<f64>>);

/// The loss as its definition says it, with the class weights of 2, 2 and 1 samples.
fn loss(parameters: &Parameters, features: &[f32], mask: &[f32]) -> f64 {
    let [hidden_weight, hidden_bias, weight, bias] = &parameters.0[..] else { return f64::NAN };
    let class_weights = [2, 2, 1].map(|support| 5.0 / 3.0 / f64::from(support));
    let (mut sum, mut total) = (0.0, 0.0);
    for (sample, target) in TARGETS.iter().enumerate() {
        let hidden: Vec<f64> = (0..HIDDEN)
            .map(|unit| {
                let inputs = (0..FEATURE_DIM).map(|i| {
                    f64::from(features[sample * FEATURE_DIM + i]) * hidden_weight[i * HIDDEN + unit]
                });
                let value = hidden_bias[unit] + inputs.sum::<f64>();
                value.max(0.0) * f64::from(mask[sample * HIDDEN + unit])
            })
            .collect();
        let logits: Vec<f64> = (0..CLASSES)
            .map(|class| {
                let inputs = (0..HIDDEN).map(|unit| hidden[unit] * weight[unit * CLASSES + class]);
                bias[class] + inputs.sum::<f64>()
            })
            .collect();
        let normalizer = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        for (class, logit) in logits.iter().enumerate() {
            let wanted = if class == *target { 0.9 } else { 0.0 } + 0.1 / CLASSES as f64;
            sum -= class_weights[*target] * wanted * (logit - normalizer);
        }
        total += class_weights[*target];
    }
    sum / total
}

#[test]
fn gradients_equal_finite_differences() {
    let features = features(3);
    let task = task(config(), features.clone()).unwrap();
    let device = Device::flex().autodiff();
    let mut require = Requires;
    let head = config().first_head(CLASSES, &device).map(&mut require);
    let mask = task.dropout_mask(0, BATCH);
    assert!(mask.contains(&0.0) && mask.contains(&2.0));
    let tensor = |values: &[f32], width| {
        Tensor::from_data(TensorData::new(values.to_vec(), [BATCH, width]), &device)
    };
    let (value, _) = task.loss_and_logits(
        &head,
        tensor(&features, FEATURE_DIM),
        &TARGETS,
        tensor(&mask, HIDDEN),
    );
    let names = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"];
    let named = named_tensors(&head.valid());
    let parameters = names.map(|name| {
        let tensor = named.iter().find(|tensor| tensor.name() == name).unwrap();
        let bytes = tensor.to_le_bytes();
        let values = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        values.map(f64::from).collect::<Vec<_>>()
    });
    let parameters = Parameters(parameters.into());
    let expected = loss(&parameters, &features, &mask);
    let found = f64::from(value.clone().into_scalar::<f32>());
    assert!((found - expected).abs() < 1e-5, "loss {found}, not {expected}");

    let gradients = GradientsParams::from_grads(value.backward(), &head);
    let mut collect = Gradients { gradients, found: Vec::new() };
    let _ = head.map(&mut collect);
    assert_eq!(collect.found.len(), 4);
    for (part, gradient) in collect.found.iter().enumerate() {
        // Every parameter of the small ones, some of the large one.
        for index in (0..gradient.len()).step_by(gradient.len().div_ceil(60)) {
            let shifted = |by: f64| {
                let mut parameters = parameters.clone();
                parameters.0[part][index] += by;
                loss(&parameters, &features, &mask)
            };
            let difference = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            let gradient = f64::from(gradient[index]);
            let error = (gradient - difference).abs();
            assert!(
                error < 1e-4 * (1.0 + difference.abs()),
                "{part} {index}: {gradient}, not {difference}"
            );
        }
    }
}

struct Requires;

impl ModuleMapper for Requires {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(Tensor::require_grad)
    }
}

struct Gradients {
    gradients: GradientsParams,
    found: Vec<Vec<f32>>,
}

impl ModuleMapper for Gradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = self.gradients.remove::<D>(param.id).unwrap();
        self.found.push(gradient.try_into_vec_as().unwrap());
        param
    }
}

/// Keeps what training yields; stops at an epoch by failing, as a full disk would.
#[derive(Default)]
struct Recorder {
    checkpoints: Vec<Vec<u8>>,
    epochs: Vec<EpochMetrics>,
    best: Option<MaskHead>,
    stop_after: Option<usize>,
}

impl Observer<MaskHead> for Recorder {
    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.epochs.push(metrics.clone());
    }

    fn keep_best(&mut self, module: &MaskHead) -> Result<(), TrainError> {
        self.best = Some(module.clone());
        Ok(())
    }

    fn best(&mut self) -> Result<MaskHead, TrainError> {
        self.best.clone().ok_or_else(|| TrainError::Data("no best head".to_owned()))
    }

    fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        self.checkpoints.push(bytes.to_vec());
        match self.stop_after {
            Some(epochs) if epochs == self.checkpoints.len() => {
                Err(std::io::Error::other("disk full").into())
            }
            _ => Ok(()),
        }
    }
}

/// Every parameter's bits.
fn parameters(head: &MaskHead) -> Vec<Vec<u8>> {
    named_tensors(head).iter().map(NamedTensor::to_le_bytes).collect()
}

#[test]
fn training_lowers_the_loss_and_resumes_bit_for_bit() {
    let config = HeadTrainingConfig { learning_rate: 1e-3, dropout: 0.2, ..config() };
    let task = task(config.clone(), features(4)).unwrap();
    let device = Device::flex();
    let begin = || HeadTraining::new(&task, "mine", &device).unwrap();
    let mut whole = Recorder::default();
    let straight = begin().run(&task, SelectBest::Loss, 0, &mut whole).unwrap();
    let losses: Vec<f64> = whole.epochs.iter().map(|epoch| epoch.train_loss).collect();
    assert!(losses[29] < 0.7 * losses[0], "{losses:?}");

    let mut cut = Recorder { stop_after: Some(10), ..Recorder::default() };
    let error = begin().run(&task, SelectBest::Loss, 0, &mut cut).unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    let mut resumed = begin();
    let checkpoint: WeightsSource = cut.checkpoints[9].clone().into();
    assert_eq!(resumed.resume(&checkpoint).unwrap(), 10);
    let mut rest = Recorder { best: cut.best, ..Recorder::default() };
    let resumed = resumed.run(&task, SelectBest::Loss, 0, &mut rest).unwrap();
    assert_eq!(parameters(&resumed.module), parameters(&straight.module));
    assert_eq!(resumed.history, straight.history);
    assert_eq!(resumed.kept_epoch, straight.kept_epoch);
    assert_eq!(rest.checkpoints.last(), whole.checkpoints.last());

    let mut other = HeadTraining::new(&task, "another's", &device).unwrap();
    assert!(other.resume(&checkpoint).unwrap_err().to_string().contains("other images"));
    let slower = HeadTrainingConfig { learning_rate: 2e-3, ..config };
    let slower = super::tests::task(slower, features(4)).unwrap();
    let mut other = HeadTraining::new(&slower, "mine", &device).unwrap();
    let error = other.resume(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("a checkpoint of other settings"), "{error}");
}

#[test]
fn a_loss_that_is_not_a_number_stops() {
    let mut features = features(5);
    features[17] = f32::NAN;
    let task = task(config(), features).unwrap();
    let training = HeadTraining::new(&task, "", &Device::flex()).unwrap();
    let result = training.run(&task, SelectBest::Last, 0, &mut Recorder::default());
    let error = result.unwrap_err().to_string();
    assert!(error.contains("the loss is NaN at step 0"), "{error}");
}

#[test]
fn bad_settings_and_data_are_errors() {
    for config in [
        HeadTrainingConfig { dropout: 1.0, ..config() },
        HeadTrainingConfig { dropout: f64::NAN, ..config() },
        HeadTrainingConfig { hidden: 0, ..config() },
        HeadTrainingConfig { batch_size: 0, ..config() },
        HeadTrainingConfig { label_smoothing: 1.0, ..config() },
        HeadTrainingConfig { warmup_epochs: 30, ..config() },
    ] {
        let error = task(config.clone(), features(1)).err().unwrap();
        assert!(matches!(error, TrainError::Setting { .. }), "{config:?}: {error}");
    }
    let device = Device::flex();
    for (train, feature_count) in [
        (Samples { samples: vec![0], classes: vec![3] }, BATCH),
        (Samples { samples: vec![0, 1], classes: vec![0] }, BATCH),
        (Samples::default(), BATCH),
    ] {
        let classes = ["a", "b", "c"].map(str::to_owned).into();
        let source = Fixed(features(1)[..feature_count * FEATURE_DIM].to_vec());
        let task = HeadTask::new(config(), classes, train, samples(), false, 0, source, &device);
        assert!(matches!(task.err().unwrap(), TrainError::Data(_)));
    }
    let task = task(config(), features(1)).unwrap();
    assert_eq!(task.steps_per_epoch(), 1);
}
