//! Face-mask classifier: ImageNet's MobileNetV2, frozen, under a trainable fully connected head, on
//! the [Burn](burn) framework.
//!
//! Stands alone: crops of faces in, class probabilities out. Classes are data, stored with the
//! head; the embedded head knows `with_mask` and `without_mask`.
//!
//! ```
//! use burn::tensor::Device;
//! use mask_model::{MaskClassifier, MaskClassifierConfig};
//!
//! let classifier = MaskClassifier::new(MaskClassifierConfig::default(), &Device::flex())?;
//! assert_eq!(classifier.classes(), ["with_mask", "without_mask"]);
//!
//! let photo = image::open("../../examples/astronaut.jpg")?.to_rgb8();
//! let face = image::imageops::crop_imm(&photo, 180, 72, 90, 120).to_image();
//! let probabilities = classifier.classify(&[face])?;
//! assert_eq!(classifier.label(&probabilities[0]), "without_mask");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a crop: [`CropBatch`] resizes it and scales its colours, [`Backbone`] makes features,
//! [`MaskHead`] class scores, [`MaskClassifier`] probabilities.

mod backbone;
mod classifier;
mod crops;
mod error;
mod execution;
mod features;
mod generated;
mod head;
#[cfg(feature = "train")]
mod training;

pub use backbone::{BACKBONE_NAME, Backbone, FEATURES};
pub use classifier::{MaskClassifier, MaskClassifierConfig};
pub use crops::{CROP_SIDE, CropBatch};
pub use error::MaskModelError;
pub use features::FeatureExtractor;
pub use fused_cpu::Engine;
pub use head::{HEAD_NAME, Head, MaskHead, MaskHeadConfig, PREPROCESSING};
#[cfg(feature = "train")]
pub use training::{HeadTrainer, Schedule, StepOutcome, TrainingError, TrainingSettings};
