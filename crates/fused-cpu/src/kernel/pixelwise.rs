//! What looks at one pixel at a time: sums, factors, norms, softmax.

use super::{
    Epilogue, View,
    isa::dispatch,
    lanes::{Lanes, split},
};

/// What happens to the pixels of a row.
pub(crate) enum PixelOperation<'a> {
    /// A factor and an offset a channel.
    Affine { scale: &'a [f32], shift: &'a [f32] },
    /// The sum with another picture.
    Add(View),
    /// As it is.
    Copy,
    /// Division by the L2 norm over the channels, `epsilon` added to the sum of squares.
    L2Norm { epsilon: f32 },
    /// Softmax over the channels.
    Softmax,
}

/// A row of pixels.
pub(crate) struct PixelRow<'a> {
    pub(crate) arena: *mut f32,
    /// Where the input lies; the arena, but for the plan's own input.
    pub(crate) source: *const f32,
    pub(crate) input: View,
    pub(crate) output: View,
    pub(crate) operation: PixelOperation<'a>,
    pub(crate) epilogue: Epilogue,
    /// Number of the output row.
    pub(crate) y: usize,
}

dispatch! {
    /// Computes a row.
    ///
    /// # Safety
    /// The processor must have the instruction set. The input row must lie within `source`, the
    /// other rows within the arena; no other thread may write what is read or touch what is
    /// written.
    pub(crate) unsafe fn pixelwise(row: &PixelRow<'_>) = pixelwise_row
}

#[inline(always)]
unsafe fn pixelwise_row<V: Lanes>(row: &PixelRow<'_>) {
    let y = row.y;
    for x in 0..row.output.width {
        unsafe {
            let from = row.source.add(row.input.at(y, x));
            let to = row.arena.add(row.output.at(y, x));
            match &row.operation {
                PixelOperation::Affine { scale, shift } => each::<V>(
                    row,
                    from,
                    to,
                    Affine { scale: scale.as_ptr(), shift: shift.as_ptr() },
                ),
                PixelOperation::Add(other) => {
                    each::<V>(row, from, to, Add(row.arena.add(other.at(y, x))));
                }
                PixelOperation::Copy => each::<V>(row, from, to, Scale(1.0)),
                PixelOperation::L2Norm { epsilon } => {
                    let sum = sum_of_squares::<V>(from, row.output.channels) + epsilon;
                    each::<V>(row, from, to, Scale(1.0 / sum.sqrt()));
                }
                PixelOperation::Softmax => softmax(from, to, row.output.channels),
            }
        }
    }
}

/// What happens to some channels of a pixel.
trait OnChannels: Copy {
    /// # Safety
    /// As [`Lanes`]'; `channel` and those after it that `V` holds must exist.
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V;
}

#[derive(Clone, Copy)]
struct Affine {
    scale: *const f32,
    shift: *const f32,
}

impl OnChannels for Affine {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V {
        unsafe { value.mul_add(V::load(self.scale.add(channel)), V::load(self.shift.add(channel))) }
    }
}

#[derive(Clone, Copy)]
struct Add(*const f32);

impl OnChannels for Add {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V {
        unsafe { value.add(V::load(self.0.add(channel))) }
    }
}

#[derive(Clone, Copy)]
struct Scale(f32);

impl OnChannels for Scale {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, _channel: usize) -> V {
        unsafe { value.mul(V::splat(self.0)) }
    }
}

#[inline(always)]
unsafe fn each<V: Lanes>(
    row: &PixelRow<'_>,
    from: *const f32,
    to: *mut f32,
    operation: impl OnChannels,
) {
    let (vectors, rest) = split::<V>(row.output.channels);
    unsafe {
        for channel in vectors {
            let value = operation.apply(V::load(from.add(channel)), channel);
            row.epilogue.clamp(value).store(to.add(channel));
        }
        for channel in rest {
            let value = operation.apply(*from.add(channel), channel);
            *to.add(channel) = row.epilogue.clamp(value);
        }
    }
}

#[inline(always)]
unsafe fn sum_of_squares<V: Lanes>(from: *const f32, channels: usize) -> f32 {
    let (vectors, rest) = split::<V>(channels);
    unsafe {
        let mut sums = V::splat(0.0);
        for channel in vectors {
            let value = V::load(from.add(channel));
            sums = value.mul_add(value, sums);
        }
        // At most 16 lanes.
        let mut lanes = [0.0; 16];
        sums.store(lanes.as_mut_ptr());
        let rest = rest.map(|channel| (*from.add(channel)).powi(2)).sum::<f32>();
        lanes.iter().sum::<f32>() + rest
    }
}

/// Softmax of `channels` floats.
///
/// # Safety
/// Both pointers must be valid for `channels` floats.
unsafe fn softmax(from: *const f32, to: *mut f32, channels: usize) {
    let (from, to) = unsafe {
        (std::slice::from_raw_parts(from, channels), std::slice::from_raw_parts_mut(to, channels))
    };
    let largest = from.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (to, from) in to.iter_mut().zip(from) {
        *to = (from - largest).exp();
        sum += *to;
    }
    for to in to {
        *to /= sum;
    }
}
