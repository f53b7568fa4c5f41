//! `cargo xtask train`: from folders of images to a head.
//!
//! The way: `settings` puts flags and files together; `samples` reads the data set and runs the
//! frozen backbone; `mask_model` and `trainer` train; `outputs` writes what remains.

mod classifier;
mod face;
mod outputs;
pub(crate) mod samples;
pub(crate) mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use mask_data::{Dataset, Split, SplitFile};
use mask_detector::DeviceChoice;
use mask_model::{HeadCheckpoint, HeadTask, HeadTraining, Labels, Samples, WeightsSource};
use mask_training::{HeadFeatures, Selection, contact_sheet};
use trainer::TrainError;

use crate::{
    files::write_file,
    progress::{bar, remark},
};

/// Train the head on folders of images, one folder a class, or on annotated boxes (Pascal VOC, YOLO, COCO); or the
/// face network on such boxes.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Which network learns.
    #[arg(long, value_enum, default_value_t = NetworkArg::Mask)]
    network: NetworkArg,
    /// Folder with one folder of images for each class, or with `images` and `annotations`. May be
    /// given several times.
    #[arg(long, value_name = "DIR", required = true)]
    dataset: Vec<PathBuf>,
    /// Folder to write the network and everything about it to.
    #[arg(long, value_name = "DIR", default_value = "training")]
    output: PathBuf,
    /// Go on where an interrupted training in the output folder stopped.
    #[arg(long)]
    resume: bool,
    /// Replace an earlier training in the output folder.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Divide the images as this file says: JSON with the lists train and validation (or test).
    #[arg(long, value_name = "FILE", conflicts_with = "validation")]
    split: Option<PathBuf>,
    /// Write the division to this file too.
    #[arg(long, value_name = "FILE")]
    write_split: Option<PathBuf>,
    /// Weights that the face network, or the backbone with --unfreeze, starts from [default: the
    /// built-in ones].
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Device to run on: auto, cpu, gpu or gpu:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Memory for decoded images that are kept between epochs, in MiB.
    #[arg(long, alias = "picture-cache", value_name = "MIB", default_value_t = 256)]
    image_cache: usize,
    #[command(flatten)]
    settings: settings::SettingsArgs,
}

/// A network that learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NetworkArg {
    /// The head that tells masks.
    Mask,
    /// The face detector.
    Face,
}

/// Show what training sees: a contact sheet of augmented images.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// Folder with one folder of images for each class, or with `images` and `annotations`.
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// The PNG file to write.
    #[arg(long, value_name = "FILE", default_value = "preview.png")]
    output: PathBuf,
    /// Images, a row each.
    #[arg(long, alias = "pictures", value_name = "N", default_value_t = 6)]
    images: usize,
    /// Augmented views of each.
    #[arg(long, value_name = "N", default_value_t = 8)]
    views: usize,
    #[command(flatten)]
    settings: settings::SettingsArgs,
}

/// Runs `train`.
pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    match args.network {
        NetworkArg::Mask if args.settings.unfreezes() => classifier::train(args),
        NetworkArg::Mask => {
            let trains_backbone = "--weights goes with --unfreeze or --network face: a head alone starts \
                                   from nothing, on the backbone that is built in";
            ensure!(args.weights.is_none(), trains_backbone);
            train_head(args)
        }
        NetworkArg::Face => face::train(args),
    }
}

/// The output folder, writable, and its checkpoint, if there may be one.
fn open_output(args: &TrainArgs) -> anyhow::Result<PathBuf> {
    let output = &args.output;
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    let probe = tempfile::NamedTempFile::new_in(output);
    probe.with_context(|| format!("cannot write into {}", output.display()))?;
    let checkpoint = output.join(outputs::CHECKPOINT);
    ensure!(
        args.resume || args.overwrite || !checkpoint.exists(),
        "{} holds a training already; give --resume to go on with it, --overwrite to replace it, or \
         another --output",
        output.display()
    );
    Ok(checkpoint)
}

fn open_device(args: &TrainArgs) -> anyhow::Result<mask_detector::OpenDevice> {
    let device = args.device.open()?;
    if let Some(reason) = &device.fallback {
        remark(format_args!("training on the CPU: {reason}"));
    }
    Ok(device)
}

/// An error of a checkpoint, with the remedy.
fn checkpoint_error(checkpoint: &Path, error: TrainError) -> anyhow::Error {
    let file = checkpoint.display();
    match error {
        // It names the file itself.
        TrainError::Checkpoint(error) => anyhow::Error::from(error),
        error => anyhow::anyhow!("{file}: {error}"),
    }
    .context(format!(
        "repeat its settings (config.toml and split.json beside {file}), or train anew in another \
         folder"
    ))
}

/// A training in an output folder that may have begun before.
struct Started<'a> {
    args: &'a TrainArgs,
    checkpoint: &'a Path,
}

