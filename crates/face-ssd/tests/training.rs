//! Gradients and loss of training against Burn's own differentiation and a second implementation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData};
use face_ssd::{
    Engine, NORMALIZATION, PriorBoxes, PriorLayout, WeightsSource,
    network::{Res10Ssd, SsdOutput},
    train::{
        FaceBatch, FaceSource, FaceTask, FaceTraining, FaceTrainingConfig, Targets, multibox_loss,
    },
};
use geometry::UnitBox;
use image_input::NetworkInput;
use trainer::{OptimizerConfig, Task, TrainError, Trainer, Validation};

struct NoSource;

impl FaceSource for NoSource {
    fn batches(
        &self,
        _epoch: usize,
        _take: &mut dyn FnMut(FaceBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        Ok(())
    }

    fn validate(&self, _network: &Res10Ssd) -> Result<Validation, TrainError> {
        Ok(Validation { loss: 0.0, accuracy: 0.0 })
    }
}

fn batch(width: u32, height: u32) -> FaceBatch {
    let mut input = NetworkInput::new((width, height), NORMALIZATION);
    for number in 1..=2u32 {
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 7 * number) as u8, (y * 5 + x) as u8, ((x ^ y) * number) as u8])
        });
        input.push(&image).unwrap();
    }
    let face = UnitBox { x_min: 0.2, y_min: 0.1, x_max: 0.6, y_max: 0.7 };
    let small = UnitBox { x_min: 0.7, y_min: 0.7, x_max: 0.85, y_max: 0.9 };
    FaceBatch {
        input,
        faces: vec![vec![face], vec![small, face]],
        ignored: vec![vec![small], vec![]],
    }
}

fn config() -> FaceTrainingConfig {
    FaceTrainingConfig::default()
}

#[test]
fn a_plan_s_gradients_are_burn_s() {
    let device = Device::flex();
    let (network, _) = Res10Ssd::load(&WeightsSource::Embedded, &device).unwrap();
    let network = network.with_squares();
    let batch = batch(96, 64);
    let gradients = |engine| {
        let task = FaceTask::new(config(), &network, NoSource, engine, &device).unwrap();
        let optimizer = OptimizerConfig::default();
        let trainer = Trainer::new(network.clone(), optimizer, 1, &device).unwrap();
        let found = task.gradients(&trainer, &batch).unwrap().gradients;
        (found.loss, by_path(trainer.module(), &found.of_parameters))
    };
    let (burn_loss, burn) = gradients(Engine::Burn);
    let (loss, plan) = gradients(Engine::Fused);
    assert!((burn_loss - loss).abs() < 1e-3 * loss.abs(), "{burn_loss} {loss}");
    assert_eq!(burn.len(), plan.len());
    assert!(burn.len() > 40);
    for ((name, burn), (_, plan)) in burn.iter().zip(&plan) {
        let scale = burn.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
        for (a, b) in burn.iter().zip(plan) {
            assert!((a - b).abs() < 2e-3 * scale, "{name}: {a} {b} of {scale}");
        }
    }
}

/// Gradients by the paths of their parameters.
fn by_path(
    network: &Res10Ssd,
    gradients: &burn::optim::GradientsParams,
) -> Vec<(String, Vec<f32>)> {
    struct Read<'a> {
        path: Vec<String>,
        gradients: &'a burn::optim::GradientsParams,
        found: Vec<(String, Vec<f32>)>,
    }
    impl burn::module::ModuleVisitor for Read<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let gradient = self.gradients.get::<D>(param.id).unwrap();
            self.found.push((self.path.join("."), gradient.try_into_vec_as().unwrap()));
        }
    }
    let mut read = Read { path: Vec::new(), gradients, found: Vec::new() };
    burn::module::Module::visit(network, &mut read);
    read.found
}

