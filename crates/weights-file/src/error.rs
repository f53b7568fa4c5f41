//! What can be wrong with a weights file.

use std::{fmt, path::PathBuf};

/// A weights file that cannot be used, and where it came from.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct WeightsError {
    /// Where the weights were read from.
    pub origin: Origin,
    /// What is wrong with them.
    pub problem: Problem,
}

/// Where weights were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A buffer in memory, such as the weights embedded in the program.
    Memory,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("weights in memory"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What is wrong with weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[source] std::io::Error),
    /// The bytes are not a burnpack container.
    #[error("not a weights file (burnpack)")]
    NotWeights,
    /// The container is cut short or inconsistent.
    #[error("truncated or damaged weights file ({0})")]
    Damaged(String),
    /// The weights belong to another network.
    #[error("holds weights of `{found}`, but `{expected}` is needed")]
    OtherNetwork {
        /// The network that was asked for.
        expected: String,
        /// The network named in the file.
        found: String,
    },
    /// The file was written in another version of this format.
    #[error("has weights format version {found}, but version {expected} is needed")]
    OtherVersion {
        /// The version that this crate reads.
        expected: &'static str,
        /// The version named in the file.
        found: String,
    },
    /// A metadata entry that the network needs is absent or unreadable.
    #[error("lacks usable metadata `{0}`")]
    Metadata(String),
    /// Parameters are absent, left over, or of another shape or type.
    #[error("does not fit the network: {0}")]
    Mismatch(String),
    /// Embedded weights are asked for, but this build has none.
    #[error("this build has no embedded weights of `{0}`")]
    NotEmbedded(String),
    /// The weights could not be written.
    #[error("cannot be written: {0}")]
    Encode(String),
}
