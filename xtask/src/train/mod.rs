//! `cargo xtask train`: from folders of pictures to a head.
//!
//! The way: `settings` puts flags and files together; `dataset` lists, reads and divides the
//! pictures; `features` runs the frozen backbone; `session` trains, epoch by epoch; `outputs` writes
//! what remains.

pub(crate) mod dataset;
mod features;
mod outputs;
mod session;
pub(crate) mod settings;

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use mask_data::SplitFile;
use mask_detector::DeviceChoice;

use crate::{files::write_file, progress::remark};

/// Train a head on folders of pictures, one folder a class, or on boxes in Pascal VOC's form.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder with one folder of pictures for each class, or with `images` and `annotations`.
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// Folder to write the head and everything about it to.
    #[arg(long, value_name = "DIR", default_value = "training")]
    output: PathBuf,
    /// Go on where an interrupted training in the output folder stopped.
    #[arg(long)]
    resume: bool,
    /// Replace an earlier training in the output folder.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Divide the pictures as this file says: JSON with the lists train and validation (or test).
    #[arg(long, value_name = "FILE", conflicts_with = "validation")]
    split: Option<PathBuf>,
    /// Write the division to this file too.
    #[arg(long, value_name = "FILE")]
    write_split: Option<PathBuf>,
    /// Device to run on: auto, cpu, gpu or gpu:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Memory for decoded pictures that are kept between epochs, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    picture_cache: usize,
    #[command(flatten)]
    settings: settings::SettingsArgs,
}

/// Show what training sees: a contact sheet of augmented pictures.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// Folder with one folder of pictures for each class, or with `images` and `annotations`.
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// The PNG file to write.
    #[arg(long, value_name = "FILE", default_value = "preview.png")]
    output: PathBuf,
    /// Pictures, a row each.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pictures: usize,
    /// Augmented views of each.
    #[arg(long, value_name = "N", default_value_t = 8)]
    views: usize,
    #[command(flatten)]
    settings: settings::SettingsArgs,
}

/// Runs `train`.
pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let settings = args.settings.settings()?;
    let output = &args.output;
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    // What cannot be written is better known before an hour's work than after.
    let probe = tempfile::NamedTempFile::new_in(output);
    probe.with_context(|| format!("cannot write into {}", output.display()))?;
    let checkpoint = output.join(session::CHECKPOINT);
    ensure!(
        args.resume || args.overwrite || !checkpoint.exists(),
        "{} holds a training already; give --resume to go on with it, --overwrite to replace it, or \
         another --output",
        output.display()
    );
    let device = args.device.open()?;
    if let Some(reason) = &device.fallback {
        remark(format_args!("training on the CPU: {reason}"));
    }
    let data = dataset::read(&args.dataset, &settings.data, &device.device)?;
    let split = data.split(args.split.as_deref(), &settings.data, settings.training.seed)?;
    let files = outputs::Outputs::new(output, &settings, &data, &split, &device.name)?;
    if let Some(path) = &args.write_split {
        let written = SplitFile::new(&data.set, &data.root, &split);
        write_file(path, serde_json::to_string_pretty(&written)?.as_bytes())?;
    }
    remark(format_args!(
        "{} pictures to learn from, {} to judge by, {} classes; {}",
        split.train.len(),
        split.validation.len(),
        data.set.classes.len(),
        data.copies_report(&split).lines().next().unwrap_or_default()
    ));
    let backbone =
        features::Backbone::new(&data, &settings, args.picture_cache << 20, &device.device)?;
    let mut session =
        session::Session::new(&settings, &data, &split, backbone, output, &device.device)?;
    if args.resume && checkpoint.exists() {
        session.resume(&files.fingerprint)?;
    } else if checkpoint.exists() {
        fs::remove_file(&checkpoint)
            .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
    }
    // Not before a checkpoint was found to be of the same: these files say what it is of.
    files.write_inputs(&data, &split)?;
    let trained = session.run(&files.fingerprint)?;
    files.write_results(&trained)
}

/// Runs `preview`.
pub(crate) fn preview(args: &PreviewArgs) -> anyhow::Result<()> {
    let settings = args.settings.settings()?;
    let device = DeviceChoice::Cpu.open()?.device;
    let data = dataset::read(&args.dataset, &settings.data, &device)?;
    let sheet = features::contact_sheet(&data, &settings, args.pictures.max(1), args.views.max(1))?;
    let mut png = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png)?;
    write_file(&args.output, &png.into_inner())
}
