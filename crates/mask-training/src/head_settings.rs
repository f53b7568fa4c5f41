//! The settings of a head's training.

use geometry::Crop;
use mask_data::{Augmentation, DUPLICATE_HASH_DISTANCE};
use mask_model::HeadTrainingConfig;
use serde::{Deserialize, Serialize};
use trainer::{SelectBest, TrainError};

/// What decides the result of a training of the head, beside the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct HeadSettings {
    /// The optimisation.
    pub training: HeadTrainingConfig,
    /// What is kept of it.
    pub selection: Selection,
    /// The images.
    pub data: DataSettings,
    /// How images become samples.
    pub augmentation: Augmentation,
}

/// Which epoch's head is kept, and when to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Which epoch's head is kept. Default: the last one's.
    pub keep: SelectBest,
    /// Epochs without improvement after which training stops; 0 for never.
    pub patience: usize,
    /// Whether rare classes weigh as much as frequent ones.
    pub balance_classes: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { keep: SelectBest::Last, patience: 0, balance_classes: false }
    }
}

/// What the samples are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// What of an image is a sample. Default: all of it.
    pub input: Input,
    /// Fraction of the samples that validation gets.
    pub validation: f64,
    /// Differing bits, of 256, up to which images count as copies.
    pub copy_distance: u32,
    /// Whether copies may straddle training and validation. Default: no.
    pub allow_duplicates: bool,
    /// Tolerated part of unreadable images.
    pub max_unreadable: f64,
    /// What faces' boxes are grown by on every side, as a fraction of their size. Default: 0.
    pub margin: f32,
    /// Whether faces are cropped as squares around their boxes. Default: no.
    pub square: bool,
    /// Whether annotated objects marked as difficult count.
    pub difficult: bool,
    /// Augmented views of each image that are kept as features; 0 to make new ones each epoch.
    pub cache_features: usize,
}

/// What of an image without boxes is a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// Whole images, as the reference.
    Whole,
    /// The most certain face that the detector finds, or the whole image where it finds none.
    Faces,
    /// Both of them, as two samples.
    Both,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            input: Input::Whole,
            validation: 0.2,
            copy_distance: DUPLICATE_HASH_DISTANCE,
            allow_duplicates: false,
            max_unreadable: 0.01,
            margin: 0.0,
            square: false,
            difficult: false,
            cache_features: 0,
        }
    }
}

impl DataSettings {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        TrainError::check_range("validation", self.validation, 0.01, 0.9)?;
        TrainError::check_range("max-unreadable", self.max_unreadable, 0.0, 1.0)?;
        TrainError::check_range("margin", self.margin.into(), -0.4, 10.0)
    }

    /// How faces' boxes become crops.
    pub fn crop(&self) -> Crop {
        Crop { margin: self.margin, square: self.square }
    }
}

impl HeadSettings {
    /// # Errors
    /// If a setting is outside its range, or contradicts another one.
    pub fn validate(&self) -> Result<(), TrainError> {
        let Self { training, selection, data, augmentation } = self;
        training.validate()?;
        augmentation.validate().map_err(TrainError::task)?;
        data.validate()?;
        if selection.patience > 0 && selection.keep == SelectBest::Last {
            let message = "patience needs something that can improve: give --select-best loss or \
                           accuracy with it";
            return Err(TrainError::Data(message.to_owned()));
        }
        Ok(())
    }
}
