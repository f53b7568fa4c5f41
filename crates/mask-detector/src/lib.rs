//! Finds the faces in images and says for each whether it wears a mask.
//!
//! ```
//! # #[cfg(feature = "embedded-weights")] {
//! use mask_detector::MaskDetector;
//!
//! let detector = MaskDetector::builder().build()?;
//! # let bytes = include_bytes!("../assets/astronaut_masked.jpg");
//! // What a file, an upload or a camera holds:
//! for face in detector.detect_bytes(bytes)? {
//!     println!("{:?} {} {:.2}", face.bbox, face.label(), face.label_probability());
//!     assert_eq!(face.label(), "with_mask");
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`MaskDetector::detect`] takes pixels of any common order ([`ImageView`]) and runs the stages one
//! after the other: [`MaskDetector::find_faces`], then [`MaskDetector::classify_faces`]. A detector
//! may be shared between threads, by reference or in an `Arc`. [`Annotator`] (feature `draw`) draws
//! what was found.

#[cfg(feature = "draw")]
mod annotate;
mod blur;
mod builder;
mod detection;
mod detector;
mod device;
mod error;

#[cfg(feature = "draw")]
pub use annotate::{Annotator, JPEG_QUALITY, LabelText};
pub use blur::blur_faces;
pub use builder::MaskDetectorBuilder;
pub use burn::tensor::Device;
pub use detection::FaceDetection;
pub use detector::{MaskDetector, MaskDetectorConfig};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use error::{DetectError, error_line};
pub use face_ssd::{
    Arithmetic, Engine, Face, FaceDetectorConfig, FaceSsdError, InputSize, PostprocessConfig,
    PriorLayout, WeightsSource,
};
pub use geometry::{BoundingBox, ImageSize, PixelRect};
pub use image_input::{DecodeError, DecodeOptions, ImageView, PixelFormat, ViewError};
pub use mask_model::{MaskClassifierConfig, MaskModelError};
