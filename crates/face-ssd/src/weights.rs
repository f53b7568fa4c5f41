//! The network's weights.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use weights_file::{WeightsError, WeightsFile};

use crate::network::Res10Ssd;

/// The name in the metadata of the network's weights files.
pub const NETWORK_NAME: &str = "res10-ssd";

/// Half-precision weights, made by `cargo xtask import`.
static EMBEDDED: &[u8] = include_bytes!("../../../models/res10_ssd.bpk");

/// Where weights come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WeightsSource {
    /// The weights embedded in the program.
    #[default]
    Embedded,
    /// A weights file.
    File(PathBuf),
}

impl<P: AsRef<Path>> From<Option<P>> for WeightsSource {
    fn from(path: Option<P>) -> Self {
        path.map_or(Self::Embedded, |path| Self::File(path.as_ref().to_path_buf()))
    }
}

impl Res10Ssd {
    /// Loads the network.
    ///
    /// # Errors
    /// If the file cannot be read or holds no weights of this network.
    pub fn load(source: &WeightsSource, device: &Device) -> Result<Self, WeightsError> {
        let weights = match source {
            WeightsSource::Embedded => WeightsFile::from_bytes(EMBEDDED.to_vec(), NETWORK_NAME)?,
            WeightsSource::File(path) => WeightsFile::open(path, NETWORK_NAME)?,
        };
        weights.load_into(Self::new(device))
    }
}
