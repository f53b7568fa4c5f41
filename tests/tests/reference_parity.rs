//! The whole pipeline against the reference's recorded detections on every recorded picture.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path};

use mask_data::{DecodeLimits, decode_file};
use mask_detector::{
    Device, FaceDetectorConfig, InputSize, MaskClassifierConfig, MaskDetector, MaskDetectorConfig,
    MaskedFace, PriorLayout,
};
use mask_tests::{reference_head, say, shared};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    image: String,
    width: u32,
    height: u32,
    detections: Vec<RecordedFace>,
}

#[derive(Deserialize)]
struct RecordedFace {
    confidence: f32,
    box_normalised: [f32; 4],
    /// Of the crop, where the confidence is above 0.5 and the crop is not empty.
    probabilities: Option<[f32; 2]>,
}

/// IoU of a face's box with one in pixels.
fn iou(face: &MaskedFace, [x_min, y_min, x_max, y_max]: [f32; 4]) -> f32 {
    let bbox = face.face.bbox;
    let width = (bbox.x_max.min(x_max) - bbox.x_min.max(x_min)).max(0.0);
    let height = (bbox.y_max.min(y_max) - bbox.y_min.max(y_min)).max(0.0);
    let union = bbox.width() * bbox.height() + (x_max - x_min) * (y_max - y_min) - width * height;
    width * height / union
}

#[test]
fn detections_and_labels_equal_the_reference() {
    let (Some(recorded), Some(data)) =
        (shared("golden/reference_detections.ndjson"), shared("data"))
    else {
        return;
    };
    let config = MaskDetectorConfig {
        faces: FaceDetectorConfig {
            input_size: InputSize::REFERENCE,
            prior_layout: PriorLayout::Caffe,
            // A little below, so that a face just above 0.5 there may be just below here.
            min_confidence: 0.45,
            ..FaceDetectorConfig::default()
        },
        masks: MaskClassifierConfig {
            head: Some(reference_head()),
            ..MaskClassifierConfig::default()
        },
    };
    let detector = MaskDetector::new(config, Device::flex()).unwrap();
    let (mut total, mut found, mut labelled) = (0, 0, 0);
    for line in fs::read_to_string(recorded).unwrap().lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let picture = decode_file(&data.join(Path::new(&recorded.image)), &DecodeLimits::default());
        let picture = picture.unwrap();
        assert_eq!(picture.dimensions(), (recorded.width, recorded.height), "{}", recorded.image);
        let ours = detector.detect(&picture).unwrap();
        let (width, height) = (recorded.width as f32, recorded.height as f32);
        for face in &recorded.detections {
            let Some([with_mask, without_mask]) = face.probabilities else { continue };
            let [x_min, y_min, x_max, y_max] = face.box_normalised;
            let pixels = [
                (x_min * width).clamp(0.0, width),
                (y_min * height).clamp(0.0, height),
                (x_max * width).clamp(0.0, width),
                (y_max * height).clamp(0.0, height),
            ];
            total += 1;
            let same = ours.iter().find(|our| {
                iou(our, pixels) >= 0.95 && (our.face.confidence - face.confidence).abs() <= 0.02
            });
            let Some(same) = same else { continue };
            found += 1;
            let label = if with_mask > without_mask { "with_mask" } else { "without_mask" };
            labelled += usize::from(same.label == label);
        }
    }
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    say(&format!(
        "{found} of {total} reference detections found ({:.2} %), {labelled} with its label ({:.2} %)",
        share(found, total),
        share(labelled, found)
    ));
    assert!(total > 1000, "only {total} recorded detections");
    assert!(share(found, total) >= 99.5);
    assert!(share(labelled, found) >= 99.5);
}
