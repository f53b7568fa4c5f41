//! Gradients of a dense convolution.
//!
//! The weights' gradient is, for each row of the kernel, a product of the output's gradient with
//! the image's floats where they lie: pixels are rows of channels, so the pixels under a kernel's
//! row are one longer row. The image's gradient is a convolution with the turned kernel, or, where
//! the convolution skips pixels, a product per tap.

use rayon::prelude::*;

use super::{
    Images,
    product::{Strided, multiply},
};
use crate::{CompileError, Graph, Operation, Plan, ValueId, Window, Workspace, ops::Convolution};

/// How the gradient of the image is made.
#[derive(Debug)]
pub(super) enum ToImage {
    /// By a convolution with the turned kernel.
    Turned(Box<Plan>, Workspace),
    /// Tap by tap, from weights `[taps, outputs, inputs]`.
    Taps(Vec<f32>),
}

impl ToImage {
    pub(super) fn new(convolution: &Convolution) -> Result<Self, CompileError> {
        Ok(match turned(convolution) {
            Some(turned) => Self::Turned(Box::new(single(turned)?), Workspace::new()),
            None => Self::Taps(by_tap(convolution)),
        })
    }

    /// The gradient of images `of` from that of the convolution's results.
    pub(super) fn gradient(
        &mut self,
        convolution: &Convolution,
        of: Images,
        result: &[f32],
        results: Images,
    ) -> Result<Vec<f32>, crate::RunError> {
        match self {
            Self::Turned(plan, workspace) => {
                plan.run(workspace, result, results.shape())?;
                Ok(workspace.output(0).0.to_vec())
            }
            Self::Taps(weights) => {
                let mut gradient = vec![0.0; of.floats()];
                let each = gradient.par_chunks_mut(of.each());
                each.zip(result.par_chunks(results.each())).for_each(|(gradient, result)| {
                    taps_to_image(convolution, weights, (result, results), (gradient, of));
                });
                Ok(gradient)
            }
        }
    }
}

/// The convolution that takes gradients of results to gradients of images, if a stride does not
/// stand in its way.
fn turned(convolution: &Convolution) -> Option<Convolution> {
    let Window { kernel, stride, dilation, padding_begin, padding_end, .. } = convolution.window;
    if stride != [1, 1] {
        return None;
    }
    let rest = |padding: [usize; 2]| {
        let along = |axis: usize| ((kernel[axis] - 1) * dilation[axis]).checked_sub(padding[axis]);
        Some([along(0)?, along(1)?])
    };
    let window = Window {
        padding_begin: rest(padding_begin)?,
        padding_end: rest(padding_end)?,
        ..convolution.window
    };
    let (inputs, outputs) = (convolution.inputs, convolution.outputs());
    let taps = kernel[0] * kernel[1];
    let mut weights = Vec::with_capacity(convolution.weights.len());
    if convolution.is_depthwise() {
        convolution.weights.chunks(taps).for_each(|kernel| weights.extend(kernel.iter().rev()));
    } else {
        for input in 0..inputs {
            for output in 0..outputs {
                let kernel = &convolution.weights[(output * inputs + input) * taps..][..taps];
                weights.extend(kernel.iter().rev());
            }
        }
    }
    let groups = convolution.groups;
    Some(Convolution { weights, bias: vec![0.0; inputs], inputs: outputs, groups, window })
}

/// A plan of one convolution.
fn single(convolution: Convolution) -> Result<Plan, CompileError> {
    let mut graph = Graph::new(convolution.inputs);
    let output = graph.add(Operation::Convolution(convolution), &[ValueId::INPUT])?;
    graph.set_outputs(&[output])?;
    Plan::from_graph(graph)
}

/// Weights `[taps, outputs, inputs]` from `[outputs, inputs, taps]`.
fn by_tap(convolution: &Convolution) -> Vec<f32> {
    let taps = convolution.window.kernel[0] * convolution.window.kernel[1];
    let each = convolution.weights.len() / taps;
    let mut weights = vec![0.0; convolution.weights.len()];
    for (at, weight) in convolution.weights.iter().enumerate() {
        weights[at % taps * each + at / taps] = *weight;
    }
    weights
}

