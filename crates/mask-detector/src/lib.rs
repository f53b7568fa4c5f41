//! Finds the faces in pictures and says for each whether it wears a mask.
//!
//! ```
//! use mask_detector::{Device, MaskDetector, MaskDetectorConfig};
//!
//! let detector = MaskDetector::new(MaskDetectorConfig::default(), Device::flex())?;
//! let photo = image::open("../../examples/astronaut_masked.jpg")?.to_rgb8();
//! let faces = detector.detect(&photo)?;
//!
//! assert_eq!(faces.len(), 1);
//! assert_eq!(faces[0].label, "with_mask");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`MaskDetector::detect`] runs the stages one after the other: [`MaskDetector::find_faces`], then
//! [`MaskDetector::classify_faces`]. [`Annotator`] draws what was found.

mod annotate;
mod detector;
mod device;
mod error;

pub use annotate::Annotator;
pub use burn::tensor::Device;
pub use detector::{ClassProbability, MaskDetector, MaskDetectorConfig, MaskedFace, StageTimes};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use error::DetectError;
pub use face_ssd::{
    Engine, Face, FaceDetectorConfig, FaceSsdError, InputSize, PixelBox, PriorLayout, WeightsSource,
};
pub use mask_model::{MaskClassifierConfig, MaskModelError};
