//! The frozen network under the head.

use std::path::Path;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use weights_file::{WeightsError, WeightsFile};

use crate::generated::mobilenet_v2::Model;

/// The name in the metadata of the backbone's weights files.
pub const BACKBONE_NAME: &str = "mobilenet-v2";

/// Features a picture: channels of the backbone's last layer.
pub const FEATURES: usize = 1280;

/// Weights of the module that burn-onnx generated, made by `cargo xtask import`.
static EMBEDDED: &[u8] = include_bytes!("../../../models/mobilenet_v2.bpk");

/// MobileNetV2 (alpha 1.0) without its top, with ImageNet weights.
#[derive(Module, Debug)]
pub struct Backbone {
    network: Model,
}

impl Backbone {
    /// Loads the backbone, from a weights file if one is given, else the embedded one.
    ///
    /// # Errors
    /// If the file cannot be read or holds no weights of this network.
    pub fn load(file: Option<&Path>, device: &Device) -> Result<Self, WeightsError> {
        let weights = match file {
            None => WeightsFile::from_bytes(EMBEDDED.to_vec(), BACKBONE_NAME)?,
            Some(path) => WeightsFile::open(path, BACKBONE_NAME)?,
        };
        Ok(Self { network: weights.load_into(Model::new(device))? })
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
