//! The classifier against Keras's own activations and probabilities.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use image::RgbImage;
use image_input::{ImageView, NetworkInput};
use mask_model::{
    Backbone, HeadCheckpoint, MaskClassifier, MaskClassifierConfig, NORMALIZATION, WeightsSource,
};
use mask_tests::{
    Arrays, exact_model, max_difference, reference_head, say, shared, to_channels_first,
};

fn goldens() -> Option<Vec<Arrays>> {
    let folder = shared("golden")?;
    Some((0..5).map(|i| Arrays::read(&folder.join(format!("face_{i}.npz")))).collect())
}

fn input(golden: &Arrays, device: &Device) -> Tensor<4> {
    let (shape, values) = golden.get("input");
    let data = TensorData::new(to_channels_first(shape, values), [shape[0], 3, 224, 224]);
    Tensor::from_data(data, device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

#[test]
fn backbone_and_probabilities_equal_keras() {
    let Some(goldens) = goldens() else { return };
    let device = Device::flex();
    let exact = exact_model("mobilenet_v2.bpk");
    // Half precision costs a relative error of 2^-11 per weight.
    let [in_maps, in_means, in_probability] =
        if exact.is_some() { [1e-3, 1e-3, 1e-4] } else { [0.5, 0.1, 2e-3] };
    let backbone = Backbone::load(&WeightsSource::from(exact), &device).unwrap();
    let head = HeadCheckpoint::load(&reference_head().into(), &device).unwrap();
    let (mut maps_worst, mut probabilities_worst) = (0.0f32, 0.0f32);
    for golden in &goldens {
        let maps = values(backbone.feature_maps(input(golden, &device)));
        let (shape, theirs) = golden.get("backbone");
        let maps_difference = max_difference(&maps, &to_channels_first(shape, theirs));

        let features = backbone.forward(input(golden, &device));
        assert!(max_difference(&values(features.clone()), golden.get("pooled").1) < in_means);
        let hidden = head.layers.hidden_activations(features.clone());
        assert!(max_difference(&values(hidden), golden.get("dense128").1) < in_means);
        let probabilities = values(softmax(head.layers.forward(features), 1));
        let difference = max_difference(&probabilities, golden.get("prob").1);

        maps_worst = maps_worst.max(maps_difference);
        probabilities_worst = probabilities_worst.max(difference);
    }
    say(&format!("backbone within {maps_worst:.1e}, probabilities {probabilities_worst:.1e}"));
    assert!(maps_worst < in_maps && probabilities_worst < in_probability);
}

#[test]
fn crops_to_probabilities_equal_the_reference() {
    let Some(goldens) = goldens() else { return };
    let device = Device::flex();
    let mut config = MaskClassifierConfig::default();
    config.head = reference_head().into();
    let classifier = MaskClassifier::new(config, &device).unwrap();
    let crops: Vec<RgbImage> = goldens
        .iter()
        .map(|golden| {
            let (shape, bgr) = golden.get("crop_bgr_u8");
            let pixels = bgr.as_chunks::<3>().0.iter();
            let rgb = pixels.flat_map(|[b, g, r]| [*r as u8, *g as u8, *b as u8]).collect();
            RgbImage::from_raw(shape[1] as u32, shape[0] as u32, rgb).unwrap()
        })
        .collect();
    // One batch of all crops: each must come out as Keras had it alone.
    let views: Vec<ImageView<'_>> = crops.iter().map(ImageView::from).collect();
    let probabilities = classifier.classify(&views).unwrap();
    for ((golden, crop), ours) in goldens.iter().zip(&crops).zip(&probabilities) {
        let mut batch = NetworkInput::new((224, 224), NORMALIZATION);
        batch.push(crop).unwrap();
        // One of 255 steps of colour.
        assert!(max_difference(batch.values(), golden.get("input").1) < 1.01 / 127.5);
        assert!(max_difference(ours, golden.get("prob").1) < 0.02);
    }
}
