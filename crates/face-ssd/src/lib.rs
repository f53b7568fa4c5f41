//! The res10 face detector of OpenCV, a ResNet-10 SSD, on the [Burn](burn) framework.
//!
//! Stands alone: an image in, face boxes in its pixels out. The weights are embedded unless the
//! default feature `embedded-weights` is off.
//!
//! ```
//! use burn::tensor::Device;
//! use face_ssd::{FaceDetector, FaceDetectorConfig};
//!
//! let detector = FaceDetector::new(FaceDetectorConfig::default(), &Device::flex())?;
//! let image = image::RgbImage::new(320, 240);
//! for face in detector.detect(&image)? {
//!     println!("{:?} {:.3}", face.bbox, face.score);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of an image: [`InputSize`] chooses the size of the network's input, which
//! [`image_input`] makes; [`network::Res10Ssd`] runs; [`PriorBoxes`] and [`PostprocessConfig`] turn
//! its output into boxes.

mod detector;
mod error;
mod input_size;
pub mod network;
mod postprocess;
mod priors;
mod tiles;
#[cfg(feature = "train")]
pub mod train;
mod weights;

pub use detector::{Face, FaceDetector, FaceDetectorConfig};
pub use error::FaceSsdError;
pub use fused_cpu::{Arithmetic, Engine};
pub use input_size::{InputSize, MEAN_BGR, NORMALIZATION};
pub use postprocess::{Detection, PostprocessConfig};
pub use priors::{MatchConfig, PriorBox, PriorBoxes, PriorLayout, PriorMatch, VARIANCES};
pub use weights::{FaceCheckpoint, NETWORK_NAME, encode_weights};
pub use weights_file::{Precision, WeightsSource};
