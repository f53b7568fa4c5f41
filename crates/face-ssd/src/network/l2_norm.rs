//! L2 normalisation over the channels.

use burn::{
    module::{Module, Param},
    nn::Initializer,
    tensor::{Device, Tensor},
};

/// Added to the sum of squares: Caffe's default for its `Normalize` layer.
const EPSILON: f32 = 1e-10;

/// Caffe's `Normalize` layer: each pixel's channels divided by their L2 norm, then scaled.
#[derive(Module, Debug)]
pub(super) struct L2Norm {
    /// Factors, `[channels]`.
    scale: Param<Tensor<1>>,
}

impl L2Norm {
    /// The layer with zeros for weights.
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self { scale: Initializer::Zeros.init([channels], device) }
    }

    /// Normalises `[batch, channels, height, width]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, channels, _, _] = input.dims();
        let squares = input.clone() * input.clone();
        let norm = squares.sum_dim(1).add_scalar(EPSILON).sqrt();
        input / norm * self.scale.val().reshape([1, channels, 1, 1])
    }
}
