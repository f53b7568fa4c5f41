//! Convolutions in eight bits: against a naive implementation of the same integers, against floats, and the same bits
//! on every instruction set.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "of tests/operations.rs, too")]
mod naive;

use fused_cpu::{
    Activation, Calibration, Clamp, CompileError, Graph, InputRanges, Isa, Operation, Plan,
    ValueId, ValueRange, Workspace, ops::Convolution,
};
use naive::{Map, WindowOf, input, noise};
use proptest::prelude::*;

/// What an integer from 0 to 255 stands for.
fn round_input(value: f64, range: ValueRange) -> f64 {
    let step = (f64::from(range.max) - f64::from(range.min)) / 255.0;
    let zero = (-f64::from(range.min) / step).round_ties_even();
    ((value / step + zero).round_ties_even().clamp(0.0, 255.0) - zero) * step
}

/// Weights as the nearest of 255 multiples of their channel's largest.
fn round_weights(weights: &[f32], channels: usize) -> Vec<f64> {
    let each = weights.len() / channels;
    let round = |weights: &[f32]| {
        let step = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs())) / 127.0;
        let round =
            |weight: &f32| f64::from((weight * step.recip()).round_ties_even()) * f64::from(step);
        weights.iter().map(round).collect::<Vec<_>>()
    };
    weights.chunks(each).flat_map(round).collect()
}

fn run(plan: &Plan, input: &Map) -> Vec<f32> {
    let values: Vec<f32> = input.values.iter().map(|value| *value as f32).collect();
    let shape = [input.images, input.height, input.width, input.channels];
    let mut workspace = Workspace::new();
    plan.run(&mut workspace, &values, shape).unwrap();
    workspace.output(0).0.to_vec()
}

/// Two convolutions with a sum, so that one has a residual.
fn graph(first: &Convolution, activation: Activation) -> Graph {
    let mut graph = Graph::new(first.inputs);
    let add = |graph: &mut Graph, convolution: &Convolution, value| {
        graph.add(Operation::Convolution(convolution.clone()), &[value]).unwrap()
    };
    let value = add(&mut graph, first, ValueId::INPUT);
    let value = graph.activate(value, activation).unwrap();
    let outputs = first.outputs();
    let (weights, bias) = (noise(3, outputs * outputs * 9), noise(4, outputs));
    let window = (&WindowOf::same(3)).into();
    let second = Convolution { weights, bias, inputs: outputs, groups: 1, window };
    let sum = add(&mut graph, &second, value);
    let sum = graph.add(Operation::Add, &[sum, value]).unwrap();
    graph.set_outputs(&[sum]).unwrap();
    graph.fuse();
    graph
}

