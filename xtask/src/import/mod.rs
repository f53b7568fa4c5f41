//! `cargo xtask import`: from the published networks to everything in `models/`.
//!
//! The way: `source` finds and checks the published files; `caffe` reads the face network, `res10`
//! names and folds its weights; `keras` reads the classifier, `mobilenet` writes its backbone as
//! ONNX, `backbone` turns that into Rust and weights; `manifest` records it all.

mod backbone;
mod caffe;
mod keras;
mod manifest;
mod mobilenet;
mod res10;
mod source;

use std::fs;

use anyhow::Context;
use weights_file::{NamedTensor, Precision, encode};

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
    let source = source::open(args)?;
    fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot create {}", args.output.display()))?;
    let mut manifest = manifest::Manifest::default();

    let res10 = res10::tensors(&caffe::read(&source.caffemodel)?)?;
    let bytes = encode("res10-ssd", &[], res10, precision(FACE_PRECISION))?;
    manifest.add(&args.output, "res10_ssd.bpk", &bytes, manifest::RES10)?;

    let keras = keras::Keras::read(source.keras)?;
    let bytes = mobilenet::onnx(&keras)?;
    manifest.add(&args.output, "mobilenet_v2.onnx", &bytes, manifest::MOBILENET_ONNX)?;
    let onnx = args.output.join("mobilenet_v2.onnx");
    let backbone = backbone::generate(&onnx, &args.generated)?;
    let bytes = encode("mobilenet-v2", &[], backbone, precision(BACKBONE_PRECISION))?;
    manifest.add(&args.output, "mobilenet_v2.bpk", &bytes, manifest::MOBILENET_BPK)?;

    let bytes = head(&keras)?;
    manifest.add(&args.output, "reference_head.bpk", &bytes, manifest::REFERENCE_HEAD)?;
    manifest.keep(&args.output, "mask_head.bpk", manifest::HEAD)?;
    manifest.write(&args.output)
}

/// The wheel's own head, with what its users must know of it.
fn head(keras: &keras::Keras) -> anyhow::Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for (layer, name) in [("dense", "hidden"), ("dense_1", "output")] {
        let (shape, kernel) = keras.weight(layer, "kernel")?;
        let (bias_shape, bias) = keras.weight(layer, "bias")?;
        tensors.push(NamedTensor::new(format!("{name}.weight"), shape, kernel));
        tensors.push(NamedTensor::new(format!("{name}.bias"), bias_shape, bias));
    }
    // The order of the outputs: alphabetical, as scikit-learn's LabelBinarizer sorts.
    let metadata = [("classes", r#"["with_mask","without_mask"]"#), ("backbone", "mobilenet-v2")];
    Ok(encode("mask-head", &metadata, tensors, Precision::F32)?)
}
