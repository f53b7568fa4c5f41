//! The first layers: input normalisation, a 7 x 7 convolution and a pool.

use burn::{
    module::Module,
    nn::{
        conv::Conv2d,
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};

use super::{ChannelAffine, ConvConfig};

/// `data_bn`, `data_scale`, `conv1_h` and `conv1_pool`.
///
/// The input's batch norm stands before a zero-padded convolution, so it cannot be folded into it.
#[derive(Module, Debug)]
pub(super) struct Stem {
    input: ChannelAffine,
    conv: Conv2d,
    pool: MaxPool2d,
}

impl Stem {
    /// The stem with zeros for weights.
    pub(super) fn new(device: &Device) -> Self {
        let conv =
            ConvConfig { input: 3, output: 32, kernel: 7, stride: 2, dilation: 1, bias: true };
        Self {
            input: ChannelAffine::new(3, device),
            conv: conv.init(device),
            // Caffe rounds pooled sizes up.
            pool: MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init(),
        }
    }

    /// `[batch, 3, height, width]` to `[batch, 32, height / 4, width / 4]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.pool.forward(relu(self.conv.forward(self.input.forward(input))))
    }
}
