//! The frozen network under the head.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use image_input::Normalization;
use weights_file::{WeightsError, WeightsSource};

use crate::generated::mobilenet_v2::Model;

/// The name in the metadata of the backbone's weights files.
pub const BACKBONE_NAME: &str = "mobilenet-v2";

/// Features of an image: channels of the backbone's last layer.
pub const FEATURE_DIM: usize = 1280;

/// Width and height of the backbone's input, in pixels: MobileNetV2's own.
pub const INPUT_SIZE: u32 = 224;

/// How colours enter the backbone: RGB in [-1, 1].
pub const NORMALIZATION: Normalization = Normalization::UNIT_RGB;

#[cfg(feature = "embedded-weights")]
const EMBEDDED: Option<&[u8]> = Some(mask_reference_models::MOBILENET_V2);
#[cfg(not(feature = "embedded-weights"))]
const EMBEDDED: Option<&[u8]> = None;

/// MobileNetV2 (alpha 1.0) without its top, with ImageNet weights.
#[derive(Module, Debug)]
pub struct Backbone {
    network: Model,
}

impl Backbone {
    /// Loads the backbone.
    ///
    /// # Errors
    /// If the weights cannot be read or belong to another network.
    pub fn load(source: &WeightsSource, device: &Device) -> Result<Self, WeightsError> {
        let weights = source.open(BACKBONE_NAME, EMBEDDED)?;
        Ok(Self { network: weights.load_into(Model::new(device))? })
    }

    /// The backbone to be loaded as a part of another network.
    pub(crate) fn new(device: &Device) -> Self {
        Self { network: Model::new(device) }
    }

    /// The last feature maps, `[batch, 1280, 7, 7]`, of crops `[batch, 3, 224, 224]`: RGB in
    /// [-1, 1].
    pub fn feature_maps(&self, crops: Tensor<4>) -> Tensor<4> {
        self.network.forward(crops)
    }

    /// The features that the head sees, `[batch, 1280]`: the maps' means over their pixels.
    pub fn forward(&self, crops: Tensor<4>) -> Tensor<2> {
        let maps = self.feature_maps(crops);
        let [batch, channels, _, _] = maps.dims();
        maps.mean_dims(&[2, 3]).reshape([batch, channels])
    }
}

/// Convolutions of the backbone: the stem, a block of two, sixteen blocks of three (expansion,
/// depthwise, projection), and the last one.
#[cfg(feature = "train")]
const CONVOLUTIONS: usize = 52;

/// Blocks of the backbone, from the stem to the last convolution.
#[cfg(feature = "train")]
pub(crate) const BLOCKS: usize = 19;

/// The paths, within a [`Backbone`], of the convolutions of its last `blocks` blocks.
#[cfg(feature = "train")]
pub(crate) fn last_blocks(blocks: usize) -> Vec<String> {
    let convolutions = match blocks {
        0 => 0,
        1..=17 => 1 + 3 * (blocks - 1),
        18 => CONVOLUTIONS - 1,
        _ => CONVOLUTIONS,
    };
    let numbers = CONVOLUTIONS - convolutions + 1..=CONVOLUTIONS;
    numbers.map(|number| format!("network.conv2d{number}.")).collect()
}
