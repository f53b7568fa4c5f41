//! ONNX files that take images: what they find in photographs in another runtime, and how they are used.

use anyhow::{Context, ensure};
use burn::tensor::Device;
use face_ssd::{
    Arithmetic, Face, FaceDetector, FaceDetectorConfig, InputSize, PostprocessConfig, WeightsSource,
};
use geometry::{BoundingBox, ImageSize, PixelRect};
use image::{RgbImage, imageops};
use mask_model::{INPUT_SIZE, MaskClassifier, MaskClassifierConfig};
use onnx_export::{BOXES, IMAGE, SCORES, Storage};

use super::{
    Checked, ExportArgs, NetworkName,
    network::{Network, OnnxOptions},
};

/// Photographs with a face each.
const PHOTOS: [&[u8]; 3] = [
    include_bytes!("../../../examples/astronaut.jpg"),
    include_bytes!("../../../examples/astronaut_masked.jpg"),
    include_bytes!("../../../examples/astronaut_incorrect.jpg"),
];
/// Most that a corner may be away from our own in single precision, in pixels, and a probability from ours.
const EXACT: (f32, f32) = (0.5, 1e-3);
/// The same where parameters are stored in fewer bits.
const STORED: (f32, f32) = (8.0, 0.2);

/// A file, and how far from ours its results are in another runtime.
pub(super) fn check(
    name: NetworkName,
    args: &ExportArgs,
    network: &Network,
    options: OnnxOptions,
) -> anyhow::Result<Checked> {
    let bytes = network.encode(options)?;
    let (pixels, most) = if options.storage == Storage::Single { EXACT } else { STORED };
    let (text, corner, probability) = match name {
        NetworkName::Faces => {
            let (count, corner, score) = faces(args, &bytes)?;
            (format!("{count} faces, corners within {corner:.2} pixels, scores"), corner, score)
        }
        NetworkName::Classifier => {
            let difference = classes(args, &bytes)?;
            (format!("{} crops, probabilities", PHOTOS.len()), 0.0, difference)
        }
    };
    ensure!(
        corner <= pixels && probability <= most,
        "rten's results are too far from ours: {text} within {probability:.1e}"
    );
    let text = format!("rten finds what we find: {text} within {probability:.1e}");
    Ok((bytes, text))
}

/// How many faces are found, how far their corners are from ours, and their scores.
fn faces(args: &ExportArgs, bytes: &[u8]) -> anyhow::Result<(usize, f32, f32)> {
    let InputSize::Fixed { width, height } = args.input_size else { return Ok((0, 0.0, 0.0)) };
    let canvas = collage(width, height)?;
    let mut config = FaceDetectorConfig::default();
    config.input_size = args.input_size;
    config.arithmetic = Some(Arithmetic::F32);
    config.weights = WeightsSource::from(args.face_weights.as_deref());
    let expected = FaceDetector::new(config, &Device::flex())?.detect(&canvas)?;
    ensure!(
        !expected.is_empty(),
        "the network finds no face at {width} x {height}; give a larger --input-size"
    );
    let (shape, values) = planes(&[canvas]);
    let outputs = onnx_export::run(bytes, IMAGE, shape, values, &[BOXES, SCORES])?;
    let [boxes, scores] = &outputs[..] else { anyhow::bail!("outputs are absent") };
    let threshold = PostprocessConfig::default().score_threshold;
    let found = boxes.as_chunks::<4>().0.iter().zip(scores);
    let found: Vec<Face> = found
        .filter(|(_, score)| **score >= threshold)
        .map(|(&[x_min, y_min, x_max, y_max], score)| {
            let bbox = BoundingBox { x_min, y_min, x_max, y_max };
            Face { bbox: bbox.clamp(ImageSize { width, height }), score: *score }
        })
        .collect();
    ensure!(
        found.len() == expected.len(),
        "rten finds {} faces, not {}",
        found.len(),
        expected.len()
    );
    let (mut corner, mut score) = (0.0f32, 0.0f32);
    for ours in &expected {
        let theirs = found.iter().max_by(|a, b| {
            let near = |face: &Face| face.bbox.iou(&ours.bbox);
            near(a).total_cmp(&near(b))
        });
        let theirs = theirs.context("rten finds no face")?;
        let edges = |face: &Face| {
            let BoundingBox { x_min, y_min, x_max, y_max } = face.bbox;
            [x_min, y_min, x_max, y_max]
        };
        for (a, b) in edges(theirs).iter().zip(edges(ours)) {
            corner = corner.max((a - b).abs());
        }
        score = score.max((theirs.score - ours.score).abs());
    }
    Ok((expected.len(), corner, score))
}

