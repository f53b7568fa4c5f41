//! Running a written file in another runtime and comparing with the plan.

use fused_cpu::{Plan, RunError, Workspace};
use rten_tensor::{NdTensor, prelude::*};

use crate::{Export, INPUT};

/// Largest difference of an output from the plan's, as a fraction of the largest output or of 1.
const TOLERANCE: f32 = 1e-4;
/// Batches that files are run with: the batch must be free.
const BATCHES: [usize; 2] = [1, 3];

/// Why a written file is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The other runtime cannot use the file.
    #[error("rten cannot use it: {0}")]
    Runtime(String),
    /// The plan, which it is compared with, cannot run.
    #[error("the plan cannot run: {0}")]
    Plan(#[from] RunError),
    /// The results differ.
    #[error("results differ by {difference:e} of the largest output in rten")]
    Difference {
        /// The largest difference.
        difference: f32,
    },
}

/// Runs an ONNX file in rten on one input, `[batch, channels, height, width]`; the values of the outputs that are
/// named.
///
/// # Errors
/// If the file cannot be used so.
pub fn run(
    bytes: &[u8],
    input: &str,
    shape: [usize; 4],
    values: Vec<f32>,
    outputs: &[&str],
) -> Result<Vec<Vec<f32>>, VerifyError> {
    let runtime = |error: &dyn std::fmt::Display| VerifyError::Runtime(error.to_string());
    let model = rten::Model::load(bytes.to_vec()).map_err(|error| runtime(&error))?;
    let node = |name: &str| {
        model.node_id(name).map_err(|error| VerifyError::Runtime(format!("{name}: {error}")))
    };
    let outputs: Vec<_> = outputs.iter().map(|output| node(output)).collect::<Result<_, _>>()?;
    let first = NdTensor::try_from_data(shape, values).map_err(|error| runtime(&error))?;
    let inputs = vec![(node(input)?, first.view().into())];
    let results = model.run(inputs, &outputs, None).map_err(|error| runtime(&error))?;
    let values = results.into_iter().map(|result| {
        let result: rten_tensor::Tensor<f32> =
            result.try_into().map_err(|error| runtime(&error))?;
        Ok(result.to_vec())
    });
    values.collect()
}

/// Runs an ONNX file in rten, on square inputs of `side` pixels with values up to `range`, and
/// compares with the plan of the same graph. Returns the largest difference, as a fraction of the
/// largest output or of 1.
///
/// # Errors
/// If the file cannot be used, or results differ by more than 1e-4.
pub fn verify(
    bytes: &[u8],
    export: &Export<'_>,
    plan: &Plan,
    side: usize,
    range: f32,
) -> Result<f32, VerifyError> {
    let names: Vec<&str> = export.outputs.iter().map(|output| output.name).collect();
    let channels = plan.input_channels();
    let mut largest: f32 = 0.0;
    for batch in BATCHES {
        let input = pseudo_random(batch * side * side * channels, range);
        let mut workspace = Workspace::default();
        plan.run(&mut workspace, &input, [batch, side, side, channels])?;
        let mut first = Vec::with_capacity(input.len());
        for image in input.chunks_exact(side * side * channels) {
            for channel in 0..channels {
                first.extend(image.iter().skip(channel).step_by(channels));
            }
        }
        let shape = [batch, channels, side, side];
        let results = run(bytes, INPUT, shape, first, &names)?;
        for (index, (result, name)) in results.into_iter().zip(&names).enumerate() {
            let expected = workspace.output(index).0;
            if result.len() != expected.len() {
                return Err(VerifyError::Runtime(format!("{name} has another size")));
            }
            let scale = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
            for (a, b) in result.iter().zip(expected) {
                // Not a number is a difference, too.
                let difference = (a - b).abs() / scale;
                largest = if difference.is_nan() { f32::INFINITY } else { largest.max(difference) };
            }
        }
    }
    if largest > TOLERANCE {
        return Err(VerifyError::Difference { difference: largest });
    }
    Ok(largest)
}

/// Deterministic pseudo-random input in `-range..range`.
fn pseudo_random(count: usize, range: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0) * range
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use fused_cpu::{
        Activation, Clamp, Graph, Operation, Plan, ValueId, Window,
        ops::{Affine, Convolution, Flatten, L2Norm, Pool, Pooling, Upsample},
    };

    use super::*;
    use crate::{ExportOutput, OperatorSetVersion, Storage};

    /// Every operation and activation, in a runtime that knows nothing of this project.
    #[test]
    fn rten_computes_what_the_plan_computes() {
        let window = Window { kernel: [3; 2], ..Window::POINT };
        let convolution = Operation::Convolution(Convolution {
            weights: pseudo_random(8 * 2 * 9, 0.4),
            bias: pseudo_random(8, 0.1),
            inputs: 4,
            groups: 2,
            window: Window { padding_begin: [1; 2], padding_end: [1; 2], ..window },
        });
        let average = Pooling::Average { count_padding: false };
        let pool = |pooling| {
            Operation::Pool(Pool { window: Window { stride: [2; 2], ..window }, pooling })
        };
        let affine = Affine { scale: pseudo_random(4, 1.0), shift: pseudo_random(4, 1.0) };
        let activations = [
            Activation::NONE,
            Activation::RELU,
            Activation::Clamp(Clamp { min: -0.5, max: 0.5 }),
            Activation::Sigmoid,
            Activation::Silu,
            Activation::HardSwish,
        ];
        let operations = [
            Operation::Affine(affine),
            Operation::Activate,
            pool(Pooling::Max),
            pool(average),
            Operation::L2Norm(L2Norm { epsilon: 1e-3 }),
            Operation::Softmax,
            Operation::Upsample(Upsample { factors: [2, 3] }),
            Operation::GlobalAverage,
        ];
        let mut graph = Graph::new(4);
        let mut rows = Vec::new();
        let flatten = Operation::Flatten(Flatten { channels: 4 });
        for operation in operations {
            for activation in &activations {
                let value = graph.add(operation.clone(), &[ValueId::INPUT]).unwrap();
                let value = graph.activate(value, activation.clone()).unwrap();
                rows.push(graph.add(flatten.clone(), &[value]).unwrap());
            }
        }
        let first = graph.add(convolution.clone(), &[ValueId::INPUT]).unwrap();
        let prelu = graph.activate(first, Activation::Prelu(pseudo_random(8, 1.0))).unwrap();
        let joined = graph.add(Operation::ConcatChannels, &[first, prelu]).unwrap();
        rows.push(graph.add(flatten, &[joined]).unwrap());
        let rows = graph.add(Operation::ConcatPixels, &rows).unwrap();
        graph.set_outputs(&[rows]).unwrap();
        let outputs = [ExportOutput { name: "rows", values: 4, rows: true }];
        let export = Export::new("everything", &graph, &outputs);
        let plan = Plan::from_graph(graph.clone()).unwrap();
        for operator_set in [OperatorSetVersion::OLDEST, OperatorSetVersion::NEWEST] {
            let bytes = Export { operator_set, ..export }.encode("test").unwrap();
            assert!(verify(&bytes, &export, &plan, 9, 1.0).unwrap() < 1e-5);
        }
        // Half precision is as much worse as it should be.
        let bytes = Export { storage: Storage::Half, ..export }.encode("test").unwrap();
        let Err(VerifyError::Difference { difference }) = verify(&bytes, &export, &plan, 9, 1.0)
        else {
            panic!("half precision changes nothing")
        };
        assert!(difference < 2e-3, "{difference}");
    }
}
