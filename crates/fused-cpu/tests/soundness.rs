//! What must be refused, so that safe code cannot reach beyond a plan's memory: shapes that wrap,
//! weights that do not fit.
#![allow(clippy::unwrap_used, reason = "tests")]

use fused_cpu::{
    Activation, CompileError, Graph, Operation, Plan, RunError, ValueId, Window, Workspace,
    ops::{Affine, Convolution, Flatten, Upsample},
};

fn convolution(inputs: usize, outputs: usize, groups: usize) -> Convolution {
    let window =
        Window { kernel: [3; 2], padding_begin: [1; 2], padding_end: [1; 2], ..Window::POINT };
    let weights = vec![1.0; 9 * inputs / groups * outputs];
    Convolution { weights, bias: vec![0.0; outputs], inputs, groups, window }
}

fn add(operation: Operation, channels: usize) -> Result<ValueId, CompileError> {
    Graph::new(channels).add(operation, &[ValueId::INPUT])
}

fn plan(operation: Operation, channels: usize) -> Plan {
    let mut graph = Graph::new(channels);
    let output = graph.add(operation, &[ValueId::INPUT]).unwrap();
    graph.set_outputs(&[output]).unwrap();
    Plan::from_graph(graph).unwrap()
}

#[test]
fn shapes_that_cannot_be_addressed_are_refused() {
    let half = 1 << (usize::BITS / 2);
    let padded = plan(Operation::Convolution(convolution(3, 4, 1)), 3);
    let plain = plan(Operation::Activate, 3);
    for plan in [padded, plain] {
        // The product of the sides wraps to 0, the number of values given.
        for shape in [[1, half, half, 3], [half, half, 1, 3], [usize::MAX, 2, 2, 3]] {
            let refused = plan.run(&mut Workspace::new(), &[], shape).unwrap_err();
            let found = 0;
            let input = RunError::Input { shape, found };
            assert!(refused == RunError::TooLarge { shape } || refused == input, "{refused}");
        }
    }
    // The input is small enough, but not what becomes of it.
    let factors = [64; 2];
    let mut graph = Graph::new(1);
    let mut value = ValueId::INPUT;
    for _ in 0..8 {
        value = graph.add(Operation::Upsample(Upsample { factors }), &[value]).unwrap();
    }
    graph.set_outputs(&[value]).unwrap();
    let plan = Plan::from_graph(graph).unwrap();
    let refused = plan.run(&mut Workspace::new(), &[0.0; 4], [1, 2, 2, 1]);
    assert!(matches!(refused, Err(RunError::TooLarge { .. })));
}

#[test]
fn a_bias_of_another_length_is_refused() {
    for (inputs, outputs, groups) in [(8, 8, 8), (32, 32, 1), (3, 5, 1), (8, 4, 2)] {
        let right = convolution(inputs, outputs, groups);
        add(Operation::Convolution(right.clone()), inputs).unwrap();
        for length in [0, 1, outputs - 1, outputs + 1] {
            let wrong = Convolution { bias: vec![0.0; length], ..right.clone() };
            assert!(add(Operation::Convolution(wrong), inputs).is_err(), "{outputs} {length}");
        }
        let mut wrong = right;
        wrong.weights.pop();
        let refused = add(Operation::Convolution(wrong), inputs);
        assert!(matches!(refused, Err(CompileError::Weights { .. })));
    }
}

#[test]
fn windows_that_stand_still_are_refused() {
    for (kernel, stride, dilation) in [
        ([0, 3], [1; 2], [1; 2]),
        ([3; 2], [1, 0], [1; 2]),
        ([3; 2], [1; 2], [0, 1]),
        ([3; 2], [1; 2], [usize::MAX; 2]),
    ] {
        let mut wrong = convolution(3, 4, 1);
        wrong.window = Window { kernel, stride, dilation, ..wrong.window };
        let refused = add(Operation::Convolution(wrong), 3);
        assert!(matches!(refused, Err(CompileError::Window(_))));
    }
    // Pools alone know windows that end beyond the padding.
    let mut wrong = convolution(3, 4, 1);
    wrong.window.ceil = true;
    assert!(matches!(add(Operation::Convolution(wrong), 3), Err(CompileError::Window(_))));
}

