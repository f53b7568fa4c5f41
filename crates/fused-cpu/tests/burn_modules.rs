//! Recorded Burn modules against a naive implementation in f64, on every instruction set of the
//! machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod naive;

use burn::{
    module::{Module, Param},
    nn::{
        BatchNorm, BatchNormConfig, Linear, LinearConfig, PReluConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        interpolate::{Interpolate2dConfig, InterpolateMode},
        pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig},
    },
    tensor::{
        Device, Tensor, TensorData,
        activation::{self, gelu, hard_swish, leaky_relu, relu, silu, softmax},
    },
};
use fused_cpu::{CompileError, Isa, Outputs, Plan, Workspace};
use naive::{Map, WindowOf, input, noise};
use proptest::prelude::*;

fn tensor<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(noise(seed, shape.iter().product()), shape);
    Tensor::from_data(data, &Device::flex())
}

fn param<const D: usize>(seed: u64, shape: [usize; D]) -> Param<Tensor<D>> {
    Param::from_tensor(tensor(seed, shape))
}

/// Runs the module on every instruction set, at a size other than the one it was compiled with,
/// and compares all outputs.
fn check<M: Module, O: Outputs>(
    module: &M,
    input: &Map,
    expected: &[Map],
    forward: impl Fn(&M, Tensor<4>) -> O,
) {
    let example = [1, input.channels, input.height + 3, input.width + 2];
    for isa in Isa::available() {
        let plan = Plan::compile_for(isa, module, example, &forward).unwrap();
        let mut workspace = Workspace::new();
        let shape = [input.images, input.height, input.width, input.channels];
        let values: Vec<f32> = input.values.iter().map(|value| *value as f32).collect();
        // Twice, so that what the first run left in the workspace must not matter.
        for _ in 0..2 {
            plan.run(&mut workspace, &values, shape).unwrap();
        }
        for (index, expected) in expected.iter().enumerate() {
            let (ours, shape) = workspace.output(index);
            assert_eq!(
                shape,
                [expected.images, expected.height, expected.width, expected.channels],
                "{isa}"
            );
            let scale = expected.values.iter().fold(1.0f64, |most, value| most.max(value.abs()));
            for (ours, theirs) in ours.iter().zip(&expected.values) {
                let difference = (f64::from(*ours) - theirs).abs();
                assert!(difference < 1e-4 * scale, "{isa}: {ours}, not {theirs}");
            }
        }
    }
}

prop_compose! {
    /// Images, height and width.
    fn batches()(images in 1usize..4, height in 7usize..20, width in 7usize..20)
        -> [usize; 3] {
        [images, height, width]
    }
}

prop_compose! {
    fn windows()(
        kernel in prop::array::uniform2(1usize..5),
        stride in prop::array::uniform2(1usize..4),
        dilation in prop::array::uniform2(1usize..3),
        before in prop::array::uniform2(0usize..4),
        after in prop::array::uniform2(0usize..4),
    ) -> WindowOf {
        WindowOf { kernel, stride, dilation, before, after, ceil: false }
    }
}

fn convolution(
    window: &WindowOf,
    [inputs, outputs]: [usize; 2],
    groups: usize,
    bias: bool,
) -> Conv2d {
    let ([top, left], [bottom, right]) = (window.before, window.after);
    let mut convolution = Conv2dConfig::new([inputs, outputs], window.kernel)
        .with_stride(window.stride)
        .with_dilation(window.dilation)
        .with_padding(PaddingConfig2d::Explicit(top, left, bottom, right))
        .with_groups(groups)
        .with_bias(bias)
        .init(&Device::flex());
    let [height, width] = window.kernel;
    convolution.weight = param(1, [outputs, inputs / groups, height, width]);
    convolution.bias = bias.then(|| param(2, [outputs]));
    convolution
}

fn numbers<const D: usize>(tensor: &Param<Tensor<D>>) -> Vec<f64> {
    let values: Vec<f32> = tensor.val().try_into_vec_as().unwrap();
    values.into_iter().map(f64::from).collect()
}

