//! The time of a training step on random pixels: eight images of 352 x 352.
//!
//! `cargo run --workspace --example training_step -- [ENGINE [FROZEN]]`: `burn` lets Burn's flex
//! backend differentiate, and parameters whose paths begin with FROZEN are not trained. Without
//! arguments everything is trained by `fused-cpu`, as PyTorch does it in `bench/training_step.py`.
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Instant;

use burn::tensor::Device;
use face_ssd::{
    Engine, NORMALIZATION, PriorLayout, WeightsSource,
    network::Res10Ssd,
    train::{FaceBatch, FaceTask, FaceTrainingConfig},
};
use geometry::UnitBox;
use image_input::NetworkInput;
use trainer::{OptimizerConfig, Trainer};

const BATCH: usize = 8;
const SIDE: u32 = 352;
const STEPS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let (network, trained) = Res10Ssd::load(&WeightsSource::Embedded, &device)?;
    let network = if trained == PriorLayout::Squares { network } else { network.with_squares() };
    let mut config = FaceTrainingConfig::default();
    let mut arguments = std::env::args().skip(1);
    let engine: Engine = arguments.next().map_or(Ok(Engine::default()), |name| name.parse())?;
    config.frozen = arguments.collect();
    let task = FaceTask::new(config, &network, (), engine, &device)?;
    let optimizer = OptimizerConfig {
        learning_rate: 4e-4,
        weight_decay: 1e-4,
        max_gradient_norm: 10.0,
        average: 0.999,
        ..OptimizerConfig::default()
    };
    let mut trainer = Trainer::new(network, optimizer, STEPS, &device)?;

    let mut input = NetworkInput::new((SIDE, SIDE), NORMALIZATION);
    for number in 0..BATCH as u32 {
        let pixel = |x: u32, y: u32| (x * 7919 + y * 104_729 + number).wrapping_mul(2_654_435_761);
        input.push(&image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
            image::Rgb([0, 8, 16].map(|shift| (pixel(x, y) >> shift) as u8))
        }))?;
    }
    let face =
        |at: f32, side: f32| UnitBox { x_min: at, y_min: at, x_max: at + side, y_max: at + side };
    let faces = vec![vec![face(0.1, 0.1), face(0.4, 0.4), face(0.85, 0.05)]; BATCH];
    let batch = FaceBatch { input, faces, ignored: vec![Vec::new(); BATCH] };

    let mut times = Vec::new();
    for _ in 0..STEPS {
        let start = Instant::now();
        let gradients = task.gradients(&trainer, &batch)?.gradients;
        trainer.step_by(gradients)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("{:.3} s a step, median of {STEPS}", times[STEPS / 2]);
    Ok(())
}
