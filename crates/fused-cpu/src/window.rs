//! How a window moves over an image.

use crate::CompileError;

/// The window of a convolution or a pool. Arrays hold the vertical value first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width, in pixels of the window.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distances between the pixels of the window.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub padding_begin: [usize; 2],
    /// Padding below and to the right.
    pub padding_end: [usize; 2],
    /// Whether a last position counts whose window is partly outside (ONNX's `ceil_mode`).
    pub ceil: bool,
}

/// Largest value of a window's fields. Far above any network's, it keeps the arithmetic of sizes
/// from overflowing on 32-bit targets.
const MAX_EXTENT: usize = 4096;

impl Window {
    /// A single pixel: the window of a 1 x 1 convolution.
    pub const POINT: Self = Self {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding_begin: [0; 2],
        padding_end: [0; 2],
        ceil: false,
    };

    /// # Errors
    /// If a field is zero that must not be, or is beyond any sensible value.
    pub(crate) fn validate(&self) -> Result<(), CompileError> {
        let positive = [self.kernel, self.stride, self.dilation].as_flattened().to_vec();
        let padding = [self.padding_begin, self.padding_end].as_flattened().to_vec();
        let fits = positive.iter().all(|value| (1..=MAX_EXTENT).contains(value))
            && padding.iter().all(|value| *value <= MAX_EXTENT);
        if fits { Ok(()) } else { Err(CompileError::Window(*self)) }
    }

    /// Number of positions along an axis of `length` pixels; 0 if the window does not fit.
    /// `length` is at most [`crate::layout::MAX_SIDE`].
    pub(crate) fn positions(&self, axis: usize, length: usize) -> usize {
        let padded = length + self.padding_begin[axis] + self.padding_end[axis];
        let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let stride = self.stride[axis];
        match padded.checked_sub(extent) {
            None => 0,
            Some(room) if !self.ceil => room / stride + 1,
            Some(room) => {
                let positions = room.div_ceil(stride) + 1;
                // A window must begin within the image or the padding before it.
                let begins = (positions - 1) * stride < length + self.padding_begin[axis];
                if begins { positions } else { positions - 1 }
            }
        }
    }
}
