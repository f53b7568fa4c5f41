//! The whole pipeline against the reference's recorded detections on every recorded image.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path};

use geometry::UnitBox;
use image_input::{DecodeOptions, decode_file};
use mask_detector::{FaceDetectorConfig, MaskClassifierConfig, MaskDetector};
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

#[test]
#[ignore = "needs the 1379 recorded images of ../shared, which may not be shipped"]
fn detections_and_labels_equal_the_reference() {
    let (recorded, data) = (shared("golden/reference_detections.ndjson"), shared("data"));
    let mut faces = FaceDetectorConfig::reference();
    // A little below, so that a face just above 0.5 there may be just below here.
    faces.postprocess.score_threshold = 0.45;
    let mut masks = MaskClassifierConfig::default();
    masks.head = reference_head().into();
    let detector = MaskDetector::builder().faces(faces).masks(masks).build().unwrap();
    let (mut total, mut found, mut labelled) = (0, 0, 0);
    for line in fs::read_to_string(recorded).unwrap().lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let image = decode_file(&data.join(Path::new(&recorded.image)), &DecodeOptions::default());
        let image = image.unwrap().image;
        assert_eq!(image.dimensions(), (recorded.width, recorded.height), "{}", recorded.image);
        let ours = detector.detect(&image).unwrap();
        let size = image.dimensions().into();
        for face in &recorded.detections {
            let Some([with_mask, without_mask]) = face.probabilities else { continue };
            let [x_min, y_min, x_max, y_max] = face.box_normalised;
            let pixels = UnitBox { x_min, y_min, x_max, y_max }.to_pixels(size).clamp(size);
            total += 1;
            let same = ours.iter().find(|our| {
                our.bbox.iou(&pixels) >= 0.95 && (our.score - face.confidence).abs() <= 0.02
            });
            let Some(same) = same else { continue };
            found += 1;
            let label = if with_mask > without_mask { "with_mask" } else { "without_mask" };
            labelled += usize::from(same.label() == label);
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
