//! What the face network learns from.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use burn::tensor::Device;
use face_ssd::{WeightsSource, network::Res10Ssd};
use geometry::BoundingBox;
use mask_data::Scene;
use mask_training::{FaceSettings, ignore_found};

#[test]
fn faces_without_a_box_are_ignored_if_asked_for() {
    let device = Device::flex();
    let (network, priors) = Res10Ssd::load(&WeightsSource::Embedded, &device).unwrap();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/astronaut.jpg");
    // As README's first command finds it.
    let face = BoundingBox { x_min: 181.0, y_min: 74.0, x_max: 269.0, y_max: 173.0 };
    let scene = |faces: Vec<BoundingBox>, ignored: Vec<BoundingBox>| Scene {
        image: image.clone(),
        faces,
        ignored,
    };
    let mut settings = FaceSettings::default();
    settings.training.priors = priors;
    let elsewhere = BoundingBox { x_min: 300.0, y_min: 300.0, x_max: 390.0, y_max: 400.0 };
    let scenes = [
        scene(vec![face], vec![]),
        scene(vec![elsewhere], vec![]),
        scene(vec![elsewhere], vec![face]),
    ];
    let run = |confidence: f32| {
        let (mut scenes, mut settings) = (scenes.to_vec(), settings.clone());
        settings.data.ignore_found = confidence;
        let added = ignore_found(&mut scenes, &network, &settings, &device, &|| ()).unwrap();
        (added, scenes)
    };
    assert_eq!(run(1.0), (0, scenes.to_vec()));
    let (added, changed) = run(0.9);
    assert_eq!(added, 1);
    assert_eq!((&changed[0], &changed[2]), (&scenes[0], &scenes[2]));
    assert!(changed[1].ignored[0].iou(&face) > 0.9);
    assert_eq!(changed[1].faces, scenes[1].faces);
}
