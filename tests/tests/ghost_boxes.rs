//! Ghosts: confident boxes outside the picture, which Caffe's prior layout yields by the thousand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::Device;
use face_ssd::{FaceDetector, FaceDetectorConfig, InputBatch, InputSize, PriorBoxes, PriorLayout};
use mask_data::{DecodeLimits, decode_file, pictures_in};
use mask_tests::{say, shared};

/// Detections above 0.5, and how many of them lie outside the picture.
fn detections_and_ghosts(layout: PriorLayout, input_size: InputSize) -> Option<[usize; 2]> {
    let (photographs, faces) = (shared("data/ilc-2021/images")?, shared("data/dataset")?);
    let detector = FaceDetector::new(FaceDetectorConfig::default(), &Device::flex()).unwrap();
    let (mut detections, mut ghosts) = (0, 0);
    for folder in [photographs, faces] {
        for path in pictures_in(&folder, None).unwrap().iter().step_by(10) {
            let picture = decode_file(path, &DecodeLimits::default()).unwrap();
            let (width, height) = input_size.for_picture(picture.width(), picture.height());
            let mut batch = InputBatch::new(width, height);
            batch.push(&picture).unwrap();
            let priors = PriorBoxes::new(layout, width, height);
            let found = &detector.detect_inputs(batch, &priors).unwrap()[0];
            for detection in found.iter().filter(|detection| detection.confidence > 0.5) {
                detections += 1;
                let inside = detection.bbox.to_pixels(picture.width(), picture.height());
                ghosts += usize::from(inside.is_none());
            }
        }
    }
    say(&format!("{layout} at {input_size}: {ghosts} ghosts among {detections} detections"));
    Some([detections, ghosts])
}

#[test]
fn the_corrected_layout_has_no_ghosts() {
    let default = FaceDetectorConfig::default();
    let Some([_, ghosts]) = detections_and_ghosts(PriorLayout::Caffe, InputSize::REFERENCE) else {
        return;
    };
    assert!(ghosts > 50, "the test would see ghosts");
    for size in [InputSize::REFERENCE, default.input_size] {
        let [detections, ghosts] = detections_and_ghosts(default.prior_layout, size).unwrap();
        assert!(detections > 200);
        assert_eq!(ghosts, 0);
    }
}