#[test]
fn the_loss_is_its_formula() {
    let device = Device::flex();
    let numbers = |count: usize, step: f32| -> Vec<f32> {
        (0..count).map(|at| 2.5 * (at as f32 * step).sin()).collect()
    };
    let (deltas, logits) = (numbers(2 * 5 * 4, 0.7), numbers(2 * 5 * 2, 1.3));
    let targets = Targets {
        positives: vec![1, 7],
        offsets: vec![0.1, -0.2, 0.3, 1.9, -2.0, 0.0, 0.5, 0.6],
        negatives: vec![0, 3, 9],
    };
    let output = SsdOutput {
        box_deltas: Tensor::from_data(TensorData::new(deltas.clone(), [2, 5, 4]), &device),
        class_logits: Tensor::from_data(TensorData::new(logits.clone(), [2, 5, 2]), &device),
    };
    let found: f32 = multibox_loss(output, &targets).into_scalar();

    let surprise = |prior: usize, class: usize| {
        let row = [f64::from(logits[2 * prior]), f64::from(logits[2 * prior + 1])];
        (row[0].exp() + row[1].exp()).ln() - row[class]
    };
    let mut wanted = 0.0;
    for (number, prior) in targets.positives.iter().enumerate() {
        wanted += surprise(*prior, 1);
        for value in 0..4 {
            let off = f64::from(deltas[4 * prior + value] - targets.offsets[4 * number + value]);
            wanted += if off.abs() < 1.0 { 0.5 * off * off } else { off.abs() - 0.5 };
        }
    }
    wanted += targets.negatives.iter().map(|prior| surprise(*prior, 0)).sum::<f64>();
    assert!((f64::from(found) - wanted / 2.0).abs() < 1e-4, "{found} {}", wanted / 2.0);

    let nothing = SsdOutput {
        box_deltas: Tensor::zeros([1, 2, 4], &device),
        class_logits: Tensor::zeros([1, 2, 2], &device),
    };
    let targets = Targets { negatives: vec![0, 1], ..Targets::default() };
    let found: f32 = multibox_loss(nothing, &targets).into_scalar();
    assert!((found - 2.0 * 2.0f32.ln()).abs() < 1e-5);
}

#[test]
fn weights_of_other_priors_are_refused_and_scratch_weights_follow_their_seed() {
    let device = Device::flex();
    let scratch = |seed| {
        let mut config = config();
        (config.start, config.seed) = (face_ssd::train::Start::Scratch, seed);
        let training = FaceTraining::new(config, &WeightsSource::Embedded, "", &device).unwrap();
        face_ssd::encode_weights(
            &training.network(),
            PriorLayout::Squares,
            weights_file_precision(),
        )
        .unwrap()
    };
    let bytes = scratch(1);
    assert_eq!(bytes, scratch(1));
    assert_ne!(bytes, scratch(2));
    let source = WeightsSource::Bytes(bytes.into());
    let mut other = config();
    other.priors = PriorLayout::Corrected;
    let refused = FaceTraining::new(other, &source, "", &device).err().unwrap().to_string();
    assert!(refused.contains("squares") && refused.contains("corrected"), "{refused}");
    let mut wrong = face_ssd::FaceDetectorConfig::default();
    (wrong.weights, wrong.prior_layout) = (source, Some(PriorLayout::Caffe));
    let refused = face_ssd::FaceDetector::new(wrong, &device).unwrap_err().to_string();
    assert!(refused.contains("prior layout squares, not caffe"), "{refused}");
    assert!(PriorBoxes::new(PriorLayout::Squares, (96, 64).into()).as_slice().len() > 500);
}

fn weights_file_precision() -> weights_file::Precision {
    weights_file::Precision::F32
}

#[test]
#[ignore = "takes a while: prints the time of a step at the default size"]
fn time_of_a_step() {
    let device = Device::flex();
    let (network, _) = Res10Ssd::load(&WeightsSource::Embedded, &device).unwrap();
    let network = network.with_squares();
    let mut batch = batch(352, 352);
    for _ in 0..3 {
        let image = image::RgbImage::new(352, 352);
        batch.input.push(&image).unwrap();
        batch.input.push(&image).unwrap();
        batch.faces.extend([vec![], vec![]]);
        batch.ignored.extend([vec![], vec![]]);
    }
    let task = FaceTask::new(config(), &network, NoSource, Engine::Fused, &device).unwrap();
    let mut trainer = Trainer::new(
        network,
        OptimizerConfig { average: 0.999, max_gradient_norm: 10.0, ..Default::default() },
        100,
        &device,
    )
    .unwrap();
    for _ in 0..6 {
        let start = std::time::Instant::now();
        let gradients = task.gradients(&trainer, &batch).unwrap().gradients;
        let middle = start.elapsed();
        trainer.step_by(gradients).unwrap();
        eprintln!("{:?} gradients, {:?} whole", middle, start.elapsed());
    }
}
