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

/// An error and what is behind it, in one line, for those who show it elsewhere; what repeats is said once.
pub fn error_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    for error in std::iter::successors(error.source(), |error| (*error).source()) {
        let words = error.to_string();
        if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
    }
    line
}
