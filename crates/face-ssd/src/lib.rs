//! The res10 face detector of OpenCV, a ResNet-10 SSD, on the [Burn](burn) framework.
//!
//! Stands alone: an [`image::RgbImage`] in, face boxes in its pixels out. The weights are embedded.
//!
//! ```
//! use burn::tensor::Device;
//! use face_ssd::{FaceDetector, FaceDetectorConfig};
//!
//! let detector = FaceDetector::new(FaceDetectorConfig::default(), &Device::flex())?;
//! let photo = image::open("../../examples/astronaut.jpg")?.to_rgb8();
//! let faces = detector.detect(&photo)?;
//!
//! assert_eq!(faces.len(), 1);
//! assert!(faces[0].confidence > 0.9);
//! let centre = (faces[0].bbox.x_min + faces[0].bbox.x_max) / 2.0;
//! assert!((centre - 224.0).abs() < 20.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a picture: [`InputSize`] and [`input`](InputBatch) make the network's tensor,
//! [`network::Res10Ssd`] runs, [`PriorBoxes`] and [`decode`](DetectionOutput) turn its output into
//! boxes, [`non_maximum_suppression`] removes the doubles.

mod boxes;
mod decode;
mod detector;
mod error;
mod execution;
mod input;
pub mod network;
mod nms;
mod priors;
mod weights;

pub use boxes::{NormalizedBox, PixelBox};
pub use decode::{Detection, DetectionOutput};
pub use detector::{Face, FaceDetector, FaceDetectorConfig};
pub use error::FaceSsdError;
pub use fused_cpu::Engine;
pub use input::{InputBatch, InputSize, MEAN_BGR};
pub use nms::non_maximum_suppression;
pub use priors::{PriorBox, PriorBoxes, PriorLayout, VARIANCES};
pub use weights::{NETWORK_NAME, WeightsSource};
