//! The fused plans of both networks against Burn's flex.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData};
use face_ssd::{FaceDetectorConfig, WeightsSource, network::Res10Ssd};
use fused_cpu::{Isa, Plan, Workspace};
use mask_model::Backbone;
use mask_tests::{max_difference, say};

/// Reproducible values in [-1, 1), `[images, height, width, 3]`.
fn noise(values: usize, amplitude: f32) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..values).map(|_| amplitude * next()).collect()
}

fn channels_first(values: &[f32], shape: [usize; 4]) -> Tensor<4> {
    Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
        .permute([0, 3, 1, 2])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// The largest difference, relative to the largest value.
fn relative(ours: &[f32], theirs: &[f32]) -> f32 {
    let scale = theirs.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    max_difference(ours, theirs) / scale
}

#[test]
fn the_face_network_equals_flex() {
    // The published network takes any size.
    let weights = FaceDetectorConfig::reference().weights;
    let (network, _) = Res10Ssd::load(&weights, &Device::flex()).unwrap();
    the_plan_equals_flex(
        &network,
        &[[1, 300, 300], [1, 32, 48], [2, 97, 61], [1, 560, 373], [17, 40, 33]],
    );
    let (network, _) = Res10Ssd::load(&WeightsSource::Embedded, &Device::flex()).unwrap();
    the_plan_equals_flex(&network, &[[1, 304, 304], [1, 32, 48], [2, 96, 64], [17, 48, 32]]);
}

fn the_plan_equals_flex(network: &Res10Ssd, shapes: &[[usize; 3]]) {
    for isa in Isa::available() {
        let plan = Plan::compile_for(isa, network, [1, 3, 32, 32], |network, input| {
            let output = network.forward(input);
            (output.box_deltas, output.class_logits)
        })
        .unwrap();
        let mut workspace = Workspace::new();
        for &[images, height, width] in shapes {
            let shape = [images, height, width, 3];
            let input = noise(shape.iter().product(), 120.0);
            plan.run(&mut workspace, &input, shape).unwrap();
            let output = network.forward(channels_first(&input, shape));
            let locations = relative(workspace.output(0).0, &values(output.box_deltas));
            let confidences = relative(workspace.output(1).0, &values(output.class_logits));
            say(&format!("{isa} {shape:?}: {locations:.1e}, {confidences:.1e}"));
            assert!(locations < 1e-4 && confidences < 1e-4);
        }
    }
}

#[test]
fn the_backbone_equals_flex() {
    let backbone = Backbone::load(&WeightsSource::Embedded, &Device::flex()).unwrap();
    for isa in Isa::available() {
        let plan = Plan::compile_for(isa, &backbone, [1, 3, 224, 224], |network, input| {
            network.forward(input)
        })
        .unwrap();
        let mut workspace = Workspace::new();
        for [images, height, width] in [[1, 224, 224], [3, 224, 224], [17, 33, 64]] {
            let shape = [images, height, width, 3];
            let input = noise(shape.iter().product(), 1.0);
            plan.run(&mut workspace, &input, shape).unwrap();
            let features = values(backbone.forward(channels_first(&input, shape)));
            let difference = relative(workspace.output(0).0, &features);
            say(&format!("{isa} {shape:?}: {difference:.1e}"));
            assert!(difference < 1e-4);
        }
    }
}