fn naive_convolution(input: &Map, convolution: &Conv2d, window: &WindowOf, groups: usize) -> Map {
    let outputs = convolution.weight.val().dims()[0];
    let bias = convolution.bias.as_ref().map_or(vec![0.0; outputs], numbers);
    naive::convolution(input, &numbers(&convolution.weight), &bias, groups, window)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn convolutions(
        [images, height, width] in batches(),
        window in windows(),
        inputs in 1usize..20,
        outputs in 1usize..70,
        bias: bool,
    ) {
        let module = convolution(&window, [inputs, outputs], 1, bias);
        let input = input(images, height, width, inputs);
        let plain = naive_convolution(&input, &module, &window, 1);
        let activated = plain.map(|value| value.max(0.0));
        check(&module, &input, &[plain], Conv2d::forward);
        check(&module, &input, &[activated], |module, x| relu(module.forward(x)));
    }

    /// The convolutions that go through Winograd's transforms.
    #[test]
    fn square_convolutions(
        [images, height, width] in batches(),
        dilation in 1usize..4,
        before in prop::array::uniform2(0usize..4),
        after in prop::array::uniform2(0usize..4),
        inputs in 32usize..50,
        outputs in 8usize..50,
    ) {
        let window =
            WindowOf { dilation: [dilation; 2], before, after, ..WindowOf::same(3) };
        let module = convolution(&window, [inputs, outputs], 1, true);
        let input = input(images, height, width, inputs);
        let expected = naive_convolution(&input, &module, &window, 1).map(|value| value.max(0.0));
        check(&module, &input, &[expected], |module, x| relu(module.forward(x)));
    }

    #[test]
    fn depthwise_convolutions(
        [images, height, width] in batches(),
        window in windows(),
        three in any::<bool>(),
        stride in 1usize..3,
        channels in 2usize..40,
    ) {
        // Half of the cases are those that the networks have, which have a kernel of their own.
        let window = if three {
            WindowOf { kernel: [3; 2], stride: [stride; 2], dilation: [1; 2], ..window }
        } else {
            window
        };
        let module = convolution(&window, [channels, channels], channels, true);
        let input = input(images, height, width, channels);
        let expected =
            naive_convolution(&input, &module, &window, channels).map(|x| x.clamp(0.0, 0.5));
        check(&module, &input, &[expected], |module, x| module.forward(x).clamp(0.0, 0.5));
    }

    #[test]
    fn pools(
        [images, height, width] in batches(),
        kernel in prop::array::uniform2(2usize..5),
        stride in prop::array::uniform2(1usize..4),
        ceil: bool,
        count_padding: bool,
        channels in 1usize..35,
    ) {
        let pad = [kernel[0] / 2, kernel[1] / 2];
        let window =
            WindowOf { kernel, stride, dilation: [1; 2], before: pad, after: pad, ceil };
        let padding = PaddingConfig2d::Explicit(pad[0], pad[1], pad[0], pad[1]);
        let max: MaxPool2d = MaxPool2dConfig::new(kernel)
            .with_strides(stride)
            .with_padding(padding.clone())
            .with_ceil_mode(ceil)
            .init();
        let average: AvgPool2d = AvgPool2dConfig::new(kernel)
            .with_strides(stride)
            .with_padding(padding)
            .with_ceil_mode(ceil)
            .with_count_include_pad(count_padding)
            .init();
        let input = input(images, height, width, channels);
        let expected = [
            naive::max_pool(&input, &window),
            naive::average_pool(&input, &window, count_padding),
        ];
        check(&(max, average), &input, &expected, |(max, average), x| {
            (max.forward(x.clone()), average.forward(x))
        });
    }

    #[test]
    fn sums_norms_and_means(
        [images, height, width] in batches(),
        channels in 1usize..40,
    ) {
        let norm = BatchNormConfig::new(channels).init(&Device::flex());
        let norm = BatchNorm {
            gamma: param(3, [channels]),
            beta: param(4, [channels]),
            ..norm
        };
        let input = input(images, height, width, channels);
        let (gamma, beta) = (numbers(&norm.gamma), numbers(&norm.beta));
        // Fresh running statistics: mean 0, variance 1.
        let normed = input.each(|channel, value| {
            gamma[channel] * value / (1.0f64 + norm.epsilon).sqrt() + beta[channel]
        });
        let sum = input.zip(&normed, |a, b| (a + b).max(0.0));
        let expected = [sum, naive::l2_norm(&input, 1e-3), naive::global_average(&normed)];
        check(&norm, &input, &expected, |norm, x| {
            let normed = norm.forward(x.clone());
            let squares = (x.clone() * x.clone()).sum_dim(1).add_scalar(1e-3).sqrt();
            vec![
                relu(x.clone() + normed.clone()),
                x.clone() / squares,
                normed.mean_dims(&[2, 3]),
            ]
        });
    }

    #[test]
    fn dense_layers_and_softmax(images in 1usize..18, inputs in 1usize..70, outputs in 1usize..40) {
        let mut module: Linear = LinearConfig::new(inputs, outputs).init(&Device::flex());
        module.weight = param(5, [inputs, outputs]);
        module.bias = Some(param(6, [outputs]));
        let input = input(images, 9, 5, inputs);
        let weights = numbers(&module.weight);
        let bias = numbers(module.bias.as_ref().unwrap());
        let transposed: Vec<f64> = (0..inputs * outputs)
            .map(|at| weights[at % inputs * outputs + at / inputs])
            .collect();
        let mean = naive::global_average(&input);
        let dense = naive::convolution(&mean, &transposed, &bias, 1, &WindowOf::same(1));
        let expected = naive::softmax(&dense);
        check(&module, &input, &[expected], move |dense, x| {
            let [batch, channels, _, _] = x.dims();
            softmax(dense.forward(x.mean_dims(&[2, 3]).reshape([batch, channels])), 1)
        });
    }

    /// Residual blocks and an SSD's heads: values that lie in other values, with and without halo.
    #[test]
    fn branches(
        [images, height, width] in batches(),
        inputs in 1usize..9,
        inner in 1usize..34,
        shortcut_first: bool,
    ) {
        let same = WindowOf::same(3);
        let point = WindowOf::same(1);
        let mut head = convolution(&same, [2 * inner, 6], 1, true);
        // Softmax magnifies what rounding changes in large values.
        head.weight = head.weight.map(|weights| weights.mul_scalar(0.05));
        let module = (
            convolution(&same, [inputs, inner], 1, true),
            convolution(&same, [inner, inner], 1, false),
            (convolution(&point, [inputs, inner], 1, true), head),
        );
        let input = input(images, height, width, inputs);
        let (first, second, (shortcut, head)) = &module;
        let a = naive_convolution(&input, first, &same, 1).map(|x| x.max(0.0));
        let b = naive_convolution(&a, second, &same, 1)
            .zip(&naive_convolution(&input, shortcut, &point, 1), |a, b| a + b)
            .map(|x| 0.5 * x - 0.25)
            .map(|x| x.max(0.0));
        let joined = naive::concat_channels(&[&a, &b]);
        let head_of = naive_convolution(&joined, head, &same, 1);
        let rows = naive::concat_pixels(&[&head_of.as_row(3), &head_of.as_row(3)]);
        let expected = [naive::softmax(&rows), b.clone()];
        check(&module, &input, &expected, |(first, second, (shortcut, head)), x| {
            let a = relu(first.forward(x.clone()));
            let b = if shortcut_first {
                let shortcut = shortcut.forward(x);
                shortcut + second.forward(a.clone())
            } else {
                second.forward(a.clone()) + shortcut.forward(x)
            };
            let b = relu(b.mul_scalar(0.5).sub_scalar(0.25));
            let head = head.forward(Tensor::cat(vec![a, b.clone()], 1));
            let [batch, channels, height, width] = head.dims();
            let row = head.permute([0, 2, 3, 1]).reshape([batch, height * width * channels / 3, 3]);
            (softmax(Tensor::cat(vec![row.clone(), row], 1), 2), b)
        });
    }
}

