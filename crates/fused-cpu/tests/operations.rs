//! Every operation against a naive implementation in f64, on every instruction set of the machine,
//! built as graphs: needs nothing of Burn.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod naive;

use fused_cpu::{
    Activation, Clamp, Graph, Isa, Operation, Plan, RunError, SharedPlan, ValueId, Window,
    Workspace,
    ops::{Affine, Convolution, Flatten, L2Norm, Pool, Pooling, Upsample},
};
use naive::{Map, WindowOf, input, noise};
use proptest::prelude::*;

/// Compiles the graph for every instruction set and compares all outputs.
fn check(graph: &Graph, input: &Map, expected: &[Map]) {
    let shape = [input.images, input.height, input.width, input.channels];
    let values: Vec<f32> = input.values.iter().map(|value| *value as f32).collect();
    // Activations flatten values, but not the errors of what they are applied to.
    let all = expected.iter().flat_map(|map| &map.values);
    let scale = all.fold(1.0f64, |most, value| most.max(value.abs()));
    for isa in Isa::available() {
        let plan = Plan::from_graph_for(isa, graph.clone()).unwrap();
        let mut workspace = Workspace::new();
        // Twice, so that what the first run left in the workspace must not matter.
        for _ in 0..2 {
            plan.run(&mut workspace, &values, shape).unwrap();
        }
        assert_eq!(plan.outputs(), expected.len());
        for (index, expected) in expected.iter().enumerate() {
            let (ours, shape) = workspace.output(index);
            assert_eq!(
                shape,
                [expected.images, expected.height, expected.width, expected.channels],
                "{isa}"
            );
            for (ours, theirs) in ours.iter().zip(&expected.values) {
                let difference = (f64::from(*ours) - theirs).abs();
                assert!(difference < 1e-4 * scale, "{isa}: {ours}, not {theirs}");
            }
        }
    }
}

