//! Images as people have them, into the network.

use crate::{
    INPUT,
    proto::{Attribute, Dim, Graph},
};

/// The name of a file's input where it takes images.
pub const IMAGE: &str = "image";

/// What a network does with colours first. The file takes red, green and blue, each 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageInput {
    /// Whether the network's first channel is blue.
    pub blue_first: bool,
    /// What colours are divided by.
    pub divisor: f32,
    /// What is then subtracted from each of the network's channels.
    pub offset: [f32; 3],
}

impl ImageInput {
    /// A convolution of single pixels: the one operation that every runtime has for it.
    pub(crate) fn write(&self, onnx: &mut Graph, dims: &[Dim]) {
        onnx.add_input(IMAGE, dims);
        let mut weights = [0.0; 9];
        for (to, row) in weights.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            row[if self.blue_first { 2 - to } else { to }] = self.divisor.recip();
        }
        onnx.initializer("image.weight", &[3, 3, 1, 1], &weights);
        onnx.initializer("image.bias", &[3], &self.offset.map(|offset| -offset));
        let kernel = vec![Attribute::ints("kernel_shape", &[1, 1])];
        onnx.node("Conv", INPUT, &[IMAGE, "image.weight", "image.bias"], kernel);
    }
}
