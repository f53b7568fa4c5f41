//! What can go wrong in detection.

use face_ssd::FaceSsdError;
use mask_model::MaskModelError;

/// An error of the mask detector.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// Finding the faces failed.
    #[error(transparent)]
    Faces(#[from] FaceSsdError),
    /// Classifying them failed.
    #[error(transparent)]
    Masks(#[from] MaskModelError),
}
