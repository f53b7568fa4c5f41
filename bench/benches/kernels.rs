//! The plans' building blocks, by themselves: `cargo xtask bench kernels`.

use burn::{
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::Device,
};
use divan::{Bencher, counter::ItemsCount};
use face_ssd::{WeightsSource, network::Res10Ssd};
use fused_cpu::{Isa, Plan, Workspace};
use mask_model::Backbone;

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    divan::main();
}

/// A convolution of the networks: side of the image, channels in and out, kernel, stride, groups.
#[derive(Debug, Clone, Copy)]
struct Case(usize, [usize; 2], usize, usize, usize);

const CASES: [Case; 7] = [
    // MobileNetV2: expansion, depthwise, projection, the last layer.
    Case(56, [24, 144], 1, 1, 1),
    Case(56, [144, 144], 3, 1, 144),
    Case(56, [144, 144], 3, 2, 144),
    Case(14, [576, 96], 1, 1, 1),
    Case(7, [320, 1280], 1, 1, 1),
    // res10: a square convolution with Winograd's transforms, and one that strides.
    Case(38, [128, 128], 3, 1, 1),
    Case(75, [32, 128], 3, 2, 1),
];

fn bench(bencher: Bencher<'_, '_>, plan: &Plan, shape: [usize; 4], products: usize) {
    let values: Vec<f32> = (0..shape.iter().product()).map(|at| (at % 255) as f32).collect();
    let mut workspace = Workspace::new();
    bencher
        .counter(ItemsCount::new(products))
        .bench_local(|| plan.run(&mut workspace, &values, shape).unwrap());
}

/// Items are multiplications and additions of a direct convolution.
#[divan::bench(args = CASES, consts = [0, 1, 2])]
fn convolution<const ISA: usize>(bencher: Bencher<'_, '_>, case: Case) {
    let Some(isa) = Isa::available().get(ISA).copied() else { return };
    let Case(side, channels, kernel, stride, groups) = case;
    let pad = kernel / 2;
    let module = Conv2dConfig::new(channels, [kernel; 2])
        .with_stride([stride; 2])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(&Device::flex());
    let example = [1, channels[0], side, side];
    let plan = Plan::compile_for(isa, &module, example, Conv2d::forward).unwrap();
    let outputs = side.div_ceil(stride).pow(2) * channels[1];
    let products = outputs * kernel * kernel * channels[0] / groups;
    bench(bencher, &plan, [1, side, side, channels[0]], products);
}

#[divan::bench]
fn backbone(bencher: Bencher<'_, '_>) {
    let network = Backbone::load(&WeightsSource::Embedded, &Device::flex()).unwrap();
    let plan = Plan::compile(&network, [1, 3, 224, 224], Backbone::forward).unwrap();
    bench(bencher, &plan, [1, 224, 224, 3], 300_000_000);
}

#[divan::bench]
fn face_network(bencher: Bencher<'_, '_>) {
    let (network, _) = Res10Ssd::load(&WeightsSource::Embedded, &Device::flex()).unwrap();
    let plan = Plan::compile(&network, [1, 3, 304, 304], |network, input| {
        let output = network.forward(input);
        (output.box_deltas, output.class_logits)
    })
    .unwrap();
    bench(bencher, &plan, [1, 304, 304, 3], 1_215_000_000);
}
