//! What a coarse map tells a finer one.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{
        Device, Tensor,
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};

use super::ConvConfig;

/// A 1 x 1 convolution of a map, twice as large: the top-down way of feature pyramid networks
/// (Lin et al. 2017). The finest map is made by few layers, which see a face of some pixels and
/// little around it; the coarser map sees the person.
#[derive(Module, Debug)]
pub(super) struct TopDown {
    conv: Conv2d,
}

impl TopDown {
    /// The layer with zeros for weights, which adds nothing.
    pub(super) fn new(input: usize, output: usize, device: &Device) -> Self {
        let conv = ConvConfig { input, output, kernel: 1, stride: 1, dilation: 1, bias: false };
        Self { conv: conv.init(device) }
    }

    /// Maps `[batch, input, height, width]` to `[batch, output, 2 * height, 2 * width]`.
    pub(super) fn forward(&self, coarse: Tensor<4>) -> Tensor<4> {
        let twice = InterpolateOptions::new(InterpolateMode::Nearest).with_scale_factor([2.0; 2]);
        interpolate(self.conv.forward(coarse), twice)
    }
}
