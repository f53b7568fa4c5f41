//! Maxima and means over windows.

use std::sync::Arc;

use super::{Describe, Halo, Kernel, Packed, SizeRule, Span, one_input, pixelwise::Row};
use crate::{
    CompileError, Isa, Window,
    execution::StepRun,
    simd::{
        dispatch,
        lanes::{Lanes, split},
    },
    view::View,
};

/// A pool. Its padding is not read: only pixels of the image count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pool {
    /// The window.
    pub window: Window,
    /// What is kept of it.
    pub pooling: Pooling,
}

/// What is kept of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value within the image.
    Max,
    /// The mean, of the pixels within the image or of these and the padding.
    Average {
        /// Whether the padding counts.
        count_padding: bool,
    },
}

impl Describe for Pool {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        self.window.validate()?;
        one_input("a pool", inputs)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Window(self.window)
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Kernel(Arc::new(*self))
    }
}

impl Kernel for Pool {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { pool(step.isa, &Row { kernel: self, step, y }) });
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn pool(row: &Row<'_, Pool>) = pool_row
}

#[inline(always)]
unsafe fn pool_row<V: Lanes>(row: &Row<'_, Pool>) {
    let (window, input, output) = (&row.kernel.window, &row.step.input, &row.step.output);
    let ys = Range::of(window, 0, row.y, input.height);
    for x in 0..output.width {
        let xs = Range::of(window, 1, x, input.width);
        let (vectors, rest) = split::<V>(output.channels);
        unsafe {
            for channel in vectors {
                pool_channels::<V>(row, &ys, &xs, x, channel);
            }
            for channel in rest {
                pool_channels::<f32>(row, &ys, &xs, x, channel);
            }
        }
    }
    // Safety: the row is this task's own.
    unsafe { row.step.finish_row(row.y) };
}

/// The pixels of a window along an axis: those within the image, and how many it would be with the
/// padding.
struct Range {
    first: usize,
    step: usize,
    count: usize,
    padded: usize,
}

impl Range {
    #[inline(always)]
    fn of(window: &Window, axis: usize, position: usize, length: usize) -> Self {
        let (step, before) = (window.dilation[axis], window.padding_begin[axis]);
        // In padded coordinates, where the image lies from `before` to `before + length`.
        let start = position * window.stride[axis];
        let kernel = window.kernel[axis];
        let skipped = before.saturating_sub(start).div_ceil(step);
        let inside = (before + length).saturating_sub(start).div_ceil(step).min(kernel);
        let end = before + length + window.padding_end[axis];
        let padded = end.saturating_sub(start).div_ceil(step).min(kernel);
        Self {
            first: (start + skipped * step).saturating_sub(before),
            step,
            count: inside.saturating_sub(skipped),
            padded,
        }
    }
}

#[inline(always)]
unsafe fn pool_channels<V: Lanes>(
    row: &Row<'_, Pool>,
    ys: &Range,
    xs: &Range,
    x: usize,
    channel: usize,
) {
    let (step, pooling) = (row.step, row.kernel.pooling);
    unsafe {
        let start = if pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 };
        let mut pooled = V::splat(start);
        for step_y in 0..ys.count {
            for step_x in 0..xs.count {
                let (from_y, from_x) = (ys.first + step_y * ys.step, xs.first + step_x * xs.step);
                let from = step.input.at(from_y, from_x) + channel;
                let value = V::load(step.source.at(from, V::COUNT));
                pooled = match pooling {
                    Pooling::Max => pooled.max(value),
                    Pooling::Average { .. } => pooled.add(value),
                };
            }
        }
        if let Pooling::Average { count_padding } = pooling {
            let pixels = if count_padding { ys.padded * xs.padded } else { ys.count * xs.count };
            pooled = pooled.mul(V::splat(1.0 / pixels as f32));
        }
        let to = step.arena.at(step.output.at(row.y, x) + channel, V::COUNT);
        step.clamp.apply(pooled).store(to);
    }
}