#[test]
fn what_a_plan_cannot_hold_is_an_error_when_compiling() {
    let module = convolution(&WindowOf::same(3), [3, 4], 1, true);
    let error =
        Plan::compile(&module, [1, 3, 8, 8], |module, x| gelu(module.forward(x))).unwrap_err();
    assert!(matches!(&error, CompileError::Unsupported(what) if what.contains("Gelu")));

    let elsewhere = Plan::compile(&module, [1, 3, 8, 8], |_, _| tensor(1, [1, 1]));
    assert!(matches!(elsewhere, Err(CompileError::Output)));
}

/// What modern small networks need beyond the project's own.
#[test]
fn activations_upsampling_and_groups_are_recorded() {
    let same = WindowOf::same(3);
    let module = (
        convolution(&same, [8, 12], 4, true),
        PReluConfig::new().with_num_parameters(12).init(&Device::flex()),
        Interpolate2dConfig::new()
            .with_scale_factor(Some([2.0, 3.0]))
            .with_mode(InterpolateMode::Nearest)
            .init(),
    );
    let (first, prelu, _) = &module;
    let input = input(2, 9, 11, 8);
    let grouped = naive_convolution(&input, first, &same, 4);
    let slopes = numbers(&prelu.alpha);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let expected = [
        grouped.map(|x| x * sigmoid(x)),
        grouped.map(sigmoid),
        grouped.map(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        grouped.each(|channel, x| if x > 0.0 { x } else { slopes[channel] * x }),
        grouped.map(|x| if x > 0.0 { x } else { 0.1 * x }),
        naive::upsample(&grouped, [2, 3]),
    ];
    check(&module, &input, &expected, |(first, prelu, upsample), x| {
        let x = first.forward(x);
        vec![
            silu(x.clone()),
            activation::sigmoid(x.clone()),
            hard_swish(x.clone()),
            prelu.forward(x.clone()),
            leaky_relu(x.clone(), 0.1),
            upsample.forward(x),
        ]
    });
}
