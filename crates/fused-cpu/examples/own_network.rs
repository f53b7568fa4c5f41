//! A small network of one's own, compiled and compared with Burn's backend.
//!
//! `cargo run --release --example own_network`

use std::time::Instant;

use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{
        Device, Tensor, TensorData,
        activation::{relu, softmax},
    },
};
use fused_cpu::{Plan, Workspace};

/// Two convolutions, the mean of all pixels and a dense layer.
#[derive(Module, Debug)]
struct Classifier {
    stem: Conv2d,
    norm: BatchNorm,
    body: Conv2d,
    classes: Linear,
}

impl Classifier {
    fn new(device: &Device) -> Self {
        let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let conv = |channels| Conv2dConfig::new(channels, [3, 3]).with_padding(same.clone());
        Self {
            stem: conv([3, 32]).with_stride([2, 2]).init(device),
            norm: BatchNormConfig::new(32).init(device),
            body: conv([32, 64]).init(device),
            classes: LinearConfig::new(64, 10).init(device),
        }
    }

    /// Class probabilities `[batch, 10]` of images `[batch, 3, height, width]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = relu(self.norm.forward(self.stem.forward(images)));
        let body = relu(self.body.forward(stem));
        let [batch, channels, _, _] = body.dims();
        softmax(self.classes.forward(body.mean_dims(&[2, 3]).reshape([batch, channels])), 1)
    }
}

#[allow(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let network = Classifier::new(&device);
    let plan = Plan::compile(&network, [1, 3, 64, 64], Classifier::forward)?;

    // Plans take images with the channels innermost, of any size.
    let shape = [1, 224, 224, 3];
    let image: Vec<f32> = (0..shape.iter().product()).map(|at| (at % 255) as f32).collect();
    let mut workspace = Workspace::new();
    plan.run(&mut workspace, &image, shape)?;
    let start = Instant::now();
    plan.run(&mut workspace, &image, shape)?;
    let fused = start.elapsed();

    let input = || {
        Tensor::<4>::from_data(TensorData::new(image.clone(), shape), &device).permute([0, 3, 1, 2])
    };
    network.forward(input());
    let start = Instant::now();
    let expected: Vec<f32> = network.forward(input()).try_into_vec_as()?;
    let burn = start.elapsed();

    println!("fused {fused:?}, burn {burn:?}, on {}", plan.isa());
    for (class, (ours, theirs)) in workspace.output(0).0.iter().zip(&expected).enumerate() {
        println!("class {class}: {ours:.4}, burn says {theirs:.4}");
    }
    Ok(())
}