/// How far probabilities of crops are from ours.
fn classes(args: &ExportArgs, bytes: &[u8]) -> anyhow::Result<f32> {
    let crops = PHOTOS.iter().map(|photo| {
        let photo = image::load_from_memory(photo)?.into_rgb8();
        let face = imageops::crop_imm(&photo, 170, 60, 112, 124).to_image();
        Ok(imageops::resize(&face, INPUT_SIZE, INPUT_SIZE, imageops::FilterType::Triangle))
    });
    let crops: Vec<RgbImage> = crops.collect::<anyhow::Result<_>>()?;
    let mut config = MaskClassifierConfig::default();
    config.head = WeightsSource::from(args.head.as_deref());
    config.arithmetic = Some(Arithmetic::F32);
    let classifier = MaskClassifier::new(config, &Device::flex())?;
    let whole = PixelRect::of_image((INPUT_SIZE, INPUT_SIZE).into());
    let rects: Vec<_> = crops.iter().map(|crop| (crop.into(), whole)).collect();
    let expected = classifier.classify_rects(&rects)?.concat();
    let (shape, values) = planes(&crops);
    let found = onnx_export::run(bytes, IMAGE, shape, values, &["probabilities"])?.concat();
    ensure!(found.len() == expected.len(), "rten gives {} probabilities", found.len());
    Ok(found.iter().zip(&expected).fold(0.0, |most, (a, b)| most.max((a - b).abs())))
}

/// The photographs beside each other, the larger side filled.
fn collage(width: u32, height: u32) -> anyhow::Result<RgbImage> {
    let mut canvas = RgbImage::new(width, height);
    let side = width.max(height) / 2;
    for (photo, at) in PHOTOS.iter().zip(0..) {
        let photo = image::load_from_memory(photo)?.into_rgb8();
        let photo = imageops::resize(&photo, side, side, imageops::FilterType::Triangle);
        imageops::replace(&mut canvas, &photo, i64::from(at % 2 * side), i64::from(at / 2 * side));
    }
    Ok(canvas)
}

/// Images of one size as a file takes them: `[batch, red green blue, height, width]`, 0 to 255.
fn planes(images: &[RgbImage]) -> ([usize; 4], Vec<f32>) {
    let (width, height) = images.first().map_or((0, 0), RgbImage::dimensions);
    let channels = images.iter().flat_map(|image| (0..3).map(move |channel| (image, channel)));
    let values = channels
        .flat_map(|(image, channel)| image.pixels().map(move |pixel| f32::from(pixel.0[channel])));
    ([images.len(), 3, height as usize, width as usize], values.collect())
}

/// How the files are used, from Python, OpenCV and Rust.
pub(super) fn readme(args: &ExportArgs, size: ImageSize) -> anyhow::Result<String> {
    let mut config = MaskClassifierConfig::default();
    config.head = WeightsSource::from(args.head.as_deref());
    let classifier = MaskClassifier::new(config, &Device::flex())?;
    let crop = classifier.crop();
    let classes: Vec<String> =
        classifier.classes().iter().map(|name| format!("\"{name}\"")).collect();
    let defaults = PostprocessConfig::default();
    let threshold = defaults.score_threshold.to_string();
    let rten = include_str!("../../../crates/onnx-export/examples/rten.rs")
        .replace("(640, 640)", &format!("({}, {})", size.width, size.height))
        .replace("0.65", &threshold);
    let text = include_str!("README.md")
        .replace("@RTEN@", &rten)
        .replace("@WIDTH@", &size.width.to_string())
        .replace("@HEIGHT@", &size.height.to_string())
        .replace("@ENDING@", args.precision.ending())
        .replace("@SIDE@", &INPUT_SIZE.to_string())
        .replace("@CLASSES@", &classes.join(", "))
        .replace("@MARGIN@", &crop.margin.to_string())
        .replace("@SQUARE@", if crop.square { "True" } else { "False" })
        .replace("@THRESHOLD@", &threshold)
        .replace("@CANDIDATES@", &defaults.max_candidates.to_string());
    Ok(text)
}
