//! The layers that make the small feature maps.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor, activation::relu},
};

use super::ConvConfig;

/// A 1 x 1 and a 3 x 3 convolution, each with ReLU: `conv6` to `conv9`.
#[derive(Module, Debug)]
pub(super) struct ExtraLayer {
    conv1: Conv2d,
    conv2: Conv2d,
}

/// Channels and stride of an [`ExtraLayer`].
#[derive(Debug, Clone, Copy)]
pub(super) struct ExtraLayerConfig {
    /// Channels that enter.
    pub(super) input: usize,
    /// Channels between the two convolutions.
    pub(super) inner: usize,
    /// Channels that leave.
    pub(super) output: usize,
    /// Stride of the second convolution.
    pub(super) stride: usize,
}

impl ExtraLayerConfig {
    /// The layer with zeros for weights.
    pub(super) fn init(&self, device: &Device) -> ExtraLayer {
        let &Self { input, inner, output, stride } = self;
        let conv = |input, output, kernel, stride| {
            ConvConfig { input, output, kernel, stride, dilation: 1, bias: true }.init(device)
        };
        ExtraLayer { conv1: conv(input, inner, 1, 1), conv2: conv(inner, output, 3, stride) }
    }
}

impl ExtraLayer {
    /// Maps `[batch, input, height, width]` to `[batch, output, height / stride, width / stride]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        relu(self.conv2.forward(relu(self.conv1.forward(input))))
    }
}
