//! The predictions on one feature map.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor},
};

use super::ConvConfig;

/// Offsets and class scores of every prior of one feature map.
#[derive(Module, Debug)]
pub struct MultiBoxHead {
    locations: Conv2d,
    scores: Conv2d,
}

impl MultiBoxHead {
    /// The head with zeros for weights, for `priors` prior boxes a cell.
    pub fn new(channels: usize, priors: usize, device: &Device) -> Self {
        let conv = |output| {
            let input = channels;
            ConvConfig { input, output, kernel: 3, stride: 1, dilation: 1, bias: true }.init(device)
        };
        Self { locations: conv(4 * priors), scores: conv(2 * priors) }
    }

    /// Maps `[batch, channels, height, width]` to offsets and class scores as maps: `[batch, 4 *
    /// priors, height, width]` and `[batch, 2 * priors, height, width]`, priors of a cell.
    pub fn predict(&self, map: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        (self.locations.forward(map.clone()), self.scores.forward(map))
    }

    /// Maps `[batch, channels, height, width]` to offsets `[batch, priors, 4]` and class scores
    /// before the softmax `[batch, priors, 2]`, priors by row, column and place in the cell.
    pub fn forward(&self, map: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
        let flatten = |output: Tensor<4>, values: usize| {
            let [batch, channels, height, width] = output.dims();
            output.permute([0, 2, 3, 1]).reshape([
                batch,
                height * width * channels / values,
                values,
            ])
        };
        let (locations, scores) = self.predict(map);
        (flatten(locations, 4), flatten(scores, 2))
    }
}