#[test]
fn channels_that_do_not_fit_are_refused() {
    let affine = |scale, shift| {
        Operation::Affine(Affine { scale: vec![1.0; scale], shift: vec![0.0; shift] })
    };
    for operation in [
        affine(7, 8),
        affine(8, 9),
        Operation::Convolution(convolution(4, 4, 1)),
        Operation::Flatten(Flatten { channels: 3 }),
        Operation::Flatten(Flatten { channels: 0 }),
        Operation::Upsample(Upsample { factors: [0, 1] }),
        Operation::Add,
    ] {
        assert!(add(operation.clone(), 8).is_err(), "{operation:?}");
    }
    let mut graph = Graph::new(8);
    let slopes = Activation::Prelu(vec![0.5; 7]);
    assert!(graph.activate(ValueId::INPUT, slopes).is_err());
    // A value of another graph.
    let mut other = Graph::new(8);
    let value = other.activate(ValueId::INPUT, Activation::RELU).unwrap();
    assert!(matches!(graph.add(Operation::Softmax, &[value]), Err(CompileError::UnknownValue(1))));
    assert!(graph.set_outputs(&[value]).is_err());
    assert!(matches!(Plan::from_graph(graph), Err(CompileError::Output)));
}

/// The same, recorded from Burn modules.
#[cfg(feature = "burn")]
mod recorded {
    use burn::{
        module::{Module, Param},
        nn::conv::{Conv2d, Conv2dConfig},
        tensor::{Device, Tensor},
    };
    use fused_cpu::{CompileError, Plan};

    fn tensor<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::ones(shape, &Device::flex())
    }

    #[test]
    fn a_bias_of_another_length_is_refused() {
        for (channels, groups) in [([8, 8], 8), ([32, 32], 1), ([3, 5], 1)] {
            for length in [1, channels[1] - 1, channels[1] + 1] {
                let mut module: Conv2d =
                    Conv2dConfig::new(channels, [3, 3]).with_groups(groups).init(&Device::flex());
                module.bias = Some(Param::from_tensor(tensor([length])));
                let result = Plan::compile(&module, [1, channels[0], 8, 8], Conv2d::forward);
                let refused = matches!(result, Err(CompileError::Weights { .. }));
                assert!(refused, "{channels:?} {length}");
            }
        }
    }

    #[derive(Module, Debug)]
    struct Constant {
        value: Param<Tensor<4>>,
    }

    #[test]
    fn a_broadcast_over_another_axis_than_the_channels_is_refused() {
        for shape in [[1, 1, 1, 8], [1, 1, 8, 1], [1, 8, 1, 8], [1, 8, 8, 8]] {
            let module = Constant { value: Param::from_tensor(tensor(shape)) };
            let sum = Plan::compile(&module, [1, 8, 8, 8], |m, x| x + m.value.val());
            assert!(matches!(sum, Err(CompileError::Unsupported(_))), "{shape:?}");
            let product = Plan::compile(&module, [1, 8, 8, 8], |m, x| x * m.value.val());
            assert!(matches!(product, Err(CompileError::Unsupported(_))), "{shape:?}");
        }
        let module = Constant { value: Param::from_tensor(tensor([1, 8, 1, 1])) };
        assert!(Plan::compile(&module, [1, 8, 8, 8], |m, x| x + m.value.val()).is_ok());
    }

    /// `Linear` with a bias of another length does not get this far: Burn's own shape inference
    /// refuses to record it. A product with a constant of several rows per input does.
    #[test]
    fn dense_weights_of_another_shape_are_refused() {
        let module = Constant { value: Param::from_tensor(tensor([1, 1, 8, 4])) };
        let compile = |module: &Constant| {
            Plan::compile(module, [1, 8, 5, 5], |m, x| {
                let row = x.permute([0, 2, 3, 1]).reshape([1, 25, 8]);
                row.matmul(m.value.val().reshape([1, 8, 4]))
            })
        };
        assert!(compile(&module).is_ok());
        let two = Plan::compile(&module, [2, 8, 5, 5], |m, x| {
            let row = x.permute([0, 2, 3, 1]).reshape([2, 25, 8]);
            row.matmul(Tensor::cat(vec![m.value.val().reshape([1, 8, 4]); 2], 0))
        });
        assert!(two.is_err());
    }
}
