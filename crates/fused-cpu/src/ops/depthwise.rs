//! Depthwise convolution: every channel by itself.

use std::ops::Range;

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
        step.row_ranges(|rows| {
            let rows = Rows { kernel: self, step, input, rows };
            // Safety: one task per row, which writes nothing else.
            unsafe {
                depthwise(step.isa, &rows);
                for y in rows.rows {
                    step.finish_row(y);
                }
            }
        });
    }
}

/// Rows of the output.
struct Rows<'a> {
    kernel: &'a Depthwise,
    step: &'a StepRun<'a>,
    /// Moved to its border by the window's padding.
    input: View,
    rows: Range<usize>,
}

impl Rows<'_> {
    /// The first float that a row of the window reads for a row of the output, checked up to the
    /// last.
    #[inline(always)]
    fn source(&self, y: usize, ky: usize) -> *const f32 {
        let Window { kernel, stride, dilation, .. } = self.kernel.window;
        let last = (self.step.output.width - 1) * stride[1] + (kernel[1] - 1) * dilation[1];
        let reach = last * self.input.pixel + self.input.channels;
        self.step.source.at(self.input.at(y * stride[0] + ky * dilation[0], 0), reach)
    }

    #[inline(always)]
    fn target(&self, y: usize) -> *mut f32 {
        let output = &self.step.output;
        self.step.arena.at(output.at(y, 0), output.row_span())
    }
}

dispatch! {
    /// Computes rows.
    ///
    /// # Safety
    /// The processor must have the instruction set; the rows must be the caller's alone.
    unsafe fn depthwise(rows: &Rows<'_>) = depthwise_rows
}

#[inline(always)]
unsafe fn depthwise_rows<V: Lanes>(rows: &Rows<'_>) {
    let Window { kernel, stride, dilation, .. } = rows.kernel.window;
    // Two rows at once read four rows of the input and not six, if the registers hold their sums.
    let paired = kernel == [3; 2] && stride == [1; 2] && dilation == [1; 2] && V::REGISTERS >= 32;
    let mut y = rows.rows.start;
    while y < rows.rows.end {
        let (vectors, rest) = split::<V>(rows.step.output.channels);
        if paired && y + 1 < rows.rows.end {
            unsafe {
                for channel in vectors {
                    channels_3x3::<V, 1, 6, 2, 4>(rows, y, channel);
                }
                for channel in rest {
                    channels_3x3::<f32, 1, 6, 2, 4>(rows, y, channel);
                }
            }
            y += 2;
        } else {
            unsafe {
                for channel in vectors {
                    channels::<V>(rows, y, channel);
                }
                for channel in rest {
                    channels::<f32>(rows, y, channel);
                }
            }
            y += 1;
        }
    }
}

/// The channels of a row from `channel`, as many as `V` holds.
#[inline(always)]
unsafe fn channels<V: Lanes>(rows: &Rows<'_>, y: usize, channel: usize) {
    let Window { kernel, stride, dilation, .. } = rows.kernel.window;
    unsafe {
        match (kernel, stride[1], dilation) {
            ([3, 3], 1, [1, 1]) => channels_3x3::<V, 1, 6, 1, 3>(rows, y, channel),
            ([3, 3], 2, [1, 1]) => channels_3x3::<V, 2, 9, 1, 3>(rows, y, channel),
            _ => channels_of_any_kernel::<V>(rows, y, channel),
        }
    }
}

/// 3 x 3 with a horizontal stride of `STRIDE`; `COLUMNS` input columns make [`TILE`] pixels, and `READ`
/// rows of them `ROWS` rows, of which there is one if the vertical stride is not 1.
#[inline(always)]
unsafe fn channels_3x3<
    V: Lanes,
    const STRIDE: usize,
    const COLUMNS: usize,
    const ROWS: usize,
    const READ: usize,
>(
    rows: &Rows<'_>,
    y: usize,
    channel: usize,
) {
    const { assert!(COLUMNS == (TILE - 1) * STRIDE + 3 && READ == ROWS + 2) };
    let Rows { kernel, step, input, .. } = rows;
    let output = &step.output;
    unsafe {
        let weights: [V; 9] = std::array::from_fn(|tap| {
            V::load(kernel.weights.as_ptr().add(tap * output.channels + channel))
        });
        let bias = V::load(kernel.bias.as_ptr().add(channel));
        let from: [*const f32; READ] = std::array::from_fn(|row| {
            // Rows after the third are the next output row's last.
            let (y, ky) = if row < 3 { (y, row) } else { (y + row - 2, 2) };
            rows.source(y, ky).add(channel)
        });
        let to: [*mut f32; ROWS] = std::array::from_fn(|row| rows.target(y + row).add(channel));

        let mut x = 0;
        while x + TILE <= output.width {
            let mut sums = [[bias; TILE]; ROWS];
            for (read, from) in from.iter().enumerate() {
                let from = from.add(x * STRIDE * input.pixel);
                let columns: [V; COLUMNS] =
                    std::array::from_fn(|column| V::load(from.add(column * input.pixel)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    if read < row || read >= row + 3 {
                        continue;
                    }
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        for kx in 0..3 {
                            let weight = weights[3 * (read - row) + kx];
                            *sum = columns[pixel * STRIDE + kx].mul_add(weight, *sum);
                        }
                    }
                }
            }
            for (sums, to) in sums.iter().zip(to) {
                for (pixel, sum) in sums.iter().enumerate() {
                    step.clamp.apply(*sum).store(to.add((x + pixel) * output.pixel));
                }
            }
            x += TILE;
        }
        for x in x..output.width {
            for (row, to) in to.iter().enumerate() {
                let mut sum = bias;
                for (ky, from) in from[row..row + 3].iter().enumerate() {
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
}

#[inline(always)]
unsafe fn channels_of_any_kernel<V: Lanes>(rows: &Rows<'_>, y: usize, channel: usize) {
    let Rows { kernel: Depthwise { weights, bias, window }, step, input, .. } = rows;
    let Window { kernel, stride, dilation, .. } = window;
    let output = &step.output;
    unsafe {
        let to = rows.target(y).add(channel);
        for x in 0..output.width {
            let mut sum = V::load(bias.as_ptr().add(channel));
            let mut weights = weights.as_ptr().add(channel);
            for ky in 0..kernel[0] {
                let from = rows.source(y, ky).add(channel);
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
