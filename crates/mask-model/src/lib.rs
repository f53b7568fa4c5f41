//! Face-mask classifier: MobileNetV2 under a trainable fully connected head, on the [Burn](burn)
//! framework.
//!
//! Stands alone: crops of faces in, class probabilities out. Classes are data, stored with the
//! weights; the embedded classifier knows a mask worn rightly, none, and a mask worn wrongly.
//!
//! ```
//! use burn::tensor::Device;
//! use mask_model::{MaskClassifier, MaskClassifierConfig};
//!
//! let classifier = MaskClassifier::new(MaskClassifierConfig::default(), &Device::flex())?;
//! let classes = ["with_incorrect_mask", "with_mask", "without_mask"];
//! assert_eq!(classifier.classes()[..], classes);
//!
//! let face = image::RgbImage::from_pixel(90, 120, image::Rgb([190, 150, 130]));
//! let probabilities = classifier.classify(&[(&face).into()])?;
//! assert!((probabilities[0].iter().sum::<f32>() - 1.0).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a crop: [`image_input`] resizes it and scales its colours, [`Backbone`] makes
//! features, [`MaskHead`] logits, [`MaskClassifier`] probabilities.

mod backbone;
mod classifier;
mod error;
mod features;
mod generated;
mod head;
mod network;
#[cfg(feature = "train")]
mod train;

pub use backbone::{BACKBONE_NAME, Backbone, FEATURE_DIM, INPUT_SIZE, NORMALIZATION};
pub use classifier::{MaskClassifier, MaskClassifierConfig};
pub use detection_schema::argmax;
pub use error::MaskModelError;
pub use features::FeatureExtractor;
pub use fused_cpu::{Arithmetic, Engine};
pub use geometry::Crop;
pub use head::{HEAD_NAME, HeadCheckpoint, Labels, MaskHead, MaskHeadConfig};
pub use network::{CLASSIFIER_NAME, ClassifierCheckpoint, ClassifierNetwork};
#[cfg(feature = "train")]
pub use train::{
    ClassifierBatch, ClassifierTask, ClassifierTraining, ClassifierTrainingConfig, FeatureSource,
    HeadBatch, HeadTask, HeadTraining, HeadTrainingConfig, Samples, shuffled, validation_of,
};
pub use weights_file::WeightsSource;
