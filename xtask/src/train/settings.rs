//! Settings of a training: defaults, then a file, then flags.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use mask_data::Augmentation;
use mask_training::{ClassifierSettings, FaceSettings, HeadSettings, Input};
use serde::de::DeserializeOwned;
use trainer::{Schedule, SelectBest};

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
    /// Train the last N blocks of the backbone with the head: 1 is its last convolution, 19 is all of
    /// it [default: none].
    #[arg(long, value_name = "N")]
    unfreeze: Option<usize>,
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
    #[arg(long, alias = "face-crops", value_name = "WHICH", num_args = 0..=1, default_missing_value = "faces", value_parser = named::<Input>)]
    input: Option<Input>,
    /// Fraction of the images kept for validation [default: 0.2].
    #[arg(long, value_name = "FRACTION")]
    validation: Option<f64>,
    /// Let duplicates straddle training and validation, whose figures then flatter.
    #[arg(long)]
    allow_duplicates: bool,
    /// Fraction of the images that may be unreadable [default: 0.01].
    #[arg(long, value_name = "FRACTION")]
    max_unreadable: Option<f64>,
    /// What faces' boxes are grown by on every side, as a fraction of their size, here and wherever the
    /// head is used [default: 0].
    #[arg(long, value_name = "PART")]
    margin: Option<f32>,
    /// Crop faces as squares around their boxes, --margin of the longer side wider on every side, here
    /// and wherever the head is used.
    #[arg(long)]
    square: bool,
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

fn set<T: Copy>(place: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *place = value;
    }
}

impl SettingsArgs {
    /// The settings of the file, or the defaults.
    fn of_file<S: Default + DeserializeOwned>(&self) -> anyhow::Result<S> {
        let Some(path) = &self.config else { return Ok(S::default()) };
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a settings file", path.display()))
    }

    /// Puts defaults, file and flags together, for the face network. The flags of a head alone are
    /// refused.
    pub(crate) fn face_settings(&self) -> anyhow::Result<FaceSettings> {
        let of_head = [
            ("--warmup-epochs", self.warmup_epochs.is_some()),
            ("--label-smoothing", self.label_smoothing.is_some()),
            ("--dropout", self.dropout.is_some()),
            ("--hidden", self.hidden.is_some()),
            ("--unfreeze", self.unfreeze.is_some()),
            ("--select-best", self.select_best.is_some()),
            ("--patience", self.patience.is_some()),
            ("--balance-classes", self.balance_classes),
            ("--input", self.input.is_some()),
            ("--margin", self.margin.is_some()),
            ("--square", self.square),
            ("--cache-features", self.cache_features.is_some()),
            ("--no-augmentation", self.no_augmentation),
        ];
        if let Some((flag, _)) = of_head.into_iter().find(|(_, given)| *given) {
            anyhow::bail!("{flag} is a setting of --network mask; leave it out");
        }
        let mut settings: FaceSettings = self.of_file()?;
        let FaceSettings { training, data, .. } = &mut settings;
        set(&mut training.epochs, self.epochs);
        set(&mut training.batch_size, self.batch_size);
        set(&mut training.learning_rate, self.learning_rate);
        set(&mut training.weight_decay, self.weight_decay);
        set(&mut training.schedule, self.schedule);
        set(&mut training.seed, self.seed);
        set(&mut data.validation, self.validation);
        set(&mut data.max_unreadable, self.max_unreadable);
        data.allow_duplicates |= self.allow_duplicates;
        settings.validate()?;
        Ok(settings)
    }

    /// Whether a part of the backbone is trained, too: a flag or the settings file says so.
    pub(crate) fn unfreezes(&self) -> bool {
        let of_file = || {
            let table: toml::Table =
                toml::from_str(&fs::read_to_string(self.config.as_ref()?).ok()?).ok()?;
            table.get("training")?.get("unfreeze").cloned()
        };
        // A file that cannot be read is reported where its settings are.
        self.unfreeze.is_some() || of_file().is_some()
    }

    /// Puts defaults, file and flags together, for a head with a part of its backbone.
    pub(crate) fn classifier_settings(&self) -> anyhow::Result<ClassifierSettings> {
        let of_head = [
            ("--warmup-epochs", self.warmup_epochs.is_some()),
            ("--select-best", self.select_best.is_some()),
            ("--patience", self.patience.is_some()),
            ("--balance-classes", self.balance_classes),
            ("--cache-features", self.cache_features.is_some()),
        ];
        if let Some((flag, _)) = of_head.into_iter().find(|(_, given)| *given) {
            anyhow::bail!("{flag} does not go with --unfreeze; leave it out");
        }
        let mut settings: ClassifierSettings = self.of_file()?;
        let ClassifierSettings { training, data, augmentation, .. } = &mut settings;
        set(&mut training.unfreeze, self.unfreeze);
        set(&mut training.epochs, self.epochs);
        set(&mut training.batch_size, self.batch_size);
        set(&mut training.learning_rate, self.learning_rate);
        set(&mut training.schedule, self.schedule);
        set(&mut training.weight_decay, self.weight_decay);
        set(&mut training.label_smoothing, self.label_smoothing);
        set(&mut training.dropout, self.dropout);
        set(&mut training.hidden, self.hidden);
        set(&mut training.seed, self.seed);
        set(&mut data.input, self.input);
        set(&mut data.validation, self.validation);
        set(&mut data.max_unreadable, self.max_unreadable);
        set(&mut data.margin, self.margin);
        data.square |= self.square;
        data.allow_duplicates |= self.allow_duplicates;
        if self.no_augmentation {
            *augmentation = Augmentation::none();
        }
        settings.validate()?;
        Ok(settings)
    }

    /// Puts defaults, file and flags together.
    pub(crate) fn settings(&self) -> anyhow::Result<HeadSettings> {
        let mut settings: HeadSettings = self.of_file()?;
        let HeadSettings { training, selection, data, augmentation } = &mut settings;
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
        data.square |= self.square;
        data.allow_duplicates |= self.allow_duplicates;
        set(&mut data.cache_features, self.cache_features);
        if self.no_augmentation {
            *augmentation = Augmentation::none();
        }
        settings.validate()?;
        Ok(settings)
    }
}
