//! Maxima and means over windows.

use super::{
    Epilogue, View, Window,
    isa::dispatch,
    lanes::{Lanes, split},
};

/// What is kept of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pooling {
    /// The largest value within the picture.
    Max,
    /// The mean, of the pixels within the picture or of these and the padding.
    Average {
        /// Whether the padding counts.
        count_padding: bool,
    },
}

/// A row of pooled pixels.
pub(crate) struct PoolRow<'a> {
    pub(crate) arena: *mut f32,
    pub(crate) input: View,
    pub(crate) output: View,
    pub(crate) window: &'a Window,
    pub(crate) pooling: Pooling,
    pub(crate) epilogue: Epilogue,
    /// Number of the output row.
    pub(crate) y: usize,
}

dispatch! {
    /// Computes a row.
    ///
    /// # Safety
    /// The processor must have the instruction set. The pictures must lie within the arena; no
    /// other thread may write what is read or touch what is written.
    pub(crate) unsafe fn pool(row: &PoolRow<'_>) = pool_row
}

#[inline(always)]
unsafe fn pool_row<V: Lanes>(row: &PoolRow<'_>) {
    let ys = within(row.window, 0, row.y, row.input.height);
    for x in 0..row.output.width {
        let xs = within(row.window, 1, x, row.input.width);
        let (vectors, rest) = split::<V>(row.output.channels);
        unsafe {
            for channel in vectors {
                pool_channels::<V>(row, &ys, &xs, x, channel);
            }
            for channel in rest {
                pool_channels::<f32>(row, &ys, &xs, x, channel);
            }
        }
    }
}

/// The pixels of a window along an axis: those within the picture, and how many it would be with
/// the padding.
struct Span {
    first: usize,
    step: usize,
    count: usize,
    padded: usize,
}

#[inline(always)]
fn within(window: &Window, axis: usize, position: usize, length: usize) -> Span {
    let (step, before) = (window.dilation[axis], window.before[axis]);
    // In padded coordinates, where the picture lies from `before` to `before + length`.
    let start = position * window.stride[axis];
    let skipped = before.saturating_sub(start).div_ceil(step);
    let inside = (before + length).saturating_sub(start).div_ceil(step).min(window.kernel[axis]);
    let end = before + length + window.after[axis];
    let padded = end.saturating_sub(start).div_ceil(step).min(window.kernel[axis]);
    Span {
        first: (start + skipped * step).saturating_sub(before),
        step,
        count: inside.saturating_sub(skipped),
        padded,
    }
}

#[inline(always)]
unsafe fn pool_channels<V: Lanes>(
    row: &PoolRow<'_>,
    ys: &Span,
    xs: &Span,
    x: usize,
    channel: usize,
) {
    let y = row.y;
    unsafe {
        let start = if row.pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 };
        let mut pooled = V::splat(start);
        for step_y in 0..ys.count {
            for step_x in 0..xs.count {
                let (from_y, from_x) = (ys.first + step_y * ys.step, xs.first + step_x * xs.step);
                let from = row.input.at(from_y, from_x) + channel;
                let value = V::load(row.arena.add(from));
                pooled = match row.pooling {
                    Pooling::Max => pooled.max(value),
                    Pooling::Average { .. } => pooled.add(value),
                };
            }
        }
        if let Pooling::Average { count_padding } = row.pooling {
            let pixels = if count_padding { ys.padded * xs.padded } else { ys.count * xs.count };
            pooled = pooled.mul(V::splat(1.0 / pixels as f32));
        }
        let to = row.arena.add(row.output.at(y, x) + channel);
        row.epilogue.clamp(pooled).store(to);
    }
}