fn convolution(of: &WindowOf, [inputs, outputs]: [usize; 2], groups: usize) -> Convolution {
    let weights = noise(1, outputs * inputs / groups * of.kernel[0] * of.kernel[1]);
    Convolution { weights, bias: noise(2, outputs), inputs, groups, window: of.into() }
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn naive_convolution(input: &Map, convolution: &Convolution, of: &WindowOf) -> Map {
    let (weights, bias) = (doubles(&convolution.weights), doubles(&convolution.bias));
    naive::convolution(input, &weights, &bias, convolution.groups, of)
}

fn activations(channels: usize) -> Vec<Activation> {
    vec![
        Activation::NONE,
        Activation::RELU,
        Activation::Clamp(Clamp { min: -0.25, max: 0.5 }),
        Activation::Sigmoid,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Prelu(noise(5, channels)),
    ]
}

/// An activation by its definition.
fn naive_activation(map: &Map, activation: &Activation) -> Map {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    map.each(|channel, x| match activation {
        Activation::Clamp(Clamp { min, max }) => x.clamp((*min).into(), (*max).into()),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Prelu(slopes) if x <= 0.0 => f64::from(slopes[channel]) * x,
        Activation::Prelu(_) => x,
    })
}

/// A graph of one operation under every activation, and what it is to yield.
fn with_activations(operation: Operation, channels: usize, plain: &Map) -> (Graph, Vec<Map>) {
    let mut graph = Graph::new(channels);
    let (mut outputs, mut expected) = (Vec::new(), Vec::new());
    for activation in activations(plain.channels) {
        let value = graph.add(operation.clone(), &[ValueId::INPUT]).unwrap();
        expected.push(naive_activation(plain, &activation));
        outputs.push(graph.activate(value, activation).unwrap());
    }
    graph.set_outputs(&outputs).unwrap();
    (graph, expected)
}

prop_compose! {
    /// Images, height and width.
    fn batches()(images in 1usize..4, height in 7usize..20, width in 7usize..20) -> [usize; 3] {
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

/// Few cases where every step is emulated: `FUSED_CPU_TEST_CASES` sets their number when compiling.
fn cases() -> ProptestConfig {
    let cases = option_env!("FUSED_CPU_TEST_CASES").and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(if cfg!(miri) { 1 } else { 24 }),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn dense_convolutions(
        [images, height, width] in batches(),
        of in windows(),
        inputs in 1usize..20,
        outputs in 1usize..70,
    ) {
        let convolution = convolution(&of, [inputs, outputs], 1);
        let input = input(images, height, width, inputs);
        let plain = naive_convolution(&input, &convolution, &of);
        let (graph, expected) = with_activations(Operation::Convolution(convolution), inputs, &plain);
        check(&graph, &input, &expected);
    }

    #[test]
    fn grouped_convolutions(
        [images, height, width] in batches(),
        of in windows(),
        groups in 2usize..6,
        inputs in 1usize..5,
        outputs in 1usize..20,
    ) {
        let (inputs, outputs) = (inputs * groups, outputs * groups);
        let convolution = convolution(&of, [inputs, outputs], groups);
        let input = input(images, height, width, inputs);
        let plain = naive_convolution(&input, &convolution, &of);
        let (graph, expected) = with_activations(Operation::Convolution(convolution), inputs, &plain);
        check(&graph, &input, &expected);
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
        let of = WindowOf { dilation: [dilation; 2], before, after, ..WindowOf::same(3) };
        let convolution = convolution(&of, [inputs, outputs], 1);
        let input = input(images, height, width, inputs);
        let plain = naive_convolution(&input, &convolution, &of);
        let (graph, expected) = with_activations(Operation::Convolution(convolution), inputs, &plain);
        check(&graph, &input, &expected);
    }

    #[test]
    fn depthwise_convolutions(
        [images, height, width] in batches(),
        of in windows(),
        three in any::<bool>(),
        stride in 1usize..3,
        channels in 2usize..40,
    ) {
        // Half of the cases are those that the networks have, which have a kernel of their own.
        let of = if three {
            WindowOf { kernel: [3; 2], stride: [stride; 2], dilation: [1; 2], ..of }
        } else {
            of
        };
        let convolution = convolution(&of, [channels, channels], channels);
        let input = input(images, height, width, channels);
        let plain = naive_convolution(&input, &convolution, &of);
        let (graph, expected) =
            with_activations(Operation::Convolution(convolution), channels, &plain);
        check(&graph, &input, &expected);
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
        let of = WindowOf { kernel, stride, dilation: [1; 2], before: pad, after: pad, ceil };
        let input = input(images, height, width, channels);
        for (pooling, plain) in [
            (Pooling::Max, naive::max_pool(&input, &of)),
            (
                Pooling::Average { count_padding },
                naive::average_pool(&input, &of, count_padding),
            ),
        ] {
            let pool = Operation::Pool(Pool { window: (&of).into(), pooling });
            let (graph, expected) = with_activations(pool, channels, &plain);
            check(&graph, &input, &expected);
        }
    }

    /// Everything that looks at a pixel at a time, and what changes the size without weights.
    #[test]
    fn pixelwise_operations(
        [images, height, width] in batches(),
        channels in 1usize..40,
        factors in prop::array::uniform2(1usize..4),
    ) {
        let input = input(images, height, width, channels);
        let (scale, shift) = (noise(3, channels), noise(4, channels));
        let affine = input.each(|channel, x| f64::from(scale[channel]) * x + f64::from(shift[channel]));
        for (operation, plain) in [
            (Operation::Affine(Affine { scale, shift }), affine),
            (Operation::Activate, input.clone()),
            (Operation::L2Norm(L2Norm { epsilon: 1e-3 }), naive::l2_norm(&input, 1e-3)),
            (Operation::Softmax, naive::softmax(&input)),
            (Operation::GlobalAverage, naive::global_average(&input)),
            (Operation::Upsample(Upsample { factors }), naive::upsample(&input, factors)),
        ] {
            let (graph, expected) = with_activations(operation, channels, &plain);
            check(&graph, &input, &expected);
        }
        let mut graph = Graph::new(channels);
        let scaled = graph.add(Operation::Softmax, &[ValueId::INPUT]).unwrap();
        let sum = graph.add(Operation::Add, &[ValueId::INPUT, scaled]).unwrap();
        let twice = graph.add(Operation::Add, &[sum, sum]).unwrap();
        graph.set_outputs(&[twice]).unwrap();
        let softmax = naive::softmax(&input);
        check(&graph, &input, &[input.zip(&softmax, |a, b| 2.0 * (a + b))]);
    }

    /// Residual blocks and an SSD's heads: values that lie in other values, with and without halo.
    #[test]
    fn branches(
        [images, height, width] in batches(),
        inputs in 1usize..9,
        inner in 1usize..34,
        shortcut_first: bool,
    ) {
        let (same, point) = (WindowOf::same(3), WindowOf::same(1));
        let first = convolution(&same, [inputs, inner], 1);
        let second = convolution(&same, [inner, inner], 1);
        let shortcut = convolution(&point, [inputs, inner], 1);
        let head = convolution(&same, [2 * inner, 6], 1);
        let input = input(images, height, width, inputs);
        let a = naive_convolution(&input, &first, &same).map(|x| x.max(0.0));
        let b = naive_convolution(&a, &second, &same)
            .zip(&naive_convolution(&input, &shortcut, &point), |a, b| a + b)
            .map(|x| (0.5 * x - 0.25).max(0.0));
        let joined = naive::concat_channels(&[&a, &b]);
        let head_of = naive_convolution(&joined, &head, &same);
        let rows = naive::concat_pixels(&[&head_of.as_row(3), &head_of.as_row(3)]);
        let expected = [naive::softmax(&rows), b.clone(), rows.map(|x| x.max(0.0)), input.clone()];

        let mut graph = Graph::new(inputs);
        let mut add = |operation, inputs: &[ValueId]| graph.add(operation, inputs).unwrap();
        let x = ValueId::INPUT;
        let a = add(Operation::Convolution(first), &[x]);
        let a = graph.activate(a, Activation::RELU).unwrap();
        let mut add = |operation, inputs: &[ValueId]| graph.add(operation, inputs).unwrap();
        let (deep, short) = if shortcut_first {
            let short = add(Operation::Convolution(shortcut), &[x]);
            (add(Operation::Convolution(second), &[a]), short)
        } else {
            let deep = add(Operation::Convolution(second), &[a]);
            (deep, add(Operation::Convolution(shortcut), &[x]))
        };
        let sum = add(Operation::Add, &[deep, short]);
        let affine = Affine { scale: vec![0.5; inner], shift: vec![-0.25; inner] };
        let sum = add(Operation::Affine(affine), &[sum]);
        let b = graph.activate(sum, Activation::RELU).unwrap();
        let mut add = |operation, inputs: &[ValueId]| graph.add(operation, inputs).unwrap();
        let joined = add(Operation::ConcatChannels, &[a, b]);
        let head = add(Operation::Convolution(head), &[joined]);
        let row = add(Operation::Flatten(Flatten { channels: 3 }), &[head]);
        let rows = add(Operation::ConcatPixels, &[row, row]);
        let scores = add(Operation::Softmax, &[rows]);
        let clamped = graph.activate(rows, Activation::RELU).unwrap();
        graph.set_outputs(&[scores, b, clamped, x]).unwrap();
        check(&graph, &input, &expected);
    }
}

fn plan_of(operation: Operation, channels: usize) -> Plan {
    let mut graph = Graph::new(channels);
    let output = graph.add(operation, &[ValueId::INPUT]).unwrap();
    let output = graph.activate(output, Activation::Silu).unwrap();
    graph.set_outputs(&[output]).unwrap();
    Plan::from_graph(graph).unwrap()
}

fn same(channels: [usize; 2], groups: usize) -> Operation {
    Operation::Convolution(convolution(&WindowOf::same(3), channels, groups))
}

/// What lies in joined images is not read after an activation of these: a fuzzer found that it was.
#[test]
fn joined_values_outlive_the_activation_of_the_whole() {
    let (channels, point) = (5, WindowOf::same(1));
    let first = convolution(&point, [channels, channels], 1);
    let input = input(2, 3, 4, channels);
    let plain = naive_convolution(&input, &first, &point);
    let affine = Affine { scale: vec![2.0; channels], shift: vec![0.25; channels] };
    for nested in [false, true] {
        let mut graph = Graph::new(channels);
        let a = graph.add(Operation::Convolution(first.clone()), &[ValueId::INPUT]).unwrap();
        let mut joined = graph.add(Operation::ConcatChannels, &[a, ValueId::INPUT]).unwrap();
        let mut expected = naive::concat_channels(&[&plain, &input]);
        if nested {
            joined = graph.add(Operation::ConcatChannels, &[joined, ValueId::INPUT]).unwrap();
            expected = naive::concat_channels(&[&expected, &input]);
        }
        let joined = graph.activate(joined, Activation::RELU).unwrap();
        let later = graph.add(Operation::Affine(affine.clone()), &[a]).unwrap();
        graph.set_outputs(&[joined, later]).unwrap();
        let later = plain.map(|x| 2.0 * x + 0.25);
        check(&graph, &input, &[expected.map(|x| x.max(0.0)), later]);
    }
}

/// Floats that follow one another do not lie among other channels: a fuzzer found that they did.
#[test]
fn flattened_values_are_joined_with_others() {
    let input = input(2, 3, 4, 6);
    for by_pixels in [false, true] {
        let mut graph = Graph::new(6);
        let x = ValueId::INPUT;
        let sum = graph.add(Operation::Add, &[x, x]).unwrap();
        let row = graph.add(Operation::Flatten(Flatten { channels: 2 }), &[sum]).unwrap();
        let mut rows = naive::concat_channels(&[&input.map(|x| 2.0 * x).as_row(2); 1]);
        let mut value = row;
        if by_pixels {
            value = graph.add(Operation::ConcatPixels, &[row, row]).unwrap();
            rows = naive::concat_pixels(&[&rows, &rows]);
        }
        let other = graph.activate(value, Activation::RELU).unwrap();
        let joined = graph.add(Operation::ConcatChannels, &[value, other]).unwrap();
        graph.set_outputs(&[joined]).unwrap();
        let expected = naive::concat_channels(&[&rows, &rows.map(|x| x.max(0.0))]);
        check(&graph, &input, &[expected]);
    }
}

/// Every kind of step that divides work among threads.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn threads_do_not_change_a_bit() {
    let pool = Pool {
        window: Window { kernel: [3; 2], stride: [2; 2], ..Window::POINT },
        pooling: Pooling::Max,
    };
    for (operation, channels) in [
        (same([16, 48], 1), 16),
        (same([40, 48], 1), 40),
        (same([16, 16], 16), 16),
        (same([16, 32], 4), 16),
        (Operation::Pool(pool), 16),
        (Operation::Softmax, 16),
    ] {
        let plan = plan_of(operation, channels);
        // Some threads to an image, some for the last image alone, and more than it has parts for.
        for (images, threads) in [(2, 7), (4, 3), (1, 16)] {
            let shape = [images, 37, 41, channels];
            let values = noise(9, shape.iter().product());
            let [one, many] = [1, threads].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut workspace = Workspace::new();
                pool.install(|| plan.run(&mut workspace, &values, shape)).unwrap();
                workspace.output(0).0.to_vec()
            });
            assert_eq!(one, many, "{images} images on {threads} threads");
        }
    }
}

