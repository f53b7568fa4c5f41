//! `cargo xtask evaluate`: how good a head, or another program's predictions, are.
//!
//! The way: `input` collects what is true and what was predicted, by the networks or by a file;
//! `mask_metrics` computes; `report` writes JSON, plots and the page that shows them.

mod input;
mod report;

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use mask_detector::DeviceChoice;
use mask_metrics::{Evaluation, EvaluationConfig};

/// Evaluate a head on class folders or annotated photographs, or predictions in a file.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Folder with one folder of images for each class, or with `images` and `annotations`.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// A head's weights file [default: the built-in classifier].
    #[arg(long, value_name = "FILE", conflicts_with = "predictions")]
    pub(crate) head: Option<PathBuf>,
    /// Weights of the face network [default: the built-in ones].
    #[arg(long, value_name = "FILE", conflicts_with = "predictions")]
    pub(crate) face_weights: Option<PathBuf>,
    /// Predictions as `mask-cli detect --format ndjson` prints them, instead of running networks.
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
    /// Count a class as another, such as with_incorrect_mask=without_mask.
    #[arg(long, alias = "fold", value_name = "CLASS=CLASS", value_parser = parse_merge)]
    pub(crate) merge_class: Vec<(String, String)>,
    /// Judge class folders by the faces in the images, not by the whole images.
    #[arg(long)]
    pub(crate) face_crops: bool,
    /// What faces' boxes are grown by on every side [default: as the head was trained].
    #[arg(long, value_name = "PART", conflicts_with = "predictions")]
    pub(crate) margin: Option<f32>,
    /// The class that thresholds are for [default: the first].
    #[arg(long, value_name = "CLASS")]
    pub(crate) positive: Option<String>,
    /// Precision that a threshold is wanted for.
    #[arg(long, alias = "precision", value_name = "PRECISION", default_value_t = 0.95)]
    pub(crate) target_precision: f64,
    /// Cost of a false positive, where a false negative costs 1.
    #[arg(long, alias = "cost", value_name = "COST", default_value_t = 1.0)]
    pub(crate) false_positive_cost: f64,
    /// Folder to write the report to.
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    pub(crate) output: PathBuf,
    /// Device to run on: auto, cpu, gpu or gpu:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
}

fn parse_merge(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("give CLASS=CLASS")?;
    Ok((from.to_owned(), to.to_owned()))
}

/// Runs the task.
pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let output = &args.output;
    if !(0.0..=1.0).contains(&args.target_precision)
        || args.false_positive_cost.is_nan()
        || args.false_positive_cost < 0.0
    {
        bail!("--target-precision must be from 0 to 1, and --false-positive-cost not below 0");
    }
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    let input = input::collect(args)?;
    let mut config = EvaluationConfig::default();
    if let Some(name) = &args.positive {
        config.positive =
            input.classes.iter().position(|class| class == name).with_context(|| {
                format!("no class `{name}`; there are {}", input.classes.join(", "))
            })?;
    }
    config.target_precision = args.target_precision;
    config.false_positive_cost = args.false_positive_cost;
    report::write(output, &input, &Evaluation::compute(&input, &config))
}
