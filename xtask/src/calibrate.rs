//! `cargo xtask calibrate`: what running networks in eight bits takes, found on images.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use burn::tensor::Device;
use clap::Args;
use face_ssd::{Arithmetic, FaceCheckpoint, FaceDetector, FaceDetectorConfig, WeightsSource};
use image_input::{DecodeOptions, ImageView, NetworkInput, decode_file, images_in};
use mask_model::{ClassifierCheckpoint, INPUT_SIZE};
use weights_file::Precision;

use crate::{
    files::write_file,
    progress::{bar, print, remark},
};

/// Run networks on images, and write their weights with the ranges of values that they met: with
/// them, mask-cli runs the networks in eight bits, which is faster.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Folder of images like those that the networks will see, of their training.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// The face network's weights [default: the built-in ones].
    #[arg(long, value_name = "FILE")]
    face_weights: Option<PathBuf>,
    /// The classifier, as `train` writes it: a head, or both parts of --unfreeze [default: the
    /// built-in one].
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Images to run on at most, from all over the folder.
    #[arg(long, value_name = "N", default_value_t = 500)]
    most: usize,
    /// Folder to write res10_ssd.bpk and mask_classifier.bpk to.
    #[arg(long, value_name = "DIR", default_value = "calibrated")]
    output: PathBuf,
}

/// Runs the task.
pub(crate) fn run(args: &CalibrateArgs) -> anyhow::Result<()> {
    let device = Device::flex();
    let source = |path: &Option<PathBuf>| WeightsSource::from(path.as_deref());
    let mut faces = FaceCheckpoint::load(&source(&args.face_weights), &device)?;
    let head = source(&args.head);
    let mut masks = ClassifierCheckpoint::load(&WeightsSource::Embedded, &head, &device)?;
    let mut config = FaceDetectorConfig::default();
    config.arithmetic = Some(Arithmetic::F32);
    let detector = FaceDetector::from_checkpoint(faces.clone(), config, &device)?;

    let paths = images(&args.images, args.most)?;
    let (mut of_faces, mut of_masks) = (faces.calibration()?, masks.calibration()?);
    let progress = bar(paths.len(), "calibrating");
    let (mut used, mut crops) = (0, 0);
    for path in &paths {
        progress.inc(1);
        let image = match decode_file(path, &DecodeOptions::default()) {
            Ok(decoded) => decoded.image,
            Err(error) => {
                progress.suspend(|| remark(format_args!("{}: {error}", path.display())));
                continue;
            }
        };
        let view = ImageView::from(&image);
        let mut input =
            NetworkInput::new(detector.input_size(view.size()), face_ssd::NORMALIZATION);
        input.push(view)?;
        of_faces.observe(input.values(), input.shape())?;
        let mut input = NetworkInput::new((INPUT_SIZE, INPUT_SIZE), mask_model::NORMALIZATION);
        for face in detector.detect(view)? {
            let region = masks.labels.crop.region(&face.bbox, view.size());
            input.push_rect(view, region.crop_rect(view.size()))?;
        }
        of_masks.observe(input.values(), input.shape())?;
        (used, crops) = (used + 1, crops + input.len());
    }
    progress.finish_and_clear();
    ensure!(crops > 0, "{}: no face in {used} images", args.images.display());
    faces.input_ranges = Some(of_faces.ranges());
    masks.input_ranges = Some(of_masks.ranges());
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot create {}", args.output.display()))?;
    write_file(&args.output.join("res10_ssd.bpk"), &faces.to_bytes(Precision::F32)?)?;
    write_file(&args.output.join("mask_classifier.bpk"), &masks.to_bytes(Precision::F32)?)?;
    print(format_args!(
        "{used} images, {crops} faces: {}\nuse it: mask-cli detect --face-weights {} --head {} photo.jpg",
        args.output.display(),
        args.output.join("res10_ssd.bpk").display(),
        args.output.join("mask_classifier.bpk").display(),
    ))?;
    Ok(())
}

/// Up to so many images of a folder, evenly from all of them.
fn images(folder: &Path, most: usize) -> anyhow::Result<Vec<PathBuf>> {
    let paths = images_in(folder, &[]).entries.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(!paths.is_empty(), "{}: no images", folder.display());
    let (all, count) = (paths.len(), paths.len().min(most.max(1)));
    Ok((0..count).map(|at| paths[at * all / count].clone()).collect())
}