/// An image with its padding.
fn padded(window: &Window, image: &[f32], of: Images) -> Vec<f32> {
    let Images { height, width, channels, .. } = of;
    let [rows, columns] = padded_size(window, of);
    let mut result = vec![0.0; rows * columns * channels];
    for y in 0..height {
        let to = ((y + window.padding_begin[0]) * columns + window.padding_begin[1]) * channels;
        let row = &image[y * width * channels..][..width * channels];
        result[to..to + row.len()].copy_from_slice(row);
    }
    result
}

fn padded_size(window: &Window, of: Images) -> [usize; 2] {
    let along =
        |axis: usize, length: usize| window.padding_begin[axis] + length + window.padding_end[axis];
    [along(0, of.height), along(1, of.width)]
}

/// Adds the gradient of the weights, `[taps, inputs, outputs]`, that one image gives.
pub(super) fn add_weights_of_image(
    window: &Window,
    (image, of): (&[f32], Images),
    (result, results): (&[f32], Images),
    gradient: &mut [f32],
) {
    let [kernel_rows, kernel_columns] = window.kernel;
    let [_, columns] = padded_size(window, of);
    let (inputs, outputs) = (of.channels, results.channels);
    let is_padded = window.padding_begin != [0; 2] || window.padding_end != [0; 2];
    let padded = if is_padded { padded(window, image, of) } else { Vec::new() };
    let image = if is_padded { &padded[..] } else { image };

    // Taps side by side are one run of floats.
    let (calls, taps) =
        if window.dilation[1] == 1 { (1, kernel_columns) } else { (kernel_columns, 1) };
    // Without strides, all pixels of the results are rows at the same distance, once these are as
    // wide as the padded image.
    let whole = window.stride == [1, 1];
    let mut widened = Vec::new();
    let (result, pixels, bands) = if whole && columns != results.width {
        widened.resize(results.height * columns * outputs, 0.0);
        for (to, from) in
            widened.chunks_mut(columns * outputs).zip(result.chunks(results.width * outputs))
        {
            to[..from.len()].copy_from_slice(from);
        }
        (&widened[..], (results.height - 1) * columns + results.width, 1)
    } else if whole {
        (result, results.height * results.width, 1)
    } else {
        (result, results.width, results.height)
    };
    for band in 0..bands {
        let right = Strided::rows(outputs).at(band * results.width * outputs);
        for row in 0..kernel_rows {
            for call in 0..calls {
                let y = band * window.stride[0] + row * window.dilation[0];
                let x = call * window.dilation[1];
                let left = Strided {
                    start: (y * columns + x) * inputs,
                    row: 1,
                    column: window.stride[1] * inputs,
                };
                let tap = row * kernel_columns + call;
                let target = Strided::rows(outputs).at(tap * inputs * outputs);
                let size = [taps * inputs, pixels, outputs];
                multiply(size, (image, left), (result, right), (gradient, target), true);
            }
        }
    }
}

/// The gradient of one image, tap by tap.
fn taps_to_image(
    convolution: &Convolution,
    weights: &[f32],
    (result, results): (&[f32], Images),
    (gradient, of): (&mut [f32], Images),
) {
    let window = &convolution.window;
    let [rows, columns] = padded_size(window, of);
    let (inputs, outputs) = (of.channels, results.channels);
    let mut padded = vec![0.0; rows * columns * inputs];
    let depthwise = convolution.is_depthwise();
    for y in 0..results.height {
        let row = &result[y * results.width * outputs..][..results.width * outputs];
        for tap in 0..window.kernel[0] * window.kernel[1] {
            let (down, right) = (tap / window.kernel[1], tap % window.kernel[1]);
            let from_y = y * window.stride[0] + down * window.dilation[0];
            let start = (from_y * columns + right * window.dilation[1]) * inputs;
            let step = window.stride[1] * inputs;
            if depthwise {
                let weights = &weights[tap * inputs..][..inputs];
                for (x, result) in row.chunks_exact(outputs).enumerate() {
                    let pixel = &mut padded[start + x * step..][..inputs];
                    for ((pixel, weight), result) in pixel.iter_mut().zip(weights).zip(result) {
                        *pixel += weight * result;
                    }
                }
            } else {
                let target = Strided { start, row: step, column: 1 };
                let of_tap = Strided::rows(inputs).at(tap * outputs * inputs);
                multiply(
                    [results.width, outputs, inputs],
                    (row, Strided::rows(outputs)),
                    (weights, of_tap),
                    (&mut padded, target),
                    true,
                );
            }
        }
    }
    for (y, row) in gradient.chunks_exact_mut(of.width * inputs).enumerate() {
        let from = ((y + window.padding_begin[0]) * columns + window.padding_begin[1]) * inputs;
        row.copy_from_slice(&padded[from..from + row.len()]);
    }
}

