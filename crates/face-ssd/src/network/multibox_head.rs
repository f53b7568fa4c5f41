//! The predictions on one feature map.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor},
};

use super::ConvConfig;

/// Box deltas and class logits of every prior of one feature map.
#[derive(Module, Debug)]
pub(super) struct MultiBoxHead {
    box_deltas: Conv2d,
    class_logits: Conv2d,
}

impl MultiBoxHead {
    /// The head with zeros for weights, for `priors` prior boxes per cell.
    pub(super) fn new(channels: usize, priors: usize, device: &Device) -> Self {
        let conv = |output| {
            let input = channels;
            ConvConfig { input, output, kernel: 3, stride: 1, dilation: 1, bias: true }.init(device)
        };
        Self { box_deltas: conv(4 * priors), class_logits: conv(2 * priors) }
    }

    /// Maps `[batch, channels, height, width]` to box deltas `[batch, priors, 4]` and class logits
    /// `[batch, priors, 2]`, priors by row, column and place in the cell.
    pub(super) fn forward(&self, map: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
        let flatten = |output: Tensor<4>, values: usize| {
            let [batch, channels, height, width] = output.dims();
            output.permute([0, 2, 3, 1]).reshape([
                batch,
                height * width * channels / values,
                values,
            ])
        };
        let deltas = self.box_deltas.forward(map.clone());
        (flatten(deltas, 4), flatten(self.class_logits.forward(map), 2))
    }
}
