//! `xtask calibrate`.

use std::{fs, path::Path};

use mask_detector::{Arithmetic, DeviceChoice, MaskDetector};

use crate::{fail, succeed};

#[test]
fn networks_that_were_calibrated_find_the_same_faces_in_eight_bits() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let reference = project.join("models/reference");
    let (faces, head) = (reference.join("res10_ssd.bpk"), reference.join("reference_head.bpk"));
    let networks = ["--face-weights", faces.to_str().unwrap(), "--head", head.to_str().unwrap()];
    let calibrate = |images: &Path| {
        [&["calibrate", "--images", images.to_str().unwrap()][..], &networks]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let empty = root.join("empty");
    fs::create_dir(&empty).unwrap();
    let arguments = calibrate(&empty);
    fail(root, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "no images");
    let blank = root.join("blank");
    fs::create_dir(&blank).unwrap();
    image::RgbImage::new(64, 64).save(blank.join("black.png")).unwrap();
    let arguments = calibrate(&blank);
    fail(root, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "no face in 1 images");
    assert!(!root.join("calibrated").exists());

    let arguments = calibrate(&project.join("examples"));
    succeed(root, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let photo = fs::read(project.join("examples/astronaut_masked.jpg")).unwrap();
    let detect = |folder: &Path, head: &str, arithmetic| {
        let detector = MaskDetector::builder()
            .device(DeviceChoice::Cpu)
            .face_weights(folder.join("res10_ssd.bpk"))
            .head(folder.join(head))
            .arithmetic(arithmetic);
        detector.build().map(|detector| detector.detect_bytes(&photo).unwrap())
    };
    // Nothing but the ranges is added.
    let exact = detect(&reference, "reference_head.bpk", Arithmetic::F32).unwrap();
    let calibrated = root.join("calibrated");
    let floats = detect(&calibrated, "mask_classifier.bpk", Arithmetic::F32).unwrap();
    assert_eq!(exact, floats);
    let bytes = detect(&calibrated, "mask_classifier.bpk", Arithmetic::Int8).unwrap();
    assert_eq!(bytes.len(), exact.len());
    for (bytes, exact) in bytes.iter().zip(&exact) {
        assert!(bytes.bbox.iou(&exact.bbox) > 0.9 && bytes.label() == exact.label());
    }
    // What was not calibrated does not run so.
    let refused = detect(&reference, "reference_head.bpk", Arithmetic::Int8).unwrap_err();
    assert!(refused.to_string().contains("for the CPU"), "{refused}");
}