impl Started<'_> {
    /// Goes on from the checkpoint, or removes it.
    fn resume(
        &self,
        resume: impl FnOnce(&WeightsSource) -> Result<usize, TrainError>,
    ) -> anyhow::Result<()> {
        let checkpoint = self.checkpoint;
        if self.args.resume && checkpoint.exists() {
            let done = resume(&WeightsSource::File(checkpoint.to_path_buf()))
                .map_err(|error| checkpoint_error(checkpoint, error))?;
            remark(format_args!("going on after epoch {done}"));
        } else if checkpoint.exists() {
            fs::remove_file(checkpoint)
                .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
        Ok(())
    }
}

/// Divides a data set as asked for, and says how.
fn divide(args: &TrainArgs, data: &Dataset, validation: f64, seed: u64) -> anyhow::Result<Split> {
    let split = match &args.split {
        Some(file) => SplitFile::read(file)?.apply(&data.set, &data.root, file)?,
        None => data.split(validation, seed).map_err(samples::with_remedy)?,
    };
    if let Some(path) = &args.write_split {
        let written = SplitFile::new(&data.set, &data.root, &split);
        write_file(path, serde_json::to_string_pretty(&written)?.as_bytes())?;
    }
    remark(format_args!(
        "{} samples to learn from, {} to validate on, {} classes; {}",
        split.train.len(),
        split.validation.len(),
        data.set.classes.len(),
        data.duplicates_report(&split).lines().next().unwrap_or_default()
    ));
    Ok(split)
}

/// The ratio of two classes from which on the rare one is easily missed.
const IMBALANCE: usize = 5;

/// Warns of rare classes.
fn remark_imbalance(data: &Dataset, split: &Split) {
    let mut counts = vec![0; data.set.classes.len()];
    for sample in &split.train {
        counts[data.set.samples[*sample].class] += 1;
    }
    let named = || data.set.classes.iter().zip(&counts);
    let (most, least) = (named().max_by_key(|c| c.1), named().min_by_key(|c| c.1));
    if let (Some((frequent, most)), Some((rare, least))) = (most, least)
        && *most > IMBALANCE * least
    {
        remark(format_args!(
            "`{frequent}` has {most} samples to learn from and `{rare}` {least}: the rare class is easily \
             missed; give --balance-classes, and look at its recall"
        ));
    }
}

fn train_head(args: &TrainArgs) -> anyhow::Result<()> {
    let settings = args.settings.settings()?;
    let checkpoint = open_output(args)?;
    let (device, output) = (open_device(args)?, &args.output);
    let data = samples::read(&args.dataset, &settings.data, 2, &device.device)?;
    let split = divide(args, &data, settings.data.validation, settings.training.seed)?;
    if !settings.selection.balance_classes {
        remark_imbalance(&data, &split);
    }
    let files = outputs::Outputs::new(output, &settings, &data, &split, None, &device.name)?;
    let ahead = settings.data.cache_features * split.train.len() + split.validation.len();
    let progress = bar(ahead, "features");
    let shown = progress.clone();
    let source = HeadFeatures::new(
        &data,
        &settings,
        args.image_cache << 20,
        &device.device,
        Box::new(move |count| shown.inc(count as u64)),
    )?;
    let task = HeadTask::new(
        settings.training.clone(),
        data.set.classes.clone(),
        samples_of(&data, &split.train),
        samples_of(&data, &split.validation),
        settings.selection.balance_classes,
        settings.data.cache_features,
        source,
        &device.device,
    )?;
    progress.finish_and_clear();
    let mut training = HeadTraining::new(&task, &files.fingerprint, &device.device)?;
    Started { args, checkpoint: &checkpoint }.resume(|source| training.resume(source))?;
    // Not before a checkpoint was found to be of the same: these files say what it is of.
    files.write_inputs(&data, &split)?;
    let classes = data.set.classes.clone();
    let labels = Labels { classes, crop: settings.data.crop(), temperature: 1.0 };
    let kept = outputs::KeptHead { labels: labels.clone(), device: device.device.clone() };
    let mut keeper = outputs::Keeper::new(output, settings.training.epochs, kept);
    let Selection { keep, patience, .. } = settings.selection;
    let fitted = training.run(&task, keep, patience, &mut keeper)?;
    let mut validation = task.validation_probabilities(&fitted.module)?;
    let labels = labels.calibrated(&mut validation);
    let head = HeadCheckpoint { layers: fitted.module, labels };
    let bytes = head.to_bytes()?;
    let written = ("mask_head.bpk", bytes.as_slice());
    files.write_results(
        &head.labels.classes,
        written,
        &fitted.history,
        fitted.kept_epoch,
        &validation,
    )
}

/// Samples with their classes.
fn samples_of(data: &Dataset, samples: &[usize]) -> Samples {
    let classes = samples.iter().map(|sample| data.set.samples[*sample].class).collect();
    Samples { samples: samples.to_vec(), classes }
}

/// Runs `preview`.
pub(crate) fn preview(args: &PreviewArgs) -> anyhow::Result<()> {
    let settings = args.settings.settings()?;
    let device = DeviceChoice::Cpu.open()?.device;
    let data = samples::read(std::slice::from_ref(&args.dataset), &settings.data, 1, &device)?;
    let sheet = contact_sheet(&data, &settings, args.images.max(1), args.views.max(1))?;
    let mut png = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png)?;
    write_file(&args.output, &png.into_inner())
}
