//! The first residual block.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor, activation::relu},
};

use super::ConvConfig;

/// Two 3 x 3 convolutions beside the identity; nothing after the sum.
#[derive(Module, Debug)]
pub(super) struct BasicBlock {
    conv1: Conv2d,
    conv2: Conv2d,
}

impl BasicBlock {
    /// The block with zeros for weights.
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        let conv = |bias| {
            let (input, output) = (channels, channels);
            ConvConfig { input, output, kernel: 3, stride: 1, dilation: 1, bias }.init(device)
        };
        Self { conv1: conv(true), conv2: conv(false) }
    }

    /// Maps `[batch, channels, height, width]` to the same shape.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let inner = relu(self.conv1.forward(input.clone()));
        self.conv2.forward(inner) + input
    }
}
