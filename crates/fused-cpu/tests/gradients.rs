//! Gradients of every operation against finite differences, and that they belong to no thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use fused_cpu::{
    Activation, Graph, Operation, Parameter, Plan, Slot, TrainingPlan, ValueId, Window, Workspace,
    ops::{Affine, Convolution, Flatten, L2Norm, Pool, Pooling, Upsample},
};

/// Numbers in [-1, 1] that look random.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn convolution(inputs: usize, outputs: usize, groups: usize, window: Window) -> Convolution {
    let count = inputs / groups * outputs * window.kernel[0] * window.kernel[1];
    let bias = numbers(outputs, 7);
    Convolution { weights: numbers(count, 5), bias, inputs, groups, window }
}

fn square(kernel: usize, stride: usize, dilation: usize, padding: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [dilation; 2],
        padding_begin: [padding; 2],
        padding_end: [padding; 2],
        ceil: false,
    }
}

/// A network with what `middle` adds between two convolutions, and all its parameters.
fn around(
    channels: usize,
    middle: impl FnOnce(&mut Graph, ValueId) -> ValueId,
) -> (Graph, Vec<Parameter>) {
    let mut graph = Graph::new(2);
    let first = convolution(2, channels, 1, square(1, 1, 1, 0));
    let value = graph.add(Operation::Convolution(first), &[ValueId::INPUT]).unwrap();
    let value = middle(&mut graph, value);
    graph.set_outputs(&[value]).unwrap();
    let mut parameters = Vec::new();
    for layer in graph.layers() {
        let slots: &[Slot] = match layer.operation {
            Operation::Convolution(_) => &[Slot::Weights, Slot::Bias],
            Operation::Affine(_) => &[Slot::Scale, Slot::Shift],
            _ => &[],
        };
        let name = format!("{:?}", layer.output);
        let of_layer =
            |slot: &Slot| Parameter { name: name.clone(), layer: layer.output, slot: *slot };
        parameters.extend(slots.iter().map(of_layer));
    }
    (graph, parameters)
}

/// The values of a parameter.
fn slot<'g>(graph: &'g Graph, parameter: &Parameter) -> &'g Vec<f32> {
    let layer = graph.layers().iter().find(|layer| layer.output == parameter.layer).unwrap();
    match (&layer.operation, parameter.slot) {
        (Operation::Convolution(convolution), Slot::Weights) => &convolution.weights,
        (Operation::Convolution(convolution), Slot::Bias) => &convolution.bias,
        (Operation::Affine(affine), Slot::Scale) => &affine.scale,
        (Operation::Affine(affine), Slot::Shift) => &affine.shift,
        _ => panic!("no such parameter"),
    }
}

/// Compares all gradients of a random weighting of the outputs with central differences.
fn check(name: &str, (graph, parameters): (Graph, Vec<Parameter>)) {
    let shape = [3, 6, 7, 2];
    let input = numbers(shape.iter().product(), 3);
    let mut plan = TrainingPlan::new(graph.clone(), parameters.clone()).unwrap();
    plan.forward(&input, shape).unwrap();
    let count = plan.output(0).0.len();
    let weighting = numbers(count, 11);
    let gradients = plan.backward(&[&weighting]).unwrap();

    let values: Vec<Vec<f32>> = parameters.iter().map(|one| slot(&graph, one).clone()).collect();
    let mut loss = |values: &[Vec<f32>]| -> f64 {
        plan.update(values).unwrap();
        plan.forward(&input, shape).unwrap();
        let outputs = plan.output(0).0.iter().zip(&weighting);
        outputs.map(|(value, weight)| f64::from(*value) * f64::from(*weight)).sum()
    };
    for (at, gradient) in gradients.iter().enumerate() {
        let scale = gradient.iter().fold(0.1f32, |most, value| most.max(value.abs()));
        for element in (0..gradient.len()).step_by(1 + gradient.len() / 7) {
            // Two steps, because a corner of an activation or a maximum may lie within one.
            let numeric = [2e-3, 4e-4].map(|step: f32| {
                let mut moved = values.clone();
                moved[at][element] = values[at][element] + step;
                let above = loss(&moved);
                moved[at][element] = values[at][element] - step;
                let below = loss(&moved);
                ((above - below) / f64::from(2.0 * step)) as f32
            });
            let found = gradient[element];
            let near = numeric.iter().any(|numeric| (numeric - found).abs() < 2e-2 * scale);
            assert!(near, "{name}, {:?}[{element}]: {found} {numeric:?}", parameters[at]);
        }
    }
}

fn add(graph: &mut Graph, operation: Operation, inputs: &[ValueId]) -> ValueId {
    graph.add(operation, inputs).unwrap()
}

