//! The published networks as named parameters and ONNX: OpenCV's res10 in Caffe's protobuf, and a
//! Keras model over MobileNetV2 in HDF5.
//!
//! A tool of this repository, not a library for others.

#[cfg(feature = "generate")]
pub mod backbone;
mod caffe;
mod keras;
pub mod manifest;
mod mobilenet;
mod published;
mod res10;

use weights_file::{NamedTensor, Precision, encode};

pub use published::{Place, Published, sha256};

/// The face network's parameters under the names of `face_ssd::network::Res10Ssd`, of a
/// `caffemodel` file.
///
/// # Errors
/// If the bytes are not that network.
pub fn res10(caffemodel: &[u8]) -> anyhow::Result<Vec<NamedTensor>> {
    res10::tensors(&caffe::read(caffemodel)?)
}

/// The Keras classifier of the published package.
pub struct Classifier(keras::Keras);

impl Classifier {
    /// Reads an HDF5 file.
    ///
    /// # Errors
    /// If the bytes are not HDF5.
    pub fn read(bytes: Vec<u8>) -> anyhow::Result<Self> {
        Ok(Self(keras::Keras::read(bytes)?))
    }

    /// Its backbone, MobileNetV2 without its top, as an ONNX file.
    ///
    /// # Errors
    /// If weights are missing.
    pub fn backbone_onnx(&self) -> anyhow::Result<Vec<u8>> {
        mobilenet::onnx(&self.0)
    }

    /// Its head as a weights file of `mask_model`.
    ///
    /// # Errors
    /// If weights are missing.
    pub fn head(&self) -> anyhow::Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for (layer, name) in [("dense", "hidden"), ("dense_1", "output")] {
            let (shape, kernel) = self.0.weight(layer, "kernel")?;
            let (bias_shape, bias) = self.0.weight(layer, "bias")?;
            tensors.push(NamedTensor::new(format!("{name}.weight"), shape, kernel));
            tensors.push(NamedTensor::new(format!("{name}.bias"), bias_shape, bias));
        }
        // The order of the outputs: alphabetical, as scikit-learn's LabelBinarizer sorts.
        let metadata =
            [("classes", r#"["with_mask","without_mask"]"#), ("backbone", "mobilenet-v2")];
        Ok(encode("mask-head", &metadata, tensors, Precision::F32)?)
    }
}
