//! The classifier against Keras's own activations and probabilities on the images in `examples/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use image_input::{ImageView, PixelFormat};
use mask_model::{Backbone, HeadCheckpoint, MaskClassifier, MaskClassifierConfig, WeightsSource};
use mask_tests::{
    IMAGES, every, exact_model, golden, max_difference, reference_head, resized_bgr, say,
};

/// As in `goldens/record.py`.
const STRIDE: usize = 97;

/// The middle 224 x 224 pixels of the recorded image, RGB in [-1, 1].
fn input(name: &str, device: &Device) -> Tensor<4> {
    let bgr = resized_bgr(name);
    let mut values = Vec::with_capacity(3 * 224 * 224);
    for y in 38..262 {
        for x in 38..262 {
            let at = 3 * (300 * y + x);
            values.extend([2, 1, 0].map(|channel| f32::from(bgr[at + channel]) / 127.5 - 1.0));
        }
    }
    let data = TensorData::new(values, [1, 224, 224, 3]);
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

#[test]
fn backbone_and_probabilities_equal_keras() {
    let device = Device::flex();
    let exact = exact_model("mobilenet_v2.bpk");
    // Half precision costs a relative error of up to 2^-11 per weight.
    let [in_maps, in_means, in_probabilities] =
        if exact.is_some() { [1e-3, 1e-3, 1e-4] } else { [1.0, 0.1, 2e-2] };
    let backbone = Backbone::load(&WeightsSource::from(exact), &device).unwrap();
    let head = HeadCheckpoint::load(&reference_head().into(), &device).unwrap();
    for name in IMAGES {
        let golden = golden(name);
        // Keras has the channels innermost.
        let maps = backbone.feature_maps(input(name, &device)).permute([0, 2, 3, 1]);
        let maps = max_difference(&every(STRIDE, &values(maps)), golden.get("maps").1);
        let features = backbone.forward(input(name, &device));
        let means = max_difference(&values(features.clone()), golden.get("means").1);
        let hidden = values(head.layers.hidden_activations(features.clone()));
        let hidden = max_difference(&hidden, golden.get("hidden").1);
        let probabilities = values(softmax(head.layers.forward(features), 1));
        let probabilities = max_difference(&probabilities, golden.get("probabilities").1);
        say(&format!("{name}: maps within {maps:.1e}, probabilities {probabilities:.1e}"));
        assert!(maps < in_maps && means < in_means && hidden < in_means);
        assert!(probabilities < in_probabilities);
    }
}

#[test]
fn crops_to_probabilities_equal_the_reference() {
    let mut config = MaskClassifierConfig::default();
    config.head = reference_head().into();
    let classifier = MaskClassifier::new(config, &Device::flex()).unwrap();
    for (name, label) in IMAGES.into_iter().zip(["without_mask", "with_mask"]) {
        let golden = golden(name);
        let (shape, bgr) = golden.get("face_crop_bgr");
        let bytes: Vec<u8> = bgr.iter().map(|value| *value as u8).collect();
        let size = (shape[1] as u32, shape[0] as u32);
        let crop = ImageView::packed(&bytes, size, PixelFormat::Bgr).unwrap();
        // Together with itself: each must come out as Keras had it alone.
        for ours in classifier.classify(&[crop, crop]).unwrap() {
            assert!(max_difference(&ours, golden.get("face_probabilities").1) < 0.02);
            assert_eq!(classifier.label(&ours), label);
        }
    }
}
