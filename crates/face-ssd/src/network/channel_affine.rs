//! A factor and an offset per channel.

use burn::{
    module::{Module, Param},
    nn::Initializer,
    tensor::{Device, Tensor},
};

/// A batch norm at inference that no convolution can take in: `scale * x + bias` per channel.
#[derive(Module, Debug)]
pub(super) struct ChannelAffine {
    /// Factors, `[channels]`.
    scale: Param<Tensor<1>>,
    /// Offsets, `[channels]`.
    bias: Param<Tensor<1>>,
}

impl ChannelAffine {
    /// The map with zeros for weights.
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            scale: Initializer::Zeros.init([channels], device),
            bias: Initializer::Zeros.init([channels], device),
        }
    }

    /// Maps `[batch, channels, height, width]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, channels, _, _] = input.dims();
        let spread = |values: &Param<Tensor<1>>| values.val().reshape([1, channels, 1, 1]);
        input * spread(&self.scale) + spread(&self.bias)
    }
}