#[test]
fn a_warm_workspace_does_not_grow() {
    let plan = plan_of(same([3, 8], 1), 3);
    let mut workspace = Workspace::new();
    let values = noise(1, 60 * 50 * 3);
    plan.run(&mut workspace, &values, [1, 60, 50, 3]).unwrap();
    let bytes = workspace.bytes();
    for shape in [[1, 20, 30, 3], [1, 50, 60, 3], [1, 60, 50, 3]] {
        plan.run(&mut workspace, &values[..shape.iter().product()], shape).unwrap();
        assert!(workspace.bytes() < bytes + bytes / 10);
    }
    workspace.trim();
    assert_eq!(workspace.bytes(), 0);
    plan.run(&mut workspace, &values, [1, 60, 50, 3]).unwrap();
}

#[test]
fn a_workspace_serves_several_plans() {
    let values = noise(1, 30 * 20 * 3);
    let shape = [1, 30, 20, 3];
    let [small, large] = [8, 64].map(|outputs| plan_of(same([3, outputs], 1), 3));
    let alone = |plan: &Plan| {
        let mut workspace = Workspace::new();
        plan.run(&mut workspace, &values, shape).unwrap();
        workspace.output(0).0.to_vec()
    };
    let mut shared = Workspace::new();
    for plan in [&small, &large, &small] {
        plan.run(&mut shared, &values, shape).unwrap();
        assert_eq!(shared.output(0).0, alone(plan));
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn a_shared_plan_gives_every_thread_its_own_results() {
    let plan = SharedPlan::new(plan_of(same([3, 33], 1), 3));
    let run = |seed: u64| {
        let shape = [1, 9 + seed as usize, 13, 3];
        let values = noise(seed, shape.iter().product());
        plan.run(&values, shape, |workspace| workspace.output(0).0.to_vec()).unwrap()
    };
    let alone: Vec<_> = (0..8).map(run).collect();
    std::thread::scope(|scope| {
        for (seed, alone) in alone.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(run(seed as u64), *alone);
                }
            });
        }
    });
    assert!(plan.workspace_bytes() > 0);
    plan.trim();
    assert_eq!(plan.workspace_bytes(), 0);
}

#[test]
fn wrong_inputs_are_errors_when_running() {
    let of = WindowOf { before: [0; 2], after: [0; 2], ..WindowOf::same(5) };
    let plan = plan_of(Operation::Convolution(convolution(&of, [3, 4], 1)), 3);
    let mut workspace = Workspace::new();
    let mut run = |values: usize, shape| plan.run(&mut workspace, &vec![0.0; values], shape);
    assert_eq!(run(10, [1, 8, 8, 3]), Err(RunError::Input { shape: [1, 8, 8, 3], found: 10 }));
    assert_eq!(run(64, [1, 8, 8, 1]), Err(RunError::Channels { expected: 3, found: 1 }));
    assert_eq!(run(4 * 9 * 3, [1, 4, 9, 3]), Err(RunError::TooSmall { width: 9, height: 4 }));
    assert_eq!(run(0, [0, 8, 8, 3]), Ok(()));
}