/// Adds the gradient of a depthwise convolution's weights, `[taps, channels]`, that one image
/// gives.
pub(super) fn add_depthwise_weights_of_image(
    window: &Window,
    (image, of): (&[f32], Images),
    (result, results): (&[f32], Images),
    gradient: &mut [f32],
) {
    let channels = of.channels;
    let [_, columns] = padded_size(window, of);
    let padded = padded(window, image, of);
    for y in 0..results.height {
        let row = &result[y * results.width * channels..][..results.width * channels];
        for (tap, gradient) in gradient.chunks_exact_mut(channels).enumerate() {
            let (down, right) = (tap / window.kernel[1], tap % window.kernel[1]);
            let from_y = y * window.stride[0] + down * window.dilation[0];
            let start = (from_y * columns + right * window.dilation[1]) * channels;
            for (x, result) in row.chunks_exact(channels).enumerate() {
                let pixel = &padded[start + x * window.stride[1] * channels..][..channels];
                for ((gradient, pixel), result) in gradient.iter_mut().zip(pixel).zip(result) {
                    *gradient += pixel * result;
                }
            }
        }
    }
}

/// The gradients of weights and bias over a batch: each image's by itself, then their sum in the
/// images' order, so that the number of threads does not change it.
pub(super) fn parameters(
    convolution: &Convolution,
    (images, of): (&[f32], Images),
    (result, results): (&[f32], Images),
) -> (Vec<f32>, Vec<f32>) {
    let window = &convolution.window;
    let (count, outputs) = (convolution.weights.len(), convolution.outputs());
    let depthwise = convolution.is_depthwise();
    let pairs = images.par_chunks(of.each()).zip(result.par_chunks(results.each()));
    let each: Vec<(Vec<f32>, Vec<f32>)> = pairs
        .map(|(image, result)| {
            let mut weights = vec![0.0; count];
            if depthwise {
                let (image, result) = ((image, of), (result, results));
                add_depthwise_weights_of_image(window, image, result, &mut weights);
            } else {
                add_weights_of_image(window, (image, of), (result, results), &mut weights);
            }
            let mut bias = vec![0.0; outputs];
            for pixel in result.chunks_exact(outputs) {
                bias.iter_mut().zip(pixel).for_each(|(bias, value)| *bias += value);
            }
            (weights, bias)
        })
        .collect();
    let taps = window.kernel[0] * window.kernel[1];
    let mut sums = vec![0.0; count];
    let mut bias = vec![0.0; outputs];
    for (of_weights, of_bias) in &each {
        sums.iter_mut().zip(of_weights).for_each(|(sum, value)| *sum += value);
        bias.iter_mut().zip(of_bias).for_each(|(sum, value)| *sum += value);
    }
    // From `[taps, inputs, outputs]` to `[outputs, inputs, taps]`; depthwise, from `[taps,
    // channels]` to `[channels, taps]`.
    let inputs = count / taps / outputs;
    let mut weights = vec![0.0; count];
    for tap in 0..taps {
        for input in 0..inputs {
            let row = &sums[(tap * inputs + input) * outputs..][..outputs];
            for (output, value) in row.iter().enumerate() {
                weights[(output * inputs + input) * taps + tap] = *value;
            }
        }
    }
    (weights, bias)
}
