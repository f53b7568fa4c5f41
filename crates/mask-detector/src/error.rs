//! What can go wrong in detection.

use face_ssd::FaceSsdError;
use image_input::DecodeError;
use mask_model::MaskModelError;

use crate::DeviceError;

/// An error of the mask detector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The encoded image cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Finding the faces failed.
    #[error(transparent)]
    Faces(#[from] FaceSsdError),
    /// Classifying them failed.
    #[error(transparent)]
    Masks(#[from] MaskModelError),
}
