//! What runs on every pixel: the only unsafe code of the crate.
//!
//! Kernels work on pictures in the arena of a workspace, channels innermost (NHWC). Each is written
//! once over [`lanes::Lanes`] and compiled for every instruction set.
#![allow(
    unsafe_code,
    reason = "vector instructions and a shared arena; each kernel has its contract"
)]

pub(crate) mod convolution;
pub(crate) mod depthwise;
mod isa;
mod lanes;
pub(crate) mod pixelwise;
pub(crate) mod pooling;
pub(crate) mod winograd;

pub use isa::Isa;
use lanes::Lanes;

/// The bounds that an operation's results are clamped to: an activation of ReLU's family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epilogue {
    /// Lower bound; minus infinity for none.
    pub min: f32,
    /// Upper bound; infinity for none.
    pub max: f32,
}

impl Epilogue {
    /// No bounds.
    pub const NONE: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// # Safety
    /// As [`Lanes`]'.
    #[inline(always)]
    unsafe fn clamp<V: Lanes>(&self, value: V) -> V {
        // The bound stands first, for x86's maximum of a number and NaN is its second operand.
        unsafe { V::splat(self.max).min(V::splat(self.min).max(value)) }
    }
}

/// Where a picture lies in the arena, in floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The first channel of the upper left pixel.
    pub(crate) origin: usize,
    /// From row to row.
    pub(crate) row: usize,
    /// From pixel to pixel.
    pub(crate) pixel: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl View {
    /// The offset of a pixel's first channel.
    pub(crate) fn at(&self, y: usize, x: usize) -> usize {
        self.origin + y * self.row + x * self.pixel
    }

    /// Floats of the picture, if nothing lies between its pixels.
    pub(crate) fn floats(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The view moved to begin `rows` and `columns` earlier, in its halo.
    pub(crate) fn with_border(&self, rows: usize, columns: usize) -> Self {
        Self { origin: self.origin - rows * self.row - columns * self.pixel, ..*self }
    }
}

/// How a window moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distances of the kernel's pixels.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub before: [usize; 2],
    /// Padding below and to the right.
    pub after: [usize; 2],
    /// Whether a last window that lacks pixels counts.
    pub ceil: bool,
}

impl Window {
    /// Number of positions along an axis of `length` pixels; zero if the window does not fit.
    pub(crate) fn positions(&self, axis: usize, length: usize) -> usize {
        let padded = length + self.before[axis] + self.after[axis];
        let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let stride = self.stride[axis];
        match padded.checked_sub(extent) {
            None => 0,
            Some(room) if !self.ceil => room / stride + 1,
            Some(room) => {
                let positions = room.div_ceil(stride) + 1;
                // A window must begin within the picture or the padding before it.
                let begins = (positions - 1) * stride < length + self.before[axis];
                if begins { positions } else { positions - 1 }
            }
        }
    }
}
