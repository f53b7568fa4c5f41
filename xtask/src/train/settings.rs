//! Settings of a training: defaults, then a file, then flags.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use mask_data::{Augmentation, DUPLICATE_HASH_DISTANCE};
use mask_model::HeadTrainingConfig;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use trainer::{Schedule, SelectBest, TrainError};

/// What decides a training's result, beside the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) training: HeadTrainingConfig,
    pub(crate) selection: Selection,
    pub(crate) data: DataSettings,
    pub(crate) augmentation: Augmentation,
}

/// Which epoch's head is kept, and when to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Selection {
    pub(crate) keep: SelectBest,
    /// Epochs without improvement after which training stops; 0 for never.
    pub(crate) patience: usize,
    /// Whether rare classes weigh as much as frequent ones.
    pub(crate) balance_classes: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { keep: SelectBest::Last, patience: 0, balance_classes: false }
    }
}

/// What the samples are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataSettings {
    pub(crate) input: Input,
    /// Fraction of the samples that validation gets.
    pub(crate) validation: f64,
    /// Differing bits, of 256, up to which images count as copies.
    pub(crate) copy_distance: u32,
    /// Tolerated part of unreadable images.
    pub(crate) max_unreadable: f64,
    /// What faces' boxes are grown by on every side, as a fraction of their size. Default: 0.
    pub(crate) margin: f32,
    /// Whether annotated objects marked as difficult count.
    pub(crate) difficult: bool,
    /// Augmented views of each image that are kept as features; 0 to make new ones each epoch.
    pub(crate) cache_features: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Input {
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
            max_unreadable: 0.01,
            margin: 0.0,
            difficult: false,
            cache_features: 0,
        }
    }
}

/// Flags that set a training's result; each overrides --config.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Settings file, as a training writes it to config.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Passes over the images [default: 20].
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Images per step [default: 32].
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Learning rate of Adam [default: 1e-4].
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// How the learning rate changes: inverse-time (the reference's decay), constant or cosine (half
    /// a cosine down to zero) [default: inverse-time].
    #[arg(long, value_parser = named::<Schedule>)]
    schedule: Option<Schedule>,
    /// Epochs in which the learning rate rises from zero [default: 0].
    #[arg(long, value_name = "N")]
    warmup_epochs: Option<usize>,
    /// Decoupled weight decay [default: 0].
    #[arg(long, value_name = "DECAY")]
    weight_decay: Option<f32>,
    /// Fraction of the target that is spread over all classes [default: 0].
    #[arg(long, value_name = "PART")]
    label_smoothing: Option<f32>,
    /// Fraction of hidden units left out of each step [default: 0.5].
    #[arg(long, value_name = "FRACTION")]
    dropout: Option<f64>,
    /// Hidden units [default: 128].
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Seed of everything random [default: 42].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Which epoch's head is kept: last, loss (lowest on validation) or accuracy (highest) [default:
    /// last].
    #[arg(long, alias = "keep", value_parser = named::<SelectBest>)]
    select_best: Option<SelectBest>,
    /// Stop after so many epochs without improvement [default: never].
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,
    /// Let rare classes weigh as much as frequent ones.
    #[arg(long)]
    balance_classes: bool,
    /// Train on the faces that the detector finds, or (both) on them and the whole images.
    #[arg(long, alias = "face-crops", value_name = "WHICH", num_args = 0..=1, default_missing_value = "faces", value_enum)]
    input: Option<Input>,
    /// Fraction of the images kept for validation [default: 0.2].
    #[arg(long, value_name = "FRACTION")]
    validation: Option<f64>,
    /// Fraction of the images that may be unreadable [default: 0.01].
    #[arg(long, value_name = "FRACTION")]
    max_unreadable: Option<f64>,
    /// What faces' boxes are grown by on every side, as a fraction of their size, here and wherever the
    /// head is used [default: 0].
    #[arg(long, value_name = "PART")]
    margin: Option<f32>,
    /// Keep the features of so many augmented views of each image, instead of new views each epoch.
    #[arg(long, value_name = "VIEWS")]
    cache_features: Option<usize>,
    /// Train without augmentation.
    #[arg(long)]
    no_augmentation: bool,
}

/// Reads a setting as settings files name it.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl SettingsArgs {
    /// Puts defaults, file and flags together.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match &self.config {
            None => Settings::default(),
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text)
                    .with_context(|| format!("{} is not a settings file", path.display()))?
            }
        };
        fn set<T: Copy>(place: &mut T, flag: Option<T>) {
            if let Some(value) = flag {
                *place = value;
            }
        }
        let Settings { training, selection, data, augmentation } = &mut settings;
        set(&mut training.epochs, self.epochs);
        set(&mut training.batch_size, self.batch_size);
        set(&mut training.learning_rate, self.learning_rate);
        set(&mut training.warmup_epochs, self.warmup_epochs);
        set(&mut training.weight_decay, self.weight_decay);
        set(&mut training.label_smoothing, self.label_smoothing);
        set(&mut training.dropout, self.dropout);
        set(&mut training.hidden, self.hidden);
        set(&mut training.seed, self.seed);
        set(&mut training.schedule, self.schedule);
        set(&mut selection.keep, self.select_best);
        set(&mut selection.patience, self.patience);
        selection.balance_classes |= self.balance_classes;
        set(&mut data.input, self.input);
        set(&mut data.validation, self.validation);
        set(&mut data.max_unreadable, self.max_unreadable);
        set(&mut data.margin, self.margin);
        set(&mut data.cache_features, self.cache_features);
        if self.no_augmentation {
            *augmentation = Augmentation::none();
        }
        settings.check()?;
        Ok(settings)
    }
}

impl Settings {
    fn check(&self) -> anyhow::Result<()> {
        let Self { training, selection, data, augmentation } = self;
        training.validate()?;
        augmentation.validate()?;
        TrainError::check_range("validation", data.validation, 0.01, 0.9)?;
        TrainError::check_range("max-unreadable", data.max_unreadable, 0.0, 1.0)?;
        TrainError::check_range("margin", data.margin.into(), -0.4, 10.0)?;
        ensure!(
            selection.patience == 0 || selection.keep != SelectBest::Last,
            "patience needs something that can improve: give --select-best loss or accuracy with it"
        );
        Ok(())
    }
}
