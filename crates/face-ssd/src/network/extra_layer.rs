//! The layers that make the small feature maps.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor, activation::relu},
};

use super::ConvConfig;

/// A 1 x 1 and a 3 x 3 convolution, each with ReLU: `conv6` to `conv9`.
#[derive(Module, Debug)]
pub struct ExtraLayer {
    conv1: Conv2d,
    conv2: Conv2d,
}

impl ExtraLayer {
    /// The layer with zeros for weights; input, inner and output channels, then the stride.
    pub fn new([input, inner, output, stride]: [usize; 4], device: &Device) -> Self {
        let conv = |input, output, kernel, stride| {
            ConvConfig { input, output, kernel, stride, dilation: 1, bias: true }.init(device)
        };
        Self { conv1: conv(input, inner, 1, 1), conv2: conv(inner, output, 3, stride) }
    }

    /// Maps `[batch, input, height, width]` to `[batch, output, height / stride, width / stride]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        relu(self.conv2.forward(relu(self.conv1.forward(input))))
    }
}
