//! Depthwise convolution: every channel by itself.

use super::{Convolution, Kernel, Span};
use crate::{
    Window,
    execution::StepRun,
    simd::{
        dispatch,
        lanes::{Lanes, split},
    },
    view::View,
};

/// Output pixels computed together, so that a weight is loaded once for all of them.
const TILE: usize = 4;

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct Depthwise {
    /// `[kernel height, kernel width, channels]`.
    weights: Vec<f32>,
    /// `[channels]`.
    bias: Vec<f32>,
    window: Window,
}

impl Depthwise {
    /// Brings the weights `[channels, 1, kernel height, kernel width]` into the kernel's order.
    pub(super) fn pack(convolution: &Convolution) -> Self {
        let Convolution { weights, bias, window, .. } = convolution;
        let (taps, channels) = (window.kernel[0] * window.kernel[1], bias.len());
        let packed =
            (0..taps * channels).map(|at| weights[at % channels * taps + at / channels]).collect();
        Self { weights: packed, bias: bias.clone(), window: *window }
    }
}

impl Kernel for Depthwise {
    fn weight_bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }

    fn scratch_floats(&self, _output: [usize; 2]) -> Option<usize> {
        Some(0)
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn reads_rows(&self) -> Option<Window> {
        Some(self.window)
    }

    fn run(&self, step: &StepRun<'_>) {
        let (window, channels) = (&self.window, step.output.channels);
        let taps = window.kernel[0] * window.kernel[1];
        assert!(self.bias.len() == channels && self.weights.len() == taps * channels);
        let [above, left] = window.padding_begin;
        let input = step.input.with_border(above, left);
        step.rows(|y| {
            let row = Row { kernel: self, step, input, y };
            // Safety: one task per row, which writes nothing else.
            unsafe {
                depthwise(step.isa, &row);
                step.finish_row(y);
            }
        });
    }
}

/// A row of the output.
struct Row<'a> {
    kernel: &'a Depthwise,
    step: &'a StepRun<'a>,
    /// Moved to its border by the window's padding.
    input: View,
    /// Number of the row.
    y: usize,
}

impl Row<'_> {
    /// The first float that a row of the window reads, checked up to the last.
    #[inline(always)]
    fn source(&self, ky: usize) -> *const f32 {
        let Window { kernel, stride, dilation, .. } = self.kernel.window;
        let last = (self.step.output.width - 1) * stride[1] + (kernel[1] - 1) * dilation[1];
        let reach = last * self.input.pixel + self.input.channels;
        self.step.source.at(self.input.at(self.y * stride[0] + ky * dilation[0], 0), reach)
    }

    #[inline(always)]
    fn target(&self) -> *mut f32 {
        let output = &self.step.output;
        self.step.arena.at(output.at(self.y, 0), output.row_span())
    }
}

dispatch! {
    /// Computes a row.
    ///
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn depthwise(row: &Row<'_>) = depthwise_row
}

#[inline(always)]
unsafe fn depthwise_row<V: Lanes>(row: &Row<'_>) {
    let (vectors, rest) = split::<V>(row.step.output.channels);
    unsafe {
        for channel in vectors {
            channels::<V>(row, channel);
        }
        for channel in rest {
            channels::<f32>(row, channel);
        }
    }
}

/// The row's channels from `channel`, as many as `V` holds.
#[inline(always)]
unsafe fn channels<V: Lanes>(row: &Row<'_>, channel: usize) {
    let Window { kernel, stride, dilation, .. } = row.kernel.window;
    unsafe {
        match (kernel, stride[1], dilation[1]) {
            ([3, 3], 1, 1) => channels_3x3::<V, 1, 6>(row, channel),
            ([3, 3], 2, 1) => channels_3x3::<V, 2, 9>(row, channel),
            _ => channels_of_any_kernel::<V>(row, channel),
        }
    }
}

/// 3 x 3 with a horizontal stride of `STRIDE`; `COLUMNS` input columns make [`TILE`] pixels.
#[inline(always)]
unsafe fn channels_3x3<V: Lanes, const STRIDE: usize, const COLUMNS: usize>(
    row: &Row<'_>,
    channel: usize,
) {
    const { assert!(COLUMNS == (TILE - 1) * STRIDE + 3) };
    let Row { kernel, step, input, .. } = row;
    let output = &step.output;
    unsafe {
        let weights: [V; 9] = std::array::from_fn(|tap| {
            V::load(kernel.weights.as_ptr().add(tap * output.channels + channel))
        });
        let bias = V::load(kernel.bias.as_ptr().add(channel));
        let rows: [*const f32; 3] = std::array::from_fn(|ky| row.source(ky).add(channel));
        let to = row.target().add(channel);

        let mut x = 0;
        while x + TILE <= output.width {
            let mut sums = [bias; TILE];
            for (ky, from) in rows.iter().enumerate() {
                let from = from.add(x * STRIDE * input.pixel);
                let columns: [V; COLUMNS] =
                    std::array::from_fn(|column| V::load(from.add(column * input.pixel)));
                for (pixel, sum) in sums.iter_mut().enumerate() {
                    for kx in 0..3 {
                        *sum = columns[pixel * STRIDE + kx].mul_add(weights[3 * ky + kx], *sum);
                    }
                }
            }
            for (pixel, sum) in sums.iter().enumerate() {
                step.clamp.apply(*sum).store(to.add((x + pixel) * output.pixel));
            }
            x += TILE;
        }
        for x in x..output.width {
            let mut sum = bias;
            for (ky, from) in rows.iter().enumerate() {
                let from = from.add(x * STRIDE * input.pixel);
                for kx in 0..3 {
                    let value = V::load(from.add(kx * input.pixel));
                    sum = value.mul_add(weights[3 * ky + kx], sum);
                }
            }
            step.clamp.apply(sum).store(to.add(x * output.pixel));
        }
    }
}

#[inline(always)]
unsafe fn channels_of_any_kernel<V: Lanes>(row: &Row<'_>, channel: usize) {
    let Row { kernel: Depthwise { weights, bias, window }, step, input, .. } = row;
    let Window { kernel, stride, dilation, .. } = window;
    let output = &step.output;
    unsafe {
        let to = row.target().add(channel);
        for x in 0..output.width {
            let mut sum = V::load(bias.as_ptr().add(channel));
            let mut weights = weights.as_ptr().add(channel);
            for ky in 0..kernel[0] {
                let from = row.source(ky).add(channel);
                for kx in 0..kernel[1] {
                    let from_x = x * stride[1] + kx * dilation[1];
                    let value = V::load(from.add(from_x * input.pixel));
                    sum = value.mul_add(V::load(weights), sum);
                    weights = weights.add(output.channels);
                }
            }
            step.clamp.apply(sum).store(to.add(x * output.pixel));
        }
    }
}
