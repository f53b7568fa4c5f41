//! What the operations that look at one pixel at a time have in common.

use crate::{
    execution::StepRun,
    simd::{
        MAX_LANES,
        lanes::{Lanes, split},
    },
    view::{Source, View},
};

/// What happens to some channels of a pixel.
pub(super) trait OnChannels: Copy {
    /// # Safety
    /// As [`Lanes`]'; `channel` and those after it that `V` holds must exist.
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V;
}

/// Multiplication of all channels by one factor.
#[derive(Clone, Copy)]
pub(super) struct Scale(pub(super) f32);

impl OnChannels for Scale {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, _channel: usize) -> V {
        unsafe { value.mul(V::splat(self.0)) }
    }
}

/// Values of channels for as many pixels as [`each_pixel`] may take as one.
pub(super) fn for_several_pixels(channels: &[f32]) -> Vec<f32> {
    channels.repeat(if channels.len() < MAX_LANES { MAX_LANES } else { 1 })
}

/// A row of a step's output.
pub(super) struct Row<'a, K> {
    pub(super) kernel: &'a K,
    pub(super) step: &'a StepRun<'a>,
    /// Number of the row.
    pub(super) y: usize,
}

/// The first float of a row that is read.
#[inline(always)]
pub(super) fn row_start(source: Source, view: &View, y: usize) -> *const f32 {
    source.at(view.at(y, 0), view.row_span())
}

/// Computes a row: `on` says what happens to the pixel of a number whose channels begin at a
/// pointer.
///
/// Where pixels of few channels lie side by side and `alike` says that the operation knows the
/// channels of [`MAX_LANES`] pixels from the first on, so many pixels are taken as one.
///
/// # Safety
/// As [`Lanes`]'; no other thread may write what is read or touch what is written.
#[inline(always)]
pub(super) unsafe fn each_pixel<V: Lanes, O: OnChannels>(
    step: &StepRun<'_>,
    y: usize,
    alike: bool,
    on: impl Fn(usize, *const f32) -> O,
) {
    let (input, output) = (&step.input, &step.output);
    let from = row_start(step.source, input, y);
    let to = step.arena.at(output.at(y, 0), output.row_span());
    let (channels, clamp) = (output.channels, step.clamp);
    let side_by_side = input.pixel == channels && output.pixel == channels;
    let together = if alike && side_by_side && channels < V::COUNT { V::COUNT } else { 1 };
    let mut x = 0;
    while x < output.width {
        let pixels = if x + together <= output.width { together } else { 1 };
        unsafe {
            let (from, to) = (from.add(x * input.pixel), to.add(x * output.pixel));
            let operation = on(x, from);
            let (vectors, rest) = split::<V>(pixels * channels);
            for channel in vectors {
                let value = operation.apply(V::load(from.add(channel)), channel);
                clamp.apply(value).store(to.add(channel));
            }
            for channel in rest {
                let value = operation.apply(*from.add(channel), channel);
                *to.add(channel) = clamp.apply(value);
            }
        }
        x += pixels;
    }
    // Safety: the row is this task's own.
    unsafe { step.finish_row(y) };
}
