//! The other residual blocks.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor, activation::relu},
};

use super::{ChannelAffine, ConvConfig};

/// Channels and geometry of a [`PreActivationBlock`].
#[derive(Debug, Clone, Copy)]
pub(super) struct PreActivationBlockConfig {
    /// Channels that enter.
    pub(super) input: usize,
    /// Channels between the two convolutions.
    pub(super) inner: usize,
    /// Channels that leave.
    pub(super) output: usize,
    /// Stride of the first convolution and of the shortcut.
    pub(super) stride: usize,
    /// Dilation of the second convolution.
    pub(super) dilation: usize,
}

impl PreActivationBlockConfig {
    /// The block with zeros for weights.
    pub(super) fn init(&self, device: &Device) -> PreActivationBlock {
        let &Self { input, inner, output, stride, dilation } = self;
        let conv = |input, output, kernel, stride, dilation, bias| {
            ConvConfig { input, output, kernel, stride, dilation, bias }.init(device)
        };
        PreActivationBlock {
            norm: ChannelAffine::new(input, device),
            conv1: conv(input, inner, 3, stride, 1, true),
            conv2: conv(inner, output, 3, 1, dilation, false),
            shortcut: conv(input, output, 1, stride, 1, false),
        }
    }
}

/// Batch norm and ReLU first, then two 3 x 3 convolutions beside a 1 x 1 one.
#[derive(Module, Debug)]
pub(super) struct PreActivationBlock {
    norm: ChannelAffine,
    conv1: Conv2d,
    conv2: Conv2d,
    shortcut: Conv2d,
}

impl PreActivationBlock {
    /// Maps `[batch, input, height, width]` to the activated input, of the same shape, and the
    /// block's sum, `[batch, output, height / stride, width / stride]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let activated = relu(self.norm.forward(input));
        let inner = relu(self.conv1.forward(activated.clone()));
        let sum = self.conv2.forward(inner) + self.shortcut.forward(activated.clone());
        (activated, sum)
    }
}
