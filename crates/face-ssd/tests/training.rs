//! Gradients and loss of training against Burn's own differentiation and a second implementation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData};
use face_ssd::{
    Engine, FaceDetector, FaceDetectorConfig, InputSize, NORMALIZATION, PriorBoxes, PriorLayout,
    WeightsSource,
    network::{Res10Ssd, SsdOutput},
    train::{FaceBatch, FaceTask, FaceTraining, FaceTrainingConfig, Targets, multibox_loss},
};
use geometry::UnitBox;
use image_input::NetworkInput;
use mask_metrics::{GroundTruth, ImageResult};
use trainer::{Observer, OptimizerConfig, Source, TrainError, Trainer, Validation};

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

/// The defaults, with nothing frozen.
fn config() -> FaceTrainingConfig {
    let mut config = FaceTrainingConfig::default();
    config.frozen.clear();
    config
}

#[test]
fn a_plan_s_gradients_are_burn_s() {
    let device = Device::flex();
    let (network, _) =
        Res10Ssd::load(&WeightsSource::from(mask_reference_models::RES10_SSD), &device).unwrap();
    let mut network = network.with_squares().with_top_down(&device);
    // Zeros would pass nothing on.
    network = burn::module::Module::map(network, &mut FillTopDown { inside: false });
    let batch = batch(96, 64);
    let gradients = |engine| {
        let task = FaceTask::new(config(), &network, (), engine, &device).unwrap();
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

/// Gives the way from the second map to the first weights that are not zero.
struct FillTopDown {
    inside: bool,
}

impl burn::module::ModuleMapper for FillTopDown {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.inside |= name == "top_down";
    }

    fn exit_module(&mut self, name: &str, _container_type: &str) {
        self.inside &= name != "top_down";
    }

    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        if !self.inside {
            return param;
        }
        param.map(|tensor| {
            let shape = tensor.dims();
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|at| 0.3 * (at as f32 * 0.9).sin()).collect();
            Tensor::from_data(TensorData::new(values, shape), &tensor.device())
        })
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
        let training = FaceTraining::new(
            config,
            &WeightsSource::from(mask_reference_models::RES10_SSD),
            "",
            &device,
        )
        .unwrap();
        face_ssd::encode_weights(
            &training.network(),
            PriorLayout::Squares,
            weights_file::Precision::F32,
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

/// Twenty pictures of one drawn face each, of many sizes, on noise.
struct Drawn;

fn drawn(number: u32) -> (image::RgbImage, UnitBox) {
    const SIDE: u32 = 96;
    let half = [10.0 + (number * 3 % 25) as f32, 12.0 + (number * 3 % 25) as f32];
    let room = [SIDE as f32 - 2.0 * half[0], SIDE as f32 - 2.0 * half[1]];
    let part = |factor: f32| (number as f32 * factor).fract();
    let middle = [half[0] + room[0] * part(0.618), half[1] + room[1] * part(0.414)];
    let image = image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let at = |right: f32, down: f32, wide: f32, high: f32| {
            let across = (x as f32 + 0.5 - middle[0] - right * half[0]) / (wide * half[0]);
            let along = (y as f32 + 0.5 - middle[1] - down * half[1]) / (high * half[1]);
            across * across + along * along < 1.0
        };
        if at(-0.4, -0.25, 0.15, 0.1) || at(0.4, -0.25, 0.15, 0.1) || at(0.0, 0.5, 0.4, 0.1) {
            image::Rgb([40, 20, 20])
        } else if at(0.0, 0.0, 1.0, 1.0) {
            image::Rgb([220, 170, 150])
        } else {
            let noise = (x * 7919 + y * 104_729 + number * 31).wrapping_mul(2_654_435_761) >> 13;
            image::Rgb([(noise % 160) as u8, (noise % 150) as u8, (noise % 140) as u8])
        }
    });
    let unit = |value: f32| value / SIDE as f32;
    let face = UnitBox {
        x_min: unit(middle[0] - half[0]),
        y_min: unit(middle[1] - half[1]),
        x_max: unit(middle[0] + half[0]),
        y_max: unit(middle[1] + half[1]),
    };
    (image, face)
}

impl Source<Res10Ssd> for Drawn {
    type Batch = FaceBatch;

    fn batches(
        &self,
        epoch: usize,
        take: &mut dyn FnMut(FaceBatch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        for first in 0..4 {
            let mut input = NetworkInput::new((96, 96), NORMALIZATION);
            let mut faces = Vec::new();
            for number in 0..5 {
                let (image, face) = drawn((first + 4 * number + epoch as u32) % 20);
                input.push(&image).map_err(TrainError::task)?;
                faces.push(vec![face]);
            }
            take(FaceBatch { input, faces, ignored: vec![Vec::new(); 5] })?;
        }
        Ok(())
    }

    fn validate(&self, _network: &Res10Ssd) -> Result<Validation, TrainError> {
        Ok(Validation { loss: 0.0, accuracy: 0.0 })
    }
}

struct Quiet;

impl Observer<Res10Ssd> for Quiet {
    fn keep_best(&mut self, _module: &Res10Ssd) -> Result<(), TrainError> {
        Ok(())
    }

    fn best(&mut self) -> Result<Res10Ssd, TrainError> {
        Err(TrainError::Data("none is kept".to_owned()))
    }

    fn checkpoint(&mut self, _bytes: &[u8]) -> Result<(), TrainError> {
        Ok(())
    }
}

#[test]
fn twenty_images_are_learned_by_heart() {
    let device = Device::flex();
    let mut config = FaceTrainingConfig::default();
    (config.epochs, config.samples_per_epoch, config.batch_size) = (40, 20, 5);
    (config.sides, config.warmup_steps, config.average) = (vec![96], 10, 0.9);
    let training = FaceTraining::new(
        config.clone(),
        &WeightsSource::from(mask_reference_models::RES10_SSD),
        "",
        &device,
    )
    .unwrap();
    let network = training.network();
    let average_precision = |network: &Res10Ssd| {
        let mut detector = FaceDetectorConfig::default();
        detector.input_size = InputSize::Fixed { width: 96, height: 96 };
        detector.postprocess = detector.postprocess.with_score_threshold(0.01);
        let detector =
            FaceDetector::from_network(network.clone(), PriorLayout::Squares, detector, &device)
                .unwrap();
        let results: Vec<ImageResult> = (0..20)
            .map(|number| {
                let (image, face) = drawn(number);
                let bbox = face.to_pixels((96, 96).into());
                let found = detector.detect(&image).unwrap();
                ImageResult {
                    truths: vec![GroundTruth { bbox, class: 0, difficult: false }],
                    detections: found
                        .into_iter()
                        .map(|face| mask_metrics::Detection {
                            bbox: face.bbox,
                            confidence: face.score.into(),
                            probabilities: Vec::new(),
                        })
                        .collect(),
                }
            })
            .collect();
        mask_metrics::average_precision(&results, None, 0.5).unwrap()
    };
    let before = average_precision(&network);
    let task = FaceTask::new(config, &network, Drawn, Engine::Fused, &device).unwrap();
    let fitted = training.run(&task, &mut Quiet).unwrap();
    let after = average_precision(&fitted.module);
    assert!(before < 0.7 && after > 0.9, "{before} before, {after} after");
}