#[test]
fn gradients_are_finite_differences() {
    for (kernel, stride, dilation, padding) in [
        (1, 1, 1, 0),
        (3, 1, 1, 1),
        (3, 1, 2, 2),
        (3, 2, 1, 1),
        (1, 2, 1, 0),
        (5, 2, 1, 2),
        (3, 1, 1, 0),
        (2, 1, 1, 3),
    ] {
        let window = square(kernel, stride, dilation, padding);
        let dense = Operation::Convolution(convolution(4, 5, 1, window));
        check(&format!("{window:?}"), around(4, |graph, value| add(graph, dense, &[value])));
        let depthwise = Operation::Convolution(convolution(4, 4, 4, window));
        check(
            &format!("depthwise {window:?}"),
            around(4, |graph, value| add(graph, depthwise, &[value])),
        );
    }
    // Wide enough for the convolutions' other kernels.
    let wide = Operation::Convolution(convolution(32, 32, 1, square(3, 1, 1, 1)));
    check("wide", around(32, |graph, value| add(graph, wide, &[value])));

    check(
        "affine, clamp, sum",
        around(4, |graph, value| {
            let affine = Affine { scale: numbers(4, 2), shift: numbers(4, 4) };
            let moved = add(graph, Operation::Affine(affine), &[value]);
            let clamped = graph.activate(moved, Activation::RELU).unwrap();
            let other = Operation::Convolution(convolution(4, 4, 1, square(3, 1, 1, 1)));
            let other = add(graph, other, &[clamped]);
            let sum = add(graph, Operation::Add, &[other, value]);
            let narrow = fused_cpu::Clamp { min: -1.0, max: 1.5 };
            graph.activate(sum, Activation::Clamp(narrow)).unwrap()
        }),
    );
    let sigmoid = |graph: &mut Graph, value| graph.activate(value, Activation::Sigmoid).unwrap();
    check("sigmoid", around(4, sigmoid));
    let padded = Window { ceil: true, ..square(3, 2, 1, 1) };
    for (window, pooling) in [
        (Window { ceil: true, ..square(3, 2, 1, 0) }, Pooling::Max),
        (padded, Pooling::Average { count_padding: true }),
        (padded, Pooling::Average { count_padding: false }),
    ] {
        let pool = Operation::Pool(Pool { window, pooling });
        check(&format!("{pooling:?}"), around(4, |graph, value| add(graph, pool, &[value])));
    }
    for (name, operation) in [
        ("mean", Operation::GlobalAverage),
        ("norm", Operation::L2Norm(L2Norm { epsilon: 1e-3 })),
        ("softmax", Operation::Softmax),
        ("upsample", Operation::Upsample(Upsample { factors: [2, 3] })),
    ] {
        check(name, around(4, |graph, value| add(graph, operation, &[value])));
    }
    check(
        "joins",
        around(4, |graph, value| {
            let other = Operation::Convolution(convolution(4, 6, 1, square(3, 2, 1, 1)));
            let other = add(graph, other, &[value]);
            let row = |graph: &mut Graph, value| {
                add(graph, Operation::Flatten(Flatten { channels: 2 }), &[value])
            };
            let side = add(graph, Operation::ConcatChannels, &[value, value]);
            let rows = [row(graph, value), row(graph, other), row(graph, side)];
            add(graph, Operation::ConcatPixels, &rows)
        }),
    );
}

#[test]
fn leading_frozen_layers_change_nothing() {
    let (graph, parameters) = around(32, |graph, value| {
        let value = graph.activate(value, Activation::RELU).unwrap();
        let one = Operation::Convolution(convolution(32, 8, 1, square(3, 1, 1, 1)));
        let two = Operation::Convolution(convolution(8, 3, 1, square(3, 2, 1, 1)));
        let value = add(graph, one, &[value]);
        add(graph, two, &[value])
    });
    let (input, shape) = (numbers(2 * 9 * 8 * 2, 1), [2, 9, 8, 2]);
    let gradients = |parameters: Vec<Parameter>| {
        let mut plan = TrainingPlan::new(graph.clone(), parameters).unwrap();
        plan.forward(&input, shape).unwrap();
        let weighting = numbers(plan.output(0).0.len(), 9);
        (plan.output(0).0.to_vec(), plan.backward(&[&weighting]).unwrap())
    };
    let (outputs, all) = gradients(parameters.clone());
    let (frozen, last) = gradients(parameters[4..].to_vec());
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close(&outputs, &frozen));
    assert!(all[4..].iter().zip(&last).all(|(a, b)| close(a, b)));

    let mut workspace = Workspace::new();
    Plan::from_graph(graph.clone()).unwrap().run(&mut workspace, &input, shape).unwrap();
    assert!(close(workspace.output(0).0, &outputs));
}

#[test]
fn threads_do_not_change_a_gradient() {
    let (graph, parameters) = around(32, |graph, value| {
        let wide = Operation::Convolution(convolution(32, 32, 1, square(3, 1, 1, 1)));
        let value = add(graph, wide, &[value]);
        graph.activate(value, Activation::RELU).unwrap()
    });
    let shape = [5, 9, 8, 2];
    let input = numbers(shape.iter().product(), 1);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut plan = TrainingPlan::new(graph.clone(), parameters.clone()).unwrap();
            plan.forward(&input, shape).unwrap();
            let weighting = numbers(plan.output(0).0.len(), 9);
            plan.backward(&[&weighting]).unwrap()
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(7));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let refused = |middle: fn(&mut Graph, ValueId) -> ValueId| {
        let (graph, parameters) = around(4, middle);
        TrainingPlan::new(graph, parameters).unwrap_err().to_string()
    };
    let silu = |graph: &mut Graph, value| graph.activate(value, Activation::Silu).unwrap();
    assert!(refused(silu).contains("training through the activation"));
    let grouped = |graph: &mut Graph, value| {
        let grouped = Operation::Convolution(convolution(4, 4, 2, square(3, 1, 1, 1)));
        add(graph, grouped, &[value])
    };
    assert!(refused(grouped).contains("in groups"));

    let (graph, mut parameters) = around(4, |_, value| value);
    assert!(TrainingPlan::new(graph.clone(), Vec::new()).is_err());
    parameters[0].slot = Slot::Scale;
    assert!(TrainingPlan::new(graph.clone(), parameters.clone()).is_err());
    parameters[0].slot = Slot::Weights;
    let mut plan = TrainingPlan::new(graph, parameters).unwrap();
    assert!(plan.update(&[vec![0.0; 8]]).is_err());
    assert!(plan.update(&[vec![0.0; 8], vec![0.0; 5]]).is_err());
    plan.forward(&[0.0; 8], [1, 2, 2, 2]).unwrap();
    assert!(plan.backward(&[]).is_err());
    assert!(plan.backward(&[&[0.0; 15]]).is_err());
}
