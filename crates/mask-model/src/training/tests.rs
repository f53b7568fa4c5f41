//! The head's gradients against finite differences of a second implementation, in `f64`.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const BATCH: usize = 5;
const HIDDEN: usize = 7;
const CLASSES: usize = 3;

fn trainer(settings: TrainingSettings) -> HeadTrainer {
    let classes = ["a", "b", "c"].map(str::to_owned).into();
    HeadTrainer::new(settings, classes, vec![1.0, 2.5, 0.4], 40, &Device::flex())
}

fn settings() -> TrainingSettings {
    TrainingSettings { hidden: HIDDEN, label_smoothing: 0.1, ..TrainingSettings::default() }
}

fn features(seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, 0);
    (0..BATCH * FEATURES).map(|_| rng.random_range(0.0..2.0)).collect()
}

/// Parameters in `f64`: both layers' weights `[inputs, outputs]` and biases.
#[derive(Clone)]
struct Parameters(Vec<Vec<f64>>);

/// The loss as its definition says it.
fn loss(parameters: &Parameters, features: &[f32], targets: &[usize], kept: &[f32]) -> f64 {
    let [hidden_weight, hidden_bias, weight, bias] = &parameters.0[..] else { return f64::NAN };
    let class_weights = [1.0, 2.5, 0.4];
    let (mut sum, mut total) = (0.0, 0.0);
    for (sample, target) in targets.iter().enumerate() {
        let hidden: Vec<f64> = (0..HIDDEN)
            .map(|unit| {
                let inputs = (0..FEATURES).map(|i| {
                    f64::from(features[sample * FEATURES + i]) * hidden_weight[i * HIDDEN + unit]
                });
                let value = hidden_bias[unit] + inputs.sum::<f64>();
                value.max(0.0) * f64::from(kept[sample * HIDDEN + unit])
            })
            .collect();
        let scores: Vec<f64> = (0..CLASSES)
            .map(|class| {
                let inputs = (0..HIDDEN).map(|unit| hidden[unit] * weight[unit * CLASSES + class]);
                bias[class] + inputs.sum::<f64>()
            })
            .collect();
        let normalizer = scores.iter().map(|score| score.exp()).sum::<f64>().ln();
        for (class, score) in scores.iter().enumerate() {
            let wanted = if class == *target { 0.9 } else { 0.0 } + 0.1 / CLASSES as f64;
            sum -= class_weights[*target] * wanted * (score - normalizer);
        }
        total += class_weights[*target];
    }
    sum / total
}

#[test]
fn gradients_equal_finite_differences() {
    let trainer = trainer(settings());
    let (features, targets) = (features(3), [0, 1, 2, 1, 0]);
    let kept = trainer.kept_units(BATCH);
    assert!(kept.contains(&0.0) && kept.contains(&2.0));
    let tensor = |values: &[f32], width| {
        Tensor::from_data(TensorData::new(values.to_vec(), [BATCH, width]), &trainer.device)
    };
    let (value, _) = trainer.loss(tensor(&features, FEATURES), &targets, tensor(&kept, HIDDEN));
    let names = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"];
    let named = named_tensors(&trainer.layers.valid());
    let parameters = names.map(|name| {
        let tensor = named.iter().find(|tensor| tensor.name() == name).unwrap();
        let bytes = tensor.to_le_bytes();
        let values = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        values.map(f64::from).collect::<Vec<_>>()
    });
    let parameters = Parameters(parameters.into());
    let expected = loss(&parameters, &features, &targets, &kept);
    let found = f64::from(value.clone().into_scalar::<f32>());
    assert!((found - expected).abs() < 1e-5, "loss {found}, not {expected}");

    let gradients = GradientsParams::from_grads(value.backward(), &trainer.layers);
    let mut collect = Gradients { gradients, found: Vec::new() };
    let _ = trainer.layers.clone().map(&mut collect);
    assert_eq!(collect.found.len(), 4);
    for (part, gradient) in collect.found.iter().enumerate() {
        // Every parameter of the small ones, some of the large one.
        for index in (0..gradient.len()).step_by(gradient.len().div_ceil(60)) {
            let shifted = |by: f64| {
                let mut parameters = parameters.clone();
                parameters.0[part][index] += by;
                loss(&parameters, &features, &targets, &kept)
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

struct Gradients {
    gradients: GradientsParams,
    found: Vec<Vec<f32>>,
}

impl ModuleMapper for Gradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.found.push(host_values(self.gradients.remove::<D>(param.id).unwrap()).unwrap());
        param
    }
}

#[test]
fn steps_lower_the_loss_and_resume_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.bpk");
    let (features, targets) = (features(4), [0, 1, 2, 1, 0]);
    let settings = TrainingSettings { learning_rate: 1e-3, dropout: 0.2, ..settings() };
    let mut straight = trainer(settings.clone());
    let first = straight.step(&features, &targets).unwrap().loss;
    let mut last = first;
    for step in 1..30 {
        if step == 10 {
            std::fs::write(&file, straight.checkpoint("mine").unwrap()).unwrap();
        }
        last = straight.step(&features, &targets).unwrap().loss;
    }
    assert!(last < 0.7 * first, "{first} to {last}");
    let mut resumed = trainer(settings.clone());
    assert_eq!(resumed.resume(&file).unwrap(), "mine");
    assert_eq!(resumed.steps_done(), 10);
    for _ in 10..30 {
        resumed.step(&features, &targets).unwrap();
    }
    assert_eq!(resumed.head().to_bytes().unwrap(), straight.head().to_bytes().unwrap());
    let mut other = trainer(TrainingSettings { learning_rate: 2e-3, ..settings });
    let error = other.resume(&file).unwrap_err().to_string();
    assert!(error.contains("a checkpoint of other settings"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops() {
    let mut trainer = trainer(settings());
    let mut features = features(5);
    features[17] = f32::NAN;
    let error = trainer.step(&features, &[0, 1, 2, 1, 0]).unwrap_err().to_string();
    assert!(error.contains("the loss is NaN at step 0"), "{error}");
}

#[test]
fn rates_follow_their_schedules() {
    let settings = TrainingSettings { warmup_epochs: 2, ..TrainingSettings::default() };
    let rate =
        |schedule, step| TrainingSettings { schedule, ..settings.clone() }.rate_at(step, 200);
    // Ten steps an epoch, twenty of warm-up.
    assert!((rate(Schedule::Constant, 0) - 5e-6).abs() < 1e-12);
    assert!((rate(Schedule::Constant, 19) - 1e-4).abs() < 1e-12);
    assert_eq!(rate(Schedule::Constant, 150), 1e-4);
    assert!((rate(Schedule::Cosine, 110) - 5e-5).abs() < 1e-12);
    assert!((rate(Schedule::Reference, 100) - 1e-4 / (1.0 + 5e-6 * 100.0)).abs() < 1e-15);
}
