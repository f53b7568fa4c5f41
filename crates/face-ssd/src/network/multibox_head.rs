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

    /// A head for other priors, each of which starts with the weights of one of this head's.
    #[cfg(feature = "train")]
    pub(super) fn rearranged(&self, priors: &[usize]) -> Self {
        let rearrange = |conv: &Conv2d, values: usize| {
            let mut conv = conv.clone();
            let device = conv.weight.device();
            let rows = priors.iter().flat_map(|prior| prior * values..(prior + 1) * values);
            let rows: Vec<i64> = rows.map(|row| row as i64).collect();
            let rows = Tensor::<1, burn::tensor::Int>::from_data(&rows[..], &device);
            conv.weight = conv.weight.map(|weight| weight.select(0, rows.clone()));
            conv.bias = conv.bias.map(|bias| bias.map(|bias| bias.select(0, rows)));
            conv
        };
        Self {
            box_deltas: rearrange(&self.box_deltas, 4),
            class_logits: rearrange(&self.class_logits, 2),
        }
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
