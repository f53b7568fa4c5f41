//! What keeps a server from running.

use std::{io, net::SocketAddr, path::PathBuf};

/// What keeps a server from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        reason: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate {} with the key {}: {reason}", certificate.display(), key.display())]
    Tls {
        /// The file of certificates.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// A setting has no sense.
    #[error("{0}")]
    Config(String),
    /// The runtime failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
