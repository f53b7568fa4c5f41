//! Trainings of the detector's networks on data sets: settings, and samples as the networks take
//! them. What trains is in [`face_ssd::train`] and [`mask_model`]; what writes files is the caller.
//!
//! ```
//! use burn::tensor::Device;
//! use face_ssd::{Engine, train::{FaceTask, FaceTraining}};
//! use mask_data::{DatasetConfig, SceneSet};
//! use mask_training::{FaceImages, FaceSettings};
//!
//! fn prepare(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//!     let (settings, device) = (FaceSettings::default(), Device::flex());
//!     let data = SceneSet::open(&[folder.into()], &DatasetConfig::default(), &|| ())?;
//!     let split = data.split(settings.data.validation, settings.training.seed)?;
//!     let part = |images: &[usize]| images.iter().map(|at| data.scenes[*at].clone()).collect();
//!     let (train, validation) = (part(&split.train), part(&split.validation));
//!     let quiet = Box::new(|| ());
//!     let images = FaceImages::new(train, validation, &settings, 1 << 30, &device, quiet)?;
//!     let start = face_ssd::WeightsSource::Embedded;
//!     let training = FaceTraining::new(settings.training.clone(), &start, &data.sha256, &device)?;
//!     let network = training.network();
//!     let task = FaceTask::new(settings.training, &network, images, Engine::default(), &device)?;
//!     // `training.run(&task, &mut observer)` trains.
//!     # let _ = task;
//!     Ok(())
//! }
//! # assert!(prepare("absent".as_ref()).is_err());
//! ```

mod classifier;
mod face;
mod head_samples;
mod head_settings;

pub use classifier::{ClassifierSettings, CropImages, DrawnSample};
pub use face::{FaceData, FaceImages, FaceSettings, ignore_found};
pub use head_samples::{HeadFeatures, contact_sheet, network_input};
pub use head_settings::{DataSettings, HeadSettings, Input, Selection};
