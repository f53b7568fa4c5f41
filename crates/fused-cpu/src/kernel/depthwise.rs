//! Depthwise convolution: every channel by itself.

use super::{
    Epilogue, View, Window,
    isa::dispatch,
    lanes::{Lanes, split},
};

/// Output pixels computed together, so that a weight is loaded once for all of them.
const TILE: usize = 4;

/// A row of a depthwise convolution.
pub(crate) struct DepthwiseRow<'a> {
    pub(crate) arena: *mut f32,
    /// Moved to its border by the window's padding.
    pub(crate) input: View,
    pub(crate) output: View,
    pub(crate) window: &'a Window,
    /// `[kernel height, kernel width, channels]`.
    pub(crate) weights: &'a [f32],
    /// `[channels]`.
    pub(crate) bias: &'a [f32],
    pub(crate) epilogue: Epilogue,
    /// Number of the output row.
    pub(crate) y: usize,
}

dispatch! {
    /// Computes a row.
    ///
    /// # Safety
    /// The processor must have the instruction set. The row's windows and the output row must lie
    /// within the arena; no other thread may write what is read or touch what is written.
    pub(crate) unsafe fn depthwise(row: &DepthwiseRow<'_>) = depthwise_row
}

#[inline(always)]
unsafe fn depthwise_row<V: Lanes>(row: &DepthwiseRow<'_>) {
    let (vectors, rest) = split::<V>(row.output.channels);
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
unsafe fn channels<V: Lanes>(row: &DepthwiseRow<'_>, channel: usize) {
    let Window { kernel, stride, dilation, .. } = *row.window;
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
    row: &DepthwiseRow<'_>,
    channel: usize,
) {
    const { assert!(COLUMNS == (TILE - 1) * STRIDE + 3) };
    let DepthwiseRow { arena, input, output, y, .. } = *row;
    unsafe {
        let weights: [V; 9] = std::array::from_fn(|tap| {
            V::load(row.weights.as_ptr().add(tap * output.channels + channel))
        });
        let bias = V::load(row.bias.as_ptr().add(channel));
        let first = y * row.window.stride[0];
        let rows: [*const f32; 3] = std::array::from_fn(|ky| {
            let from = input.at(first + ky * row.window.dilation[0], 0) + channel;
            arena.add(from).cast_const()
        });
        let to = arena.add(output.at(y, 0) + channel);

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
                row.epilogue.clamp(*sum).store(to.add((x + pixel) * output.pixel));
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
            row.epilogue.clamp(sum).store(to.add(x * output.pixel));
        }
    }
}

#[inline(always)]
unsafe fn channels_of_any_kernel<V: Lanes>(row: &DepthwiseRow<'_>, channel: usize) {
    let DepthwiseRow { arena, input, output, y, .. } = *row;
    let Window { kernel, stride, dilation, .. } = *row.window;
    unsafe {
        for x in 0..output.width {
            let mut sum = V::load(row.bias.as_ptr().add(channel));
            let mut weights = row.weights.as_ptr().add(channel);
            for ky in 0..kernel[0] {
                for kx in 0..kernel[1] {
                    let (from_y, from_x) =
                        (y * stride[0] + ky * dilation[0], x * stride[1] + kx * dilation[1]);
                    let value = V::load(arena.add(input.at(from_y, from_x) + channel));
                    sum = value.mul_add(V::load(weights), sum);
                    weights = weights.add(output.channels);
                }
            }
            row.epilogue.clamp(sum).store(arena.add(output.at(y, x) + channel));
        }
    }
}