fn cases() -> ProptestConfig {
    let cases = option_env!("FUSED_CPU_TEST_CASES").and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(if cfg!(miri) { 1 } else { 48 });
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

prop_compose! {
    fn windows()(
        kernel in prop::array::uniform2(1usize..5),
        stride in prop::array::uniform2(1usize..4),
        dilation in prop::array::uniform2(1usize..3),
        before in prop::array::uniform2(0usize..4),
        after in prop::array::uniform2(0usize..4),
        point in any::<bool>(),
    ) -> WindowOf {
        if point {
            return WindowOf::same(1);
        }
        WindowOf { kernel, stride, dilation, before, after, ceil: false }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn one_convolution_is_the_integers_product(
        [images, height, width] in [1usize..3, 7usize..20, 7usize..20],
        of in windows(),
        inputs in 1usize..20,
        outputs in 1usize..70,
        [min, max] in [-3.0f32..0.5, 0.6f32..4.0],
    ) {
        let weights = noise(1, outputs * inputs * of.kernel[0] * of.kernel[1]);
        let window = (&of).into();
        let convolution = Convolution { weights, bias: noise(2, outputs), inputs, groups: 1, window };
        let range = ValueRange { min: min.min(0.0), max };
        // What is halfway between two integers may become either.
        let step = f64::from(range.max - range.min) / 255.0;
        let away = |value: f64| (value / step).round() + 0.6 * (value / step - (value / step).round());
        let input = input(images, height, width, inputs).each(|_, value| away(value) * step);
        let mut graph = Graph::new(inputs);
        let value = graph.add(Operation::Convolution(convolution.clone()), &[ValueId::INPUT]).unwrap();
        let clamp = Clamp { min: -0.5, max: 6.0 };
        let value = graph.activate(value, Activation::Clamp(clamp)).unwrap();
        graph.set_outputs(&[value]).unwrap();
        graph.fuse();
        graph.quantize(&InputRanges::new(vec![range])).unwrap();

        let rounded = input.each(|_, value| round_input(value, range));
        let bias: Vec<f64> = convolution.bias.iter().copied().map(f64::from).collect();
        let weights = round_weights(&convolution.weights, outputs);
        let expected = naive::convolution(&rounded, &weights, &bias, 1, &of)
            .each(|_, value| value.clamp(-0.5, 6.0));
        for isa in Isa::available() {
            let found = run(&Plan::from_graph_for(isa, graph.clone()).unwrap(), &input);
            prop_assert_eq!(found.len(), expected.values.len());
            for (found, expected) in found.iter().zip(&expected.values) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-3, "{}: {} {}", isa, found, expected);
            }
        }
    }

    #[test]
    fn every_instruction_set_and_number_of_threads_makes_the_same_bits_near_those_of_floats(
        [images, height, width] in [1usize..4, 7usize..40, 7usize..40],
        of in windows(),
        inputs in 1usize..40,
        outputs in 1usize..70,
        silu in any::<bool>(),
    ) {
        let weights = noise(1, outputs * inputs * of.kernel[0] * of.kernel[1]);
        let window = (&of).into();
        let first = Convolution { weights, bias: noise(2, outputs), inputs, groups: 1, window };
        let graph = graph(&first, if silu { Activation::Silu } else { Activation::RELU });
        let input = input(images, height, width, inputs);
        let values: Vec<f32> = input.values.iter().map(|value| *value as f32).collect();
        let mut calibration = Calibration::new(&graph).unwrap();
        calibration.observe(&values, [images, height, width, inputs]).unwrap();
        let exact = run(&Plan::from_graph(graph.clone()).unwrap(), &input);
        let mut quantized = graph;
        quantized.quantize(&calibration.ranges()).unwrap();

        let mut first: Option<Vec<f32>> = None;
        for isa in Isa::available() {
            // Activations that are not clamps differ in their last bits.
            if silu && isa != Isa::best() {
                continue;
            }
            let plan = Plan::from_graph_for(isa, quantized.clone()).unwrap();
            // WebAssembly has no threads.
            for threads in if cfg!(target_family = "wasm") { 1..2 } else { 1..4 } {
                let found = match threads {
                    1 => run(&plan, &input),
                    _ => {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                        pool.build().unwrap().install(|| run(&plan, &input))
                    }
                };
                prop_assert!(first.as_ref().is_none_or(|first| *first == found), "{} {}", isa, threads);
                first = Some(found);
            }
        }
        let most = exact.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let error = exact.iter().zip(&first.unwrap()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let error = (error / exact.len() as f64).sqrt();
        prop_assert!(error < 0.01 * f64::from(most), "{} of {}", error, most);
    }
}

#[test]
fn values_beyond_the_range_and_those_that_are_none_are_taken_for_its_ends() {
    let weights = vec![1.0];
    let window = (&WindowOf::same(1)).into();
    let convolution = Convolution { weights, bias: vec![0.0], inputs: 1, groups: 1, window };
    let mut graph = Graph::new(1);
    let value = graph.add(Operation::Convolution(convolution), &[ValueId::INPUT]).unwrap();
    graph.set_outputs(&[value]).unwrap();
    graph.quantize(&InputRanges::new(vec![ValueRange { min: -1.0, max: 1.0 }])).unwrap();
    for isa in Isa::available() {
        let plan = Plan::from_graph_for(isa, graph.clone()).unwrap();
        let mut workspace = Workspace::new();
        let input = [-1e30, -2.0, 0.0, 0.5, 2.0, f32::INFINITY, f32::NAN];
        plan.run(&mut workspace, &input, [1, 1, 7, 1]).unwrap();
        let found = workspace.output(0).0;
        // 0 is always exact.
        assert_eq!(found[2], 0.0, "{isa}");
        for (found, expected) in found.iter().zip([-1.0, -1.0, 0.0, 0.5, 1.0, 1.0, -1.0]) {
            assert!((found - expected).abs() < 0.006, "{isa}: {found}, not {expected}");
        }
    }
}

#[test]
fn a_range_leaves_out_a_few_values_far_from_all_others_and_nothing_else() {
    let window = (&WindowOf::same(1)).into();
    let convolution =
        Convolution { weights: vec![1.0], bias: vec![0.0], inputs: 1, groups: 1, window };
    let mut graph = Graph::new(1);
    let value = graph.add(Operation::Convolution(convolution), &[ValueId::INPUT]).unwrap();
    graph.set_outputs(&[value]).unwrap();
    let max = |far: &[f32]| {
        let mut calibration = Calibration::new(&graph).unwrap();
        // Evenly from 0 to 1, in two parts of which the second is larger; NaN counts for nothing.
        for part in [0..50_000, 50_000..100_000] {
            let mut values: Vec<f32> = part.map(|at| at as f32 / 1e5).collect();
            values.push(f32::NAN);
            values.extend(far);
            calibration.observe(&values, [1, 1, values.len(), 1]).unwrap();
        }
        let text = calibration.ranges().to_string();
        let (min, max) = text.split_once(':').unwrap();
        assert_eq!(min.parse::<f32>().unwrap().abs(), 0.0);
        max.parse::<f32>().unwrap()
    };
    assert!((0.98..=1.0).contains(&max(&[])), "{}", max(&[]));
    // Of a range r the squares are 1e5 / 12 (r / 255)^2 + 2 (x - r)^2, smallest at r = x / (1 + 0.064).
    assert!((1.8..=1.96).contains(&max(&[2.0])), "{}", max(&[2.0]));
}

#[test]
fn ranges_that_are_not_the_networks_are_refused() {
    let first = Convolution {
        weights: vec![1.0; 4],
        bias: vec![0.0; 2],
        inputs: 2,
        groups: 1,
        window: (&WindowOf::same(1)).into(),
    };
    let mut graph = graph(&first, Activation::RELU);
    let range = ValueRange { min: 0.0, max: 1.0 };
    let infinite = ValueRange { max: f32::INFINITY, ..range };
    for wrong in [&[][..], &[range], &[range; 3], &[range, infinite]] {
        let refused = graph.quantize(&InputRanges::new(wrong.to_vec()));
        assert!(matches!(refused, Err(CompileError::Ranges { expected: 2, .. })), "{refused:?}");
    }
    let right = InputRanges::new(vec![range, ValueRange { min: -0.1, max: 1e-7 }]);
    graph.quantize(&right).unwrap();
    assert_eq!(right.to_string().parse(), Ok(right));
    for text in ["", "1", "1:2,", "a:2", "1:2;3:4"] {
        assert!(text.parse::<InputRanges>().is_err(), "{text}");
    }
}
