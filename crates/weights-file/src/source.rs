//! Where weights come from.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Origin, Problem, WeightsError, WeightsFile};

/// Where a network's weights come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WeightsSource {
    /// The weights embedded in the program.
    #[default]
    Embedded,
    /// A weights file.
    File(PathBuf),
    /// The bytes of a weights file. They are shared, not copied.
    #[serde(skip)]
    Bytes(Bytes),
}

impl WeightsSource {
    /// Reads weights of `network`; `embedded` are those of this build, if it has any.
    ///
    /// # Errors
    /// If they cannot be read, belong to another network or version, or are not embedded.
    pub fn open(
        &self,
        network: &str,
        embedded: Option<&'static [u8]>,
    ) -> Result<WeightsFile, WeightsError> {
        match self {
            Self::Embedded => match embedded {
                Some(bytes) => WeightsFile::from_static(bytes, network),
                None => {
                    let problem = Problem::NotEmbedded(network.to_owned());
                    Err(WeightsError { origin: Origin::Memory, problem })
                }
            },
            Self::File(path) => WeightsFile::open(path, network),
            Self::Bytes(bytes) => WeightsFile::from_shared(bytes.clone(), network),
        }
    }
}

impl<P: AsRef<Path>> From<Option<P>> for WeightsSource {
    fn from(path: Option<P>) -> Self {
        path.map_or(Self::Embedded, |path| Self::File(path.as_ref().to_path_buf()))
    }
}

impl From<PathBuf> for WeightsSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Vec<u8>> for WeightsSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&'static [u8]> for WeightsSource {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Bytes(Bytes::from_static(bytes))
    }
}
